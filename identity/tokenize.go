package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/jsonfill"
)

// A TokenTemplate says how a session becomes a JWT (RFC 7519), which applications can
// check without asking.
type TokenTemplate struct {
	ttl      time.Duration
	signer   jose.Signer
	claims   *jsonfill.Template // {"claims": {...}}; nil: none but the usual ones
	external bool               // sub is the external id
}

// ownClaims are those that no template sets. A token cannot be of somebody else, or last
// longer, than what the server says.
var ownClaims = []string{"sub", "sid", "jti", "iat", "nbf", "exp"}

// NewTokenTemplate returns a template whose tokens last for ttl (0: one minute), and are
// signed by the first private key of a JSON Web Key Set. mapper, if not nil, is JSON with
// an object "claims", in which ${session.identity.traits.email} and the like stand for
// values of the session as whoami shows it, and ${claims.iss} for the usual claims.
// external makes the identity's external id the subject.
//
// Invalid: it cannot be so.
func NewTokenTemplate(ttl time.Duration, keys, mapper []byte, external bool) (*TokenTemplate, error) {
	t := &TokenTemplate{ttl: ttl, external: external}
	if ttl == 0 {
		t.ttl = time.Minute
	}
	if ttl < 0 {
		return nil, errs.New(errs.Invalid, "ttl is %v: expected more than 0", ttl)
	}
	var err error
	if t.signer, err = signerOf(keys); err != nil {
		return nil, err
	}
	if mapper == nil {
		return t, nil
	}
	if t.claims, err = jsonfill.Parse(mapper); err != nil {
		return nil, errs.New(errs.Invalid, "the claims mapper: %v; it is no Jsonnet program, but JSON such as {\"claims\": {\"email\": \"${session.identity.traits.email}\"}}", err)
	}
	var shape map[string]map[string]json.RawMessage
	if json.Unmarshal(mapper, &shape) != nil || len(shape) != 1 || shape["claims"] == nil {
		return nil, errs.New(errs.Invalid, "the claims mapper: expected an object with one member, claims, which is an object")
	}
	for _, own := range ownClaims {
		if _, taken := shape["claims"][own]; taken {
			return nil, errs.New(errs.Invalid, "the claims mapper: the claim %s is the server's to set", own)
		}
	}
	return t, nil
}

// signerOf returns what signs with the first key of a set that can.
//
// Invalid: there is none. The message has nothing of the keys.
func signerOf(set []byte) (jose.Signer, error) {
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(set, &keys); err != nil {
		return nil, errs.New(errs.Invalid, "the text at jwks_url is no JSON Web Key Set")
	}
	for _, key := range keys.Keys {
		if key.IsPublic() || !key.Valid() || key.Use != "" && key.Use != "sig" {
			continue
		}
		alg, ok := algOf(key.Key)
		if !ok || key.Algorithm != "" && !slices.Contains(alg, jose.SignatureAlgorithm(key.Algorithm)) {
			continue
		}
		by := alg[0]
		if key.Algorithm != "" {
			by = jose.SignatureAlgorithm(key.Algorithm)
		}
		return jose.NewSigner(jose.SigningKey{Algorithm: by, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	}
	return nil, errs.New(errs.Invalid, "the text at jwks_url has no private key that signs: expected one of RSA with 2048 bits or more, P-256, P-384, P-521 or Ed25519")
}

// algOf returns what a private key can sign with, the usual first.
func algOf(key crypto.PrivateKey) ([]jose.SignatureAlgorithm, bool) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}, key.N.BitLen() >= 2048
	case *ecdsa.PrivateKey:
		alg, ok := map[string]jose.SignatureAlgorithm{"P-256": jose.ES256, "P-384": jose.ES384, "P-521": jose.ES512}[key.Curve.Params().Name]
		return []jose.SignatureAlgorithm{alg}, ok
	case ed25519.PrivateKey:
		return []jose.SignatureAlgorithm{jose.EdDSA}, true
	default:
		return nil, false
	}
}

// tokenized answers whoami with the session, and a token made of it.
func (s *Service) tokenized(w http.ResponseWriter, name string, session *Session, i *Identity) error {
	t := s.options.TokenTemplates[name]
	if t == nil {
		return errs.New(errs.Invalid, "tokenize_as: there is no template %.80q", name)
	}
	body := s.sessionBody(session, i)
	var err error
	if body.Tokenized, err = s.tokenOf(t, session, body, i); err != nil {
		return err
	}
	s.seen(w, i)
	return reply(w, http.StatusOK, body)
}

// tokenOf returns a JWT that says what the template wants of a session. It does not
// outlast the session.
func (s *Service) tokenOf(t *TokenTemplate, session *Session, body *SessionBody, i *Identity) (string, error) {
	subject := i.ID
	if t.external {
		subject = i.ExternalID
	}
	if subject == "" {
		return "", errs.New(errs.Invalid, "tokenize_as: the identity has no external id, which is the subject of this template")
	}
	now := s.now()
	until := now.Add(t.ttl)
	if end := s.ends(session); end.Before(until) {
		until = end
	}
	usual := map[string]any{
		"iss": s.options.BaseURL, "sub": subject, "sid": body.ID, "jti": NewID(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": until.Unix(),
	}
	claims, err := t.claimsOf(usual, body)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "claims cannot be encoded")
	}
	signed, err := t.signer.Sign(text)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "a token cannot be signed")
	}
	return signed.CompactSerialize()
}

// claimsOf adds the template's claims to the usual ones. Claims without a value are left out.
func (t *TokenTemplate) claimsOf(usual map[string]any, body *SessionBody) (map[string]any, error) {
	if t.claims == nil {
		return usual, nil
	}
	text, err := t.claims.Fill(map[string]any{"session": body, "claims": usual})
	if err != nil {
		return nil, err
	}
	var filled struct {
		Claims map[string]any `json:"claims"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // a long one stays as it is
	if err := d.Decode(&filled); err != nil {
		return nil, errs.Wrap(errs.Internal, err, "claims cannot be read")
	}
	for name, value := range filled.Claims {
		if value != nil {
			usual[name] = value
		}
	}
	return usual, nil
}
