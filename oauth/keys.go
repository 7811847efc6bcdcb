package oauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/errs"
)

// The sets of keys that sign, and whose public halves are published.
const (
	idTokenSet     = "hydra.openid.id-token"
	accessTokenSet = "hydra.jwt.access-token"
)

// decryptionSet are the keys for which clients encrypt requests. They are published, too.
const decryptionSet = "cardea.oauth.decryption"

// signingSets are the sets that sign, publishedSets all that others know.
var (
	signingSets   = []string{idTokenSet, accessTokenSet}
	publishedSets = []string{idTokenSet, accessTokenSet, decryptionSet}
)

// signingAlgs are those that a key of ours is made for.
var signingAlgs = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA}

// A JWK names the algorithm of a key that decrypts in the same place.
const (
	decryptRSA = jose.SignatureAlgorithm(jose.RSA_OAEP_256)
	decryptEC  = jose.SignatureAlgorithm(jose.ECDH_ES_A256KW)
)

// usualAlgs are those for which a set has a key, and what its keys are for.
func usualAlgs(set string) (algs []jose.SignatureAlgorithm, use string) {
	if set == decryptionSet {
		return []jose.SignatureAlgorithm{decryptRSA, decryptEC}, "enc"
	}
	return signingAlgs, "sig"
}

const (
	// keyAge is how old what is known of the keys may be.
	keyAge = 30 * time.Second
	// keyDelay is how long a new key is published before it signs, so that every node
	// and every client that asks again knows it.
	keyDelay = 2 * keyAge
)

// A keyring knows the signing keys of a network. Nodes learn of each other's keys by
// asking again, at most every keyAge.
type keyring struct {
	p *Provider

	mu    sync.Mutex
	known *keys
	lost  map[string]bool // ids of keys that cannot be read, and that the log has
}

// keys are the signing keys as they stood at a time. They do not change.
type keys struct {
	read      time.Time
	sets      map[string][]signingKey // the newest first
	published document                // the JWKS
	metadata  document
}

type signingKey struct {
	jose.JSONWebKey
	active time.Time
}

// get returns the keys, no older than keyAge; fresh forces a new look. It makes them
// if there are none.
func (k *keyring) get(ctx context.Context, fresh bool) (*keys, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known != nil && !fresh && k.p.o.Now().Sub(k.known.read) < keyAge {
		return k.known, nil
	}
	known, err := k.read(ctx)
	if err != nil {
		return nil, err
	}
	k.known = known
	return known, nil
}

// forget makes the next get look again.
func (k *keyring) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.known = nil
}

func (k *keyring) read(ctx context.Context) (*keys, error) {
	known := &keys{read: k.p.o.Now(), sets: map[string][]signingKey{}}
	for _, set := range publishedSets {
		n, err := k.load(ctx, known, set)
		if missing := known.missing(set); err == nil && len(missing) > 0 {
			if err = k.make(ctx, set, missing, n == 0); err == nil {
				_, err = k.load(ctx, known, set)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return known, known.publish(k.p)
}

// load reads a set, and returns how many keys it has. One that is lost with its system
// secret does not take the others with it. A set that is all lost is a mistake of the
// operator, who can bring the secret back, so it is not replaced; with --dev, where
// secrets may end with the process, it is.
func (k *keyring) load(ctx context.Context, known *keys, set string) (int, error) {
	rows, err := k.p.store.Keys(ctx, set)
	if err != nil {
		return 0, err
	}
	known.sets[set] = nil
	var lost error
	for _, row := range rows {
		key, err := k.p.openKey(row)
		if isKind(err, errs.NotFound) {
			lost = err
			k.complain(ctx, row, err)
			continue
		}
		if err != nil {
			return 0, err
		}
		known.sets[set] = append(known.sets[set], signingKey{key, row.Active})
	}
	if lost != nil && len(known.sets[set]) == 0 && !k.p.o.Dev {
		return 0, errs.Wrap(errs.Internal, lost, "no key of the set %s can be read: %v", set, lost)
	}
	return len(rows), nil
}

// complain logs once that a key is lost.
func (k *keyring) complain(ctx context.Context, row Key, err error) {
	name := row.Set + " " + row.ID
	if k.lost[name] {
		return
	}
	if k.lost == nil {
		k.lost = map[string]bool{}
	}
	k.lost[name] = true
	k.p.o.Log.ErrorContext(ctx, "a key is passed over", "set", row.Set, "kid", row.ID, "err", err)
}

// missing returns the algorithms that a set has no key to sign for: all, at the first
// start, or what an operator has deleted.
func (k *keys) missing(set string) []jose.SignatureAlgorithm {
	algs, _ := usualAlgs(set)
	return slices.DeleteFunc(slices.Clone(algs), func(alg jose.SignatureAlgorithm) bool {
		_, ok := k.signer(set, alg, k.read)
		return ok
	})
}

// make makes keys of a set. Those of an empty set are the first, unless another node is
// faster.
func (k *keyring) make(ctx context.Context, set string, algs []jose.SignatureAlgorithm, first bool) error {
	var rows []Key
	_, use := usualAlgs(set)
	for _, alg := range algs {
		key, err := generateKey(alg, "", use)
		if err != nil {
			return err
		}
		row, err := k.p.keyRow(set, key, k.p.o.Now())
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	how := AddKeys
	if first {
		how = FirstOfSet
	}
	err := k.p.store.PutKeys(ctx, set, how, rows...)
	if errs.KindOf(err) == errs.Conflict {
		return nil
	}
	return err
}

// signer returns the key of a set for an algorithm that was the last to begin to sign
// by now. If there is none, one that would soon has to.
func (k *keys) signer(set string, alg jose.SignatureAlgorithm, now time.Time) (jose.JSONWebKey, bool) {
	var best *signingKey
	for i, key := range k.sets[set] {
		if key.Algorithm != string(alg) || key.IsPublic() {
			continue
		}
		signs := !now.Before(key.active)
		if best == nil || signs && (now.Before(best.active) || key.active.After(best.active)) || !signs && key.active.Before(best.active) {
			best = &k.sets[set][i]
		}
	}
	if best == nil {
		return jose.JSONWebKey{}, false
	}
	return best.JSONWebKey, true
}

// find returns a published key by its id.
func (k *keys) find(kid string) (jose.JSONWebKey, bool) {
	for _, set := range k.sets {
		if i := slices.IndexFunc(set, func(key signingKey) bool { return key.KeyID == kid }); i >= 0 {
			return set[i].Public(), true
		}
	}
	return jose.JSONWebKey{}, false
}

// sign makes a JWT of claims.
func (p *Provider) sign(ctx context.Context, set, alg, typ string, claims any) (string, error) {
	known, err := p.keys.get(ctx, false)
	if err != nil {
		return "", err
	}
	if alg == "" {
		alg = string(jose.RS256)
	}
	key, ok := known.signer(set, jose.SignatureAlgorithm(alg), p.o.Now())
	if !ok {
		return "", errs.New(errs.Internal, "there is no key for the algorithm %s in the set %s", alg, set)
	}
	return signWith(key, typ, claims)
}

func signWith(key jose.JSONWebKey, typ string, claims any) (string, error) {
	text, err := json.Marshal(claims)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "claims cannot be encoded")
	}
	o := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(key.Algorithm), Key: key}, o)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "the key %s cannot sign", key.KeyID)
	}
	signed, err := signer.Sign(text)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "the key %s cannot sign", key.KeyID)
	}
	return signed.CompactSerialize()
}

