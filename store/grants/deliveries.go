package grants

import (
	"context"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/script"
)

// AddDeliveries implements oauth.Store.
func (s *Store) AddDeliveries(ctx context.Context, ds ...oauth.Delivery) error {
	for _, d := range ds {
		if err := valid("delivery", d.ID); err != nil {
			return err
		}
	}
	if len(ds) == 0 {
		return nil
	}
	mark := newMark()
	return s.run.Write(ctx, "add deliveries", func(sc *script.Script) {
		for _, d := range ds {
			sc.Do(`INSERT INTO oauth_delivery (network, id, created, due, tries, taker, data) SELECT $1, $2, $3, $4, $5, $6, $7
				WHERE NOT EXISTS (SELECT 1 FROM oauth_delivery WHERE network = $1 AND id = $2 AND taker = $6)`,
				s.network, d.ID, micros(d.Created), micros(d.Due), int64(d.Tries), mark, blob(d.Data))
		}
	})
}

// takeDeliveries looks at due again for each row, since between two callers who choose
// the same ones it is what the first one has written that counts. The last condition
// is for scripts that are run again (G2).
const takeDeliveries = `UPDATE oauth_delivery SET due = $3, tries = tries + 1, taker = $4
	WHERE network = $1 AND due <= $2
	AND id IN (SELECT d.id FROM oauth_delivery AS d WHERE d.network + 0 = $1 AND d.due <= $2 ORDER BY d.due LIMIT $5)
	AND NOT EXISTS (SELECT 1 FROM oauth_delivery AS d WHERE d.network = $1 AND d.due = $3 AND d.taker = $4)`

// TakeDeliveries implements oauth.Store.
func (s *Store) TakeDeliveries(ctx context.Context, now, until time.Time, n int) (ds []oauth.Delivery, err error) {
	if micros(until) <= micros(now) {
		return nil, errs.New(errs.Invalid, "deliveries are taken until %v: expected a time after %v", until, now)
	}
	if n <= 0 {
		return nil, nil
	}
	mark := newMark()
	err = s.run.Write(ctx, "take deliveries", func(sc *script.Script) {
		ds = nil
		sc.Do(takeDeliveries, s.network, micros(now), micros(until), mark, int64(n))
		sc.Ask(func(scan script.Scan) error {
			var d oauth.Delivery
			var created, due, tries int64
			err := scan(&d.ID, &created, &due, &tries, &d.Data)
			d.Created, d.Due, d.Tries = clock(created), clock(due), int(tries)
			ds = append(ds, d)
			return err
		}, "SELECT id, created, due, tries, data FROM oauth_delivery WHERE network = $1 AND due = $2 AND taker = $3 ORDER BY created, id",
			s.network, micros(until), mark)
	})
	return ds, err
}

// EndDelivery implements oauth.Store.
func (s *Store) EndDelivery(ctx context.Context, id string, again time.Time) error {
	if !storable(id) {
		return nil
	}
	return s.run.Write(ctx, "end a delivery", func(sc *script.Script) {
		if again.IsZero() {
			sc.Do("DELETE FROM oauth_delivery WHERE network = $1 AND id = $2", s.network, id)
			return
		}
		sc.Do("UPDATE oauth_delivery SET due = $3 WHERE network = $1 AND id = $2", s.network, id, micros(again))
	})
}
