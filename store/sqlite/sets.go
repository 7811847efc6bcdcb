package sqlite

import (
	"context"
	"iter"
	"math"

	"github.com/cardea-iam/cardea/engine"
)

// ReadSets implements engine.Store. The database lies in the process, so a
// round trip is a function call, and each set is read by itself.
func (s *Store) ReadSets(ctx context.Context, rev engine.Revision, sets []engine.SetRead, limit int) iter.Seq2[engine.SetRow, error] {
	return func(yield func(engine.SetRow, error) bool) {
		at, err := s.readable(rev)
		if err != nil {
			yield(engine.SetRow{}, err)
			return
		}
		for i, set := range sets {
			read := s.readSet(ctx, at, set, max(limit, 0))
			if set.Whole {
				read = s.members(ctx, rev, set)
			}
			for row, err := range read {
				if err == nil {
					row.Set = i
				}
				if !yield(row, err) || err != nil {
					return
				}
			}
		}
	}
}

// query selects the tuples of a set.
func query(set engine.SetRead) engine.Query {
	return engine.Query{Namespace: &set.Object.Namespace, Object: &set.Object.ID, Relation: &set.Relation}
}

// members yields all members of a set.
func (s *Store) members(ctx context.Context, rev engine.Revision, set engine.SetRead) iter.Seq2[engine.SetRow, error] {
	return func(yield func(engine.SetRow, error) bool) {
		for t, err := range s.Read(ctx, rev, query(set), engine.Page{}) {
			if !yield(engine.SetRow{Member: t.Subject}, err) {
				return
			}
		}
	}
}

// readSet yields all members of a set, or what a large one shows.
func (s *Store) readSet(ctx context.Context, at int64, set engine.SetRead, limit int) iter.Seq2[engine.SetRow, error] {
	return func(yield func(engine.SetRow, error) bool) {
		page, err := s.page(ctx, at, query(set), nil, min(limit, math.MaxInt-1)+1)
		if err != nil {
			yield(engine.SetRow{}, err)
			return
		}
		if len(page) > limit {
			s.largeSet(ctx, at, set, yield)
			return
		}
		for _, t := range page {
			if !yield(engine.SetRow{Member: t.Subject}, nil) {
				return
			}
		}
	}
}

// largeSet yields the subject sets among the members of a large set, the member
// that was asked for in its place among them, or one row if there is neither.
func (s *Store) largeSet(ctx context.Context, at int64, set engine.SetRead, yield func(engine.SetRow, error) bool) {
	asked, err := s.member(ctx, at, set)
	if err != nil {
		yield(engine.SetRow{}, err)
		return
	}
	none := true
	give := func(m engine.Subject) bool {
		none = false
		return yield(engine.SetRow{Large: true, Member: m}, nil)
	}
	var after engine.Subject
	for {
		page, err := s.subjectSets(ctx, at, set, after)
		if err != nil {
			yield(engine.SetRow{}, err)
			return
		}
		for _, m := range page {
			if asked != nil && less(*asked, m) {
				if !give(*asked) {
					return
				}
				asked = nil
			}
			if !give(m) {
				return
			}
		}
		if len(page) < pageRows {
			break
		}
		after = page[len(page)-1]
	}
	if asked != nil && !give(*asked) {
		return
	}
	if none {
		yield(engine.SetRow{Large: true}, nil)
	}
}

func less(a, b engine.Subject) bool {
	return engine.Tuple{Subject: a}.Compare(engine.Tuple{Subject: b}) < 0
}

// member returns the member that was asked for, if it is in the set and comes
// not as one of its subject sets.
func (s *Store) member(ctx context.Context, at int64, set engine.SetRead) (*engine.Subject, error) {
	if set.Member.Relation != "" {
		return nil, nil
	}
	q := query(set)
	q.Subject = &set.Member
	found, err := s.page(ctx, at, q, nil, 1)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &set.Member, nil
}

const subjectSets = `SELECT subject_namespace, subject_id, subject_relation FROM tuple INDEXED BY tuple_of_sets
	WHERE network = ? AND namespace = ? AND object = ? AND relation = ? AND subject_relation <> ''
	AND (subject_namespace, subject_id, subject_relation) > (?, ?, ?) AND +created <= ? AND +removed > ?
	ORDER BY subject_namespace, subject_id, subject_relation LIMIT ?`

// subjectSets returns a page of the members with a relation.
func (s *Store) subjectSets(ctx context.Context, at int64, set engine.SetRead, after engine.Subject) ([]engine.Subject, error) {
	var out []engine.Subject
	var m engine.Subject
	err := s.db.query(ctx, subjectSets, []any{s.network, set.Object.Namespace, set.Object.ID, set.Relation,
		after.Namespace, after.ID, after.Relation, at, at, pageRows},
		[]any{&m.Namespace, &m.ID, &m.Relation}, func() { out = append(out, m) })
	if err != nil {
		return nil, err
	}
	return out, s.kept(at)
}
