package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// A Strategy is a way to prove who one is, or to change it: one method of the form.
// It is asked in every flow, and says by its nodes whether it takes part. Methods may
// be called from many goroutines at once.
type Strategy interface {
	// Method is the value of the form's field method that it answers to, and the group
	// of its nodes.
	Method() string

	// Nodes returns its part of the form in the flow's present state; none if it takes
	// no part. It changes nothing.
	Nodes(ctx context.Context, st *Step) ([]Node, error)

	// Submit answers what st.Form says, by changing st. What it wants to be written it
	// adds to st with Also; nothing is written if it, or what follows, fails.
	//
	// A *FormError: the user can mend it. A *Problem is answered as it is. Conflict: the
	// submission is tried again from the start.
	Submit(ctx context.Context, st *Step) (Outcome, error)
}

// A Claimer is a Strategy whose buttons say what they do without a field method.
type Claimer interface {
	Claims(f Form) bool
}

// A SecondFactor is a Strategy whose credentials make an identity capable of AAL2.
type SecondFactor interface {
	// Second reports whether the identity can give a second factor by this method, beside
	// the first one of a session, or of any that it may have if that is nil.
	Second(i *Identity, x *Session) bool
}

// A TraitSource is a Strategy that finds the traits of a new identity itself, and sees to
// it that they are valid.
type TraitSource interface {
	FindsTraits() bool
}

// An Outcome is what became of a submission that did not fail.
type Outcome int

const (
	// Done: what the flow is for was reached. For a login or a recovery st.Identity has
	// proven itself by st.Proof; for a registration st.Identity is new, and has its
	// credential; for settings st.Identity is as it shall be.
	Done Outcome = iota

	// Again: the form goes on in the flow's new state, and is shown.
	Again

	// Leave: the browser goes to st.Location, and will come back.
	Leave
)

// A Step is one look at a flow, or one submission. It is used by one goroutine.
type Step struct {
	Flow    *Flow
	Form    Form          // of a submission
	Request *http.Request // for what it says of its sender
	Schema  *Schema       // of Identity, or of the identity that is to be registered
	Now     time.Time

	// Session is the caller's, if there is one that counts.
	Session *Session

	// Identity is: in settings the caller, with credentials, to be changed; in a login to
	// refresh a session, or for a second factor, the caller; in a registration the new
	// identity with traits but without credentials; else nil until it is proven.
	Identity *Identity

	Proof    Method // what was proven
	Location string // for Leave

	caller    *Identity           // of Session, without credentials
	before    *Identity           // in settings, as it was
	sensitive bool                // what changed are ways into the account
	unproven  []VerifiableAddress // addresses that are new with the step, and not verified
	ops       []Op
	always    []Op      // written even if the form is wrong
	about     *Identity // who somebody tried to be, for the audit log
	then      []func()
	counted   counts          // by the request
	payload   json.RawMessage // transient, of an earlier request
}

// transient is what the client has sent for hooks and messages, nil if there is nothing. It
// is not stored but with what waits for an address.
func (st *Step) transient() json.RawMessage {
	if st.payload != nil {
		return st.payload
	}
	if text := bytes.TrimSpace(st.Form.JSON("transient_payload")); len(text) > 0 && text[0] == '{' {
		return text
	}
	return nil
}

// Also adds to what is written with the step.
func (st *Step) Also(ops ...Op) { st.ops = append(st.ops, ops...) }

// Then adds what is done after the step was written. It may not happen at all.
func (st *Step) Then(do func()) { st.then = append(st.then, do) }

// Prove says who is there, and how that is known.
func (st *Step) Prove(i *Identity, method string, level AAL) {
	st.Identity = i
	st.Proof = Method{Method: method, AAL: level, CompletedAt: st.Now}
}

// ProveBy is Prove by a code or link that was sent.
func (st *Step) ProveBy(c *Code, i *Identity, method string, level AAL) {
	st.Prove(i, method, level)
	if c.Address != "" { // of an administrator's code
		st.Proof.Mailbox = c.reach()
	}
}

// Event adds to the audit log.
func (st *Step) Event(kind string, i *Identity, client string, detail any) {
	e := Event{ID: eventID(st.Now), At: st.Now, Type: kind, Client: client}
	if i != nil {
		e.Identity = i.ID
	}
	if st.Session != nil {
		e.Session = st.Session.ID
	}
	if detail != nil {
		e.Detail, _ = json.Marshal(detail)
	}
	st.Also(Record{e})
}

// A Hook looks at a step that came to its end, before it is written. It may change
// st.Identity, add ops and what the client shall do next, or refuse with an error as
// Strategy.Submit does.
type Hook func(ctx context.Context, st *Step) error