// verifyOwn checks the signature of a JWT that this server made, with every key that
// is still published, and returns its claims and the typ of its header. Whether it
// has expired is the caller's question.
//
// Invalid: it is none of ours.
func (p *Provider) verifyOwn(ctx context.Context, token string) (claims map[string]any, typ string, err error) {
	signed, err := jose.ParseSignedCompact(token, signingAlgs)
	if err != nil || len(signed.Signatures) != 1 {
		return nil, "", errs.Wrap(errs.Invalid, err, "the token is no JWT of an algorithm that is used here")
	}
	header := signed.Signatures[0].Header
	for _, fresh := range []bool{false, true} {
		known, err := p.keys.get(ctx, fresh)
		if err != nil {
			return nil, "", err
		}
		key, ok := known.find(header.KeyID)
		if !ok {
			continue
		}
		if key.Algorithm != header.Algorithm {
			break
		}
		text, err := signed.Verify(key)
		if err != nil {
			break
		}
		if err := json.Unmarshal(text, &claims); err != nil {
			break
		}
		typ, _ = header.ExtraHeaders[jose.HeaderType].(string)
		return claims, typ, nil
	}
	return nil, "", errs.New(errs.Invalid, "the token was not signed by this server")
}

// generateKey makes a key pair. An empty kid is chosen.
//
// Invalid: the algorithm is not known.
func generateKey(alg jose.SignatureAlgorithm, kid, use string) (jose.JSONWebKey, error) {
	var pair crypto.PrivateKey
	var err error
	switch alg {
	case jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, decryptRSA:
		pair, err = rsa.GenerateKey(rand.Reader, 2048)
	case jose.ES256, decryptEC:
		pair, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jose.ES384:
		pair, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jose.ES512:
		pair, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jose.EdDSA:
		_, pair, err = ed25519.GenerateKey(rand.Reader)
	default:
		return jose.JSONWebKey{}, errs.New(errs.Invalid, "alg: %q: expected RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA", alg)
	}
	if err != nil {
		return jose.JSONWebKey{}, errs.Wrap(errs.Internal, err, "a key cannot be made")
	}
	if kid == "" {
		kid = newID()
	}
	return jose.JSONWebKey{Key: pair, KeyID: kid, Algorithm: string(alg), Use: use}, nil
}

// keyRow encrypts a key for Store.
func (p *Provider) keyRow(set string, key jose.JSONWebKey, active time.Time) (Key, error) {
	text, err := key.MarshalJSON()
	if err != nil {
		return Key{}, errs.Wrap(errs.Invalid, err, "the key %q cannot be encoded", key.KeyID)
	}
	return Key{
		Set: set, ID: key.KeyID, Created: p.o.Now(), Active: active,
		Data: p.o.Secrets.Seal(sealKey, set+"/"+key.KeyID, text),
	}, nil
}

// openKey decrypts a key. NotFound: it is lost with its system secret.
func (p *Provider) openKey(row Key) (jose.JSONWebKey, error) {
	var key jose.JSONWebKey
	text, err := p.o.Secrets.Open(sealKey, row.Set+"/"+row.ID, row.Data)
	if err != nil {
		return key, errs.Wrap(errs.NotFound, err, "the key %s of the set %s cannot be read: is its system secret still among secrets.system?", row.ID, row.Set)
	}
	if err := key.UnmarshalJSON(text); err != nil {
		return key, errs.Wrap(errs.Internal, err, "the key %s of the set %s cannot be read", row.ID, row.Set)
	}
	if pair, ok := key.Key.(*rsa.PrivateKey); ok {
		pair.Precompute() // else each signature does
	}
	return key, nil
}
