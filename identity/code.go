package identity

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Codes and links that are sent to an address. What is stored is a MAC of the text, the
// flow and the purpose; it is used by one statement, in the transaction of what it
// allows. A code may be tried a few times, which are counted before it is looked up. A
// code for an address that nobody has is stored too, and is of nobody: so the request
// takes the same work whether or not there is an account.

// maxSends is how many codes a flow sends.
const maxSends = 5

// maxClients bounds what the limiter of messages keeps.
const maxClients = 50_000

// An errand is a code or a link that is to be sent.
type errand struct {
	purpose  string // what it is good for: the kind of the flow, with or without -link
	via, to  string
	who      *Identity // nil: nobody whom it could help
	template string    // with _valid or _invalid at the end
	notify   bool      // tell nobody, too, that somebody asked
	taken    bool      // the address has an account; who has it is told, and the code is of nobody
	url      string    // that leads to the same end; "" if there is none
}

// A restartError begins the flow anew, and says why.
type restartError struct{ text Text }

func (e *restartError) Error() string { return e.text.Text }

// digits returns a code of six digits, all equally likely.
func digits() string {
	const codes = 1_000_000
	var b [4]byte
	for {
		rand.Read(b[:])
		if n := binary.BigEndian.Uint32(b[:]); n < math.MaxUint32/codes*codes {
			return fmt.Sprintf("%06d", n%codes)
		}
	}
}

// secretText is what is hashed of a code or link.
func secretText(flow, purpose, text string) []byte {
	return []byte(purpose + " " + flow + " " + text)
}

// put stores a code for an identity, and returns it.
func (s *Service) put(st *Step, e errand, text string, expires time.Time) {
	c := Code{
		ID: NewID(), Flow: st.Flow.ID, Purpose: e.purpose, Via: e.via, Address: e.to, IssuedAt: st.Now, ExpiresAt: expires,
		Hash: s.keys.MAC(s.purpose("code"), secretText(st.Flow.ID, e.purpose, text)),
	}
	if e.who != nil && !e.taken {
		c.Identity = e.who.ID
	}
	st.Also(PutCode{c})
}

// send sends a new code, in the place of those that the flow has sent for the purpose,
// unless that was done too often: then all goes on as if it had.
func (s *Service) send(ctx context.Context, st *Step, e errand) error {
	if !s.mails() {
		return errDisabled("Sending messages")
	}
	ok, err := s.maySend(ctx, st, e.via, e.to)
	if err != nil || !ok {
		return err
	}
	st.Also(DropCodes{Flow: st.Flow.ID, Purpose: e.purpose})
	return s.sendMore(st, e)
}

// sendMore is send beside other codes of the flow, and unconditional.
func (s *Service) sendMore(st *Step, e errand) error {
	text, life, name := digits(), s.options.Code.Lifespan, "code"
	if isLink(e.purpose) {
		text, life, name = longToken(), s.options.Code.LinkLifespan, "token"
	}
	expires := st.Now.Add(life)
	if expires.After(st.Flow.ExpiresAt) {
		expires = st.Flow.ExpiresAt
	}
	s.put(st, e, text, expires)
	n := note{Template: e.template + "_valid", Via: e.via, To: e.to, Expires: expires, Minutes: int(expires.Sub(st.Now).Round(time.Minute) / time.Minute)}
	if e.who == nil {
		n.Template, n.Unknown = e.template+"_invalid", !e.notify
		return s.post(st, n, nil)
	}
	if e.taken {
		n = note{Template: "account_exists", Via: e.via, To: e.to, URL: s.options.BaseURL + "/self-service/login/browser"}
		return s.post(st, n, nil)
	}
	if name == "code" {
		n.Code = text
	}
	if e.url != "" {
		n.URL = withQuery(e.url, "flow", st.Flow.ID, name, text)
	}
	return s.post(st, n, e.who)
}

const linkSuffix = "-link"

func isLink(purpose string) bool { return strings.HasSuffix(purpose, linkSuffix) }

// maySend counts a message to an address, and reports whether it may be sent. Nobody is
// told: who asks too often for the address of somebody else learns nothing, and who is
// flooded is spared.
func (s *Service) maySend(ctx context.Context, st *Step, via, to string) (bool, error) {
	key := "message " + via + " " + to
	if _, again := st.counted[key]; !again && s.clients.Try(s.options.Client(st.Request)) > 0 {
		s.withheld(st, via)
		return false, nil
	}
	ok, _, err := s.count(ctx, st, key, s.options.Courier.Limit)
	if err == nil && !ok {
		s.withheld(st, via)
	}
	return ok, err
}

func (s *Service) withheld(st *Step, via string) {
	st.Event("message.withheld", nil, s.options.Client(st.Request), map[string]any{"via": via})
}

