package sqlite

import (
	"cmp"
	"context"
	"iter"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// An entry is a change and its place in the log.
type entry struct {
	revision int64
	change   engine.Change
}

// before orders the log: by revision, and within one what went before what
// came, because a tuple that did both in one revision is there afterwards.
func (e entry) before(f entry) bool {
	return cmp.Or(cmp.Compare(e.revision, f.revision), cmp.Compare(f.change.Op, e.change.Op)) < 0
}

// A source is one of the three parts of the log, read page by page.
type source struct {
	next  func(ctx context.Context, last *entry, limit int) ([]entry, error)
	page  []entry
	last  entry
	begun bool
	ended bool
}

// peek returns the next entry, or nil at the end.
func (s *source) peek(ctx context.Context) (*entry, error) {
	if len(s.page) == 0 && !s.ended {
		var last *entry
		if s.begun {
			last = &s.last
		}
		page, err := s.next(ctx, last, pageRows)
		if err != nil {
			return nil, err
		}
		s.page, s.begun, s.ended = page, true, len(page) < pageRows
	}
	if len(s.page) == 0 {
		return nil, nil
	}
	return &s.page[0], nil
}

func (s *source) pop() entry {
	s.last, s.page = s.page[0], s.page[1:]
	return s.last
}

// Changes implements engine.Store. It yields every change, also those that a
// later one cancels.
func (s *Store) Changes(ctx context.Context, from, to engine.Revision) iter.Seq2[engine.Change, error] {
	return func(yield func(engine.Change, error) bool) {
		err := s.changes(ctx, from, to, yield)
		if err != nil {
			yield(engine.Change{}, err)
		}
	}
}

// Tail implements engine.Store. The head is known without asking.
func (s *Store) Tail(ctx context.Context, from engine.Revision, yield func(engine.Change) error) (engine.Revision, error) {
	head, err := s.Head(ctx)
	if err != nil {
		return "", err
	}
	var refused error
	err = s.changes(ctx, from, head, func(c engine.Change, _ error) bool {
		refused = yield(c)
		return refused == nil
	})
	if refused != nil {
		return "", refused
	}
	if err != nil {
		return "", err
	}
	return head, nil
}

// changes merges the sources of the log. It returns nil at the end or when the
// consumer has had enough.
func (s *Store) changes(ctx context.Context, from, to engine.Revision, yield func(engine.Change, error) bool) error {
	low, high, err := s.window(from, to)
	if err != nil || low == high {
		return err
	}
	sources := []*source{
		{next: s.models(low, high)},
		{next: s.log(engine.Delete, "removed", low, high)},
		{next: s.log(engine.Insert, "created", low, high)},
	}
	for {
		var first *source
		var head *entry
		for _, source := range sources {
			e, err := source.peek(ctx)
			if err != nil {
				return err
			}
			if e != nil && (head == nil || e.before(*head)) {
				first, head = source, e
			}
		}
		if first == nil || !yield(first.pop().change, nil) {
			return nil
		}
	}
}

// window checks the two ends of a stretch of the log.
func (s *Store) window(from, to engine.Revision) (low, high int64, err error) {
	if low, err = s.readable(from); err != nil {
		return 0, 0, err
	}
	if high, err = s.readable(to); err != nil {
		return 0, 0, err
	}
	if low > high {
		return 0, 0, errs.New(errs.Invalid, "changes from revision %d to %d: expected the older one first", low, high)
	}
	return low, high, nil
}

// logQueries returns the SQL of the log's first page and of the ones behind it.
func logQueries(op engine.Op, column string) (start, resume string) {
	key := column + ", " + list
	text := "SELECT " + key + " FROM tuple WHERE network = ? AND "
	if op == engine.Delete {
		text += "removed < 9223372036854775807 AND " // names the partial index
	}
	start = text + column + " > ? AND " + column + " <= ? ORDER BY " + key + " LIMIT ?"
	resume = text + "(" + key + ") > (?, ?, ?, ?, ?, ?, ?) AND " + column + " <= ? ORDER BY " + key + " LIMIT ?"
	return start, resume
}

// log reads the rows whose column, created or removed, lies in (low, high].
func (s *Store) log(op engine.Op, column string, low, high int64) func(context.Context, *entry, int) ([]entry, error) {
	start, resume := logQueries(op, column)
	return func(ctx context.Context, last *entry, limit int) ([]entry, error) {
		query, args := start, []any{s.network, low, high, limit}
		if last != nil {
			query, args = resume, []any{s.network, last.revision}
			for _, part := range split(last.change.Tuple) {
				args = append(args, part)
			}
			args = append(args, high, limit)
		}
		var page []entry
		e := entry{change: engine.Change{Op: op}}
		dest := append([]any{&e.revision}, fields(&e.change.Tuple)...)
		err := s.db.query(ctx, query, args, dest, func() { page = append(page, e) })
		if err != nil {
			return nil, err
		}
		return page, s.kept(low)
	}
}

// models reads the model versions that became active in (low, high].
func (s *Store) models(low, high int64) func(context.Context, *entry, int) ([]entry, error) {
	return func(ctx context.Context, last *entry, limit int) ([]entry, error) {
		from := low
		if last != nil {
			from = last.revision
		}
		found, err := s.readModels(ctx, "revision > ? AND revision <= ? ORDER BY revision", from, high, limit)
		if err != nil {
			return nil, err
		}
		var page []entry
		for _, m := range found {
			n, err := number(m.Revision)
			if err != nil {
				return nil, err
			}
			page = append(page, entry{n, engine.Change{Model: &m}})
		}
		return page, nil
	}
}
