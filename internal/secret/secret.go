// Package secret encrypts and authenticates what Cardea stores or hands out, with
// keys that are derived from the operator's system secrets.
//
// Rules: the first secret encrypts and signs, all of them decrypt and verify, so
// that a new one can be put in front without losing anything. Each purpose has keys
// of its own (HKDF, RFC 5869), and what is encrypted is bound to the place it is
// for, so that a text cannot be moved to another one.
package secret

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/cardea-iam/cardea/internal/errs"
)

// MinLength is the shortest system secret, in bytes.
const MinLength = 16

// idSize is how many bytes at the front of a sealed text name its secret.
const idSize = 4

// A Keyring holds the system secrets. It may be used from many goroutines at once.
type Keyring struct {
	secrets []string
	realm   string

	mu   sync.Mutex
	keys map[string][]key // by purpose, in the order of secrets
}

// A key is what one secret gives for one purpose.
type key struct {
	id   [idSize]byte
	aead cipher.AEAD
	mac  []byte
}

// New returns a keyring of secrets, the newest first.
//
// Invalid: there are none, or one is shorter than MinLength.
func New(secrets ...string) (*Keyring, error) {
	if len(secrets) == 0 {
		return nil, errs.New(errs.Invalid, "there are no system secrets: expected at least one")
	}
	for i, s := range secrets {
		if len(s) < MinLength {
			return nil, errs.New(errs.Invalid, "system secret %d has %d bytes: expected at least %d", i, len(s), MinLength)
		}
	}
	return &Keyring{secrets: secrets, keys: map[string][]key{}}, nil
}

// In returns a keyring of the same secrets whose keys are others: what is sealed in one
// realm is nothing in another, nor outside of all.
func (k *Keyring) In(realm string) *Keyring {
	return &Keyring{secrets: k.secrets, realm: k.realm + realm + "\x00", keys: map[string][]key{}}
}

// Random returns a new system secret.
func Random() string { return rand.Text() + rand.Text() }

// Seal encrypts text (XChaCha20-Poly1305) for a purpose and a place: only Open
// with the same two gives it back. It is 44 bytes longer.
func (k *Keyring) Seal(purpose, place string, text []byte) []byte {
	first := k.of(purpose)[0]
	size := idSize + chacha20poly1305.NonceSizeX
	sealed := make([]byte, size, size+len(text)+chacha20poly1305.Overhead)
	copy(sealed, first.id[:])
	nonce := sealed[idSize:]
	rand.Read(nonce)
	return first.aead.Seal(sealed, nonce, text, []byte(place))
}

// Open decrypts what Seal returned.
//
// Invalid: it was not sealed for this purpose and place with one of the secrets.
func (k *Keyring) Open(purpose, place string, sealed []byte) ([]byte, error) {
	size := idSize + chacha20poly1305.NonceSizeX
	if len(sealed) >= size {
		for _, key := range k.of(purpose) {
			if string(key.id[:]) != string(sealed[:idSize]) {
				continue
			}
			if text, err := key.aead.Open(nil, sealed[idSize:size], sealed[size:], []byte(place)); err == nil {
				return text, nil
			}
		}
	}
	return nil, errs.New(errs.Invalid, "the text was not encrypted here, or was changed, or its secret is no longer known")
}

// Newest reports whether a text was sealed with the newest secret.
func (k *Keyring) Newest(purpose string, sealed []byte) bool {
	id := k.of(purpose)[0].id
	return bytes.HasPrefix(sealed, id[:])
}

// MAC returns the HMAC-SHA256 of text under the newest secret.
func (k *Keyring) MAC(purpose string, text []byte) []byte { return sum(k.of(purpose)[0].mac, text) }

// MACs returns the HMAC-SHA256 of text under each secret, the newest first.
func (k *Keyring) MACs(purpose string, text []byte) [][]byte {
	var all [][]byte
	for _, key := range k.of(purpose) {
		all = append(all, sum(key.mac, text))
	}
	return all
}

// Verify reports whether mac is MAC of text under any secret, in a time that does
// not depend on mac.
func (k *Keyring) Verify(purpose string, text, mac []byte) bool {
	found := 0
	for _, key := range k.of(purpose) {
		found |= subtle.ConstantTimeCompare(sum(key.mac, text), mac)
	}
	return found == 1
}

func sum(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

func (k *Keyring) of(purpose string) []key {
	k.mu.Lock()
	defer k.mu.Unlock()
	keys, ok := k.keys[purpose]
	if !ok {
		for _, s := range k.secrets {
			keys = append(keys, derive(s, k.realm+purpose))
		}
		k.keys[purpose] = keys
	}
	return keys
}

// derive fails only if it is asked for too much, which these lengths are not.
func derive(secret, purpose string) key {
	const half = chacha20poly1305.KeySize
	material, err := hkdf.Key(sha256.New, []byte(secret), nil, "cardea "+purpose, 2*half+idSize)
	if err != nil {
		panic(err)
	}
	aead, err := chacha20poly1305.NewX(material[:half])
	if err != nil {
		panic(err)
	}
	return key{id: [idSize]byte(material[2*half:]), aead: aead, mac: material[half : 2*half]}
}
