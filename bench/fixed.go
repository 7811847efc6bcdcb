package bench

import (
	"context"
	"iter"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A Fixed is a store that holds a workload and never changes, so that an engine can
// be measured without a database. It makes the tuples anew for whoever reads them.
type Fixed struct{ Workload }

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

// Read yields all tuples, and knows no queries.
func (f Fixed) Read(_ context.Context, _ engine.Revision, q engine.Query, _ engine.Page) iter.Seq2[engine.Tuple, error] {
	return func(yield func(engine.Tuple, error) bool) {
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

func (f Fixed) ReadSets(context.Context, engine.Revision, []engine.SetRead, int) iter.Seq2[engine.SetRow, error] {
	return func(yield func(engine.SetRow, error) bool) {
		yield(engine.SetRow{}, errs.New(errs.Refused, "a fixed workload can only be read as a whole"))
	}
}

func (f Fixed) Write(context.Context, engine.Write) (engine.Written, error) {
	return engine.Written{}, errFixed
}

func (f Fixed) PutModel(context.Context, string, int64) (engine.ModelVersion, error) {
	return engine.ModelVersion{}, errFixed
}
