package storetest

import (
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// afterwards is a time by which everything has happened, whatever the clocks of the
// test and the database think of each other.
func afterwards() time.Time { return time.Now().Add(time.Hour) }

// purge forgets everything that was removed, which must be want rows. Rows that
// a transaction of somebody else may still look at come later, so it repeats
// itself until all are gone.
func (h *harness) purge(want int64) {
	h.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for total := int64(0); ; {
		n, err := h.dbs[0].Purge(h.ctx, afterwards())
		h.must(err)
		total += n
		if total > want {
			h.Fatalf("%d rows purged: expected %d", total, want)
		}
		if total == want && n == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-h.ctx.Done():
			h.Fatalf("%d rows purged: expected %d", total, want)
		}
	}
}

func purgeKeepsWhatLives(h *harness) {
	ts := parse("doc:1#viewer@ann", "doc:2#viewer@ann", "doc:3#viewer@ann")
	start := h.head()
	m := h.putModel("class A implements Namespace {}", 0)
	old := h.insert(ts[0], ts[1])
	gone := h.delete(ts[0])
	h.purge(1)
	for _, rev := range []engine.Revision{start, old} {
		_, err := h.tryRead(rev, engine.Query{}, engine.Page{})
		h.fails(err, errs.Expired)
		_, err = h.tryChanges(rev, gone)
		h.fails(err, errs.Expired)
		head, _, err := h.tryTail(rev)
		h.fails(err, errs.Expired)
		if head != "" {
			h.Fatalf("the tail from %q leads to %q and fails", rev, head)
		}
		_, err = h.trySets(rev, []engine.SetRead{{Object: ts[0].Object, Relation: ts[0].Relation}}, 10)
		h.fails(err, errs.Expired)
		_, err = h.Model(h.ctx, rev)
		h.fails(err, errs.Expired)
		h.covers(gone, rev) // needs no history
	}
	h.shows(gone, ts[1])
	h.shows(h.head(), ts[1])
	if got, err := h.Model(h.ctx, gone); err != nil || got != m {
		h.Fatalf("model %+v, error %v: expected %+v", got, err, m)
	}
	rev := h.insert(ts[0], ts[2]) // a tuple that was purged can come back
	h.shows(rev, ts...)
	now := newState(ts[1])
	h.must(now.apply(h.changes(gone, rev)))
	h.same(now.sorted(engine.Query{}), ts)
	h.purge(0)
	h.shows(gone, ts[1])
}

func purgeOfLongAgo(h *harness) {
	t := parse("doc:1#viewer@ann")[0]
	old := h.insert(t)
	rev := h.delete(t)
	n, err := h.dbs[0].Purge(h.ctx, time.Now().Add(-time.Hour))
	h.must(err)
	if n != 0 {
		h.Fatalf("%d rows purged: expected none", n)
	}
	h.shows("")
	h.shows(old, t)
	h.shows(rev)
	if got := h.changes(old, rev); len(got) != 1 {
		h.Fatalf("changes %v", got)
	}
}

func purgeManyRows(h *harness) {
	ts := numbered(0, 5500)
	h.insert(ts...)
	rev := h.delete(ts[:5200]...)
	h.purge(5200)
	h.shows(rev, ts[5200:]...)
}

// purgeWhileReading forgets a revision under an iterator that is half way
// through it. The rest must come, or an error: an end would be a lie.
func purgeWhileReading(h *harness) {
	ts := numbered(0, 5500)
	rev := h.insert(ts...)
	gone := h.deleteAll(engine.Query{}).Revision
	purge := sync.OnceFunc(func() { h.at(1).purge(5500) })
	rows, failed := 0, error(nil)
	next, stop := iter.Pull2(h.Changes(h.ctx, rev, gone))
	defer stop()
	_, err, _ := next()
	h.must(err)
	for _, err := range h.Read(h.ctx, rev, engine.Query{}, engine.Page{}) {
		purge()
		if failed = err; err == nil {
			rows++
		}
	}
	if rows != len(ts) && errs.KindOf(failed) != errs.Expired {
		h.Fatalf("%d tuples of %d, error %v: expected all, or one that says expired", rows, len(ts), failed)
	}
	rows = 1
	for {
		_, err, ok := next()
		if !ok {
			break
		}
		if failed = err; err == nil {
			rows++
		}
	}
	if rows != len(ts) && errs.KindOf(failed) != errs.Expired {
		h.Fatalf("%d changes of %d, error %v: expected all, or one that says expired", rows, len(ts), failed)
	}
}

