package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/subtle"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/errs"
)

// idTokenAlgs are the algorithms of ID tokens. None is symmetric: a public key must
// never be taken for a secret.
var idTokenAlgs = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

const (
	clockSkew   = time.Minute
	keysMinAge  = 30 * time.Second // between two looks for a key that is not known
	metadataAge = time.Hour
)

// metadata is what discovery says (OpenID Connect Discovery 1.0, section 3).
type metadata struct {
	Issuer      string   `json:"issuer"`
	Auth        string   `json:"authorization_endpoint"`
	Token       string   `json:"token_endpoint"`
	Userinfo    string   `json:"userinfo_endpoint"`
	Keys        string   `json:"jwks_uri"`
	PKCE        []string `json:"code_challenge_methods_supported"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	NamesIssuer bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
}

// discover returns the metadata, which is kept for an hour.
//
// Unavailable: it cannot be had, or is not of this issuer.
func (u *upstream) discover(ctx context.Context) (*metadata, error) {
	if !u.openID() {
		return &metadata{Auth: u.AuthURL, Token: u.TokenURL, Userinfo: u.UserinfoURL}, nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.meta != nil && u.now().Sub(u.metaAt) < metadataAge {
		return u.meta, nil
	}
	m := &metadata{}
	if err := u.fetch(ctx, strings.TrimSuffix(u.Issuer, "/")+"/.well-known/openid-configuration", "", m); err != nil {
		return nil, err
	}
	if !u.sameIssuer(m.Issuer) {
		return nil, errs.New(errs.Unavailable, "the discovery of %.200s is of the issuer %.200q", u.Issuer, m.Issuer)
	}
	m.Auth, m.Token, m.Userinfo = or(u.AuthURL, m.Auth), or(u.TokenURL, m.Token), or(u.UserinfoURL, m.Userinfo)
	if m.Auth == "" || m.Token == "" || m.Keys == "" {
		return nil, errs.New(errs.Unavailable, "the discovery of %.200s lacks an endpoint", u.Issuer)
	}
	u.meta, u.metaAt = m, u.now()
	return m, nil
}

// sameIssuer compares the issuer of a discovery with the configured one. Microsoft's
// names no tenant where several may log in; LinkedIn's is named without its path.
func (u *upstream) sameIssuer(issuer string) bool {
	switch {
	case strings.TrimSuffix(issuer, "/") == strings.TrimSuffix(u.Issuer, "/"):
		return true
	case u.Kind == "microsoft":
		return strings.HasPrefix(issuer, "https://login.microsoftonline.com/")
	case u.Kind == "linkedin", u.Kind == "linkedin_v2":
		return strings.HasPrefix(issuer, "https://www.linkedin.com")
	default:
		return false
	}
}

// key returns the keys with an id, and looks for new ones if there is none.
func (u *upstream) key(ctx context.Context, m *metadata, id string) ([]jose.JSONWebKey, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		var found []jose.JSONWebKey
		for _, k := range u.keys.Keys {
			if (id == "" || k.KeyID == id) && k.IsPublic() && k.Use != "enc" {
				found = append(found, k)
			}
		}
		if len(found) > 0 && u.now().Sub(u.keysAt) < metadataAge || u.now().Sub(u.keysAt) < keysMinAge {
			return found, nil
		}
		var set jose.JSONWebKeySet
		if err := u.fetch(ctx, m.Keys, "", &set); err != nil {
			return nil, err
		}
		u.keys, u.keysAt = set, u.now()
	}
}

// idToken returns the claims of an ID token (OpenID Connect Core, section 3.1.3.7).
//
// Denied: it is not one for us, now, and with the nonce.
func (u *upstream) idToken(ctx context.Context, token, nonce string, audiences []string) (map[string]any, error) {
	bad := func(why string) error { return errs.New(errs.Denied, "the ID token of %s %s", u.ID, why) }
	m, err := u.discover(ctx)
	if err != nil {
		return nil, err
	}
	signed, err := jose.ParseSignedCompact(token, idTokenAlgs)
	if err != nil {
		return nil, bad("cannot be read")
	}
	keys, err := u.key(ctx, m, signed.Signatures[0].Header.KeyID)
	if err != nil {
		return nil, err
	}
	var payload []byte
	for _, k := range keys {
		if payload, err = signed.Verify(k); err == nil {
			break
		}
	}
	if len(keys) == 0 || err != nil {
		return nil, bad("has another signature")
	}
	var claims map[string]any
	d := json.NewDecoder(strings.NewReader(string(payload)))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil {
		return nil, bad("has no claims")
	}
	text := func(name string) string { s, _ := claims[name].(string); return s }
	issuer := m.Issuer
	if u.Kind == "microsoft" {
		if _, ok := parseUUID(text("tid")); !ok {
			return nil, bad("names no tenant")
		}
		issuer = strings.Replace(issuer, "{tenantid}", text("tid"), 1)
	}
	now := u.now()
	aud := textList(claims["aud"])
	switch {
	case text("iss") != issuer:
		return nil, bad("is of another issuer")
	case !slices.ContainsFunc(aud, func(a string) bool { return slices.Contains(audiences, a) }):
		return nil, bad("is for another client")
	case len(aud) > 1 && !slices.Contains(audiences, text("azp")), text("azp") != "" && len(aud) > 1 && !slices.Contains(aud, text("azp")):
		return nil, bad("was issued to another client")
	case !now.Before(seconds(claims["exp"]).Add(clockSkew)):
		return nil, bad("has expired")
	case seconds(claims["iat"]).After(now.Add(clockSkew)) || seconds(claims["nbf"]).After(now.Add(clockSkew)):
		return nil, bad("is from the future")
	case text("sub") == "" || len(text("sub")) > 255:
		return nil, bad("names nobody")
	}
	got := text("nonce")
	if subtle.ConstantTimeCompare([]byte(got), []byte(nonce)) != 1 && (!presets[u.Kind].noNonce || got != "") {
		return nil, bad("has another nonce")
	}
	return claims, nil
}

// textList reads a text or a list of texts.
func textList(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, one := range v {
			if text, ok := one.(string); ok {
				out = append(out, text)
			}
		}
	}
	return out
}

// seconds reads a time since 1970; the zero time if it is none.
func seconds(v any) time.Time {
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}
	}
	f, err := n.Float64()
	if err != nil {
		return time.Time{}
	}
	return time.Unix(int64(f), 0)
}

// appleKey reads the key with which the client's secret is signed.
func (p *Provider) appleKey() (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(p.AppleKey))
	if block == nil {
		return nil, errors.New("apple_private_key is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("apple_private_key is not a P-256 key")
	}
	return key, nil
}

// secret is what proves who we are. Apple's is a JWT that lasts for five minutes.
func (u *upstream) secret() (string, error) {
	if u.Kind != "apple" || u.ClientSecret != "" {
		return u.ClientSecret, nil
	}
	key, err := u.appleKey()
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "the key for %s", u.ID)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: u.AppleKeyID}}, nil)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "the key for %s", u.ID)
	}
	now := u.now()
	text, err := json.Marshal(map[string]any{
		"iss": u.AppleTeam, "sub": u.ClientID, "aud": "https://appleid.apple.com", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "the secret for %s", u.ID)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "the secret for %s", u.ID)
	}
	return signed.CompactSerialize()
}
