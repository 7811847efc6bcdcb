package engine

import (
	"context"
	"sync"

	"github.com/cardea-iam/cardea/engine/graph"
)

// A bundle answers many questions in stages, each for all of them: which rule each is
// about and which objects, what is stored of those objects, what that leads to; and
// then a walk for each. What a stage waits for in memory it waits for on behalf of all
// questions together. One after the other they take half as long again in a graph
// that is not in the processor's cache. Questions of a batch have most names but those
// of objects in common, so what a name means is found once for those in a row.
type bundle struct {
	pairs []graph.Pair
	items []about // the rule is nil if the question has an error
	near  []graph.Ref
}

// A stage is for so many questions at most, that what one stage has fetched is still
// there for the next.
const maxStage = 128

var bundles = sync.Pool{New: func() any { return &bundle{} }}

// checkAll answers ts, which are no more than maxStage, at a state with all tuples.
func (e *Engine) checkAll(ctx context.Context, s *state, ts []Tuple, results []Result) {
	b := bundles.Get().(*bundle)
	b.resolve(s, ts, results)
	s.snap.GuessAll(b.pairs)
	b.settle(s, ts, results)
	b.fetch(s)
	var steps, failed int64
	for i := range ts {
		if item := &b.items[i]; item.rule != nil {
			var n int64
			p := &b.pairs[i]
			results[i].Allowed, n, results[i].Err = s.decide(ctx, item.question(p), graph.MakeRef(p.B, item.as), e.options.MaxWork)
			steps += n
		}
		if results[i].Err != nil {
			failed++
		}
	}
	e.counters.steps.Add(steps)
	e.counters.checks.Add(int64(len(ts)))
	e.counters.errors.Add(failed)
	clear(b.pairs) // they hold on to texts, and the items to a model
	clear(b.items)
	bundles.Put(b)
}

// resolve finds what questions are about, but for the numbers of their objects.
func (b *bundle) resolve(s *state, ts []Tuple, results []Result) {
	b.pairs, b.items = b.pairs[:0], b.items[:0]
	for i := range ts {
		t := &ts[i]
		var pair graph.Pair
		var item about
		if i > 0 && b.items[i-1].rule != nil && t.like(&ts[i-1]) {
			item = b.items[i-1]
			pair.Set(item.namespace, t.Object.ID, item.from, t.Subject.ID)
			s.snap.Begin(&pair)
		} else {
			var a *about
			if a, results[i].Err = s.about(t, &pair, &item); a != nil {
				item = *a
			}
		}
		b.pairs, b.items = append(b.pairs, pair), append(b.items, item)
	}
}

// settle makes the numbers of the objects certain. Ids that are not known may not be valid.
func (b *bundle) settle(s *state, ts []Tuple, results []Result) {
	for i := range b.pairs {
		if p := &b.pairs[i]; b.items[i].rule != nil {
			s.snap.Settle(p)
			if p.A == 0 || p.B == 0 {
				if results[i].Err = ts[i].validIDs(); results[i].Err != nil {
					b.items[i].rule = nil
				}
			}
		}
	}
}

// fetch brings into the processor's cache what is stored of the objects that a step
// leads to from those of the questions, of which Guess has done so.
func (b *bundle) fetch(s *state) {
	next := b.near[:0]
	for i := range b.items {
		switch r := b.items[i].rule; {
		case r == nil:
		case r.flat != nil:
			next = r.flat.near(next, nearest, s.snap, b.pairs[i].A)
		case len(r.arms) > 0:
			next = r.arms[0].flat.near(next, nearest, s.snap, b.pairs[i].A)
		}
	}
	s.snap.Fetch(next)
	b.near = next
}
