package pg

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// purgeRows is how many rows one transaction of Purge deletes. keptPurges is how
// many of the transactions whose removals are purged are known one by one. Of older
// ones only the newest is known, and a revision must show all before it: one that
// was taken while a very long transaction ran is then given up with that one,
// though it may lack nothing.
const (
	purgeRows  = 1000
	keptPurges = 100_000
)

// trimOldest gives up on the transactions before the newest ones.
const trimOldest = `UPDATE network SET oldest = (SELECT removed FROM purged WHERE network = $1 ORDER BY removed DESC LIMIT 1 OFFSET $2)
	WHERE id = $1 AND EXISTS (SELECT 1 FROM purged WHERE network = $1 ORDER BY removed DESC LIMIT 1 OFFSET $2)`

// Purge forgets, in all networks, tuples that were removed before t, the
// revisions that only they tell apart, and the keys of writes from before t. It
// returns how many tuples went. What a transaction may look at that is open stays
// until the next time, and if another node purges, there is nothing to do.
//
// For each batch it writes down whose removals are in it, which expires the
// revisions that do not show them all, and then deletes it. If ctx ends on the way, the rest goes the next
// time.
func (db *DB) Purge(ctx context.Context, t time.Time) (int64, error) {
	var total int64
	err := db.server.alone(ctx, db, lockName(0, purgeSlot), func(ctx context.Context) error {
		networks, err := db.allNetworks(ctx)
		if err != nil {
			return err
		}
		for _, network := range networks {
			n, err := db.purgeNetwork(ctx, network, t)
			total += n
			if err != nil {
				return err
			}
		}
		return db.purgeRequests(ctx, t)
	})
	return total, err
}

// allNetworks are the numbers of the networks, also of those that only other nodes use.
func (db *DB) allNetworks(ctx context.Context) (ids []int64, err error) {
	err = db.read(ctx, "read the networks", func(b *pgx.Batch) {
		ids = nil
		b.Queue("SELECT id FROM network ORDER BY id").Query(func(rows pgx.Rows) (err error) {
			ids, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			return err
		})
	})
	return ids, err
}

// purgeNetwork goes through what was removed, the oldest first, until something
// has to stay.
func (db *DB) purgeNetwork(ctx context.Context, network int64, t time.Time) (int64, error) {
	for total := int64(0); ; {
		horizon, more, err := db.horizon(ctx, network, t)
		if err != nil {
			return total, err
		}
		if horizon == "" {
			return total, db.trimPurges(ctx, network)
		}
		n, err := db.forget(ctx, network, horizon)
		total += n
		if err != nil {
			return total, err
		}
		if !more {
			return total, db.trimPurges(ctx, network)
		}
	}
}

// horizon returns the newest transaction of the next batch, "" if there is none, as
// text, and whether there may be a batch behind it.
func (db *DB) horizon(ctx context.Context, network int64, t time.Time) (horizon string, more bool, err error) {
	err = db.read(ctx, "look for removed tuples", func(b *pgx.Batch) {
		horizon, more = "", false
		b.Queue(db.sql.horizon, network, t, purgeRows).Query(func(rows pgx.Rows) error {
			n := 0
			for old := true; rows.Next(); n++ {
				var removed string
				var before bool
				if err := rows.Scan(&removed, &before); err != nil {
					return err
				}
				if old = old && before; old {
					horizon, more = removed, n+1 == purgeRows
				}
			}
			return rows.Err()
		})
	})
	return horizon, more, err
}

// forget deletes what was removed up to the horizon. Readers learn of it before the
// first row goes.
func (db *DB) forget(ctx context.Context, network int64, horizon string) (int64, error) {
	err := db.read(ctx, "declare revisions expired", func(b *pgx.Batch) {
		b.Queue(db.sql.declare, network, horizon).Exec(ignored)
	})
	if err != nil {
		return 0, err
	}
	return db.drain(ctx, "delete removed tuples", db.sql.forget, network, horizon, purgeRows)
}

// trimPurges keeps the table purged short.
func (db *DB) trimPurges(ctx context.Context, network int64) error {
	err := db.read(ctx, "move the start of the history", func(b *pgx.Batch) {
		b.Queue(trimOldest, network, keptPurges).Exec(ignored)
	})
	if err != nil {
		return err
	}
	_, err = db.drain(ctx, "trim the start of the history", db.sql.trim, network, purgeRows)
	return err
}

// purgeRequests forgets the keys of old writes.
func (db *DB) purgeRequests(ctx context.Context, t time.Time) error {
	_, err := db.drain(ctx, "delete old keys", db.sql.requests, t, purgeRows)
	return err
}

// drain repeats a deletion, whose last argument is the number of rows, until it
// finds fewer. It returns how many rows went. A repetition after a broken
// connection finds the rest, so that only the count may be too low.
func (db *DB) drain(ctx context.Context, doing, text string, args ...any) (int64, error) {
	for total := int64(0); ; {
		var n int64
		err := db.read(ctx, doing, func(b *pgx.Batch) {
			b.Queue(text, args...).Exec(func(tag pgconn.CommandTag) error {
				n = tag.RowsAffected()
				return nil
			})
		})
		if err != nil {
			return total, err
		}
		if total += n; n < purgeRows {
			return total, nil
		}
	}
}
