package pg

import (
	"context"
	"errors"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// Changes implements engine.Store. It leaves out what came and went in between,
// and yields what went before what came, because a tuple that did both is there
// afterwards.
func (s *Store) Changes(ctx context.Context, from, to engine.Revision) iter.Seq2[engine.Change, error] {
	return func(yield func(engine.Change, error) bool) {
		low, err := s.db.server.parse(from)
		if err != nil {
			yield(engine.Change{}, err)
			return
		}
		high, err := s.db.server.parse(to)
		if err != nil {
			yield(engine.Change{}, err)
			return
		}
		err = s.changes(ctx, low, high, func(c engine.Change) error {
			if !yield(c, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && err != errEnough {
			yield(engine.Change{}, err)
		}
	}
}

// errEnough is what the consumer's end of an iteration is inside.
var errEnough = errors.New("the consumer has had enough")

// changes yields what differs between two positions. The first pages of all parts
// of the log come in one round trip.
func (s *Store) changes(ctx context.Context, low, high position, yield func(engine.Change) error) error {
	if !high.covers(low) {
		return errs.New(errs.Invalid, "changes from one revision to another that does not cover it: expected the older one first")
	}
	var models []engine.ModelVersion
	var parts []*logPart
	err := s.readAt(ctx, "read the log", func(b *pgx.Batch) {
		models = nil
		parts = s.logParts(low, high)
		if low.revision() == high.revision() {
			return
		}
		s.queueModels(b, &models, low, high)
		for _, p := range parts {
			p.queue(b)
		}
	}, low, high)
	if err != nil {
		return err
	}
	first := news{models: models}
	if err := first.each(yield); err != nil {
		return err
	}
	for _, p := range parts {
		for {
			for _, t := range p.page {
				if err := yield(engine.Change{Op: p.op, Tuple: t}); err != nil {
					return err
				}
			}
			if len(p.page) < pageRows {
				break
			}
			p.turn()
			if err := s.readAt(ctx, "read the log", p.queue, low); err != nil {
				return err
			}
		}
	}
	return nil
}

// queueModels reads the models that became active between two positions.
func (s *Store) queueModels(b *pgx.Batch, out *[]engine.ModelVersion, low, high position) {
	for i := range s.db.server.newer("created", 1, len(low.marks())) {
		st := &statement{}
		st.sql("SELECT number::text AS digits, revision, ", micros, ", source FROM model WHERE network = ", st.arg(s.network))
		st.sql(" AND ", s.newer(st, "created", low, i), " AND ", s.db.server.seen("created", st.arg(high.arg())), " ORDER BY number")
		b.Queue(st.text.String(), st.args...).Query(s.readModels(out))
	}
}

// newer is the condition i of server.newer with its marks as arguments of st.
func (s *Store) newer(st *statement, column string, low position, i int) string {
	first := len(st.args) + 1
	marks := low.marks()
	st.args = append(st.args, marks...)
	return s.db.server.newer(column, first, len(marks))[i]
}

// A logPart is one of the pieces of the log that an index finds: what went, or
// what came, by one of the conditions of server.newer.
type logPart struct {
	s         *Store
	op        engine.Op
	column    string
	condition int
	low, high position

	page []engine.Tuple
	mark string        // the column in the last row of the page
	from *engine.Tuple // the last row of the page before
	at   string        // and the column there
}

// logParts returns the parts in the order in which they must be applied.
func (s *Store) logParts(low, high position) []*logPart {
	var parts []*logPart
	for _, p := range []logPart{{op: engine.Delete, column: "removed"}, {op: engine.Insert, column: "created"}} {
		for i := range s.db.server.newer(p.column, 1, len(low.marks())) {
			parts = append(parts, &logPart{s: s, op: p.op, column: p.column, condition: i, low: low, high: high})
		}
	}
	return parts
}

// turn makes the next page the one behind this one.
func (p *logPart) turn() {
	last := p.page[len(p.page)-1]
	p.from, p.at = &last, p.mark
}

// queue reads a page.
func (p *logPart) queue(b *pgx.Batch) {
	st := p.query()
	b.Queue(st.text.String(), st.args...).Query(func(rows pgx.Rows) error {
		p.page = p.page[:0]
		for rows.Next() {
			raw := rows.RawValues()
			var last *engine.Tuple
			if n := len(p.page); n > 0 {
				last = &p.page[n-1]
			}
			p.page = append(p.page, tuple(raw[1:], last))
			p.mark = text(raw[0], p.mark)
		}
		p.s.db.rows.Add(int64(len(p.page)))
		return rows.Err()
	})
}

func (p *logPart) query() *statement {
	st, on := &statement{}, p.s.db.server
	st.sql("SELECT ", p.column, "::text AS mark, ", list, " FROM tuple WHERE network = ", st.arg(p.s.network))
	st.sql(" AND ", p.s.newer(st, p.column, p.low, p.condition))
	high := st.arg(p.high.arg())
	st.sql(" AND ", on.older(p.column, high), " AND ", on.seen(p.column, high))
	if p.op == engine.Delete {
		// The first condition names the partial index.
		st.sql(" AND removed < ", on.living(), " AND ", on.seen("created", st.arg(p.low.arg())))
	} else {
		st.sql(" AND NOT ", on.seen("removed", high))
	}
	if p.from != nil {
		parts := split(*p.from)
		st.sql(" AND (", p.column, ", ", list, ") > (", st.arg(p.at))
		for _, part := range parts {
			st.sql(", ", st.arg(part))
		}
		st.sql(")")
	}
	st.sql(" ORDER BY ", p.column, ", ", list, " LIMIT ", st.arg(pageRows))
	return st
}
