package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/cardea-iam/cardea/internal/errs"
)

const (
	// skew is how far the clock of somebody else may be from ours.
	skew = 30 * time.Second
	// maxAssertion is how long an assertion may be good, since its jti is kept for that
	// time.
	maxAssertion = time.Hour
	// maxJTI bounds an identifier, in bytes.
	maxJTI = 512
)

var (
	// ed25519Alg is the newer name of EdDSA with such a key (RFC 9864).
	ed25519Alg = jose.SignatureAlgorithm("Ed25519")
	// asymmetricAlgs are those that clients may sign with.
	asymmetricAlgs = []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA, ed25519Alg,
	}
	symmetricAlgs = []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512}
)

// claimedSubject returns the sub of a JWT that nobody has verified, "" if it has none.
func claimedSubject(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims jwt.Claims
	if json.Unmarshal(text, &claims) != nil {
		return ""
	}
	return claims.Subject
}

// checkAssertion checks the JWT with which a client authenticates at an endpoint (RFC
// 7523, section 3).
func (p *Provider) checkAssertion(ctx context.Context, c *Client, assertion, endpoint string) error {
	text, typ, err := p.verifyAssertion(ctx, c, assertion)
	if err == nil {
		err = p.checkAssertionClaims(ctx, c, text, typ, endpoint)
	}
	var e *errs.Error
	if errors.As(err, &e) && e.Kind == errs.Invalid {
		return errClient.WithHintf("The client assertion is refused: %s.", e.Msg)
	}
	return err
}

func (p *Provider) verifyAssertion(ctx context.Context, c *Client, assertion string) ([]byte, string, error) {
	algs := c.assertionAlgs()
	if c.authMethod() == authPrivateJWT {
		return p.verifyByClient(ctx, c, assertion, algs)
	}
	signed, err := jose.ParseSignedCompact(assertion, algs)
	if err != nil {
		return nil, "", errs.Wrap(errs.Invalid, err, "expected a signed JWT, by one of the algorithms %s", join(algs))
	}
	for _, s := range c.secrets {
		if len(s.Sealed) == 0 {
			continue
		}
		secret, err := p.o.Secrets.Open(sealSecret, c.ID, s.Sealed)
		if err != nil {
			return nil, "", errs.Wrap(errs.Internal, err, "the secret of the client %s cannot be read: is its system secret still among secrets.system?", c.ID)
		}
		if text, err := signed.Verify(secret); err == nil {
			return text, typOf(signed.Signatures[0].Header), nil
		}
	}
	return nil, "", errs.New(errs.Invalid, "none of the client's secrets verifies the signature")
}

// assertionAlgs are those that the client may authenticate with.
func (c *Client) assertionAlgs() []jose.SignatureAlgorithm {
	if c.authMethod() == authSecretJWT {
		return narrow(symmetricAlgs, c.AuthAlg)
	}
	return c.algs(c.AuthAlg)
}

// narrow returns the algorithm that a client has registered, if it is one of algs, and
// else all.
func narrow(algs []jose.SignatureAlgorithm, registered string) []jose.SignatureAlgorithm {
	if registered == "" {
		return algs
	}
	if alg := jose.SignatureAlgorithm(registered); slices.Contains(algs, alg) {
		return []jose.SignatureAlgorithm{alg}
	}
	return []jose.SignatureAlgorithm{}
}

// checkAssertionClaims uses up the jti after all else is right.
func (p *Provider) checkAssertionClaims(ctx context.Context, c *Client, text []byte, typ, endpoint string) error {
	if !slices.Contains([]string{"", "jwt", "client-authentication+jwt"}, typ) {
		return errs.New(errs.Invalid, "typ is %.50q: it was made for something else", typ)
	}
	var claims jwt.Claims
	if err := json.Unmarshal(text, &claims); err != nil {
		return errs.Wrap(errs.Invalid, err, "its claims cannot be read")
	}
	if claims.Issuer != c.ID || claims.Subject != c.ID {
		return errs.New(errs.Invalid, "iss and sub must be the client_id")
	}
	if !slices.ContainsFunc([]string{p.issuer(), p.own.token, endpoint}, claims.Audience.Contains) ||
		c.rules().strict && !slices.Equal(claims.Audience, jwt.Audience{p.issuer()}) {
		return errs.New(errs.Invalid, "aud must be %s", p.issuer())
	}
	if err := p.checkTimes(claims, maxAssertion); err != nil {
		return err
	}
	if claims.ID == "" {
		return errs.New(errs.Invalid, "jti is missing")
	}
	return p.useID(ctx, c, claims.Expiry.Time().Add(skew), "assertion", claims.ID)
}

// checkTimes requires exp, at most life from now unless life is 0, and lets the clock of
// the one who signed be a little off.
//
// Invalid: the JWT is not good now.
func (p *Provider) checkTimes(claims jwt.Claims, life time.Duration) error {
	now := p.o.Now()
	switch {
	case life > 0 && claims.Expiry == nil:
		return errs.New(errs.Invalid, "exp is missing")
	case claims.Expiry != nil && !now.Before(claims.Expiry.Time().Add(skew)):
		return errs.New(errs.Invalid, "exp is in the past")
	case life > 0 && claims.Expiry.Time().After(now.Add(life+skew)):
		return errs.New(errs.Invalid, "exp is more than %s from now", life)
	case claims.NotBefore != nil && claims.NotBefore.Time().After(now.Add(skew)):
		return errs.New(errs.Invalid, "nbf is in the future")
	case claims.IssuedAt != nil && claims.IssuedAt.Time().After(now.Add(skew)):
		return errs.New(errs.Invalid, "iat is in the future")
	}
	return nil
}

// useID notes that a client has used an identifier, which is kept until it expires with
// what it stands in.
//
// Invalid: it was used before, or is too long.
func (p *Provider) useID(ctx context.Context, c *Client, until time.Time, what ...string) error {
	if len(what[len(what)-1]) > maxJTI {
		return errs.New(errs.Invalid, "jti has more than %d bytes", maxJTI)
	}
	text, err := json.Marshal(append([]string{c.ID}, what...))
	if err != nil {
		return errs.Wrap(errs.Internal, err, "an identifier cannot be encoded")
	}
	err = p.store.PutTokens(ctx, Token{
		Kind: UsedID, Hash: sha256.Sum256(text), Client: c.ID, Created: p.o.Now(), Expires: until,
	})
	if errs.KindOf(err) == errs.Conflict {
		return errs.New(errs.Invalid, "jti was used before")
	}
	return err
}
