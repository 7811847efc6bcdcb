package storetest

import (
	"math/rand/v2"
	"slices"

	"github.com/cardea-iam/cardea/engine"
)

// fill writes random tuples and returns what is there, and since when.
func fill(h *harness, n int) (state, engine.Revision) {
	h.Helper()
	r := h.random()
	now := newState()
	ups := small.updates(r, n)
	now.update(ups...)
	h.write(ups...)
	ups = small.updates(r, n/4) // a second write, so that the history has something to hide
	now.update(ups...)
	return now, h.write(ups...)
}

func everyQuery(h *harness) {
	now, rev := fill(h, 400)
	r := h.random()
	for range 20 {
		for _, q := range small.queries(r) {
			want := now.sorted(q)
			h.same(h.read(rev, q), want)
			for _, limit := range []int{1, 2, len(want), len(want) + 1} {
				if limit > 0 {
					h.same(h.page(rev, q, engine.Page{Limit: limit}), want[:min(limit, len(want))])
				}
			}
		}
	}
}

// afterAnyTuple pages from tuples that need not be in the result, nor in the
// store: only the order counts.
func afterAnyTuple(h *harness) {
	now, rev := fill(h, 400)
	r := h.random()
	for i := range 50 {
		for fields := range 16 {
			t := small.tuple(r)
			q := queryOf(t, fields)
			after := small.tuple(r)
			if i%2 == 0 { // differs from what is asked for in one place at most
				after = near(r, t)
			}
			want := now.sorted(q)
			want = slices.DeleteFunc(want, func(t engine.Tuple) bool { return t.Compare(after) <= 0 })
			h.same(h.page(rev, q, engine.Page{After: &after}), want)
			limit := 1 + r.IntN(5)
			h.same(h.page(rev, q, engine.Page{After: &after, Limit: limit}), want[:min(limit, len(want))])
		}
	}
}

// near returns t with one part drawn anew.
func near(r *rand.Rand, t engine.Tuple) engine.Tuple {
	switch other := small.tuple(r); r.IntN(4) {
	case 0:
		t.Object.Namespace = other.Object.Namespace
	case 1:
		t.Object.ID = other.Object.ID
	case 2:
		t.Relation = other.Relation
	default:
		t.Subject = other.Subject
	}
	return t
}

// pagesWhileWriting pages through a fixed revision while the tuples it shows
// are removed and others are added: every one must come exactly once.
func pagesWhileWriting(h *harness) {
	now, rev := fill(h, 300)
	r := h.random()
	stop := background(h, func(i int) error {
		_, err := h.node(i).Write(h.ctx, engine.Write{Updates: small.updates(r, 5)})
		return err
	})
	queries := small.queries(h.random())
	for i, q := range append(queries, engine.Query{}) {
		h.same(pages(h.at(i), rev, q, 1+i*3), now.sorted(q))
	}
	stop()
	h.same(pages(h, rev, engine.Query{}, 7), now.sorted(engine.Query{}))
}

func pages(h *harness, rev engine.Revision, q engine.Query, size int) []engine.Tuple {
	h.Helper()
	var out []engine.Tuple
	var after *engine.Tuple
	for {
		page := h.page(rev, q, engine.Page{After: after, Limit: size})
		out = append(out, page...)
		if len(page) < size {
			return out
		}
		after = &page[len(page)-1]
	}
}

// manyRows goes beyond what a backend may read at once.
func manyRows(h *harness) {
	const n = 10_500
	ts := numbered(0, n)
	var rev engine.Revision
	for chunk := range slices.Chunk(ts, 3500) {
		rev = h.insert(chunk...)
	}
	h.same(h.read(rev, engine.Query{}), ts)
	for _, limit := range []int{4999, 5000, 5001, 10_000, n, n + 1} {
		h.same(h.page(rev, engine.Query{}, engine.Page{Limit: limit}), ts[:min(limit, n)])
	}
	h.same(h.page(rev, engine.Query{}, engine.Page{After: &ts[99], Limit: 10_001}), ts[100:10_101])
	relation := "view"
	h.same(h.read(rev, engine.Query{Relation: &relation}), ts)

	gone := h.deleteAll(engine.Query{})
	if gone.Deleted != n || gone.Inserted != 0 {
		h.Fatalf("%+v: expected %d tuples deleted", gone, n)
	}
	h.shows(gone.Revision)
	h.same(h.read(rev, engine.Query{}), ts)
	now := newState()
	h.must(now.apply(h.changes("", rev)))
	h.same(now.sorted(engine.Query{}), ts)
	removals := h.changes(rev, gone.Revision)
	if len(removals) != n {
		h.Fatalf("%d changes: expected %d", len(removals), n)
	}
	h.must(now.apply(removals))
	h.same(now.sorted(engine.Query{}), nil)
}

// iteratorsBrokenOff stops early more often than any pool has connections.
func iteratorsBrokenOff(h *harness) {
	now, rev := fill(h, 200)
	for range 300 {
		for _, err := range h.Read(h.ctx, rev, engine.Query{}, engine.Page{}) {
			h.must(err)
			break
		}
		for _, err := range h.Changes(h.ctx, "", rev) {
			h.must(err)
			break
		}
		set := engine.SetRead{Object: engine.Object{Namespace: "doc", ID: "1"}, Relation: "view", Whole: true}
		for _, err := range h.ReadSets(h.ctx, rev, []engine.SetRead{set, set}, 1) {
			h.must(err)
			break
		}
	}
	h.shows(rev, now.sorted(engine.Query{})...)
	h.insert(parse("doc:new#viewer@ann")...)
}

// storeUsedWhileIterating reads and writes in the body of the loop. A backend
// that holds a lock or its last connection there would hang.
func storeUsedWhileIterating(h *harness) {
	now, rev := fill(h, 200)
	rows := 0
	for t, err := range h.Read(h.ctx, rev, engine.Query{}, engine.Page{}) {
		h.must(err)
		h.delete(t)
		for _, err := range h.Read(h.ctx, rev, engine.Query{}, engine.Page{}) {
			h.must(err)
			for _, err := range h.Changes(h.ctx, "", rev) {
				h.must(err)
				break
			}
			break
		}
		if rows++; rows == 100 {
			break
		}
	}
	h.shows(rev, now.sorted(engine.Query{})...)
	h.shows(h.head(), now.sorted(engine.Query{})[rows:]...)
}
