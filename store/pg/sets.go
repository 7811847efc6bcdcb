package pg

import (
	"context"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
)

// A found is what the store knows of one set after the round trip.
type found struct {
	large   bool
	members []engine.Subject
	rest    bool // of a whole set there may be more
}

// ReadSets implements engine.Store. Of a set that is asked for as a whole, the
// first pageRows members come in the round trip, and more follow in pages.
func (s *Store) ReadSets(ctx context.Context, rev engine.Revision, sets []engine.SetRead, limit int) iter.Seq2[engine.SetRow, error] {
	return func(yield func(engine.SetRow, error) bool) {
		at, err := s.db.server.parse(rev)
		if err != nil {
			yield(engine.SetRow{}, err)
			return
		}
		all, err := s.readSets(ctx, at, sets, min(max(limit, 0), math.MaxInt32))
		if err != nil {
			yield(engine.SetRow{}, err)
			return
		}
		for i, set := range all {
			if set.large && len(set.members) == 0 {
				set.members = []engine.Subject{{}}
			}
			for _, m := range set.members {
				if !yield(engine.SetRow{Set: i, Large: set.large, Member: m}, nil) {
					return
				}
			}
			if set.rest && !s.readRest(ctx, rev, i, sets[i], set.members[len(set.members)-1], yield) {
				return
			}
		}
	}
}

// readRest yields the members of a whole set behind last. It reports whether to go on.
func (s *Store) readRest(ctx context.Context, rev engine.Revision, i int, set engine.SetRead, last engine.Subject, yield func(engine.SetRow, error) bool) bool {
	q := engine.Query{Namespace: &set.Object.Namespace, Object: &set.Object.ID, Relation: &set.Relation}
	after := engine.Tuple{Object: set.Object, Relation: set.Relation, Subject: last}
	for t, err := range s.Read(ctx, rev, q, engine.Page{After: &after}) {
		if err != nil {
			yield(engine.SetRow{}, err)
			return false
		}
		if !yield(engine.SetRow{Set: i, Member: t.Subject}, nil) {
			return false
		}
	}
	return true
}

// readSets makes the round trip.
func (s *Store) readSets(ctx context.Context, at position, sets []engine.SetRead, limit int) ([]found, error) {
	var some, whole []int // indexes into sets
	for i, set := range sets {
		if set.Whole {
			whole = append(whole, i)
		} else {
			some = append(some, i)
		}
	}
	var out []found
	err := s.readAt(ctx, "read sets", func(b *pgx.Batch) {
		out = make([]found, len(sets))
		if len(some) > 0 {
			p := pivot(sets, some)
			b.Queue(s.db.sql.sets, s.network, p[0], p[1], p[2], p[3], p[4], p[5], at.arg(), limit, limit+1).Query(s.readSome(out, sets, some))
		}
		if len(whole) > 0 {
			p := pivot(sets, whole)
			b.Queue(s.db.sql.whole, s.network, p[0], p[1], p[2], at.arg(), pageRows).Query(s.readWhole(out, whole))
		}
	}, at)
	return out, err
}

// pivot returns the sets of the given indexes by column.
func pivot(sets []engine.SetRead, indexes []int) (out [6][]string) {
	for c := range out {
		out[c] = make([]string, len(indexes))
	}
	for k, i := range indexes {
		set := &sets[i]
		for c, part := range [...]string{set.Object.Namespace, set.Object.ID, set.Relation, set.Member.Namespace, set.Member.ID, set.Member.Relation} {
			out[c][k] = part
		}
	}
	return out
}

func (s *Store) readSome(out []found, sets []engine.SetRead, indexes []int) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			var k, named int64
			var f found
			var namespaces, ids, relations []string
			if err := rows.Scan(&k, &f.large, &namespaces, &ids, &relations, &named); err != nil {
				return err
			}
			s.db.rows.Add(int64(len(ids)) + 1)
			i := indexes[k-1]
			for n := range ids {
				f.members = append(f.members, engine.SubjectSet(namespaces[n], ids[n], relations[n]))
			}
			if f.large && named > 0 && sets[i].Member.Relation == "" { // else it is among the subject sets
				f.members = append(f.members, sets[i].Member)
			}
			// The server need not keep the order while it gathers.
			slices.SortFunc(f.members, compareSubjects)
			out[i] = f
		}
		return rows.Err()
	}
}

func (s *Store) readWhole(out []found, indexes []int) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var last engine.Subject
		for rows.Next() {
			var k int64
			if err := rows.Scan(&k, nil, nil, nil); err != nil {
				return err
			}
			last = subject(rows.RawValues()[1:], last)
			f := &out[indexes[k-1]]
			f.members = append(f.members, last)
			f.rest = len(f.members) == pageRows
			s.db.rows.Add(1)
		}
		for i := range out {
			if !slices.IsSortedFunc(out[i].members, compareSubjects) {
				slices.SortFunc(out[i].members, compareSubjects)
			}
		}
		return rows.Err()
	}
}

func compareSubjects(a, b engine.Subject) int {
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	if c := strings.Compare(a.ID, b.ID); c != 0 {
		return c
	}
	return strings.Compare(a.Relation, b.Relation)
}
