package bench

import (
	"iter"
	"math/rand/v2"

	"github.com/cardea-iam/cardea/engine"
)

const wideModel = `class User implements Namespace {}

class Collection implements Namespace {
  related: {
    viewers: User[]
  }
  permits = {
    view: (ctx: Context): boolean => this.related.viewers.includes(ctx.subject),
  }
}

class Item implements Namespace {
  related: {
    collections: Collection[]
  }
  permits = {
    view: (ctx: Context): boolean => this.related.collections.traverse((c) => c.permits.view(ctx)),
  }
}
`

// A wide is a workload of items that are in 200 collections each, where a user views
// a few of the collections: whoever looks at all parents of an item has a lot to do.
type wide struct {
	seed                      seed
	users, collections, items int
}

const wideParents = 200

const (
	wideViewers = iota + 1
	wideItem
)

func newWide(n int, s uint64) Workload {
	collections := max(n/40, 10*wideParents)
	return &wide{seed: seed(s), users: collections, collections: collections, items: max((n-5*collections)/wideParents, 1)}
}

func (w *wide) Name() string { return "wide" }

func (w *wide) Model() string { return wideModel }

// viewers returns at least one viewer of a collection.
func (w *wide) viewers(list []int, c int) []int {
	r := w.seed.of(wideViewers, c)
	return r.some(append(list, r.intn(w.users)), 7, w.users)
}

// parents returns wideParents collections. Some may come twice.
func (w *wide) parents(list []int, i int) []int {
	r := w.seed.of(wideItem, i)
	for range wideParents {
		list = append(list, r.intn(w.collections))
	}
	return list
}

func (w *wide) Tuples() iter.Seq[engine.Tuple] {
	collection := func(c int) engine.Object { return object("Collection", uuid(c)) }
	return written(
		part{w.collections, func(to *writer, c int) {
			for _, u := range w.viewers(nil, c) {
				to.put(collection(c), "viewers", user(u))
			}
		}},
		part{w.items, func(to *writer, i int) {
			for _, c := range w.parents(nil, i) {
				to.put(object("Item", uuid(1<<32+i)), "collections", itself(collection(c)))
			}
		}},
	)
}

// Questions are about a viewer of one of the item's collections where Granted says
// so.
func (w *wide) Questions(r *rand.Rand, m Mix) iter.Seq[Question] {
	anyItem, anyUser := m.drawn(r, w.items), m.drawn(r, w.users)
	parents := make([]int, 0, wideParents)
	viewers := make([]int, 0, 8)
	return endless(func() Question {
		i, u := anyItem(), anyUser()
		parents = w.parents(parents[:0], i)
		if r.Float64() < m.Granted {
			viewers = w.viewers(viewers[:0], parents[r.IntN(len(parents))])
			u = viewers[r.IntN(len(viewers))]
		}
		want := false
		for _, c := range parents {
			viewers = w.viewers(viewers[:0], c)
			want = want || contains(viewers, u)
		}
		return ask(object("Item", uuid(1<<32+i)), "view", u, want)
	})
}
