package identity

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/limit"
	"github.com/cardea-iam/cardea/internal/secret"
)

// A Service is the identities of one network.
type Service struct {
	store      Store
	keys       *secret.Keyring
	options    Options
	schemas    []*Schema
	strategies []Strategy // in the order of their nodes
	hooks      map[Kind][]Hook
	hasher     *hasher
	integrity  string         // of the script for WebAuthn
	posted     chan struct{}  // a message was queued here
	left       chan struct{}  // there are notes of sessions that have ended
	clients    *limit.Limiter // of messages
}

// New returns a service that keeps what it knows in store, and seals with keys.
//
// Invalid: the options have mistakes; the message has a line for each.
func New(store Store, keys *secret.Keyring, o Options) (*Service, error) {
	if err := o.Validate(); err != nil {
		return nil, errs.New(errs.Invalid, "identity: %v", err)
	}
	o.defaults()
	s := &Service{store: store, keys: keys, options: o, schemas: o.Schemas, hooks: map[Kind][]Hook{}, posted: make(chan struct{}, 1), left: make(chan struct{}, 1)}
	if o.SessionsEnded != nil {
		s.store = &noting{store, s.now, s.sessionsEnded}
	}
	if len(s.schemas) == 0 {
		schema, err := NewSchema("default", []byte(DefaultSchema))
		if err != nil {
			return nil, err
		}
		s.schemas = []*Schema{schema}
	}
	for n, schema := range s.schemas {
		if s.schema(schema.ID) != s.schemas[n] {
			return nil, errs.New(errs.Invalid, "identity.schemas: there are two with the id %.80q", schema.ID)
		}
	}
	if s.schema(o.DefaultSchema) == nil {
		return nil, errs.New(errs.Invalid, "identity: there is no schema %q, which is the default", o.DefaultSchema)
	}
	s.hasher = newHasher(o.Hashing)
	if s.options.flow(Login).NeedsVerified {
		s.hooks[Login] = append(s.hooks[Login], s.needsVerified)
	}
	s.clients = limit.New(o.Courier.PerClient, time.Hour/time.Duration(o.Courier.PerClient), maxClients, o.Now)
	if s.options.flow(Login).IdentifierFirst {
		s.add(&identifierFirst{s})
	}
	s.add(&passwordStrategy{s: s}, &profileStrategy{s: s}, &codeStrategy{s: s}, &linkStrategy{s: s})
	if err := s.addKeys(); err != nil {
		return nil, err
	}
	s.add(&totpStrategy{s: s}, &lookupStrategy{s: s})
	s.addOIDC()
	return s, nil
}

// offers reports whether flows of a kind can be opened.
func (s *Service) offers(k Kind) bool {
	if ends(k) == nil || s.options.flow(k).Disabled {
		return false
	}
	return s.mails() || k != Recovery && k != Verification
}

// add adds strategies, unless they are off.
func (s *Service) add(all ...Strategy) {
	for _, one := range all {
		if !s.options.Disabled[CredentialType(one.Method())] {
			s.strategies = append(s.strategies, one)
		}
	}
}

// schema returns the schema with an id, nil if there is none. "" is the default.
func (s *Service) schema(id string) *Schema {
	if id == "" {
		id = s.options.DefaultSchema
	}
	for _, schema := range s.schemas {
		if schema.ID == id {
			return schema
		}
	}
	return nil
}

// purpose keeps the keys of networks apart.
func (s *Service) purpose(what string) string { return "identity " + what + " " + s.options.Network }

// now is the time as it is stored.
func (s *Service) now() time.Time { return s.options.Now().UTC().Truncate(time.Microsecond) }

// attempts is how often a change of an identity starts again when others are in the
// way.
const attempts = 5

// change reads an identity, lets do change it, and saves it with what do returns, in
// one transaction. It starts again if somebody else changed it meanwhile.
func (s *Service) change(ctx context.Context, id string, do func(*Identity) ([]Op, error)) (*Identity, error) {
	for try := 1; ; try++ {
		i, err := s.store.Identity(ctx, id, true)
		if err != nil {
			return nil, err
		}
		before := i.clone()
		ops, err := do(i)
		if err != nil {
			return nil, err
		}
		s.settle(i, before, s.now())
		err = s.store.Write(ctx, append([]Op{SaveIdentity{i}}, ops...)...)
		if err == nil {
			i.Version++
			return i, nil
		}
		if try == attempts || errs.KindOf(err) != errs.Conflict || isTaken(err) {
			return nil, err
		}
	}
}

// settle brings what follows from traits and credentials up to date: identifiers,
// addresses, and the level that can be reached. before is nil for a new identity.
func (s *Service) settle(i, before *Identity, now time.Time) {
	if schema := s.schema(i.SchemaID); schema != nil {
		u := schema.read(i.Traits)
		i.Verifiable = merge(u.verifiable, i.Verifiable, VerifiableAddress.reach, func(a *VerifiableAddress) {
			a.ID, a.Status, a.CreatedAt, a.UpdatedAt = NewID(), "pending", now, now
		})
		i.Recovery = merge(u.recovery, i.Recovery, RecoveryAddress.reach, func(a *RecoveryAddress) {
			a.ID, a.CreatedAt, a.UpdatedAt = NewID(), now, now
		})
		if ids := u.identifiers[CodeAuth]; len(ids) > 0 && s.options.Code.Passwordless && i.Credentials != nil {
			if old, ok := i.Credentials[CodeAuth]; !ok || !slices.Equal(old.Identifiers, ids) {
				i.SetCredential(codeCredential(ids), now)
			}
		}
		for t, c := range i.Credentials {
			if ids, ok := u.identifiers[t]; ok {
				c.Identifiers = ids
				i.Credentials[t] = c
			}
		}
	}
	if i.Credentials != nil {
		i.AvailableAAL = s.available(i)
	}
	if before == nil || before.State != i.State {
		i.StateChangedAt = now
	}
	i.UpdatedAt = now
}

// seconds reports whether an identity can give a second factor beside the first one of a
// session, or of any that it may have if that is nil.
func (s *Service) seconds(i *Identity, x *Session) bool {
	return slices.ContainsFunc(s.strategies, func(one Strategy) bool {
		second, ok := one.(SecondFactor)
		return ok && second.Second(i, x)
	})
}

// available returns what an identity can reach.
func (s *Service) available(i *Identity) AAL {
	if s.seconds(i, nil) {
		return AAL2
	}
	if len(i.Credentials) == 0 {
		return AAL0
	}
	return AAL1
}

// eventID sorts by time.
func eventID(at time.Time) string {
	return fmt.Sprintf("%014x", at.UnixMicro()) + strings.ToLower(rand.Text()[:13])
}

// peer is the address of the connection.
func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Purge forgets flows, codes, sessions and counters that have ended, and returns how
// many rows went.
func (s *Service) Purge(ctx context.Context) (int64, error) { return s.store.Purge(ctx, s.now()) }

// newIdentity returns an active identity that is not stored.
func newIdentity(schema string, traits json.RawMessage, now time.Time) *Identity {
	return &Identity{ID: NewID(), SchemaID: schema, State: Active, Traits: traits, Credentials: map[CredentialType]Credential{},
		CreatedAt: now, UpdatedAt: now, StateChangedAt: now}
}
