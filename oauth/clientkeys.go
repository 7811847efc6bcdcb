package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/errs"
)

const (
	// clientKeysAge is for how long the keys at a jwks_uri are not asked for again, and
	// clientKeysStale for how long they are used if they cannot be had.
	clientKeysAge   = 10 * time.Minute
	clientKeysStale = time.Hour
	// clientKeysPause is between two questions, however many unknown keys are named.
	clientKeysPause = 30 * time.Second

	maxClientKeys = 100  // in a set; more are not looked at
	maxKeyURIs    = 1000 // whose keys are remembered
)

// fetchedKeys remembers what is at the jwks_uri of clients.
type fetchedKeys struct {
	mu    sync.Mutex
	known map[string]*fetchedSet // by URI
}

// A fetchedSet is what is at one URI.
type fetchedSet struct {
	turn chan struct{} // has a place for the one who may look at what follows

	asked time.Time
	got   time.Time // the last answer that was one
	keys  []jose.JSONWebKey
}

func newFetchedKeys() *fetchedKeys { return &fetchedKeys{known: map[string]*fetchedSet{}} }

func (k *fetchedKeys) at(uri string) *fetchedSet {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, ok := k.known[uri]
	if !ok {
		if len(k.known) >= maxKeyURIs {
			for old := range k.known { // any
				delete(k.known, old)
				break
			}
		}
		s = &fetchedSet{turn: make(chan struct{}, 1)}
		k.known[uri] = s
	}
	return s
}

// A KeySet is a set of public keys of a client.
type KeySet struct {
	Keys []jose.JSONWebKey `json:"keys"`
}

// UnmarshalJSON implements json.Unmarshaler. What is no key of a kind that is known here
// is passed over (RFC 7517, section 5): it is for other servers.
func (k *KeySet) UnmarshalJSON(text []byte) error {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return err
	}
	k.Keys = nil
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) == nil {
			k.Keys = append(k.Keys, key)
		}
	}
	return nil
}

// hasKey reports whether the client may have a key that a use is known for: where its keys
// are elsewhere, that is seen when one is needed.
func (c *Client) hasKey(use func(jose.JSONWebKey) bool) bool {
	return c.KeysURI != "" || c.Keys != nil && slices.ContainsFunc(c.Keys.Keys, use)
}

// canSign reports whether clients may sign with a key.
func canSign(key jose.JSONWebKey) bool {
	return slices.ContainsFunc(asymmetricAlgs, func(alg jose.SignatureAlgorithm) bool { return signedAs(key, string(alg), "") })
}

// keysOf returns the public keys of a client; fresh asks for them anew, unless that was
// done a moment ago.
//
// Invalid: it has none, or they cannot be had.
func (p *Provider) keysOf(ctx context.Context, c *Client, fresh bool) ([]jose.JSONWebKey, error) {
	if c.Keys != nil {
		return c.Keys.Keys, nil
	}
	if c.KeysURI == "" {
		return nil, errs.New(errs.Invalid, "the client is registered with neither jwks nor jwks_uri")
	}
	s := p.clientKeys.at(c.KeysURI)
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, errs.Wrap(errs.Unavailable, ctx.Err(), "the keys of the client were not read in time")
	}
	now := p.o.Now()
	asked, got := now.Sub(s.asked), now.Sub(s.got)
	if asked >= clientKeysPause && (fresh || got >= clientKeysAge) {
		keys, err := p.fetchKeys(ctx, c.KeysURI)
		if ctx.Err() != nil { // it says nothing about the client's server
			return nil, errs.Wrap(errs.Unavailable, ctx.Err(), "the keys of the client were not read in time")
		}
		s.asked = now
		if err == nil {
			s.got, s.keys, got = now, keys, 0
		} else {
			p.o.Log.WarnContext(ctx, "the keys of a client cannot be read", "client", c.ID, "err", err)
		}
	}
	if got >= clientKeysStale {
		return nil, errs.New(errs.Invalid, "the keys at the client's jwks_uri cannot be read")
	}
	return s.keys, nil
}

