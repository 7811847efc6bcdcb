package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const csrfSize = 32

// csrfCookie is the name of the cookie that a browser is known by. It depends on the
// address, so that servers on different ports of a machine do not share it.
func (s *Service) csrfCookie() string {
	sum := sha256.Sum256([]byte(s.options.BaseURL))
	return s.cookiePrefix() + "csrf_token_" + hex.EncodeToString(sum[:])
}

// cookiePrefix makes browsers see to it that no other host sets the cookie.
func (s *Service) cookiePrefix() string {
	if s.options.HostCookies {
		return "__Host-"
	}
	return ""
}

func (s *Service) setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	c := &http.Cookie{
		Name: name, Value: value, Path: "/", HttpOnly: true, Secure: s.secure(), SameSite: s.options.SameSite,
		MaxAge: int(life / time.Second),
	}
	if !s.options.HostCookies {
		c.Domain = s.options.CookieDomain
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// giveSession gives a browser the token of a session that lasts for life. The cookie says
// when it ends, so that renew knows.
func (s *Service) giveSession(w http.ResponseWriter, token string, life time.Duration) {
	value := token + "." + strconv.FormatInt(s.now().Add(life).Unix(), 10)
	if s.options.BriefCookies {
		life = 0
	}
	s.setCookie(w, s.sessionCookie(), value, life)
}

// renew gives a browser its cookie again if that would end before the session, which was
// extended.
func (s *Service) renew(w http.ResponseWriter, r *http.Request, session *Session) {
	c, err := r.Cookie(s.sessionCookie())
	if err != nil || r.Header.Get("X-Session-Token") != "" {
		return
	}
	token, end, _ := strings.Cut(c.Value, ".")
	until, err := strconv.ParseInt(end, 10, 64)
	if err == nil && until < session.ExpiresAt.Unix() {
		s.giveSession(w, token, session.ExpiresAt.Sub(s.now()))
	}
}

func (s *Service) secure() bool { return strings.HasPrefix(s.options.BaseURL, "https:") }

// csrfSecret returns what the browser is known by, nil if it has no such cookie.
func (s *Service) csrfSecret(r *http.Request) []byte {
	c, err := r.Cookie(s.csrfCookie())
	if err != nil {
		return nil
	}
	secret, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil || len(secret) != csrfSize {
		return nil
	}
	return secret
}

// browser is the hash of csrfSecret that flows are bound to.
func (s *Service) browser(r *http.Request) []byte {
	secret := s.csrfSecret(r)
	if secret == nil {
		return nil
	}
	return hashSecret(secret)
}

func hashSecret(secret []byte) []byte {
	sum := sha256.Sum256(secret)
	return sum[:16]
}

// csrf returns what the browser is known by, and gives it a cookie if it has none.
func (s *Service) csrf(w http.ResponseWriter, r *http.Request) []byte {
	if secret := s.csrfSecret(r); secret != nil {
		return secret
	}
	return s.newCSRF(w)
}

// newCSRF gives the browser a new cookie: it is another one after it logged in or out.
func (s *Service) newCSRF(w http.ResponseWriter) []byte {
	secret := make([]byte, csrfSize)
	rand.Read(secret)
	s.setCookie(w, s.csrfCookie(), base64.RawURLEncoding.EncodeToString(secret), 365*24*time.Hour)
	return secret
}

// maskCSRF returns the token for a form. It is another one each time, so that
// compression of an answer tells nothing of it.
func maskCSRF(secret []byte) string {
	token := make([]byte, 2*csrfSize)
	rand.Read(token[:csrfSize])
	subtle.XORBytes(token[csrfSize:], token[:csrfSize], secret)
	return base64.StdEncoding.EncodeToString(token)
}

// checkCSRF compares the token of a form, or of the header, with the cookie.
func (s *Service) checkCSRF(r *http.Request, token string) error {
	secret := s.csrfSecret(r)
	if secret == nil {
		return errCSRF("The HTTP Cookie Header was set but did not include the anti-CSRF cookie, or there is no such header.")
	}
	if token == "" {
		token = r.Header.Get("X-CSRF-Token")
	}
	masked, err := base64.StdEncoding.DecodeString(token)
	if err != nil || len(masked) != 2*csrfSize {
		return errCSRF("The anti-CSRF token is missing or malformed.")
	}
	got := make([]byte, csrfSize)
	subtle.XORBytes(got, masked[:csrfSize], masked[csrfSize:])
	if subtle.ConstantTimeCompare(got, secret) != 1 {
		return errCSRF("The anti-CSRF token does not match the cookie.")
	}
	return nil
}

// checkNative refuses what only browsers send to a native flow: a page of another site
// could else make a browser log in through it.
func checkNative(r *http.Request) error {
	const why = "This endpoint is for native applications. For browsers use the browser flow."
	if r.Header.Get("Origin") != "" {
		return errBrowser("The HTTP Origin Header was set. " + why)
	}
	for _, c := range r.Cookies() {
		if !strings.HasPrefix(c.Name, "__cf") && !strings.HasPrefix(c.Name, "_cf") && !strings.HasPrefix(c.Name, "cf_") {
			return errBrowser("The HTTP Cookie Header was set. " + why)
		}
	}
	return nil
}
