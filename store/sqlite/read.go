package sqlite

import (
	"context"
	"iter"

	"github.com/cardea-iam/cardea/engine"
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
	text, args, ok := pageQuery(s.network, at, q, after, limit)
	if !ok {
		return nil, nil
	}
	var out []engine.Tuple
	var t engine.Tuple
	err := s.db.query(ctx, text, args, fields(&t), func() {
		if n := len(out); n > 0 {
			share(&t, &out[n-1])
		}
		out = append(out, t)
	})
	if err != nil {
		return nil, err
	}
	return out, s.kept(at)
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

// share makes t use the strings of the tuple before it where they are equal.
// In order, most are, and a consumer that keeps tuples keeps them once.
func share(t, last *engine.Tuple) {
	same := func(a, b *string) {
		if *a == *b {
			*a = *b
		}
	}
	same(&t.Object.Namespace, &last.Object.Namespace)
	same(&t.Object.ID, &last.Object.ID)
	same(&t.Relation, &last.Relation)
	same(&t.Subject.Namespace, &last.Subject.Namespace)
	same(&t.Subject.Relation, &last.Subject.Relation)
}
