package oauth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"sync"
	"time"
)

// Prefixes of what is handed out, those of Hydra.
const (
	accessPrefix   = "ory_at_"
	refreshPrefix  = "ory_rt_"
	codePrefix     = "ory_ac_"
	devicePrefix   = "ory_dc_"
	registerPrefix = "ory_rg_"
)

// newToken returns a secret of 256 bits, and what is stored of it (rule O4).
func newToken(prefix string) (string, Hash) {
	var b [32]byte
	rand.Read(b[:])
	token := prefix + base64.RawURLEncoding.EncodeToString(b[:])
	return token, hashOf(token)
}

func hashOf(token string) Hash { return sha256.Sum256([]byte(token)) }

// newID returns a random identifier of 128 bits or a little more.
func newID() string { return rand.Text() }

// A storedSecret is a client's secret. One that was made here has 256 bits, so that a
// fast hash protects it; one that somebody chose does not.
type storedSecret struct {
	Hash    []byte    `json:"hash"`
	Salt    []byte    `json:"salt,omitempty"`   // of argon2id; none: SHA-256
	Sealed  []byte    `json:"sealed,omitempty"` // the secret itself, where the client signs with it
	Created time.Time `json:"created"`
}

const sealSecret = "oauth client secret"

// newSecret returns what is stored of a secret of c: of the one that somebody chose, or
// if there is none, of one that it makes and returns. A secret that signs
// (client_secret_jwt) is needed again, so it is encrypted, too.
func (p *Provider) newSecret(c *Client, chosen string) (string, storedSecret) {
	s := storedSecret{Created: p.o.Now()}
	secret := chosen
	if chosen == "" {
		var hash Hash
		secret, hash = newToken("")
		if c.authMethod() == authSecretJWT { // HS512 takes keys of 64 bytes
			more, _ := newToken("")
			secret += more
			hash = hashOf(secret)
		}
		s.Hash = hash[:]
	} else {
		s.Salt = make([]byte, 16)
		rand.Read(s.Salt)
		s.Hash = slowHash(chosen, s.Salt)
	}
	if c.authMethod() == authSecretJWT {
		s.Sealed = p.o.Secrets.Seal(sealSecret, c.ID, []byte(secret))
	}
	return secret, s
}

// matches reports whether a secret is the one that s is of.
func (p *Provider) matches(s storedSecret, given string) bool {
	if s.Salt != nil {
		return p.proven.matches(s, given)
	}
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], s.Hash) == 1
}

// maxProven bounds how many secrets are known to be right.
const maxProven = 4096

// provenSecrets remembers which secrets were right, so that a slow hash is computed
// once and not for every request. It keeps no secret, but a hash under a key of this
// process, which together with the stored hash names one secret.
type provenSecrets struct {
	key [32]byte

	mu    sync.Mutex
	known map[Hash]struct{}
}

func newProvenSecrets() *provenSecrets {
	k := &provenSecrets{known: map[Hash]struct{}{}}
	rand.Read(k.key[:])
	return k
}

// name is that of a secret, if it is the one that s is of.
func (k *provenSecrets) name(s storedSecret, given string) Hash {
	h := hmac.New(sha256.New, k.key[:])
	h.Write(s.Salt)
	h.Write(s.Hash)
	h.Write([]byte(given))
	return Hash(h.Sum(nil))
}

func (k *provenSecrets) matches(s storedSecret, given string) bool {
	name := k.name(s, given)
	if k.has(name) {
		return true
	}
	if subtle.ConstantTimeCompare(slowHash(given, s.Salt), s.Hash) != 1 {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.known) >= maxProven {
		for old := range k.known { // any
			delete(k.known, old)
			break
		}
	}
	k.known[name] = struct{}{}
	return true
}

func (k *provenSecrets) has(name Hash) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.known[name]
	return ok
}
