package bench

import (
	"context"
	"iter"
	"slices"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A Fixed is a store that holds a workload and never changes, so that an engine can
// be measured without a database. It makes the tuples anew for whoever reads them.
type Fixed struct {
	Workload

	sets map[engine.Subject][]engine.Subject // nil without an index
}

const fixedRevision = "1"

var errFixed = errs.New(errs.Refused, "the workload is fixed: nothing can be written to it")

// ID and the other methods implement engine.Store.
func (f Fixed) ID() engine.StoreID                            { return engine.StoreID{} }
func (f Fixed) Wake() <-chan struct{}                         { return nil }
func (f Fixed) Ping(context.Context) error                    { return nil }
func (f Fixed) Covers(_, _ engine.Revision) (bool, error)     { return true, nil }
func (f Fixed) Head(context.Context) (engine.Revision, error) { return fixedRevision, nil }

func (f Fixed) Tail(context.Context, engine.Revision, func(engine.Change) error) (engine.Revision, error) {
	return fixedRevision, nil
}

func (f Fixed) Changes(context.Context, engine.Revision, engine.Revision) iter.Seq2[engine.Change, error] {
	return func(func(engine.Change, error) bool) {}
}

func (f Fixed) Model(context.Context, engine.Revision) (engine.ModelVersion, error) {
	return engine.ModelVersion{Number: 1, Source: f.Workload.Model(), Revision: fixedRevision}, nil
}

func (f Fixed) Models(ctx context.Context, before int64, limit int) ([]engine.ModelVersion, error) {
	m, err := f.Model(ctx, fixedRevision)
	return []engine.ModelVersion{m}, err
}

// Read yields all tuples, or, asked for those without a relation, of which there are
// none, nothing. It knows no other queries.
func (f Fixed) Read(_ context.Context, _ engine.Revision, q engine.Query, _ engine.Page) iter.Seq2[engine.Tuple, error] {
	return func(yield func(engine.Tuple, error) bool) {
		if q.Relation != nil && *q.Relation == "" {
			return
		}
		if !q.IsEmpty() {
			yield(engine.Tuple{}, errs.New(errs.Refused, "a fixed workload can only be read as a whole"))
			return
		}
		for t := range f.Tuples() {
			if !yield(t, nil) {
				return
			}
		}
	}
}

// ReadSets needs an index, see Index.
func (f Fixed) ReadSets(_ context.Context, _ engine.Revision, sets []engine.SetRead, limit int) iter.Seq2[engine.SetRow, error] {
	return func(yield func(engine.SetRow, error) bool) {
		if f.sets == nil {
			yield(engine.SetRow{}, errs.New(errs.Refused, "the fixed workload has no index"))
			return
		}
		for i, set := range sets {
			for row := range f.members(i, set, limit) {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

// members yields the rows of one set.
func (f Fixed) members(i int, set engine.SetRead, limit int) iter.Seq[engine.SetRow] {
	return func(yield func(engine.SetRow) bool) {
		all := f.sets[engine.Subject{Object: set.Object, Relation: set.Relation}]
		large, said := len(all) > limit && !set.Whole, false
		for _, member := range all {
			if !large || member.Relation != "" || member == set.Member {
				said = true
				if !yield(engine.SetRow{Set: i, Large: large, Member: member}) {
					return
				}
			}
		}
		if large && !said {
			yield(engine.SetRow{Set: i, Large: true})
		}
	}
}

// Index returns f with its tuples in memory, by object and relation, so that an engine
// in bounded mode can read what it lacks.
func (f Fixed) Index() Fixed {
	f.sets = map[engine.Subject][]engine.Subject{}
	for t := range f.Tuples() {
		at := engine.Subject{Object: t.Object, Relation: t.Relation}
		if !slices.Contains(f.sets[at], t.Subject) {
			f.sets[at] = append(f.sets[at], t.Subject)
		}
	}
	for _, members := range f.sets {
		slices.SortFunc(members, func(a, b engine.Subject) int {
			return engine.Tuple{Subject: a}.Compare(engine.Tuple{Subject: b})
		})
	}
	return f
}

func (f Fixed) Write(context.Context, engine.Write) (engine.Written, error) {
	return engine.Written{}, errFixed
}

func (f Fixed) PutModel(context.Context, string, int64) (engine.ModelVersion, error) {
	return engine.ModelVersion{}, errFixed
}
