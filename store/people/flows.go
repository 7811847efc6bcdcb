package people

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/script"
)

// Flow implements identity.Flows.
func (s *Store) Flow(ctx context.Context, id string) (*identity.StoredFlow, error) {
	var found *identity.StoredFlow
	err := s.run.Read(ctx, "read a flow", func(sc *script.Script) {
		found = nil
		sc.Ask(func(scan script.Scan) error {
			f := &identity.StoredFlow{ID: id}
			var expires int64
			if err := scan(&f.Version, &expires, &f.Data); err != nil {
				return err
			}
			f.ExpiresAt, found = clock(expires), f
			return nil
		}, "SELECT version, expires, data FROM identity_flow WHERE network = $1 AND id = $2", s.run.Network(), id)
	})
	if err == nil && found == nil {
		err = errs.New(errs.NotFound, "there is no such flow")
	}
	return found, err
}

// Code implements identity.Flows.
func (s *Store) Code(ctx context.Context, flow, purpose string, hashes [][]byte) (*identity.Code, error) {
	var found *identity.Code
	err := s.run.Read(ctx, "read a code", func(sc *script.Script) {
		found = nil
		for _, hash := range hashes {
			sc.Ask(func(scan script.Scan) error {
				c := &identity.Code{Flow: flow, Purpose: purpose, Hash: hash}
				var issued, expires, used int64
				if err := scan(&c.ID, &c.Identity, &c.Via, &c.Address, &issued, &expires, &used); err != nil {
					return err
				}
				c.IssuedAt, c.ExpiresAt, c.UsedAt, found = clock(issued), clock(expires), clock(used), c
				return nil
			}, `SELECT id, identity, via, address, issued, expires, used FROM identity_code
				WHERE network = $1 AND flow = $2 AND purpose = $3 AND hash = $4 ORDER BY used DESC`, s.run.Network(), flow, purpose, hash)
		}
	})
	if err == nil && found == nil {
		err = errs.New(errs.NotFound, "there is no such code")
	}
	return found, err
}

// hashed keeps the counters' keys short, and addresses out of the table.
func hashed(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// Attempt implements identity.Limiter. The row is locked by the statement that counts,
// so attempts at the same time come one after the other, though now may be a little earlier
// for one that comes later: that is refused if there is something to wait for. No parameter is cast: within ON CONFLICT,
// CockroachDB would take one that is for a text.
func (s *Store) Attempt(ctx context.Context, key string, l identity.Limit, now time.Time) (allowed bool, next time.Time, err error) {
	first := int64(0)
	if l.Free <= 1 {
		first = l.Delay.Microseconds()
	}
	n, id, at := s.run.Network(), hashed(key), micros(now)
	err = s.run.Write(ctx, "count an attempt", func(sc *script.Script) {
		allowed, next = false, time.Time{}
		sc.Ask(func(scan script.Scan) error {
			var count int64
			allowed = true
			return scan(&count)
		}, `INSERT INTO identity_attempt (network, key, tries, at, wait, until) VALUES ($1, $2, 1, $3, $4, $9)
			ON CONFLICT (network, key) DO UPDATE SET at = CASE WHEN identity_attempt.at > $3 THEN identity_attempt.at ELSE $3 END, until = $9,
				tries = CASE WHEN identity_attempt.at < $8 THEN 1 ELSE identity_attempt.tries + 1 END,
				wait = CASE
					WHEN identity_attempt.at < $8 THEN $4
					WHEN identity_attempt.tries + 1 < $5 THEN 0
					WHEN identity_attempt.tries + 1 = $5 THEN $6
					WHEN identity_attempt.wait * 2 > $7 THEN $7
					WHEN identity_attempt.wait = 0 THEN $6
					ELSE identity_attempt.wait * 2 END
			WHERE identity_attempt.wait = 0 OR identity_attempt.at + identity_attempt.wait <= $3 OR identity_attempt.at < $8
			RETURNING identity_attempt.tries`,
			n, id, at, first, int64(l.Free), l.Delay.Microseconds(), l.MaxDelay.Microseconds(),
			micros(now.Add(-l.Forget)), micros(now.Add(l.Forget)))
		sc.Ask(func(scan script.Scan) error {
			var until int64
			err := scan(&until)
			next = clock(until)
			return err
		}, "SELECT at + wait FROM identity_attempt WHERE network = $1 AND key = $2", n, id)
	})
	return allowed, next, err
}