// purgeWhileReadingSets does the same to a reader of sets: one large, with more
// subject sets than a backend may read at once, one whole, and small ones.
func purgeWhileReadingSets(h *harness) {
	doc := engine.Object{Namespace: "doc", ID: "1"}
	var ts []engine.Tuple
	for i := range 5200 {
		ts = append(ts, engine.Tuple{Object: doc, Relation: "view", Subject: engine.SubjectSet("group", fmt.Sprintf("%05d", i), "member")})
	}
	set := engine.SetRead{Object: doc, Relation: "view"}
	whole := set
	whole.Whole = true
	for _, sets := range [][]engine.SetRead{{set}, {whole, set}} {
		rev := h.insert(ts...)
		h.deleteAll(engine.Query{})
		want := len(ts) * len(sets)
		purge := sync.OnceFunc(func() { h.purge(int64(len(ts))) })
		rows, failed := 0, error(nil)
		for _, err := range h.ReadSets(h.ctx, rev, sets, 10) {
			purge()
			if failed = err; err == nil {
				rows++
			}
		}
		if rows != want && errs.KindOf(failed) != errs.Expired {
			h.Fatalf("%d rows of %d, error %v: expected all, or one that says expired", rows, want, failed)
		}
		_, err := h.trySets(rev, sets, 10)
		h.fails(err, errs.Expired)
	}
}

// purgeUnderLoad forgets history while others write and read the newest state.
// A reader may be told that its revision has expired, but never lied to.
func purgeUnderLoad(h *harness) {
	const n = 50
	ts, spare := numbered(0, n), numbered(n, 2*n)
	h.insert(ts...)
	stopPurge := background(h, func(i int) error {
		_, err := h.dbs[i%len(h.dbs)].Purge(h.ctx, afterwards())
		return err
	})
	stopRead := background(h, func(i int) error {
		h := h.at(i)
		head, err := h.Head(h.ctx)
		if err != nil {
			return err
		}
		got, err := collect(h, head, engine.Query{})
		if errs.KindOf(err) == errs.Expired {
			return nil
		}
		if err == nil && len(got) != n {
			return fmt.Errorf("at %q there are %d tuples: expected %d", head, len(got), n)
		}
		return err
	})
	for range 3 {
		for i := range ts { // each write keeps the number of tuples
			h.at(i).write(engine.Update{Op: engine.Delete, Tuple: ts[i]}, engine.Update{Op: engine.Insert, Tuple: spare[i]})
		}
		ts, spare = spare, ts
	}
	stopRead()
	stopPurge()
	h.shows(h.head(), ts...)
}

// purgeEveryNetwork removes tuples in two networks and leaves a third alone.
func purgeEveryNetwork(h *harness) {
	ts := numbered(0, 4)
	a, b, c := h.network("a"), h.network("b"), h.network("c")
	for _, n := range []*harness{a, b, c} {
		n.insert(ts...)
	}
	old := [...]engine.Revision{a.delete(ts[0]), b.delete(ts[1:3]...)}
	a.delete(ts[3])
	a.purge(4)
	a.shows(a.head(), ts[1:3]...)
	b.shows(b.head(), ts[0], ts[3])
	c.shows(c.head(), ts...)
	_, err := a.at(1).tryRead(old[0], engine.Query{}, engine.Page{})
	h.fails(err, errs.Expired)
	a.insert(ts[0])
	a.shows(a.head(), ts[:3]...)
}
