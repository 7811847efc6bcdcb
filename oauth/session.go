package oauth

import (
	"context"
	"encoding/json"
	"time"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Session is what tokens of one grant have in common: who allowed what to whom. It
// is stored, sealed, with each of them.
type Session struct {
	Grant    string   `json:"grant,omitempty"` // "": of the client itself
	Client   string   `json:"client"`
	Account  string   `json:"account,omitempty"` // who it is
	Subject  string   `json:"subject,omitempty"` // as the client knows them: sub
	Login    string   `json:"login,omitempty"`   // sid
	AuthTime int64    `json:"auth_time,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`   // granted
	Audience []string `json:"audience,omitempty"` // granted
	Type     string   `json:"type"`               // the grant type it began with

	AccessClaims map[string]any `json:"access,omitempty"` // from the consent, for access tokens and introspection
	IDClaims     map[string]any `json:"id,omitempty"`     // from the consent, for ID tokens and userinfo
	Follow       bool           `json:"follow,omitempty"` // AcceptConsent.Follow
	Claims       *ClaimsRequest `json:"claims,omitempty"` // the claims parameter
	Actor        map[string]any `json:"act,omitempty"`    // RFC 8693
	Confirm      *Confirmation  `json:"cnf,omitempty"`    // what tokens are bound to

	// Of a code only.
	Nonce       string `json:"nonce,omitempty"`
	RedirectURI string `json:"redirect_uri,omitempty"` // "": the request had none
	Challenge   string `json:"code_challenge,omitempty"`
}

// A Confirmation binds a token to a key that its bearer must show (RFC 7800).
type Confirmation struct {
	Key         string `json:"jkt,omitempty"`      // RFC 9449: the thumbprint of a key
	Certificate string `json:"x5t#S256,omitempty"` // RFC 8705: of a certificate
}

// A ClaimsRequest is the claims parameter of OpenID Connect Core, section 5.5: by
// claim, what is wanted of it, or nil.
type ClaimsRequest struct {
	Userinfo map[string]*ClaimRequest `json:"userinfo,omitempty"`
	IDToken  map[string]*ClaimRequest `json:"id_token,omitempty"`
}

// A ClaimRequest is one claim that is asked for.
type ClaimRequest struct {
	Essential bool  `json:"essential,omitempty"`
	Value     any   `json:"value,omitempty"`
	Values    []any `json:"values,omitempty"`
}

// Purposes of what is sealed or signed.
const (
	sealToken = "oauth token"
	sealGrant = "oauth grant"
	sealLogin = "oauth login"
	sealKey   = "oauth key"
)

// seal encrypts value as JSON for a place.
func (p *Provider) seal(purpose, place string, value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "cannot be encoded: %s", purpose)
	}
	return p.o.Secrets.Seal(purpose, place, text), nil
}

// unseal is the inverse of seal.
//
// NotFound: it is lost with the system secret that it was encrypted with.
func (p *Provider) unseal(purpose, place string, sealed []byte, value any) error {
	text, err := p.o.Secrets.Open(purpose, place, sealed)
	if err != nil {
		return errs.Wrap(errs.NotFound, err, "what is stored of it is lost with its system secret: %s", purpose)
	}
	if err := json.Unmarshal(text, value); err != nil {
		return errs.Wrap(errs.Internal, err, "what is stored of it cannot be read: %s", purpose)
	}
	return nil
}

// newStored returns a token of a kind that has s, for Store.
func (p *Provider) newStored(kind Kind, hash Hash, s *Session, life time.Duration) (Token, error) {
	now := p.o.Now()
	t := Token{Kind: kind, Hash: hash, Grant: s.Grant, Client: s.Client, Subject: s.Account, Created: now}
	if life > 0 {
		t.Expires = now.Add(life)
	}
	var err error
	t.Data, err = p.seal(sealToken, string(hash[:]), s)
	return t, err
}

// sessionOf reads what newStored stored. NotFound: as for unseal.
func (p *Provider) sessionOf(t Token) (*Session, error) {
	s := &Session{}
	return s, p.unseal(sealToken, string(t.Hash[:]), t.Data, s)
}

// An exchange is a request at the token endpoint on its way: grant handlers fill it
// in, and issue makes tokens of it. fosite carries it as the session.
type exchange struct {
	Session
	client    *Client
	grant     string // the grant type
	redeem    *Redemption
	trusting  bool      // the client may be taken as it is known
	trusted   string    // its mark, if it was
	presented *Token    // the code or refresh token, as it was when the client was read; nil: there is none
	also      []Token   // marks of what may be used once, stored with the tokens
	want      string    // the type of token that is asked for (RFC 8693); "": as usual
	until     time.Time // when the access token expires at the latest; zero: it does not matter
	refresh   bool      // a refresh token may be issued
	scopes    []string  // of this access token, if they are fewer than those of the session
	audience  []string  // likewise
}

// given are the scopes of this access token.
func (x *exchange) given() []string {
	if x.scopes != nil {
		return x.scopes
	}
	return x.Scopes
}

// permit leaves out the scopes that the person may not have now. A refresh token keeps
// them, as they may be permitted again.
func (p *Provider) permit(ctx context.Context, x *exchange) error {
	if p.o.Permitted == nil || x.Account == "" {
		return nil
	}
	scopes, err := p.o.Permitted(ctx, x.given(), x.Account)
	if err == nil && len(scopes) < len(x.given()) {
		x.scopes = list(scopes)
	}
	return err
}

var _ fosite.Session = (*exchange)(nil)

// The methods of fosite.Session are not used: issue knows how long tokens live.

// SetExpiresAt implements fosite.Session.
func (*exchange) SetExpiresAt(fosite.TokenType, time.Time) {}

// GetExpiresAt implements fosite.Session.
func (*exchange) GetExpiresAt(fosite.TokenType) time.Time { return time.Time{} }

// GetUsername implements fosite.Session.
func (x *exchange) GetUsername() string { return x.Account }

// GetSubject implements fosite.Session.
func (x *exchange) GetSubject() string { return x.Subject }

// Clone implements fosite.Session.
func (x *exchange) Clone() fosite.Session { c := *x; return &c }
