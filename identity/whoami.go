package identity

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

func (s *Service) sessionCookie() string { return s.cookiePrefix() + s.options.CookieName }

// token is what the request shows to be of a session, "" if nothing.
func (s *Service) token(r *http.Request) string {
	if token := r.Header.Get("X-Session-Token"); token != "" {
		return token
	}
	if c, err := r.Cookie(s.sessionCookie()); err == nil && c.Value != "" {
		token, _, _ := strings.Cut(c.Value, ".")
		return token
	}
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token)
	}
	return ""
}

// sessionOf returns the session of a token with its identity, nil if there is none that
// counts. It costs one round trip, and now and then another one, see touch.
func (s *Service) sessionOf(ctx context.Context, token string, now time.Time) (*Session, *Identity, error) {
	if !strings.HasPrefix(token, tokenPrefix) {
		return nil, nil, nil
	}
	session, i, err := s.store.SessionByToken(ctx, hashToken(token))
	if errs.KindOf(err) == errs.NotFound {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if !s.counts(session, now) || i.State != Active {
		return nil, nil, nil
	}
	s.touch(ctx, session, now)
	return session, i, nil
}

// current is sessionOf for a request that must have a session, with a second factor if
// the identity has one.
func (s *Service) current(r *http.Request) (*Session, *Identity, error) {
	session, i, err := s.sessionOf(r.Context(), s.token(r), s.now())
	if err != nil {
		return nil, nil, err
	}
	if session == nil {
		return nil, nil, &Problem{Kind: errs.Unauthenticated, Message: "The request could not be authorized", Reason: "No valid session credentials found in the request."}
	}
	if s.stepUp(session, i) {
		return nil, nil, errAAL2(s.stepUpURL(""))
	}
	return session, i, nil
}

// whoami answers who has the session. What it answers changes rarely, so that a client
// that asks again with If-None-Match is told that nothing did.
func (s *Service) whoami(w http.ResponseWriter, r *http.Request) error {
	session, i, err := s.current(r)
	if err != nil {
		return err
	}
	if name := r.URL.Query().Get("tokenize_as"); name != "" {
		return s.tokenized(w, name, session, i)
	}
	body := appendSession(make([]byte, 0, sessionSize), s.sessionBody(session, i))
	sum := sha256.Sum256(body)
	s.seen(w, i)
	h := w.Header()
	h.Set("ETag", `"`+base64.RawURLEncoding.EncodeToString(sum[:15])+`"`)
	h.Set("Cache-Control", "private, no-cache")
	s.renew(w, r, session)
	if s.options.Cacheable {
		h.Set("Ory-Session-Cache-For", strconv.FormatInt(int64(s.cacheFor(session)/time.Second), 10))
	}
	if holds(r.Header.Values("If-None-Match"), h.Get("ETag")) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
	return nil
}

// holds reports whether a condition If-None-Match is about an entity tag (RFC 9110,
// section 13.1.2).
func holds(condition []string, tag string) bool {
	for one := range strings.SplitSeq(strings.Join(condition, ","), ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == tag {
			return true
		}
	}
	return false
}

// cacheFor is how long an edge may answer for us.
func (s *Service) cacheFor(session *Session) time.Duration {
	left := s.ends(session).Sub(s.now())
	if most := s.options.CacheMaxAge; most > 0 {
		left = min(left, most)
	}
	return left
}

// seen tells proxies who asks, and what the answer depends on.
func (s *Service) seen(w http.ResponseWriter, i *Identity) {
	w.Header().Set("X-Kratos-Authenticated-Identity-Id", i.ID)
	w.Header().Set("Vary", "Cookie, Authorization, X-Session-Token")
}

const logoutPrefix = "ory_lo_"

// logoutToken lets a page log its session out. It follows from the session, so it
// needs no place in the store.
func (s *Service) logoutToken(session *Session) string {
	return logoutPrefix + base64.RawURLEncoding.EncodeToString(s.keys.MAC(s.purpose("logout"), session.TokenHash))
}

// LogoutURL returns where the browser that sent r goes to log out.
//
// Unauthenticated: it is not logged in.
func (s *Service) LogoutURL(r *http.Request, returnTo string) (url, token string, err error) {
	session, _, err := s.sessionOf(r.Context(), s.token(r), s.now())
	if err != nil {
		return "", "", err
	}
	if session == nil {
		return "", "", errNoSession()
	}
	to, err := s.returnTo(returnTo)
	if err != nil {
		return "", "", err
	}
	return s.logoutLink(session, to), s.logoutToken(session), nil
}

func (s *Service) logoutLink(session *Session, returnTo string) string {
	return withQuery(s.options.BaseURL+"/self-service/logout", "token", s.logoutToken(session), "return_to", returnTo)
}

func (s *Service) logoutURL(w http.ResponseWriter, r *http.Request) error {
	url, token, err := s.LogoutURL(r, r.URL.Query().Get("return_to"))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]string{"logout_url": url, "logout_token": token})
}

func (s *Service) logout(w http.ResponseWriter, r *http.Request) error {
	to, err := s.returnTo(r.URL.Query().Get("return_to"))
	if err != nil {
		return err
	}
	session, i, err := s.sessionOf(r.Context(), s.token(r), s.now())
	if err != nil {
		return err
	}
	if session != nil {
		text, _ := strings.CutPrefix(r.URL.Query().Get("token"), logoutPrefix)
		mac, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || !s.keys.Verify(s.purpose("logout"), session.TokenHash, mac) {
			return errCSRF("The logout token is missing, or of another session.")
		}
		if err := s.end(r, session); err != nil {
			return err
		}
		if s.options.LoggedOut != nil {
			if err := s.options.LoggedOut(w, r, i.ID); err != nil {
				return err
			}
		}
	}
	s.setCookie(w, s.sessionCookie(), "", 0)
	s.newCSRF(w)
	if wantsJSON(r) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if to == "" {
		to = withQuery(s.options.flow(Login).UI)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// end ends a session.
func (s *Service) end(r *http.Request, session *Session) error {
	return s.store.Write(r.Context(), RevokeSessions{Identity: session.Identity, IDs: []string{session.ID}}, s.ownEvent(r, "logout", session))
}

// logoutNative ends the session whose token is in the body.
func (s *Service) logoutNative(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	token := form.Text("session_token")
	if token == "" {
		return errs.New(errs.Invalid, "session_token is missing")
	}
	session, _, err := s.store.SessionByToken(r.Context(), hashToken(token))
	if errs.KindOf(err) == errs.NotFound {
		return &Problem{Kind: errs.Denied, Message: "The requested action was forbidden", Reason: "The provided Session Token could not be found, is invalid, or otherwise malformed."}
	}
	if err != nil {
		return err
	}
	if session.Active {
		if err := s.end(r, session); err != nil {
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
