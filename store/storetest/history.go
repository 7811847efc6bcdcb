package storetest

import (
	"iter"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// changesAreTheDifference makes a random history and replays the log from each
// of its states to each later one.
func changesAreTheDifference(h *harness) {
	r := h.random()
	now := newState()
	states, revs := []state{now.clone()}, []engine.Revision{""}
	for range 30 {
		var rev engine.Revision
		switch r.IntN(10) {
		case 0:
			m := h.putModel("// text", now.model)
			now.model, rev = m.Number, m.Revision
		case 1:
			q := small.queries(r)[1+r.IntN(15)]
			now.deleteAll(q)
			var err error
			_, rev, err = h.DeleteAll(h.ctx, q)
			h.must(err)
		default:
			ups := small.updates(r, 1+r.IntN(30))
			now.update(ups...)
			rev = h.write(ups...)
		}
		states, revs = append(states, now.clone()), append(revs, rev)
	}
	for i := range revs {
		for j := i; j < len(revs); j++ {
			replayed := states[i].clone()
			changes := h.changes(revs[i], revs[j])
			replayed.apply(changes)
			if !replayed.equal(states[j]) {
				h.Fatalf("the changes from state %d to %d do not lead there: %v", i, j, changes)
			}
		}
	}
}

func changesInOrder(h *harness) {
	ts := parse("doc:2#viewer@ann", "doc:1#viewer@ann")
	start := h.head()
	h.insert(ts[0])
	m := h.putModel("class A implements Namespace {}", 0)
	h.insert(ts[1])
	end := h.delete(ts[0])
	var kinds []string
	for _, c := range h.changes(start, end) {
		switch {
		case c.Model != nil:
			if *c.Model != m || c.Op != 0 || c.Tuple != (engine.Tuple{}) {
				h.Fatalf("change %+v: expected the model %+v alone", c, m)
			}
			kinds = append(kinds, "model")
		case c.Op == engine.Insert:
			kinds = append(kinds, "+"+c.Tuple.Object.ID)
		case c.Op == engine.Delete:
			kinds = append(kinds, "-"+c.Tuple.Object.ID)
		default:
			h.Fatalf("change %+v has no operation", c)
		}
	}
	// What was added and removed again may be left out.
	switch got := strings.Join(kinds, " "); got {
	case "+2 model +1 -2", "model +1":
	default:
		h.Fatalf("changes %s", got)
	}
}

func changesOfNothing(h *harness) {
	revs := []engine.Revision{"", h.insert(parse("doc:1#viewer@ann")...), h.head()}
	for _, rev := range revs {
		if got := h.changes(rev, rev); len(got) != 0 {
			h.Fatalf("changes from %q to itself: %v", rev, got)
		}
	}
}

func changesBackwards(h *harness) {
	old := h.insert(parse("doc:1#viewer@ann")...)
	rev := h.insert(parse("doc:2#viewer@ann")...)
	_, err := h.tryChanges(rev, old)
	h.fails(err, errs.Invalid)
	_, err = h.tryChanges(rev, "")
	h.fails(err, errs.Invalid)
}

func coversOrdersWrites(h *harness) {
	revs := []engine.Revision{""}
	for _, t := range numbered(0, 12) { // past the tenth, where text would order otherwise
		revs = append(revs, h.insert(t))
	}
	revs = append(revs, h.putModel("", 0).Revision)
	for i, a := range revs {
		h.covers(a, a)
		for _, b := range revs[i+1:] {
			h.later(a, b)
		}
	}
	h.covers(h.head(), revs[len(revs)-1])
}

// revisionsOfNoStore are texts that no backend makes, or one from far ahead.
func revisionsOfNoStore(h *harness) {
	rev := h.insert(parse("doc:1#viewer@ann")...)
	for _, bad := range []engine.Revision{"x", "0", "-1", "+1", "01", " 1", "1 ", "1.", "1e3", "\x00", "\xff\xff", "'", "NaN",
		engine.Revision(strings.Repeat("9", 30)), engine.Revision(strings.Repeat("a", 100_000)),
		engine.Revision(strconv.FormatUint(math.MaxUint64, 10)), engine.Revision(strconv.Itoa(math.MaxInt64)),
		engine.Revision(strconv.Itoa(math.MaxInt64 - 1))} {
		_, err := h.tryRead(bad, engine.Query{}, engine.Page{})
		h.fails(err, errs.Invalid)
		_, err = h.tryChanges(bad, rev)
		h.fails(err, errs.Invalid)
		_, err = h.tryChanges(rev, bad)
		h.fails(err, errs.Invalid)
		_, err = h.Model(h.ctx, bad)
		h.fails(err, errs.Invalid)
		if text := err.Error(); len(text) > 1000 {
			h.Fatalf("the message has %d bytes", len(text))
		}
	}
	for _, bad := range []engine.Revision{"x", "-1", "\xff", "'"} {
		_, err := h.Covers(bad, rev)
		h.fails(err, errs.Invalid)
		_, err = h.Covers(rev, bad)
		h.fails(err, errs.Invalid)
	}
}

// afterwards is a time by which everything has happened, whatever the clocks of the
// test and the database think of each other.
func afterwards() time.Time { return time.Now().Add(time.Hour) }

func purgeKeepsWhatLives(h *harness) {
	ts := parse("doc:1#viewer@ann", "doc:2#viewer@ann", "doc:3#viewer@ann")
	start := h.head()
	m := h.putModel("class A implements Namespace {}", 0)
	old := h.insert(ts[0], ts[1])
	gone := h.delete(ts[0])
	n, err := h.Purge(h.ctx, afterwards())
	h.must(err)
	if n != 1 {
		h.Fatalf("%d rows purged: expected 1", n)
	}
	for _, rev := range []engine.Revision{start, old} {
		_, err := h.tryRead(rev, engine.Query{}, engine.Page{})
		h.fails(err, errs.Expired)
		_, err = h.tryChanges(rev, gone)
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
	now.apply(h.changes(gone, rev))
	h.same(now.sorted(engine.Query{}), ts)
	if n, err = h.Purge(h.ctx, afterwards()); err != nil || n != 0 {
		h.Fatalf("%d rows purged again, error %v", n, err)
	}
	h.shows(gone, ts[1])
}

func purgeOfLongAgo(h *harness) {
	t := parse("doc:1#viewer@ann")[0]
	old := h.insert(t)
	rev := h.delete(t)
	n, err := h.Purge(h.ctx, time.Now().Add(-time.Hour))
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
	n, err := h.Purge(h.ctx, afterwards())
	h.must(err)
	if n != 5200 {
		h.Fatalf("%d rows purged: expected 5200", n)
	}
	h.shows(rev, ts[5200:]...)
}

// purgeWhileReading forgets a revision under an iterator that is half way
// through it. The rest must come, or an error: an end would be a lie.
func purgeWhileReading(h *harness) {
	ts := numbered(0, 5500)
	rev := h.insert(ts...)
	_, gone, err := h.DeleteAll(h.ctx, engine.Query{})
	h.must(err)
	purge := sync.OnceFunc(func() {
		_, err := h.Purge(h.ctx, afterwards())
		h.must(err)
	})
	rows, failed := 0, error(nil)
	next, stop := iter.Pull2(h.Changes(h.ctx, rev, gone))
	defer stop()
	_, err, _ = next()
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
