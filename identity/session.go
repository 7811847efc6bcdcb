package identity

import (
	"context"
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
	SeenAt          time.Time // when it was used, as often as that is noted; kept only forwards
	Devices         []Device
}

// A Method is a proof that was given.
type Method struct {
	Method       string    `json:"method"`
	AAL          AAL       `json:"aal"`
	CompletedAt  time.Time `json:"completed_at"`
	Provider     string    `json:"provider,omitempty"`
	Organization string    `json:"organization,omitempty"`
	UpstreamACR  string    `json:"upstream_acr,omitempty"` // of the provider's ID token
	UpstreamAMR  []string  `json:"upstream_amr,omitempty"`

	// Mailbox is where a code or link went that was the proof, as of reach. It is stored, and
	// not shown: a code to the same place is no second factor beside it.
	Mailbox string `json:"mailbox,omitempty"`
}

// A Device is what a session was used from.
type Device struct {
	ID        string `json:"id"`
	Address   string `json:"ip_address"`
	UserAgent string `json:"user_agent"`
	Location  string `json:"location"`
}

// rests reports whether all that is known of who has the session is that they read what
// is sent to a mailbox.
func (s *Session) rests(mailbox string) bool {
	found := false
	for _, m := range s.Methods {
		if m.AAL == AAL1 && m.Mailbox != mailbox {
			return false
		}
		found = found || m.AAL == AAL1
	}
	return found
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

// ends is when a session ends by itself if it is not used again.
func (s *Service) ends(x *Session) time.Time {
	if idle := x.SeenAt.Add(s.options.SessionIdle); idle.Before(x.ExpiresAt) {
		return idle
	}
	return x.ExpiresAt
}

// counts reports whether a session does at now.
func (s *Service) counts(x *Session, now time.Time) bool { return x.Active && now.Before(s.ends(x)) }

// active selects the sessions that count, of an identity unless it is "".
func (s *Service) active(of string, now time.Time) SessionQuery {
	yes := true
	return SessionQuery{Identity: of, Active: &yes, Now: now, Idle: s.options.SessionIdle}
}

// seenParts is how many parts of the idle lifespan a session may be used in without a
// write.
const seenParts = 10

// touch notes that a session is used, if that was not noted for a while: most uses
// write nothing. It fails no request: the next one notes it.
func (s *Service) touch(ctx context.Context, x *Session, now time.Time) {
	coarse := s.options.SessionIdle / seenParts
	if now.Sub(x.SeenAt) < coarse || !x.SeenAt.Add(s.options.SessionIdle).Before(x.ExpiresAt) {
		return
	}
	x.SeenAt = now
	if err := s.store.Write(ctx, TouchSession{ID: x.ID, SeenAt: now, Before: now.Add(-coarse)}); err != nil && ctx.Err() == nil {
		s.options.Log.WarnContext(ctx, "that a session is used was not noted", "session", x.ID, "err", err)
	}
}

// prolong lets a session of an identity last as long as a new one.
func (s *Service) prolong(x *Session, i *Identity, now time.Time) {
	if until := now.Add(s.lifespan(i)); until.After(x.ExpiresAt) {
		x.ExpiresAt = until
	}
}

// prove adds a proof, and replaces an older one of the same method.
func (s *Session) prove(m Method) {
	s.Methods = slices.DeleteFunc(slices.Clone(s.Methods), func(old Method) bool {
		return old.Method == m.Method && old.AAL == m.AAL
	})
	s.Methods = append(s.Methods, m)
	s.AuthenticatedAt = m.CompletedAt
	s.AAL = level(s.Methods)
}

// maxDevices bounds those that a session is known to be used from.
const maxDevices = 10

// usedFrom notes where somebody has given a proof from.
func (s *Session) usedFrom(address, agent string) {
	if n := len(s.Devices); n > 0 && s.Devices[n-1].Address == address && s.Devices[n-1].UserAgent == agent {
		return
	}
	devices := append(slices.Clone(s.Devices), Device{ID: NewID(), Address: address, UserAgent: agent})
	s.Devices = devices[max(len(devices)-maxDevices, 0):]
}

// level returns what the proofs amount to: a second factor counts only beside a
// first one. Another provider may have seen both.
func level(methods []Method) AAL {
	has := func(a AAL) bool { return slices.ContainsFunc(methods, func(m Method) bool { return m.AAL == a }) }
	switch {
	case has(AAL1) && has(AAL2), slices.ContainsFunc(methods, func(m Method) bool { return m.Method == string(OIDC) && m.AAL == AAL2 }):
		return AAL2
	case has(AAL1):
		return AAL1
	default:
		return AAL0
	}
}