// redeem looks up what somebody has entered, and uses it up with the step. A nil code:
// it is none, or no longer.
//
// A *FormError: it was tried too often.
func (s *Service) redeem(ctx context.Context, st *Step, purpose string, sends int, text string) (*Code, error) {
	text = strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\t' {
			return -1
		}
		return r
	}, text)
	f := st.Flow
	key := fmt.Sprintf("code %s %s %d", f.ID, purpose, sends)
	const ever = 48 * time.Hour
	ok, _, err := s.count(ctx, st, key, Limit{Free: s.options.Code.Tries, Delay: ever, MaxDelay: ever, Forget: ever})
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, Wrong(textTooOften)
	}
	c, err := s.store.Code(ctx, f.ID, purpose, s.keys.MACs(s.purpose("code"), secretText(f.ID, purpose, text)))
	if errs.KindOf(err) == errs.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if c.Identity == "" || !c.UsedAt.IsZero() || !st.Now.Before(c.ExpiresAt) {
		return nil, nil
	}
	st.Also(UseCode{ID: c.ID, Now: st.Now})
	return c, nil
}

// A codeState is what a flow keeps of the codes that it has sent.
type codeState struct {
	Via, To string
	Name    string // as the user wrote it
	Sends   int
	Traits  string `json:",omitempty"` // of a registration
}

// kept returns what the method keeps in the flow; zero if nothing was sent.
func (s *Service) kept(st *Step, method string) (k codeState, err error) {
	_, err = st.Flow.Recall(method, &k)
	return k, err
}

// sends counts a message of the flow.
//
// A *FormError: there were too many.
func (k *codeState) sends() error {
	if k.Sends >= maxSends {
		return Wrong(textTooOften)
	}
	k.Sends++
	return nil
}

// codeStrategy is the method code: what is sent to an address shows that one reads it.
type codeStrategy struct{ s *Service }

var (
	_ Strategy     = (*codeStrategy)(nil)
	_ Claimer      = (*codeStrategy)(nil)
	_ FirstFactor  = (*codeStrategy)(nil)
	_ SecondFactor = (*codeStrategy)(nil)
)

func (*codeStrategy) Method() string { return string(CodeAuth) }

func (c *codeStrategy) Nodes(_ context.Context, st *Step) ([]Node, error) {
	if !c.takesPart(st) {
		return nil, nil
	}
	switch st.Flow.Kind {
	case Recovery:
		if c.s.chooses(st.Flow) {
			return c.s.choiceNodes(st)
		}
		return c.s.addressNodes(st, c.Method(), textLabelRecoveryCode)
	case Verification:
		return c.s.addressNodes(st, c.Method(), textLabelVerifyCode)
	case Login:
		return c.loginNodes(st)
	case Registration:
		return c.registrationNodes(st)
	default:
		return nil, nil
	}
}

// takesPart reports whether codes are a way through the flow.
func (c *codeStrategy) takesPart(st *Step) bool {
	switch f := st.Flow; f.Kind {
	case Recovery, Verification:
		return !c.s.options.flow(f.Kind).Link || f.Kept[c.Method()] != nil // an administrator's code
	case Login:
		o := c.s.options.Code
		return c.s.mails() && (o.Passwordless && f.requestedAAL() == AAL1 || o.Second && f.requestedAAL() == AAL2)
	case Registration:
		return c.s.mails() && c.s.options.Code.Passwordless
	default:
		return false
	}
}

func (c *codeStrategy) Submit(ctx context.Context, st *Step) (Outcome, error) {
	if !c.takesPart(st) {
		return Done, Wrong(noStrategy(st.Flow.Kind))
	}
	switch st.Flow.Kind {
	case Recovery:
		return c.s.recover(ctx, st, c.Method())
	case Login:
		return c.login(ctx, st)
	case Registration:
		return c.register(ctx, st)
	default:
		return c.s.verify(ctx, st, c.Method())
	}
}

// code is what the form has as a code, unless its button says to send another one.
func (st *Step) code() (string, bool) {
	code := st.Form.Text("code")
	again := st.Form.Has("resend") || st.Form.html && st.Form.Has("email")
	return code, code != "" && !again
}

// codeNode is where the code is entered.
func codeNode(label Text) Node {
	n := Input(string(CodeAuth), "code", "text", &label).Required().Autocomplete("one-time-code")
	n.Attributes.Pattern, n.Attributes.MaxLength = "[0-9 \\-]+", 12
	return n
}

// addressNodes ask for an address, and for the code that was sent there.
func (s *Service) addressNodes(st *Step, method string, label Text) ([]Node, error) {
	next := Button(method, "method", method, textLabelContinue)
	k, err := s.kept(st, method)
	if err != nil {
		return nil, err
	}
	switch {
	case st.Flow.State == Choose, st.Flow.State == Sent && method != string(CodeAuth):
		return []Node{Input(method, "email", "email", &textLabelEmail).Required().Autocomplete("email"), next}, nil
	case st.Flow.State == Passed && st.Flow.Kind == Verification:
		return []Node{s.continueNode(st.Flow)}, nil
	case st.Flow.State != Sent:
		return nil, nil
	}
	nodes := []Node{codeNode(label), Hidden(method, "method", method), next}
	if k.Name != "" {
		nodes = append(nodes, Button(method, "email", k.Name, textLabelResend))
	}
	return nodes, nil
}
