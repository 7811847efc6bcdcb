package oauth

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// An Introspection is what is known of a token (RFC 7662, section 2.2), in Hydra's
// form. Of one that is not active nothing is said.
type Introspection struct {
	Active            bool           `json:"active"`
	Scope             string         `json:"scope,omitempty"`
	Client            string         `json:"client_id,omitempty"`
	Subject           string         `json:"sub,omitempty"`
	ObfuscatedSubject string         `json:"obfuscated_subject,omitempty"` // as the client knows the subject, if that differs
	Expires           int64          `json:"exp,omitempty"`                // seconds since 1970; 0: never
	Issued            int64          `json:"iat,omitempty"`
	NotBefore         int64          `json:"nbf,omitempty"`
	Audience          []string       `json:"aud,omitempty"`
	Issuer            string         `json:"iss,omitempty"`
	TokenType         string         `json:"token_type,omitempty"` // Bearer or DPoP
	TokenUse          string         `json:"token_use,omitempty"`  // access_token or refresh_token
	Username          string         `json:"username,omitempty"`
	Extra             map[string]any `json:"ext,omitempty"` // what the consent says more
	Confirm           *Confirmation  `json:"cnf,omitempty"`
	Actor             map[string]any `json:"act,omitempty"`
	ACR               string         `json:"acr,omitempty"`
	AMR               []string       `json:"amr,omitempty"`
	AuthTime          int64          `json:"auth_time,omitempty"`
	Login             string         `json:"sid,omitempty"`
}

// Introspect returns what a token is good for, as operators see it. It costs one round
// trip to the database.
func (p *Provider) Introspect(ctx context.Context, token string) (*Introspection, error) {
	t, s, err := p.lookup(ctx, token)
	if err != nil || s == nil {
		return &Introspection{}, err
	}
	in := p.introspection(t, s)
	if s.Account != "" && s.Account != s.Subject {
		in.Subject, in.ObfuscatedSubject = s.Account, s.Subject
	}
	return in, nil
}

// lookup finds a live access or refresh token. The session is nil if there is none.
func (p *Provider) lookup(ctx context.Context, token string) (Token, *Session, error) {
	t, err := p.store.Token(ctx, kindOf(token), hashOf(token))
	if isKind(err, errs.NotFound) {
		return Token{}, nil, nil
	}
	if err != nil {
		return Token{}, nil, err
	}
	return p.opened(ctx, token, t)
}

// opened is lookup of a token that was read.
func (p *Provider) opened(ctx context.Context, token string, t Token) (Token, *Session, error) {
	if !t.Live(p.o.Now()) {
		return Token{}, nil, nil
	}
	if t.Kind == Access && !strings.HasPrefix(token, accessPrefix) {
		// A JWT dies with its key, too.
		_, _, err := p.verifyOwn(ctx, token)
		if isKind(err, errs.Invalid) {
			return Token{}, nil, nil
		}
		if err != nil {
			return Token{}, nil, err
		}
	}
	s, err := p.sessionOf(t)
	if isKind(err, errs.NotFound) {
		return Token{}, nil, nil
	}
	return t, s, err
}

// kindOf tells a token by its looks, which is better than a token_type_hint.
func kindOf(token string) Kind {
	if strings.HasPrefix(token, refreshPrefix) {
		return Refresh
	}
	return Access
}

// introspection says what a client may know of a token.
func (p *Provider) introspection(t Token, s *Session) *Introspection {
	in := &Introspection{
		Active: true, Scope: strings.Join(s.Scopes, " "), Client: s.Client, Subject: s.subjectOr(s.Client),
		Issued: t.Created.Unix(), NotBefore: t.Created.Unix(), Audience: list(s.Audience), Issuer: p.issuer(),
		Extra: s.AccessClaims, Confirm: s.Confirm, Actor: s.Actor, ACR: s.ACR, AMR: s.AMR, AuthTime: s.AuthTime, Login: s.Login,
		TokenUse: "refresh_token",
	}
	if !t.Expires.IsZero() {
		in.Expires = t.Expires.Unix()
	}
	in.Username, _ = s.AccessClaims["username"].(string)
	if t.Kind == Access {
		in.TokenUse, in.TokenType = "access_token", "Bearer"
		if s.Confirm != nil && s.Confirm.Key != "" {
			in.TokenType = "DPoP"
		}
	}
	return in
}

// needs makes a token inactive that has not all the scopes of a list.
func (p *Provider) needs(in *Introspection, scopes string) *Introspection {
	has := strings.Fields(in.Scope)
	for _, scope := range strings.Fields(scopes) {
		if !p.scopeMatches(has, scope) {
			return &Introspection{}
		}
	}
	return in
}

// serveAdminIntrospect is Hydra's endpoint, which the key of the API guards.
func (p *Provider) serveAdminIntrospect(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return err
	}
	token := r.PostForm.Get("token")
	if token == "" {
		return errNoToken
	}
	in, err := p.Introspect(r.Context(), token)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, p.needs(in, r.PostForm.Get("scope")).body())
}

