package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/errs"
)

// What JWTs are encrypted with: for a key, and their content.
var (
	encryptionAlgs = []jose.KeyAlgorithm{jose.RSA_OAEP_256, jose.ECDH_ES, jose.ECDH_ES_A256KW}
	encryptionEncs = []jose.ContentEncryption{jose.A128CBC_HS256, jose.A256GCM}
)

// A protection says how a response to a client is signed and, unless keyAlg is "",
// encrypted.
type protection struct{ alg, keyAlg, enc string }

// signFor makes a JWT for a client, encrypted if that is registered: a nested one then
// (RFC 7519, section 5.2). Without an alg it is signed as ID tokens are that say none.
//
// Invalid: the client has no key to encrypt for.
func (p *Provider) signFor(ctx context.Context, c *Client, how protection, typ string, claims any) (string, error) {
	if how.alg == "" {
		how.alg = c.usualAlg()
	}
	token, err := p.sign(ctx, idTokenSet, how.alg, typ, claims)
	if err != nil || how.keyAlg == "" {
		return token, err
	}
	return p.encryptFor(ctx, c, how, []byte(token), "JWT")
}

// encryptJSONFor encrypts claims that are not signed.
//
// Invalid: as for signFor.
func (p *Provider) encryptJSONFor(ctx context.Context, c *Client, how protection, claims any) (string, error) {
	text, err := json.Marshal(claims)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "claims cannot be encoded")
	}
	return p.encryptFor(ctx, c, how, text, "")
}

func (p *Provider) encryptFor(ctx context.Context, c *Client, how protection, text []byte, content string) (string, error) {
	key, err := p.encryptionKey(ctx, c, how.keyAlg)
	if err != nil {
		return "", err
	}
	enc := jose.ContentEncryption(how.enc)
	if enc == "" {
		enc = jose.A128CBC_HS256
	}
	o := (&jose.EncrypterOptions{}).WithType("JWT")
	if content != "" {
		o = o.WithContentType(jose.ContentType(content))
	}
	e, err := jose.NewEncrypter(enc, jose.Recipient{Algorithm: jose.KeyAlgorithm(how.keyAlg), Key: key}, o)
	if err != nil {
		return "", errs.Wrap(errs.Invalid, err, "the client's key %.100q cannot encrypt", key.KeyID)
	}
	sealed, err := e.Encrypt(text)
	if err != nil {
		return "", errs.Wrap(errs.Invalid, err, "the client's key %.100q cannot encrypt", key.KeyID)
	}
	return sealed.CompactSerialize()
}

// encryptionKey returns the first key of a client for an algorithm.
func (p *Provider) encryptionKey(ctx context.Context, c *Client, alg string) (jose.JSONWebKey, error) {
	for _, fresh := range []bool{false, true} {
		keys, err := p.keysOf(ctx, c, fresh)
		if err != nil {
			return jose.JSONWebKey{}, err
		}
		if i := slices.IndexFunc(keys, func(key jose.JSONWebKey) bool { return encryptedWith(key, alg) }); i >= 0 {
			return keys[i].Public(), nil
		}
	}
	return jose.JSONWebKey{}, errs.New(errs.Invalid, "the client has no key for the encryption that it is registered with (%s)", alg)
}

func encryptedWith(key jose.JSONWebKey, alg string) bool {
	if key.Use != "" && key.Use != "enc" || key.Algorithm != "" && key.Algorithm != alg {
		return false
	}
	switch k := key.Public().Key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && strings.HasPrefix(alg, "RSA")
	case *ecdsa.PublicKey:
		return strings.HasPrefix(alg, "ECDH")
	default:
		return false
	}
}

// decrypt opens what a client has encrypted for this server. Anything else it returns as
// it is.
//
// Invalid: it was not encrypted with one of the published keys.
func (p *Provider) decrypt(ctx context.Context, token string) (string, error) {
	if strings.Count(token, ".") != 4 {
		return token, nil
	}
	sealed, err := jose.ParseEncryptedCompact(token, encryptionAlgs, encryptionEncs)
	if err != nil {
		return "", errs.Wrap(errs.Invalid, err, "expected a JWT encrypted with %s and %s", strings.Join(keyAlgs, ", "), strings.Join(contentEnc, ", "))
	}
	for _, fresh := range []bool{false, true} {
		known, err := p.keys.get(ctx, fresh)
		if err != nil {
			return "", err
		}
		for _, key := range known.sets[decryptionSet] {
			if sealed.Header.KeyID != "" && sealed.Header.KeyID != key.KeyID {
				continue
			}
			if text, err := sealed.Decrypt(key.JSONWebKey); err == nil {
				return string(text), nil
			}
		}
		if sealed.Header.KeyID == "" {
			break
		}
	}
	return "", errs.New(errs.Invalid, "it is not encrypted with one of the keys in the jwks_uri of this server")
}
