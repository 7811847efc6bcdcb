package oauth

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/ory/fosite"
)

// serveUserinfo tells a client about the person who allowed it (OpenID Connect Core,
// section 5.3), as JSON or, if the client is registered so, as a JWT.
func (p *Provider) serveUserinfo(w http.ResponseWriter, r *http.Request) error {
	s, err := p.userinfoSession(w, r)
	if err != nil {
		return p.bearerError(w, r, err)
	}
	c, err := p.client(r.Context(), s.Client)
	if err != nil {
		return err
	}
	claims := p.userinfo(s)
	how := protection{c.UserinfoAlg, c.UserinfoKeyAlg, c.UserinfoEnc}
	unsigned := how.alg == "" || how.alg == "none"
	if unsigned && how.keyAlg == "" {
		return reply(w, http.StatusOK, claims)
	}
	var token string
	if unsigned {
		token, err = p.encryptJSONFor(r.Context(), c, how, claims)
	} else {
		claims["iss"], claims["aud"] = p.issuer(), c.ID
		token, err = p.signFor(r.Context(), c, how, "JWT", claims)
	}
	if err != nil {
		return err
	}
	noStore(w.Header())
	w.Header().Set("Content-Type", "application/jwt")
	_, _ = w.Write([]byte(token))
	return nil
}

// userinfo is what the client may know.
func (p *Provider) userinfo(s *Session) map[string]any {
	claims := maps.Clone(s.IDClaims)
	if claims == nil {
		claims = map[string]any{}
	}
	maps.DeleteFunc(claims, func(name string, _ any) bool {
		return !p.inUserinfo(s, name) || slices.Contains(notFromConsent, name)
	})
	claims["sub"] = s.Subject
	asked := s.Claims.userinfo()
	if asksFor(asked, "acr") && s.ACR != "" {
		claims["acr"] = s.ACR
	}
	if asksFor(asked, "amr") && len(s.AMR) > 0 {
		claims["amr"] = s.AMR
	}
	if asksFor(asked, "auth_time") && s.AuthTime != 0 {
		claims["auth_time"] = s.AuthTime
	}
	return claims
}

// userinfoSession returns what the access token of a request is good for, if that is
// userinfo.
func (p *Provider) userinfoSession(w http.ResponseWriter, r *http.Request) (*Session, error) {
	token, err := bearerOf(r)
	if err != nil {
		return nil, err
	}
	t, s, err := p.lookup(r.Context(), token)
	if err != nil {
		return nil, err
	}
	if s == nil || t.Kind != Access {
		return nil, errToken
	}
	if err := p.checkBearer(w, r, p.own.userinfo, token, s); err != nil {
		return nil, err
	}
	switch wish := s.Claims.userinfo()["acr"]; {
	case s.Subject == "" || !slices.Contains(s.Scopes, scopeOpenID):
		return nil, errScope
	case wish != nil && wish.Essential && len(wish.texts()) > 0 && !slices.Contains(wish.texts(), s.ACR):
		return nil, &weakLogin{errWeakLogin, wish.texts()}
	}
	return s, nil
}

// bearerOf returns the token of a request, which is in the header or in the form of a
// POST, and nowhere else (RFC 6750, section 2, without its section 2.3).
func bearerOf(r *http.Request) (string, error) {
	if err := readForm(r); err != nil {
		return "", err
	}
	if r.URL.Query().Has("access_token") {
		return "", fosite.ErrInvalidRequest.WithHint("An access token in the URL ends in logs: expected the header Authorization.")
	}
	header, form := r.Header.Values("Authorization"), r.PostForm.Get("access_token")
	switch {
	case len(header) == 0 && form == "":
		return "", errNoBearer
	case len(header) > 1 || len(header) == 1 && form != "":
		return "", fosite.ErrInvalidRequest.WithHint("The request has more than one access token.")
	case form != "":
		return form, nil
	}
	scheme, token, _ := strings.Cut(header[0], " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP") || token == "" {
		return "", errNoBearer
	}
	return token, nil
}

// Errors of those who present access tokens (RFC 6750, section 3.1; RFC 9470, section
// 3).
var (
	errNoBearer = &fosite.RFC6749Error{ErrorField: "invalid_token", DescriptionField: "The request has no access token.", CodeField: http.StatusUnauthorized}
	errToken    = &fosite.RFC6749Error{ErrorField: "invalid_token", DescriptionField: "The access token is not known, has expired, or was revoked.", CodeField: http.StatusUnauthorized}
	errScope    = &fosite.RFC6749Error{ErrorField: "insufficient_scope", DescriptionField: "The access token was not granted the scope openid by a person.", CodeField: http.StatusForbidden}

	errWeakLogin = &fosite.RFC6749Error{ErrorField: "insufficient_user_authentication", DescriptionField: "The person must log in by stronger means.", CodeField: http.StatusUnauthorized}
)

// A weakLogin says which means of authentication would suffice.
type weakLogin struct {
	*fosite.RFC6749Error
	acr []string
}

func (e *weakLogin) Unwrap() error { return e.RFC6749Error }

// bearerError writes the challenge of RFC 6750, section 3, for an error. A request
// without a token is told of no error there.
func (p *Provider) bearerError(w http.ResponseWriter, r *http.Request, err error) error {
	e := rfcError(err)
	if e.CodeField < 400 || e.CodeField >= 500 {
		return err
	}
	challenge := fmt.Sprintf("Bearer realm=%s", quoted(p.issuer()))
	if showsDPoP(r) {
		challenge = fmt.Sprintf("DPoP realm=%s, algs=%s", quoted(p.issuer()), quoted(strings.Join(names(asymmetricAlgs), " ")))
	}
	if e != errNoBearer {
		challenge += fmt.Sprintf(", error=%s, error_description=%s", quoted(e.ErrorField), quoted(describe(rfcError(p.outward(err)))))
	}
	if e.ErrorField == errScope.ErrorField {
		challenge += ", scope=" + quoted(scopeOpenID)
	}
	if weak, ok := err.(*weakLogin); ok {
		challenge += ", acr_values=" + quoted(strings.Join(weak.acr, " "))
	}
	w.Header().Set("WWW-Authenticate", challenge)
	return e
}

// quoted makes a text one that RFC 6750 allows in a challenge.
func quoted(text string) string {
	return `"` + strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return '\''
		}
		return c
	}, text) + `"`
}
