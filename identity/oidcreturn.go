package identity

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/cardea-iam/cardea/internal/errs"
)

// callbackPath is where providers send browsers back to.
const callbackPath = "/self-service/methods/oidc/callback"

func oidcRoutes() []Route {
	return []Route{
		{"GET " + callbackPath, (*Service).oidcCallback},
		{"GET " + callbackPath + "/{provider}", (*Service).oidcCallback},
		{"POST " + callbackPath, oidcPosted},
		{"POST " + callbackPath + "/{provider}", oidcPosted},
		{"GET /sessions/token-exchange", (*Service).tokenExchange},
	}
}

// A ticket is what a browser takes to a provider and back.
type ticket struct {
	Flow     string
	Kind     Kind
	Provider string
	Browser  []byte // who left; nil for apps, which open another browser
	Key      string // the flow has it, too, until it was used
	Nonce    string
	Verifier string // RFC 7636
}

func (s *Service) sealTicket(t ticket) (string, error) {
	text, err := json.Marshal(t)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "a state cannot be encoded")
	}
	return base64.RawURLEncoding.EncodeToString(s.keys.Seal(s.purpose("oidc"), "state", text)), nil
}

// openTicket reads what sealTicket wrote. Denied: it was written by somebody else.
func (s *Service) openTicket(text string) (t ticket, err error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		sealed, err = s.keys.Open(s.purpose("oidc"), "state", sealed)
	}
	if err == nil {
		err = json.Unmarshal(sealed, &t)
	}
	if err != nil {
		return t, errCSRF("The state of the provider's answer is missing, or was not made here.")
	}
	return t, nil
}

// oidcPosted turns a form that a provider posts (response_mode form_post) into a GET:
// with a POST of another site browsers send no cookies.
func oidcPosted(s *Service, w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	q := url.Values{}
	for _, name := range []string{"code", "state", "error", "iss"} {
		if text := form.Text(name); text != "" {
			q.Set(name, text)
		}
	}
	if user := form.JSON("user"); user != nil { // Apple tells the name once, here
		q.Set("user", string(user))
	}
	http.Redirect(w, r, s.options.BaseURL+r.URL.Path+"?"+q.Encode(), http.StatusSeeOther)
	return nil
}

// oidcCallback takes up the flow of a browser that comes back.
func (s *Service) oidcCallback(w http.ResponseWriter, r *http.Request) error {
	o := s.oidc()
	if o == nil {
		return errDisabled(string(OIDC))
	}
	t, err := s.openTicket(r.URL.Query().Get("state"))
	if err != nil {
		return err
	}
	u := o.upstream(t.Provider)
	if named := r.PathValue("provider"); u == nil || named != "" && named != u.ID {
		return errCSRF("The answer came from another provider than the one that was asked.")
	}
	var who *account // found once, however often the flow is tried
	in := false      // the ticket was used
	for try := 1; ; try++ {
		a, err := o.back(w, r, u, t, &who, &in)
		if err == nil {
			return s.write(w, r, a)
		}
		if try == attempts || errs.KindOf(err) != errs.Conflict || isTaken(err) {
			return err
		}
	}
}

func (s *Service) oidc() *oidcStrategy {
	for _, one := range s.strategies {
		if o, ok := one.(*oidcStrategy); ok {
			return o
		}
	}
	return nil
}

// back makes one attempt to take up the flow.
func (o *oidcStrategy) back(w http.ResponseWriter, r *http.Request, u *upstream, t ticket, who **account, in *bool) (*answer, error) {
	s := o.s
	st := &Step{Request: r, Now: s.now(), Form: Form{values: map[string]any{}}}
	if err := s.load(w, st, t.Kind, t.Flow); err != nil {
		return nil, err
	}
	f := st.Flow
	if !f.API && (t.Browser == nil || !bytes.Equal(t.Browser, s.browser(r))) {
		return nil, errCSRF("The provider's answer came in another browser than the one that was sent there.")
	}
	if f.API { // the browser that an app opened may be logged in as somebody else
		st.Session, st.caller, st.Identity = nil, nil, nil
	}
	if !*in {
		if err := o.admit(r.Context(), f, t); err != nil {
			return nil, err
		}
		*in = true
	}
	f.clear()
	f.Active = o.Method()
	a, err := s.advance(w, st, func(ctx context.Context, st *Step) (*answer, error) {
		if *who == nil {
			found, err := o.answered(ctx, u, t)(r.URL.Query())
			if err != nil {
				return nil, o.failed(u, err)
			}
			*who = found
		}
		before := st.Identity
		if f.Kind == Settings {
			st.Identity = before.clone()
		}
		outcome, err := o.arrive(ctx, st, u, *who)
		if err != nil {
			return nil, err
		}
		a, err := s.conclude(ctx, st, before, outcome)
		if err != nil || !f.API {
			return a, err
		}
		return s.handOver(st, a)
	})
	if err == nil && f.API && a.location == "" { // the form goes on in the app
		a.location = withQuery(s.after(f, o.Method()), "flow", st.Flow.ID)
	}
	return a, err
}

// admit uses the ticket up, before the provider is asked: of two that come with it the
// second one cannot spoil the code.
//
// Conflict: somebody else has submitted the flow meanwhile.
func (o *oidcStrategy) admit(ctx context.Context, f *Flow, t ticket) error {
	var kept oidcState
	if _, err := f.Recall(o.Method(), &kept); err != nil {
		return err
	}
	if f.finished() || subtle.ConstantTimeCompare([]byte(kept.Ticket), []byte(t.Key)) != 1 {
		return errCSRF("This answer of the provider was used before, or the provider was asked once more.")
	}
	kept.Ticket = ""
	if err := f.Keep(o.Method(), kept); err != nil {
		return err
	}
	op, err := f.save()
	if err != nil {
		return err
	}
	if err := o.s.store.Write(ctx, op); err != nil {
		return err
	}
	f.version++
	return nil
}

// answered checks the provider's answer, and exchanges its code.
func (o *oidcStrategy) answered(ctx context.Context, u *upstream, t ticket) func(q url.Values) (*account, error) {
	return func(q url.Values) (*account, error) {
		m, err := u.discover(ctx)
		if err != nil {
			return nil, err
		}
		iss, given := q.Get("iss"), q.Has("iss")
		if u.openID() && (given && iss != m.Issuer || !given && m.NamesIssuer) { // RFC 9207
			return nil, errs.New(errs.Denied, "the answer is of the issuer %.200q", iss)
		}
		if code := q.Get("error"); code != "" {
			return nil, errs.New(errs.Denied, "the provider answers %.60q", code)
		}
		if q.Get("code") == "" {
			return nil, errs.New(errs.Denied, "the answer has no code")
		}
		who, err := u.redeem(ctx, q.Get("code"), t)
		if err == nil && u.Kind == "apple" {
			addAppleName(who, q.Get("user"))
		}
		return who, err
	}
}

// addAppleName adds what Apple says beside the ID token, of which only a name matters.
func addAppleName(who *account, user string) {
	var said struct {
		Name struct {
			First string `json:"firstName"`
			Last  string `json:"lastName"`
		}
	}
	if json.Unmarshal([]byte(user), &said) == nil {
		who.Claims["given_name"], who.Claims["family_name"] = said.Name.First, said.Name.Last
	}
}
