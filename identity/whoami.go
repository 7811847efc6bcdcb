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
