package oauth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"regexp"
	"slices"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A codeGrant exchanges an authorization code (RFC 6749, section 4.1.3; RFC 7636).
type codeGrant struct{ grantHandler }

// HandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (g *codeGrant) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	x, err := g.begin(r)
	if err != nil {
		return err
	}
	form := r.GetRequestForm()
	if form.Get("code") == "" {
		return fosite.ErrInvalidRequest.WithHint("The parameter \"code\" is missing.")
	}
	t, s, err := g.owned(ctx, x)
	if err != nil {
		return err
	}
	// Everything is checked before the code is used up, so that a mistake of somebody
	// else does not take it from the client.
	if s.RedirectURI != form.Get("redirect_uri") && (s.RedirectURI != "" || !slices.Contains(x.client.RedirectURIs, form.Get("redirect_uri"))) {
		return fosite.ErrInvalidGrant.WithHint("The parameter \"redirect_uri\" is not that of the authorization request.")
	}
	if err := verifyPKCE(s.Challenge, form.Get("code_verifier")); err != nil {
		return err
	}
	x.Session = *s
	x.refresh = true
	x.redeem = &Redemption{Kind: Code, Hash: t.Hash, Now: g.o.Now()}
	return x.narrow(form)
}

var verifierForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)

// verifyPKCE checks the verifier of RFC 7636 by its S256 challenge. Without a
// challenge there must be no verifier (OAuth 2.1).
func verifyPKCE(challenge, verifier string) error {
	if challenge == "" && verifier == "" {
		return nil
	}
	if challenge == "" || !verifierForm.MatchString(verifier) {
		return fosite.ErrInvalidGrant.WithHint("The parameter \"code_verifier\" is missing or malformed, or the authorization request had no challenge.")
	}
	sum := sha256.Sum256([]byte(verifier))
	if subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) != 1 {
		return fosite.ErrInvalidGrant.WithHint("The parameter \"code_verifier\" does not match the challenge of the authorization request.")
	}
	return nil
}

// owned returns the token that a client presents as its own. A used one revokes its
// grant (rule O2), unless it may be used again for a while. Whether it is still as it was
// read is for Redeem to say.
func (p *Provider) owned(ctx context.Context, x *exchange) (Token, *Session, error) {
	if x.presented == nil || x.presented.Client != x.client.ID {
		return Token{}, nil, errGrant
	}
	t, now := *x.presented, p.o.Now()
	graced := t.Kind == Refresh && !t.Used.IsZero() && now.Before(t.Used.Add(p.o.Grants.Grace))
	if !t.Used.IsZero() && !t.Revoked && !graced {
		if err := p.revoke(ctx, t.Grant); err != nil {
			return Token{}, nil, err
		}
		return Token{}, nil, errUsed
	}
	if t.Revoked || !t.Expires.IsZero() && !now.Before(t.Expires) {
		return Token{}, nil, errGrant
	}
	s, err := p.sessionOf(t)
	if isKind(err, errs.NotFound) {
		return Token{}, nil, errGrant
	}
	return t, s, err
}

// errGrant does not tell an unknown code or token from a foreign or expired one.
var errGrant = fosite.ErrInvalidGrant.WithHint("It is not known, has expired, was revoked, or belongs to another client.")

// A refreshGrant exchanges a refresh token for new tokens (RFC 6749, section 6). The
// old one is used up, and the access tokens of the grant go. With a profile whose tokens
// are bound to a key anyway, it is good until it expires.
type refreshGrant struct{ grantHandler }

// HandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (g *refreshGrant) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	x, err := g.begin(r)
	if err != nil {
		return err
	}
	if r.GetRequestForm().Get("refresh_token") == "" {
		return fosite.ErrInvalidRequest.WithHint("The parameter \"refresh_token\" is missing.")
	}
	t, s, err := g.owned(ctx, x)
	if err != nil {
		return err
	}
	x.Session = *s
	x.refresh = true
	if x.client.rules().fixed {
		x.refresh = false
	} else {
		x.redeem = &Redemption{Kind: Refresh, Hash: t.Hash, Now: g.o.Now(), Grace: g.o.Grants.Grace, Replace: []Kind{Access}}
	}
	// A narrower scope is that of the new access token; the refresh token keeps all.
	asked := r.GetRequestedScopes()
	for _, scope := range asked {
		if !slices.Contains(s.Scopes, scope) {
			return fosite.ErrInvalidScope.WithHintf("The scope %q was not granted.", scope)
		}
	}
	if len(asked) > 0 {
		x.scopes = asked
	}
	return x.narrow(r.GetRequestForm())
}

// A credentialsGrant gives a client tokens of its own (RFC 6749, section 4.4).
type credentialsGrant struct{ grantHandler }

// HandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (g *credentialsGrant) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	x, err := g.begin(r)
	if err != nil {
		return err
	}
	if x.client.IsPublic() {
		return fosite.ErrUnauthorizedClient.WithHint("A client without authentication has no tokens of its own.")
	}
	scopes, err := g.allowedScopes(x.client, r.GetRequestedScopes())
	if err != nil {
		return err
	}
	audience, err := x.client.allowedTargets(r.GetRequestForm())
	if err != nil {
		return err
	}
	x.Session = Session{Client: x.client.ID, Type: g.grant, Scopes: scopes, Audience: audience}
	return nil
}

// allowedScopes returns the scopes that are asked for, if the client may have them.
func (p *Provider) allowedScopes(c *Client, asked []string) ([]string, error) {
	for _, scope := range asked {
		if !p.scopeMatches(c.GetScopes(), scope) {
			return nil, fosite.ErrInvalidScope.WithHintf("The client may not ask for the scope %q.", scope)
		}
	}
	return asked, nil
}
