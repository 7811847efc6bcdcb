package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"time"
)

// A Session says that somebody has logged in.
type Session struct {
	ID              string
	Version         int64  // grows with each change; 0: not stored yet
	TokenHash       []byte // of the token that the client has
	Identity        string
	Active          bool
	AAL             AAL
	Methods         []Method
	AuthenticatedAt time.Time
	IssuedAt        time.Time
	ExpiresAt       time.Time
	Devices         []Device
}

// A Method is a proof that was given.
type Method struct {
	Method       string    `json:"method"`
	AAL          AAL       `json:"aal"`
	CompletedAt  time.Time `json:"completed_at"`
	Provider     string    `json:"provider,omitempty"`
	Organization string    `json:"organization,omitempty"`
}

// A Device is what a session was used from.
type Device struct {
	ID        string `json:"id"`
	Address   string `json:"ip_address"`
	UserAgent string `json:"user_agent"`
	Location  string `json:"location"`
}

const tokenPrefix = "ory_st_"

// newToken returns a token for a session, of 260 bits, and its hash.
func newToken() (token string, hash []byte) {
	token = tokenPrefix + rand.Text() + rand.Text()
	return token, hashToken(token)
}

// hashToken needs neither salt nor key, since tokens are random.
func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// valid reports whether the session counts at now.
func (s *Session) valid(now time.Time) bool { return s.Active && now.Before(s.ExpiresAt) }

// prove adds a proof, and replaces an older one of the same method.
func (s *Session) prove(m Method) {
	s.Methods = slices.DeleteFunc(slices.Clone(s.Methods), func(old Method) bool {
		return old.Method == m.Method && old.AAL == m.AAL
	})
	s.Methods = append(s.Methods, m)
	s.AuthenticatedAt = m.CompletedAt
	s.AAL = level(s.Methods)
}

// level returns what the proofs amount to: a second factor counts only beside a
// first one.
func level(methods []Method) AAL {
	has := func(a AAL) bool { return slices.ContainsFunc(methods, func(m Method) bool { return m.AAL == a }) }
	switch {
	case has(AAL1) && has(AAL2):
		return AAL2
	case has(AAL1):
		return AAL1
	default:
		return AAL0
	}
}
