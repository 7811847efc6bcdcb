package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"
)

// purgeRows is how many rows one transaction of Purge deletes: a few
// milliseconds of the writer's time.
const purgeRows = 1000

// What Purge asks for and deletes. The first condition on removed names the
// partial index.
var (
	newestRemoval = `SELECT coalesce(max(removed), 0) FROM tuple
		WHERE network = ? AND removed < 9223372036854775807 AND removed <= ?`
	deleteRemoved = `DELETE FROM tuple WHERE (network, ` + list + `, removed) IN (
		SELECT network, ` + list + `, removed FROM tuple
		WHERE network = ? AND removed < 9223372036854775807 AND removed <= ? ORDER BY removed LIMIT ?)`
	deleteKeys = `DELETE FROM request WHERE (network, key) IN (
		SELECT network, key FROM request WHERE at < ? ORDER BY at LIMIT ?)`
	deleteDates = `DELETE FROM revision WHERE revision IN (
		SELECT revision FROM revision WHERE revision < ? ORDER BY revision LIMIT ?)`
)

// Purge forgets, in all networks, tuples that were removed before t, the
// revisions that only they tell apart, and the keys of writes from before t. It
// returns how many tuples went.
//
// It declares a network's revisions before the newest removal that goes as
// expired, and then deletes rows in small transactions, so that other writes
// come in between. If ctx ends on the way, the rest goes the next time.
func (db *DB) Purge(ctx context.Context, t time.Time) (int64, error) {
	made, err := db.madeBefore(ctx, t)
	if err != nil {
		return 0, err
	}
	db.mu.Lock()
	networks := slices.Collect(maps.Values(db.networks))
	db.mu.Unlock()
	var total int64
	for _, s := range networks {
		n, err := s.purge(ctx, made)
		total += n
		if err != nil {
			return total, err
		}
	}
	if _, err := db.drain(ctx, "delete old keys", deleteKeys, t.UnixMicro()); err != nil {
		return total, err
	}
	// Only now that all tuples removed before it are gone: a revision without a
	// date counts as old.
	_, err = db.drain(ctx, "delete the dates of revisions", deleteDates, made)
	return total, err
}

// purge forgets what the network removed up to the revision made.
func (s *Store) purge(ctx context.Context, made int64) (int64, error) {
	var horizon int64
	err := s.db.reads.QueryRowContext(ctx, newestRemoval, s.network, made).Scan(&horizon)
	if err != nil {
		return 0, classify(err, "look for removed tuples")
	}
	if horizon == 0 {
		return 0, nil
	}
	if err := s.expire(ctx, horizon); err != nil {
		return 0, err
	}
	return s.db.drain(ctx, "delete removed tuples", deleteRemoved, s.network, horizon)
}

// madeBefore returns the newest revision made before t, or 0.
func (db *DB) madeBefore(ctx context.Context, t time.Time) (int64, error) {
	low, high := int64(0), db.head.Load() // the answer is low, or above it up to high
	for low < high {
		middle := low + (high-low+1)/2
		var at int64
		err := db.reads.QueryRowContext(ctx, "SELECT at FROM revision WHERE revision = ?", middle).Scan(&at)
		if err != nil && !errors.Is(err, sql.ErrNoRows) { // none: purged before
			return 0, classify(err, "read the date of revision %d", middle)
		}
		if at < t.UnixMicro() {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low, nil
}

// expire makes horizon the oldest readable revision of the network. Readers
// learn of it before the first row goes.
func (s *Store) expire(ctx context.Context, horizon int64) error {
	if horizon <= s.oldest.Load() {
		return nil
	}
	err := s.db.submit(ctx, 1, func(t *transaction) error {
		n, err := affected(t.tx.ExecContext(t.ctx, "UPDATE network SET oldest = ? WHERE id = ? AND oldest < ?", horizon, s.network, horizon))
		if err != nil {
			return classify(err, "move the start of the history")
		}
		t.quiet += n
		return nil
	})
	if err != nil {
		return err
	}
	for old := s.oldest.Load(); old < horizon && !s.oldest.CompareAndSwap(old, horizon); {
		old = s.oldest.Load()
	}
	return nil
}

// drain repeats a deletion, whose last argument is the number of rows, until
// it finds fewer. It returns how many rows went.
func (db *DB) drain(ctx context.Context, doing, text string, args ...any) (int64, error) {
	args = append(args, purgeRows)
	for total := int64(0); ; {
		var n int64
		err := db.submit(ctx, purgeRows, func(t *transaction) error {
			var err error
			if n, err = affected(t.tx.ExecContext(t.ctx, text, args...)); err != nil {
				return classify(err, "%s", doing)
			}
			t.quiet += n
			return nil
		})
		if err != nil {
			return total, err
		}
		if total += n; n < purgeRows {
			return total, nil
		}
	}
}
