package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
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
	Salt    []byte    `json:"salt,omitempty"` // of argon2id; none: SHA-256
	Created time.Time `json:"created"`
}

func (s storedSecret) matches(given string) bool {
	if s.Salt != nil {
		return subtle.ConstantTimeCompare(slowHash(given, s.Salt), s.Hash) == 1
	}
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], s.Hash) == 1
}

// madeSecret returns a new secret and what is stored of it.
func madeSecret(now time.Time) (string, storedSecret) {
	secret, hash := newToken("")
	return secret, storedSecret{Hash: hash[:], Created: now}
}

// chosenSecret returns what is stored of a secret that somebody chose.
func chosenSecret(secret string, now time.Time) storedSecret {
	salt := make([]byte, 16)
	rand.Read(salt)
	return storedSecret{Hash: slowHash(secret, salt), Salt: salt, Created: now}
}