// fetchKeys reads a JWK set.
func (p *Provider) fetchKeys(ctx context.Context, uri string) ([]jose.JSONWebKey, error) {
	text, err := p.fetch(ctx, uri)
	if err != nil {
		return nil, err
	}
	var set KeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "%.200s is no JWK set", uri)
	}
	keys := set.Keys[:min(len(set.Keys), maxClientKeys)]
	for i, key := range keys {
		keys[i] = key.Public()
	}
	return keys, nil
}

// signedAs reports whether a key may have signed with an algorithm and under an id,
// which may be empty.
func signedAs(key jose.JSONWebKey, alg, id string) bool {
	if alg == string(ed25519Alg) {
		alg = string(jose.EdDSA)
	}
	named := key.Algorithm == "" || key.Algorithm == alg || key.Algorithm == string(ed25519Alg) && alg == string(jose.EdDSA)
	if id != "" && key.KeyID != id || key.Use != "" && key.Use != "sig" || !named {
		return false
	}
	switch k := key.Public().Key.(type) {
	case *rsa.PublicKey:
		return k.N.BitLen() >= 2048 && (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS"))
	case *ecdsa.PublicKey:
		return strings.HasPrefix(alg, "ES")
	case ed25519.PublicKey:
		return alg == string(jose.EdDSA)
	default: // a symmetric key, which everybody could know
		return false
	}
}

// verifyWith checks a signature, also one under the newer name of EdDSA, which go-jose
// does not know.
func verifyWith(signed *jose.JSONWebSignature, key jose.JSONWebKey) ([]byte, error) {
	if ed, ok := key.Key.(ed25519.PublicKey); ok && signed.Signatures[0].Header.Algorithm == string(ed25519Alg) {
		return signed.Verify(edVerifier(ed))
	}
	return signed.Verify(key)
}

type edVerifier ed25519.PublicKey

// VerifyPayload implements jose.OpaqueVerifier.
func (k edVerifier) VerifyPayload(payload, signature []byte, _ jose.SignatureAlgorithm) error {
	if !ed25519.Verify(ed25519.PublicKey(k), payload, signature) {
		return jose.ErrCryptoFailure
	}
	return nil
}

// verifyByClient checks the signature of a JWT with the keys of a client, those at its
// jwks_uri read anew if need be, and returns what it says and the typ of its header.
//
// Invalid: it is not signed by the client with one of algs.
func (p *Provider) verifyByClient(ctx context.Context, c *Client, token string, algs []jose.SignatureAlgorithm) (text []byte, typ string, err error) {
	signed, err := jose.ParseSignedCompact(token, algs)
	if err != nil {
		return nil, "", errs.Wrap(errs.Invalid, err, "expected a signed JWT, by one of the algorithms %s", join(algs))
	}
	header := signed.Signatures[0].Header
	for _, fresh := range []bool{false, true} {
		keys, err := p.keysOf(ctx, c, fresh)
		if err != nil {
			return nil, "", err
		}
		for _, key := range keys {
			if !signedAs(key, header.Algorithm, header.KeyID) {
				continue
			}
			if text, err := verifyWith(signed, key); err == nil {
				return text, typOf(header), nil
			}
		}
		named := func(key jose.JSONWebKey) bool { return key.KeyID == header.KeyID }
		if c.Keys != nil || header.KeyID != "" && slices.ContainsFunc(keys, named) {
			break
		}
	}
	return nil, "", errs.New(errs.Invalid, "none of the client's keys verifies the signature (kid %.100q, alg %s)", header.KeyID, header.Algorithm)
}

func typOf(h jose.Header) string {
	typ, _ := h.ExtraHeaders[jose.HeaderType].(string)
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

func join(algs []jose.SignatureAlgorithm) string { return strings.Join(names(algs), ", ") }
