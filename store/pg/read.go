package pg

import (
	"context"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// pageRows is how many rows are read before a consumer sees them (rule P4): a
// megabyte or two, and long enough that the round trip does not show.
const pageRows = 10_000

// Read implements engine.Store.
func (s *Store) Read(ctx context.Context, rev engine.Revision, q engine.Query, p engine.Page) iter.Seq2[engine.Tuple, error] {
	return func(yield func(engine.Tuple, error) bool) {
		at, err := s.db.server.parse(rev)
		after, left := p.After, p.Limit
		var page []engine.Tuple
		for err == nil {
			limit := pageRows
			if left > 0 {
				limit = min(limit, left)
			}
			if page, err = s.page(ctx, at, q, after, limit, page); err != nil {
				break
			}
			for _, t := range page {
				if !yield(t, nil) {
					return
				}
			}
			if left > 0 {
				left -= len(page)
			}
			if len(page) < limit || p.Limit > 0 && left == 0 {
				return
			}
			last := page[len(page)-1]
			after = &last
		}
		yield(engine.Tuple{}, err)
	}
}

// page returns up to limit tuples of q at a position, behind after. It may use
// the room of the page before.
func (s *Store) page(ctx context.Context, at position, q engine.Query, after *engine.Tuple, limit int, room []engine.Tuple) ([]engine.Tuple, error) {
	st, ok := s.pageQuery(at, q, after, limit)
	err := s.readAt(ctx, "read tuples", func(b *pgx.Batch) {
		room = room[:0]
		if ok {
			b.Queue(st.text.String(), st.args...).Query(s.db.collect(&room, 0))
		}
	}, at)
	if err != nil {
		return nil, err
	}
	return room, nil
}

// pageQuery returns the SQL of page, and false if no tuple can match.
func (s *Store) pageQuery(at position, q engine.Query, after *engine.Tuple, limit int) (*statement, bool) {
	st := &statement{}
	st.sql("SELECT ", list, " FROM tuple WHERE ")
	s.filter(st, q)
	if after != nil && !behind(st, q, *after) {
		return nil, false
	}
	st.sql(" AND ", s.db.sql.visible(st.arg(at.arg())), " ORDER BY ", list, " LIMIT ", st.arg(limit))
	return st, true
}

func errExpired() error {
	return errs.New(errs.Expired, "the revision is no longer kept: the history begins later")
}

// readAt is db.read for statements that read at positions, the oldest first. It asks
// before them whether the store has come that far, and after them whether the
// history still reaches back: what was read before a purge declared itself is whole.
func (s *Store) readAt(ctx context.Context, doing string, build func(*pgx.Batch), at ...position) error {
	return s.catchUp(ctx, func() error {
		var oldest, expired, newest string
		marks := at[0].marks()
		err := s.db.read(ctx, doing, func(b *pgx.Batch) {
			b.Queue(s.db.sql.newest, s.db.server.newestArgs(s.network)...).QueryRow(func(row pgx.Row) error { return row.Scan(&newest) })
			build(b)
			b.Queue(s.db.sql.kept[len(marks)-1], append([]any{s.network}, marks...)...).QueryRow(func(row pgx.Row) error { return row.Scan(&oldest, &expired) })
		})
		if err != nil {
			return err
		}
		head, err := s.db.server.parseRaw(newest)
		if err != nil {
			return err
		}
		if expired != "" {
			return errExpired()
		}
		for _, p := range at {
			if err := p.readable(oldest, head); err != nil {
				return err
			}
		}
		return nil
	})
}

// catchUp repeats a question that came before the node of the database could know
// the revision.
func (s *Store) catchUp(ctx context.Context, ask func() error) error {
	for try := 0; ; try++ {
		err := ask()
		if err != errBehind || try > retries || !pause(ctx, try) {
			return err
		}
	}
}
