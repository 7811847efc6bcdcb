package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Names of cookies. Those that guard a flow end with its ID, so that two tabs do not
// take each other's.
const (
	loginCookie = "cardea_oauth_session"
	flowCookie  = "cardea_oauth_flow_"
)

// cookie returns a cookie that scripts do not see and other sites do not send, but
// when somebody follows a link. Its name binds it to this host wherever there is TLS.
func (p *Provider) cookie(name, value string, life time.Duration) *http.Cookie {
	secure := p.o.Issuer.Scheme == "https"
	if secure {
		name = "__Host-" + name
	}
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life.Seconds()),
		HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
	}
}

func (p *Provider) cookieValue(r *http.Request, name string) string {
	if p.o.Issuer.Scheme == "https" {
		name = "__Host-" + name
	}
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}

// guardFlow gives the browser a cookie without which nobody goes on with f.
func (p *Provider) guardFlow(w http.ResponseWriter, f *flow) {
	secret := rand.Text()
	sum := sha256.Sum256([]byte(secret))
	f.CSRF = sum[:]
	http.SetCookie(w, p.cookie(flowCookie+f.ID, secret, p.o.TTL.Challenge))
}

// guarded reports Denied if the request does not come from the browser in which f
// began.
func (p *Provider) guarded(r *http.Request, f *flow) error {
	sum := sha256.Sum256([]byte(p.cookieValue(r, flowCookie+f.ID)))
	if subtle.ConstantTimeCompare(sum[:], f.CSRF) != 1 {
		return errs.New(errs.Denied, "the cookie of this request is missing: it must end in the browser in which it began, with cookies allowed")
	}
	return nil
}

func (p *Provider) forgetFlow(w http.ResponseWriter, f *flow) {
	c := p.cookie(flowCookie+f.ID, "", 0)
	c.MaxAge = -1
	http.SetCookie(w, c)
}

const sealCookie = "oauth cookie"

// rememberLogin tells the browser of a login, for as long as the login is remembered.
// The id is in ID tokens, so it does not suffice.
func (p *Provider) rememberLogin(w http.ResponseWriter, l *Login) {
	value := base64.RawURLEncoding.EncodeToString(p.o.Secrets.Seal(sealCookie, "", []byte(l.ID)))
	http.SetCookie(w, p.cookie(loginCookie, value, l.Expires.Sub(p.o.Now())))
}

func (p *Provider) forgetLogin(w http.ResponseWriter) {
	c := p.cookie(loginCookie, "", 0)
	c.MaxAge = -1
	http.SetCookie(w, c)
}

// forgetEnded tells the browser to forget a login that has ended: loginOf found none. The
// cookie of another server at the same host stays.
func (p *Provider) forgetEnded(w http.ResponseWriter, r *http.Request, found *session) {
	if found == nil && p.loginID(r) != "" {
		p.forgetLogin(w)
	}
}

// loginID is the login of the cookie, whether or not it has ended; "": there is none.
func (p *Provider) loginID(r *http.Request) string {
	sealed, err := base64.RawURLEncoding.DecodeString(p.cookieValue(r, loginCookie))
	if err != nil || len(sealed) == 0 {
		return ""
	}
	id, err := p.o.Secrets.Open(sealCookie, "", sealed)
	if err != nil {
		return ""
	}
	return string(id)
}

// loginOf returns the login that the browser remembers, nil if it remembers none that
// is still there.
func (p *Provider) loginOf(r *http.Request) (*session, error) {
	id := p.loginID(r)
	if id == "" {
		return nil, nil
	}
	l, err := p.store.Login(r.Context(), id)
	if isKind(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !l.Remember || p.o.Now().After(l.Expires) {
		return nil, nil
	}
	s := &session{}
	if err := p.unseal(sealLogin, l.ID, l.Data, s); err != nil {
		if isKind(err, errs.NotFound) {
			return nil, nil
		}
		return nil, err
	}
	s.Expires = l.Expires
	return s, nil
}

// isLoopback reports whether a host is this machine.
func isLoopback(host string) bool {
	return host == "127.0.0.1" || host == "::1" || host == "localhost" || strings.HasSuffix(host, ".localhost")
}
