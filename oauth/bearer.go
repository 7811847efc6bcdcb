package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A bearerGrant exchanges the assertion of a trusted issuer (RFC 7523, section 2.1).
type bearerGrant struct{ grantHandler }

// HandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (g *bearerGrant) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	x, err := g.begin(r)
	if err != nil {
		return err
	}
	assertion := r.GetRequestForm().Get("assertion")
	if assertion == "" {
		return fosite.ErrInvalidRequest.WithHint("The parameter \"assertion\" is missing.")
	}
	v, err := g.vouched(ctx, assertion)
	if err == nil && v.claims.ID == "" && !g.o.Grants.JWT.JTIOptional {
		err = errs.New(errs.Invalid, "jti is missing")
	}
	if isKind(err, errs.Invalid) {
		return fosite.ErrInvalidGrant.WithHintf("The assertion is refused: %s.", said(err))
	}
	if err != nil {
		return err
	}
	scopes, err := g.allowedScopes(x.client, r.GetRequestedScopes())
	if err != nil {
		return err
	}
	for _, scope := range scopes {
		if !g.scopeMatches(v.issuer.Scopes, scope) {
			return fosite.ErrInvalidScope.WithHintf("The issuer of the assertion is not trusted with the scope %q.", scope)
		}
	}
	audience, err := x.client.allowedTargets(r.GetRequestForm())
	if err != nil {
		return err
	}
	x.Session = Session{
		Client: x.client.ID, Type: g.grant, Scopes: scopes, Audience: audience,
		Account: v.claims.Subject, Subject: g.subject(x.client, v.claims.Subject, ""),
	}
	if v.claims.ID != "" {
		x.also = []Token{v.use(g.Provider)}
	}
	return nil
}

// A voucher is what a trusted issuer says of somebody.
type voucher struct {
	issuer *TrustedIssuer
	claims jwt.Claims
	all    map[string]any
}

// vouched checks the assertion of a trusted issuer (RFC 7523, section 3).
//
// Invalid: it is none, or not for this server, or not good now.
func (p *Provider) vouched(ctx context.Context, assertion string) (*voucher, error) {
	signed, err := jose.ParseSignedCompact(assertion, asymmetricAlgs)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "expected a signed JWT, by one of the algorithms %s", join(asymmetricAlgs))
	}
	v := &voucher{}
	text := signed.UnsafePayloadWithoutVerification()
	if json.Unmarshal(text, &v.claims) != nil || json.Unmarshal(text, &v.all) != nil {
		return nil, errs.New(errs.Invalid, "its claims cannot be read")
	}
	if v.claims.Subject == "" {
		return nil, errs.New(errs.Invalid, "sub is missing")
	}
	issuers, err := p.issuersOf(ctx, v.claims.Issuer, v.claims.Subject)
	if err != nil {
		return nil, err
	}
	header := signed.Signatures[0].Header
	i := slices.IndexFunc(issuers, func(i *TrustedIssuer) bool {
		if !signedAs(i.key, header.Algorithm, header.KeyID) {
			return false
		}
		_, err := verifyWith(signed, i.key)
		return err == nil
	})
	if i < 0 {
		return nil, errs.New(errs.Invalid, "no trusted issuer has signed it (iss %.100q, kid %.100q)", v.claims.Issuer, header.KeyID)
	}
	v.issuer = issuers[i]
	return v, p.checkVoucher(v.claims)
}

func (p *Provider) checkVoucher(claims jwt.Claims) error {
	o := p.o.Grants.JWT
	if err := p.checkTimes(claims, o.MaxTTL); err != nil {
		return err
	}
	switch {
	case claims.IssuedAt == nil && !o.IATOptional:
		return errs.New(errs.Invalid, "iat is missing")
	case claims.IssuedAt != nil && claims.Expiry.Time().Sub(claims.IssuedAt.Time()) > o.MaxTTL:
		return errs.New(errs.Invalid, "exp is more than %s after iat", o.MaxTTL)
	case !slices.ContainsFunc([]string{p.issuer(), p.own.token}, claims.Audience.Contains):
		return errs.New(errs.Invalid, "aud must be %s", p.own.token)
	case len(claims.ID) > maxJTI:
		return errs.New(errs.Invalid, "jti has more than %d bytes", maxJTI)
	case len(claims.Subject) > maxName:
		return errs.New(errs.Invalid, "sub has more than %d bytes", maxName)
	case hasControl.MatchString(claims.Subject):
		return errs.New(errs.Invalid, "sub has control characters")
	}
	return nil
}

// use returns the mark that an assertion was used, which is kept as long as it is good.
func (v *voucher) use(p *Provider) Token {
	text, err := json.Marshal([]string{"", "voucher", v.claims.Issuer, v.claims.ID})
	if err != nil { // strings only
		panic(err)
	}
	return Token{Kind: UsedID, Hash: sha256.Sum256(text), Created: p.o.Now(), Expires: v.claims.Expiry.Time().Add(skew)}
}
