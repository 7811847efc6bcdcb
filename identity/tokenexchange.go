package identity

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A native app logs in at a provider by way of a browser: it opens a flow, which has an
// init code, and sends the browser to the provider. The browser comes back to the app
// with another code, and for both the app gets the session, once.
//
// The init code follows from the id of the flow, so it is not stored; of the other one a
// MAC is. Opening.Exchange is the flow that an app waits for.

// exchangeSelf is the Exchange of the flow that the app opened.
const exchangeSelf = "self"

const (
	purposeExchange = "exchange"
	exchangeLife    = 10 * time.Minute
)

// initCode is what the app has, "" if it does not wait.
func (s *Service) initCode(f *Flow) string {
	id := f.awaited()
	if id == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(id16(id), s.keys.MAC(s.purpose("init code"), []byte(id))...))
}

// awaited is the flow that the app opened, "" if it does not wait.
func (f *Flow) awaited() string {
	if f.Exchange == exchangeSelf {
		return f.ID
	}
	return f.Exchange
}

func id16(id string) []byte {
	b, _ := parseUUID(id) // ours
	return b[:]
}

// handOver makes the end of a flow into a code for the app: the session that it would
// get is stored with a token that nobody knows.
func (s *Service) handOver(st *Step, a *answer) (*answer, error) {
	if a == nil {
		return nil, nil
	}
	body, ok := a.body.(loggedIn)
	if !ok || body.Session == nil {
		return a, nil
	}
	f, text := st.Flow, rand.Text()+rand.Text()
	st.Also(PutCode{Code{
		ID: NewID(), Flow: f.awaited(), Purpose: purposeExchange, Hash: s.keys.MAC(s.purpose("code"), secretText(f.awaited(), purposeExchange, text)),
		Identity: st.Identity.ID, Address: body.Session.ID, IssuedAt: st.Now, ExpiresAt: st.Now.Add(exchangeLife),
	}})
	return &answer{location: withQuery(s.after(f, st.method()), "code", text)}, nil
}

// tokenExchange gives an app its session.
//
// Denied: a code is wrong. NotFound: the flow has not come to its end. Expired: the codes
// were used, or are too old.
func (s *Service) tokenExchange(w http.ResponseWriter, r *http.Request) error {
	q, now := r.URL.Query(), s.now()
	id, ok := s.openInitCode(q.Get("init_code"))
	if !ok || q.Get("return_to_code") == "" {
		return &Problem{Kind: errs.Denied, Message: saysForbidden, Reason: "A code is missing, or was not made here."}
	}
	text := secretText(id, purposeExchange, q.Get("return_to_code"))
	code, err := s.store.Code(r.Context(), id, purposeExchange, s.keys.MACs(s.purpose("code"), text))
	if errs.KindOf(err) == errs.NotFound {
		return &Problem{Kind: errs.NotFound, Message: "The requested resource could not be found", Reason: "No session yet for this code"}
	}
	if err != nil {
		return err
	}
	over := &Problem{Kind: errs.Expired, Message: "The codes were used before, or are too old."}
	if !code.UsedAt.IsZero() || !now.Before(code.ExpiresAt) {
		return over
	}
	list, err := s.store.Sessions(r.Context(), SessionQuery{IDs: []string{code.Address}, Identity: code.Identity}, SessionPosition{}, 1)
	if err != nil {
		return err
	}
	i, err := s.store.Identity(r.Context(), code.Identity, false)
	if err != nil {
		return err
	}
	if len(list) == 0 || !s.counts(list[0], now) || i.State != Active {
		return over
	}
	session := list[0]
	token, hash := newToken()
	session.TokenHash = hash
	err = s.store.Write(r.Context(), UseCode{ID: code.ID, Now: now}, SaveSession{session})
	if k := errs.KindOf(err); k == errs.Refused || k == errs.Conflict {
		return over
	}
	if err != nil {
		return err
	}
	body := loggedIn{Token: token, Session: s.sessionBody(session, i)}
	if s.stepUp(session, i) {
		body.Session.Identity = nil
	}
	return reply(w, http.StatusOK, body)
}

// openInitCode returns the flow of an init code, if it was made here.
func (s *Service) openInitCode(text string) (string, bool) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != 48 {
		return "", false
	}
	id := formatUUID([16]byte(b[:16]))
	return id, s.keys.Verify(s.purpose("init code"), []byte(id), b[16:])
}
