package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Kind is what a flow is for.
type Kind string

// The kinds of flows.
const (
	Login        Kind = "login"
	Registration Kind = "registration"
	Settings     Kind = "settings"
	Recovery     Kind = "recovery"
	Verification Kind = "verification"
)

// kinds in the order of their numbers in ids, see flowid.go.
var kinds = [...]Kind{Login, Registration, Settings, Recovery, Verification}

// A FlowState says how far a flow is.
type FlowState string

// The states. Settings begin with ShowForm and come to Success, all others begin with
// Choose and come to Passed.
const (
	Choose   FlowState = "choose_method"
	Sent     FlowState = "sent_email"
	Passed   FlowState = "passed_challenge"
	ShowForm FlowState = "show_form"
	Success  FlowState = "success"
)

// A Flow is a conversation: a form, what was answered, the form again. Its exported
// fields are stored when it is submitted; the form itself is made when it is shown.
type Flow struct {
	ID        string
	Kind      Kind
	API       bool // of a native app: no cookies, no CSRF token
	IssuedAt  time.Time
	ExpiresAt time.Time
	State     FlowState
	Active    string // the method that was used last

	Opening // what it was opened with

	// Owner is the identity that a settings flow changes. All other flows of browsers
	// are bound to Browser, a hash of the browser's CSRF cookie.
	Owner   string
	Browser []byte

	// Shared: any browser may go on with it that knows its id, as when a link to it was
	// sent.
	Shared bool

	// Granted is whom an administrator has made a recovery for. They come in by it although
	// members of an organization come in by its provider alone: that may be broken.
	Granted string `json:",omitempty"`

	// What the last submission left.
	Values map[string]any    // by the names of nodes; no secrets
	Texts  []Text            // of the whole form
	Nodes  map[string][]Text // of nodes, by name

	// Kept is what strategies keep between two submissions, by their methods. It does
	// not leave the server.
	Kept map[string]json.RawMessage

	Continue []Continue // what a client should do next

	version int64 // of the stored flow; 0: it was never submitted
}

// An Opening is what a client said when it opened a flow.
type Opening struct {
	Refresh        bool   `json:",omitempty"`
	AAL            AAL    `json:",omitempty"` // asked for; "" is aal1
	ReturnTo       string `json:",omitempty"`
	RequestURL     string `json:",omitempty"`
	LoginChallenge string `json:",omitempty"` // of OAuth2
	Organization   string `json:",omitempty"`
	Schema         string `json:",omitempty"`
	Exchange       string `json:",omitempty"` // of native apps that wait for a session: see tokenexchange.go
	Via            string `json:",omitempty"`
	AfterVerified  string `json:",omitempty"` // after_verification_return_to
	Invitation     string `json:",omitempty"` // id of one whose link the client has
	SkipSettings   bool   `json:",omitempty"` // of a recovery, which leads to ReturnTo at once

	ExpiredAt time.Time `json:",omitzero"` // when the flow that this one replaces expired
}

// A Continue tells a client what to do next. Its JSON is Kratos's.
type Continue struct {
	Action     string        `json:"action"`
	Token      string        `json:"ory_session_token,omitempty"`
	RedirectTo string        `json:"redirect_browser_to,omitempty"`
	Flow       *ContinueFlow `json:"flow,omitempty"`
}

// A ContinueFlow is the flow to go on with.
type ContinueFlow struct {
	ID      string `json:"id"`
	URL     string `json:"url,omitempty"`
	Address string `json:"verifiable_address,omitempty"`
}

// Keep stores what a strategy needs at the next submission.
func (f *Flow) Keep(method string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the state of %s cannot be encoded", method)
	}
	if f.Kept == nil {
		f.Kept = map[string]json.RawMessage{}
	}
	f.Kept[method] = text
	return nil
}

// Recall reads what Keep stored, and reports whether there was any.
func (f *Flow) Recall(method string, v any) (bool, error) {
	text, ok := f.Kept[method]
	if !ok {
		return false, nil
	}
	if err := json.Unmarshal(text, v); err != nil {
		return true, errs.Wrap(errs.Internal, err, "the state of %s is malformed", method)
	}
	return true, nil
}

// requestedAAL is the level that the flow is for.
func (f *Flow) requestedAAL() AAL {
	if f.AAL == "" {
		return AAL1
	}
	return f.AAL
}

// finished reports whether the flow came to its end.
func (f *Flow) finished() bool { return f.State == Passed }

// resumed is the state of a flow that is submitted again: what was changed in settings
// before says nothing of what is changed next.
func (f *Flow) resumed() FlowState {
	if f.Kind == Settings {
		return ShowForm
	}
	return f.State
}

// next is where a flow that came to its end leads, "" if nowhere in particular.
func (f *Flow) next() string { return nextOf(f.Continue) }

func nextOf(all []Continue) string {
	for _, c := range all {
		if c.Flow != nil {
			return c.Flow.URL
		}
	}
	return ""
}

// clear forgets what the last submission said.
func (f *Flow) clear() { f.Texts, f.Nodes = nil, nil }

// blame keeps what is wrong for the form.
func (f *Flow) blame(wrong *FormError) {
	f.Texts = append(f.Texts, wrong.Texts...)
	for node, texts := range wrong.Nodes {
		if f.Nodes == nil {
			f.Nodes = map[string][]Text{}
		}
		f.Nodes[node] = append(f.Nodes[node], texts...)
	}
}

// save is the op that stores the flow.
func (f *Flow) save() (Op, error) {
	data, err := json.Marshal(f)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "flow %s cannot be encoded", f.ID)
	}
	return SaveFlow{StoredFlow{ID: f.ID, Version: f.version, ExpiresAt: f.ExpiresAt.Add(keepFlows), Data: data}}, nil
}

// keepFlows is how long a flow is kept after it expired, so that its successor can say
// that it did. While it can begin from its id it must not be forgotten that it ended.
const keepFlows = time.Hour

// stored reads a flow that was submitted. NotFound: it was not.
func (s *Service) stored(ctx context.Context, id string) (*Flow, error) {
	if _, ok := parseUUID(id); !ok { // which a database may not even take
		return nil, errs.New(errs.NotFound, "there is no flow %.80q", id)
	}
	row, err := s.store.Flow(ctx, id)
	if err != nil {
		return nil, err
	}
	f := &Flow{}
	d := json.NewDecoder(bytes.NewReader(row.Data))
	d.UseNumber() // as they were written, however long
	if err := d.Decode(f); err != nil {
		return nil, errs.Wrap(errs.Internal, err, "flow %s is malformed", id)
	}
	f.version = row.Version
	return f, nil
}
