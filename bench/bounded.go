package bench

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A BoundedReport is what checks cost in bounded mode once memory has filled with
// what is asked for most.
type BoundedReport struct {
	Hits   float64 // share of the checks that needed nothing from the store
	Rounds float64 // trips to the store, for a check
	Rows   float64 // read in them, for a check
}

// Bounded asks checks of an engine that may use so many bytes of memory, over a store
// in memory: first warm ones, which are not counted, then n. A wrong answer is an
// error.
func Bounded(ctx context.Context, f Fixed, memory int64, m Mix, warm, n int) (BoundedReport, error) {
	e, err := engine.New(ctx, f, engine.Options{Memory: memory, Poll: time.Hour})
	if err != nil {
		return BoundedReport{}, err
	}
	defer e.Close()
	var hits, rounds, rows, asked int64
	for q := range f.Questions(rand.New(rand.NewPCG(1, 1)), m) {
		got, err := e.Check(ctx, q.Tuple, engine.Consistency{})
		if err == nil && got.Allowed != q.Want {
			err = errs.New(errs.Internal, "wrong answer: %s is %t, expected %t", q.Tuple, got.Allowed, q.Want)
		}
		if err != nil {
			return BoundedReport{}, err
		}
		if asked++; asked <= int64(warm) {
			continue
		}
		if got.Reads.Rounds == 0 {
			hits++
		}
		rounds += got.Reads.Rounds
		rows += got.Reads.Rows
		if asked == int64(warm+n) {
			break
		}
	}
	return BoundedReport{Hits: perCheck(hits, int64(n)), Rounds: perCheck(rounds, int64(n)), Rows: perCheck(rows, int64(n))}, nil
}
