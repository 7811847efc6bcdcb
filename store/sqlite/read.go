package sqlite

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// pageRows is how many rows are read before a consumer sees them (rule S4):
// half a megabyte, and long enough that the cost of a query does not show.
const pageRows = 5000

// Read implements engine.Store.
func (s *Store) Read(ctx context.Context, rev engine.Revision, q engine.Query, p engine.Page) iter.Seq2[engine.Tuple, error] {
	return func(yield func(engine.Tuple, error) bool) {
		at, err := s.readable(rev)
		after, left := p.After, p.Limit
		for err == nil {
			limit := pageRows
			if left > 0 {
				limit = min(limit, left)
			}
			var page []engine.Tuple
			if page, err = s.page(ctx, at, q, after, limit); err != nil {
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
			after = &page[len(page)-1]
		}
		yield(engine.Tuple{}, err)
	}
}

// page returns up to limit tuples of q at revision at, behind after.
func (s *Store) page(ctx context.Context, at int64, q engine.Query, after *engine.Tuple, limit int) ([]engine.Tuple, error) {
	var out []engine.Tuple
	for {
		n := min(limit-len(out), pageRows)
		before := len(out)
		var err error
		if out, err = s.appendPage(ctx, out, at, q, after, n); err != nil {
			return nil, err
		}
		if len(out)-before < n || len(out) == limit {
			return out, s.kept(at)
		}
		after = &out[len(out)-1]
	}
}

// appendPage appends up to limit tuples. They come as one text: to ask for a row and its
// six columns costs several times what SQLite has to do to find them, for it locks and
// unlocks its connection at each. No name holds the NUL byte that stands between them.
func (s *Store) appendPage(ctx context.Context, out []engine.Tuple, at int64, q engine.Query, after *engine.Tuple, limit int) ([]engine.Tuple, error) {
	text, args, ok := pageQuery(s.network, at, q, after, limit)
	if !ok {
		return out, nil
	}
	var all string
	if err := s.db.query(ctx, inOneText(text), args, []any{&all}, func() {}); err != nil {
		return nil, err
	}
	return appendTuples(out, all)
}

// inOneText returns the SQL of a query's rows, in their order, as one text. The LIMIT of
// the query keeps SQLite from losing its order.
func inOneText(query string) string {
	return "SELECT coalesce(group_concat(concat_ws(char(0), " + list + "), char(0)), '') FROM (" + query + ")"
}

// appendTuples reads the text.
func appendTuples(out []engine.Tuple, all string) ([]engine.Tuple, error) {
	out = slices.Grow(out, (strings.Count(all, "\x00")+1)/len(columns))
	for all != "" {
		var parts [len(columns)]string
		for i := range parts {
			var more bool
			if parts[i], all, more = strings.Cut(all, "\x00"); !more && i < len(parts)-1 {
				return nil, errs.New(errs.Internal, "a name in the database holds a NUL byte")
			}
		}
		out = append(out, engine.Tuple{
			Object:   engine.Object{Namespace: parts[0], ID: parts[1]},
			Relation: parts[2],
			Subject:  engine.SubjectSet(parts[3], parts[4], parts[5]),
		})
	}
	return out, nil
}

// pageQuery returns the SQL of page, and false if no tuple can match.
func pageQuery(network, at int64, q engine.Query, after *engine.Tuple, limit int) (text string, args []any, ok bool) {
	where := filter(network, q)
	if after != nil && !behind(&where, q, *after) {
		return "", nil, false
	}
	where.add("+created <= ? AND +removed > ?", at, at) // the plus: never by these indexes
	text = "SELECT " + list + " FROM " + from(q) + " WHERE " + where.text() + " ORDER BY " + list + " LIMIT ?"
	return text, append(where.args, limit), true
}

// fields returns where the columns of a tuple go.
func fields(t *engine.Tuple) []any {
	return []any{&t.Object.Namespace, &t.Object.ID, &t.Relation, &t.Subject.Namespace, &t.Subject.ID, &t.Subject.Relation}
}
