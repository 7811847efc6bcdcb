package oauth

import (
	"context"
	"crypto"
	_ "crypto/sha512" // for the hash of Ed25519
	"encoding/base64"
	"maps"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/errs"
)

// idToken is a kind of token that is not stored.
const idToken Kind = "id"

// notFromConsent are claims of ID tokens that only the provider knows.
var notFromConsent = []string{"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "auth_time", "acr", "amr", "sid", "at_hash", "c_hash", "s_hash", "events"}

// besides is what an ID token comes with and vouches for; all may be empty.
type besides struct{ access, code, state string }

// issueID makes an ID token (OpenID Connect Core, section 2). The claims of the consent
// are in it as the consent page gave them, but for those that the client wants from
// userinfo only, and of scopes that the access token does not have. One that comes of a refresh is about the same login (section 12.2).
func (p *Provider) issueID(ctx context.Context, x *exchange, with besides) (string, error) {
	now := p.o.Now()
	claims := maps.Clone(x.IDClaims)
	if claims == nil {
		claims = map[string]any{}
	}
	maps.DeleteFunc(claims, func(name string, _ any) bool {
		return p.userinfoOnly(&x.Session, name) || p.covers(x.Scopes, name) && !p.covers(x.given(), name)
	})
	for _, name := range notFromConsent {
		delete(claims, name)
	}
	alg := x.client.idTokenAlg()
	maps.Copy(claims, map[string]any{
		"iss": p.issuer(), "sub": x.Subject, "aud": []string{x.Client}, "iat": now.Unix(),
		"exp": now.Add(p.lifespan(x.client, x.grant, idToken)).Unix(), "jti": newID(),
	})
	for name, value := range map[string]any{
		"auth_time": x.AuthTime, "acr": x.ACR, "sid": x.Login, "nonce": x.Nonce,
		"at_hash": halfHash(alg, with.access), "c_hash": halfHash(alg, with.code), "s_hash": halfHash(alg, with.state),
	} {
		if value != "" && value != int64(0) {
			claims[name] = value
		}
	}
	if len(x.AMR) > 0 {
		claims["amr"] = x.AMR
	}
	return p.signFor(ctx, x.client, protection{alg, x.client.IDTokenKeyAlg, x.client.IDTokenEnc}, "JWT", claims)
}

// idTokenAlg is how ID tokens of a client are signed.
func (c *Client) idTokenAlg() string {
	if c.IDTokenAlg != "" {
		return c.IDTokenAlg
	}
	return c.usualAlg()
}

// usualAlg is how JWTs for a client are signed that has registered nothing about them.
// FAPI 2.0 does not allow what OpenID Connect takes for granted.
func (c *Client) usualAlg() string {
	if c.profile() == FAPI2 {
		return string(jose.PS256)
	}
	return string(jose.RS256)
}

// halfHash is at_hash, c_hash and s_hash: the left half of the hash that the algorithm
// uses (OpenID Connect Core, section 3.1.3.6; for EdDSA, SHA-512 as with Ed25519), and
// nothing of nothing.
func halfHash(alg, text string) string {
	if text == "" {
		return ""
	}
	h := crypto.SHA256
	switch {
	case strings.HasSuffix(alg, "384"):
		h = crypto.SHA384
	case strings.HasSuffix(alg, "512"), alg == string(jose.EdDSA):
		h = crypto.SHA512
	}
	w := h.New()
	w.Write([]byte(text))
	sum := w.Sum(nil)
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

// hint reads an ID token that comes back as id_token_hint, encrypted for this server or
// not (OpenID Connect Core, section 3.1.2.1). It may have expired.
//
// Invalid: it is no ID token of this provider.
func (p *Provider) hint(ctx context.Context, token string) (map[string]any, error) {
	var claims map[string]any
	var typ string
	token, err := p.decrypt(ctx, token)
	if err == nil {
		claims, typ, err = p.verifyOwn(ctx, token)
	}
	if isKind(err, errs.Invalid) || err == nil && (!strings.EqualFold(typ, "JWT") || claims["iss"] != p.issuer()) {
		return nil, errs.New(errs.Invalid, "id_token_hint: it is no ID token of this provider")
	}
	return claims, err
}
