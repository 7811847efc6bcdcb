package oauth

import (
	"context"
	"slices"
	"time"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Grant types.
const (
	grantCode        = "authorization_code"
	grantImplicit    = "implicit"
	grantRefresh     = "refresh_token"
	grantCredentials = "client_credentials"
	grantBearer      = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	grantDevice      = "urn:ietf:params:oauth:grant-type:device_code"
	grantExchange    = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// Scopes with a meaning here.
const (
	scopeOpenID  = "openid"
	scopeOffline = "offline_access"
	oldOffline   = "offline" // Hydra's name of the one above
)

// issued are tokens that were made, and what is stored of them.
type issued struct {
	access    string
	expiresIn time.Duration
	refresh   string
	id        string
	rows      []Token
}

// issue makes the tokens of an exchange. Nothing is stored yet.
func (p *Provider) issue(ctx context.Context, x *exchange) (*issued, error) {
	out := &issued{}
	if x.want == typeRefresh {
		return out, p.issueRefresh(x, out)
	}
	if err := p.issueAccess(ctx, x, out); err != nil {
		return nil, err
	}
	if x.refresh && x.client.may(grantRefresh) && (slices.Contains(x.Scopes, scopeOffline) || slices.Contains(x.Scopes, oldOffline)) {
		if err := p.issueRefresh(x, out); err != nil {
			return nil, err
		}
	}
	if x.Subject != "" && slices.Contains(x.given(), scopeOpenID) && x.Type != grantExchange && x.Type != grantBearer {
		var err error
		if out.id, err = p.issueID(ctx, x, besides{access: out.access}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// issueAccess makes an access token. Also a JWT is stored, so that it can be revoked
// and introspected.
func (p *Provider) issueAccess(ctx context.Context, x *exchange, out *issued) error {
	s := x.Session
	s.Nonce, s.RedirectURI, s.Challenge = "", "", ""
	s.Scopes = x.given()
	if x.audience != nil {
		s.Audience = x.audience
	}
	out.expiresIn = p.lifespan(x.client, x.grant, Access)
	if left := x.until.Sub(p.o.Now()); !x.until.IsZero() && (out.expiresIn == 0 || left < out.expiresIn) {
		out.expiresIn = left
	}
	var hash Hash
	if x.want == typeJWT || p.wantsJWT(x.client) {
		var err error
		if out.access, err = p.accessJWT(ctx, x.client, &s, out.expiresIn); err != nil {
			return err
		}
		hash = hashOf(out.access)
	} else {
		out.access, hash = newToken(accessPrefix)
	}
	row, err := p.newStored(Access, hash, &s, out.expiresIn)
	out.rows = append(out.rows, row)
	return err
}

// issueRefresh makes a refresh token. That of a client which authenticates is bound to
// that, and not to a key, so that the key can change (RFC 9449, section 5).
func (p *Provider) issueRefresh(x *exchange, out *issued) error {
	s := x.Session
	if !x.client.IsPublic() {
		s.Confirm = nil
	}
	s.Nonce, s.RedirectURI, s.Challenge = "", "", ""
	var hash Hash
	out.refresh, hash = newToken(refreshPrefix)
	row, err := p.newStored(Refresh, hash, &s, p.lifespan(x.client, x.grant, Refresh))
	out.rows = append(out.rows, row)
	return err
}

// lifespan returns how long a token of a grant type lives; 0: for ever.
func (p *Provider) lifespan(c *Client, grant string, kind Kind) time.Duration {
	var access, id, refresh Duration
	switch grant {
	case grantCode:
		access, id, refresh = c.CodeAccess, c.CodeID, c.CodeRefresh
	case grantCredentials:
		access = c.CredentialsAccess
	case grantDevice:
		access, id, refresh = c.DeviceAccess, c.DeviceID, c.DeviceRefresh
	case grantImplicit:
		access, id = c.ImplicitAccess, c.ImplicitID
	case grantBearer:
		access = c.BearerAccess
	case grantRefresh:
		access, id, refresh = c.RefreshAccess, c.RefreshID, c.RefreshRefresh
	}
	switch kind {
	case idToken:
		return id.or(p.o.TTL.IDToken)
	case Refresh:
		return refresh.or(p.o.TTL.RefreshToken)
	default:
		return access.or(p.o.TTL.AccessToken)
	}
}

// or is d, or the usual one if it is not set, and 0 for one without an end.
func (d Duration) or(usual time.Duration) time.Duration {
	if d.Set {
		usual = d.Duration
	}
	return max(usual, 0)
}

// settle stores what was issued, and redeems what it was exchanged for. A token that
// was used before takes its whole grant with it (rule O2).
func (p *Provider) settle(ctx context.Context, x *exchange, rows []Token) error {
	rows = append(rows, x.also...)
	if x.redeem == nil {
		var err error
		if x.trusted != "" && len(rows) == 1 {
			err = p.store.PutTokenOf(ctx, x.trusted, rows[0])
		} else {
			err = p.store.PutTokens(ctx, rows...)
		}
		if errs.KindOf(err) == errs.Conflict {
			return fosite.ErrInvalidGrant.WithHint("It was used before.")
		}
		return err
	}
	x.redeem.Put = rows
	err := p.store.Redeem(ctx, *x.redeem)
	if errs.KindOf(err) != errs.Conflict {
		return err
	}
	if err := p.revoke(ctx, x.Grant); err != nil {
		return err
	}
	return errUsed
}

// revoke ends a grant.
func (p *Provider) revoke(ctx context.Context, grant string) error {
	if grant == "" {
		return nil
	}
	_, err := p.store.RevokeGrants(ctx, GrantQuery{ID: grant}, p.o.Now())
	return err
}

// list is never nil, so that JSON has [] rather than null.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