var errNoToken = fosite.ErrInvalidRequest.WithHint("The parameter \"token\" is missing.")

// serveIntrospect is the endpoint of RFC 7662 for clients that prove who they are. Of
// a token that is neither theirs nor for them they learn nothing.
func (p *Provider) serveIntrospect(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return err
	}
	token := r.PostForm.Get("token")
	c, seen, err := p.authenticate(r.Context(), r, r.PostForm, Look{Kind: kindOf(token), Hash: hashOf(token)})
	if err != nil {
		return err
	}
	if c.IsPublic() {
		return fosite.ErrInvalidClient.WithHint("A client without authentication may not introspect tokens.")
	}
	if token == "" {
		return errNoToken
	}
	var t Token
	var s *Session
	if seen.Token != nil {
		t, s, err = p.opened(r.Context(), token, *seen.Token)
	}
	if err != nil {
		return err
	}
	in := &Introspection{}
	if s != nil && (s.Client == c.ID || t.Kind == Access && slices.Contains(s.Audience, c.ID)) {
		in = p.needs(p.introspection(t, s), r.PostForm.Get("scope"))
	}
	if accepts(r, introspectionJWT) {
		return p.replySigned(w, r, c, in)
	}
	w.Header().Add("Vary", "Accept")
	return reply(w, http.StatusOK, in.body())
}

// tokenRoutes are those about tokens that are there, and about devices.
func (p *Provider) tokenRoutes() []Route {
	return []Route{
		{"POST /oauth2/introspect", p.serveIntrospect},
		{"POST /oauth2/revoke", p.serveRevoke},
		{"POST /oauth2/device/auth", p.serveDeviceAuth},
		{"GET /oauth2/device/verify", p.serveDeviceVerify},
	}
}

// tokenAdminRoutes are the same for operators, and trusted issuers.
func (p *Provider) tokenAdminRoutes() []Route {
	return append([]Route{
		{"POST /admin/oauth2/introspect", p.serveAdminIntrospect},
		{"DELETE /admin/oauth2/tokens", p.serveDeleteTokens},
		{"PUT /admin/oauth2/auth/requests/device/accept", p.serveAcceptDevice},
	}, p.issuerRoutes()...)
}

// TokenMetadata is the part of Metadata about endpoints that clients ask about tokens.
type TokenMetadata struct {
	Introspection            string   `json:"introspection_endpoint"`
	IntrospectionAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAlgs        []string `json:"introspection_signing_alg_values_supported"`
	Device                   string   `json:"device_authorization_endpoint"`
	Revocation               string   `json:"revocation_endpoint"`
	RevocationAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
}

func (p *Provider) tokenMetadata(m Metadata) TokenMetadata {
	return TokenMetadata{
		Introspection:            p.issuer() + "/oauth2/introspect",
		IntrospectionAuthMethods: slices.DeleteFunc(slices.Clone(m.AuthMethods), func(s string) bool { return s == authNone }),
		IntrospectionAlgs:        m.IDTokenAlgs,
		Device:                   p.issuer() + "/oauth2/device/auth",
		Revocation:               p.issuer() + "/oauth2/revoke",
		RevocationAuthMethods:    m.AuthMethods,
	}
}

// introspectionJWT is the media type of RFC 9701, without "application/".
const introspectionJWT = "token-introspection+jwt"

func accepts(r *http.Request, subtype string) bool {
	for _, header := range r.Header.Values("Accept") {
		for one := range strings.SplitSeq(header, ",") {
			media, _, _ := strings.Cut(one, ";")
			if strings.EqualFold(strings.TrimSpace(media), "application/"+subtype) {
				return true
			}
		}
	}
	return false
}

// replySigned answers with a JWT (RFC 9701).
func (p *Provider) replySigned(w http.ResponseWriter, r *http.Request, c *Client, in *Introspection) error {
	token, err := p.signFor(r.Context(), c, protection{c.IntrospectionAlg, c.IntrospectionKey, c.IntrospectionEnc}, introspectionJWT, map[string]any{
		"iss": p.issuer(), "aud": c.ID, "iat": p.o.Now().Unix(), "token_introspection": in,
	})
	if err != nil {
		return err
	}
	h := w.Header()
	noStore(h)
	h.Add("Vary", "Accept")
	h.Set("Content-Type", "application/"+introspectionJWT)
	_, _ = w.Write([]byte(token))
	return nil
}

// MarshalJSON implements json.Marshaler.
func (in *Introspection) MarshalJSON() ([]byte, error) { return json.Marshal(in.body()) }

type plainIntrospection Introspection

// body is what is written of in. The audience of an active token is a list also if it is
// empty, as Hydra's is.
func (in *Introspection) body() any {
	if !in.Active {
		return inactive{}
	}
	return struct {
		*plainIntrospection
		Audience []string `json:"aud"`
	}{(*plainIntrospection)(in), list(in.Audience)}
}

type inactive struct {
	Active bool `json:"active"`
}
