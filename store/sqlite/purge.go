package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// purgeRows is how many rows one transaction of Purge deletes: a few
// milliseconds of the writer's time.
const purgeRows = 1000

// Purge implements engine.Store. It declares the revisions before the newest
// removal that goes as expired, and then deletes rows in small transactions,
// so that other writes come in between. If ctx ends on the way, the rest goes
// the next time.
func (s *Store) Purge(ctx context.Context, t time.Time) (int64, error) {
	horizon, err := s.horizon(ctx, t)
	if err != nil {
		return 0, err
	}
	if err := s.expire(ctx, horizon); err != nil {
		return 0, err
	}
	var total int64
	for {
		n, more, err := s.purgeSome(ctx, horizon)
		total += n
		if err != nil || !more {
			return total, err
		}
	}
}

// horizon returns the newest revision made before t that removed a tuple, or 0.
func (s *Store) horizon(ctx context.Context, t time.Time) (int64, error) {
	made, err := s.madeBefore(ctx, t)
	if err != nil {
		return 0, err
	}
	var removed int64
	err = s.reads.QueryRowContext(ctx, `SELECT coalesce(max(removed), 0) FROM tuple
		WHERE removed < 9223372036854775807 AND removed <= ?`, made).Scan(&removed)
	if err != nil {
		return 0, classify(err, "look for removed tuples")
	}
	return removed, nil
}

// madeBefore returns the newest revision made before t, or 0.
func (s *Store) madeBefore(ctx context.Context, t time.Time) (int64, error) {
	low, high := s.oldest.Load(), s.head.Load() // the answer is low, or above it up to high
	for low < high {
		middle := low + (high-low+1)/2
		var at int64
		err := s.reads.QueryRowContext(ctx, "SELECT at FROM revision WHERE revision = ?", middle).Scan(&at)
		if err != nil && !errors.Is(err, sql.ErrNoRows) { // none: another Purge has just passed it
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

// expire makes horizon the oldest readable revision. Readers learn of it before
// the first row goes.
func (s *Store) expire(ctx context.Context, horizon int64) error {
	if horizon <= s.oldest.Load() {
		return nil
	}
	return s.submit(ctx, 1, func(t *transaction) error {
		n, err := affected(t.tx.ExecContext(t.ctx, "UPDATE meta SET oldest = ? WHERE oldest < ?", horizon, horizon))
		if err != nil {
			return classify(err, "move the start of the history")
		}
		t.purged += n
		t.oldest = max(t.oldest, horizon)
		return nil
	})
}

// purgeSome deletes up to purgeRows tuples that were gone at horizon, and as
// many dates of revisions before it. It reports whether there may be more.
func (s *Store) purgeSome(ctx context.Context, horizon int64) (rows int64, more bool, err error) {
	err = s.submit(ctx, purgeRows, func(t *transaction) error {
		rows, err = affected(t.tx.ExecContext(t.ctx, `DELETE FROM tuple WHERE (`+list+`, removed) IN (
			SELECT `+list+`, removed FROM tuple WHERE removed < 9223372036854775807 AND removed <= ?
			ORDER BY removed LIMIT ?)`, horizon, purgeRows))
		if err != nil {
			return classify(err, "delete removed tuples")
		}
		dates, err := affected(t.tx.ExecContext(t.ctx, `DELETE FROM revision WHERE revision IN (
			SELECT revision FROM revision WHERE revision < ? ORDER BY revision LIMIT ?)`, horizon, purgeRows))
		if err != nil {
			return classify(err, "delete the dates of revisions")
		}
		t.purged += rows + dates
		more = max(rows, dates) == purgeRows
		return nil
	})
	if err != nil {
		return 0, false, err
	}
	return rows, more, nil
}
