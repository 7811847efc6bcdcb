package engine

import (
	"context"
	"fmt"
	"testing"

	"github.com/cardea-iam/cardea/internal/errs"
)

const nested = `
class User implements Namespace {}
class Doc implements Namespace {
  related: { parents: Doc[]; viewers: User[]; banned: User[] }
  permits = {
    view: (ctx: Context): boolean => !this.related.banned.includes(ctx.subject) &&
      (this.related.viewers.includes(ctx.subject) || this.related.parents.traverse((p) => p.permits.view(ctx))),
  }
}
`

// chains returns a state with a document, top, that has so many parents, each
// at the bottom of a chain of so many more. Each of them is a question of an
// intersection. Parent 0 begins at Doc:0/0.
func chains(tb testing.TB, parents, length int) *state {
	tb.Helper()
	m := ModelOf(tb, nested)
	var tuples []Tuple
	for p := range parents {
		tuples = append(tuples, Tuple{Object{"Doc", "top"}, "parents", Subject{Object: chained(p, 0)}})
		for i := range length {
			tuples = append(tuples, Tuple{chained(p, i), "parents", Subject{Object: chained(p, i+1)}})
		}
	}
	return stateOf(m, tuples, false)
}

func chained(parent, i int) Object { return Object{"Doc", fmt.Sprintf("%d/%d", parent, i)} }

// TestNestingLimit: more intersections inside one another than a goroutine's
// stack has room for are an error, and not the end of the process.
func TestNestingLimit(t *testing.T) {
	s := chains(t, 1, maxDepth)
	for start, kind := range map[int]errs.Kind{0: errs.Exhausted, maxDepth / 2: errs.Exhausted, maxDepth * 3 / 4: errs.OK} {
		q := Tuple{chained(0, start), "view", SubjectSet("User", "ann", "")}
		if _, _, err := s.check(t.Context(), &q, 1e8, nil); errs.KindOf(err) != kind {
			t.Errorf("from %d: error %v, want kind %v", start, err, kind)
		}
	}
}

// TestCancelStopsTheWholeWalk: what one nested question hears of a cancellation,
// all others hear too.
func TestCancelStopsTheWholeWalk(t *testing.T) {
	s := chains(t, 100, 1500)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q := Tuple{Object{"Doc", "top"}, "view", SubjectSet("User", "ann", "")}
	_, steps, err := s.check(ctx, &q, 1e8, nil)
	if err == nil || steps > 5000 {
		t.Errorf("%d steps, error %v", steps, err)
	}
	if _, whole, err := s.check(t.Context(), &q, 1e8, nil); err != nil || whole < 100_000 {
		t.Errorf("the whole walk takes %d steps, error %v: too few to show anything", whole, err)
	}
}
