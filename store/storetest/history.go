package storetest

import (
	"maps"
	"math"
	"strconv"
	"strings"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// changesAreTheDifference makes a random history and replays the log from each
// of its states to each later one.
func changesAreTheDifference(h *harness) {
	r := h.random()
	now := newState()
	states, revs := []state{now.clone()}, []engine.Revision{""}
	for i := range 30 {
		var rev engine.Revision
		switch r.IntN(10) {
		case 0:
			m := h.at(i).putModel("// text", now.model)
			now.model, rev = m.Number, m.Revision
		case 1:
			q := small.queries(r)[1+r.IntN(15)]
			now.deleteAll(q)
			rev = h.at(i).deleteAll(q).Revision
		default:
			ups := small.updates(r, 1+r.IntN(30))
			now.update(ups...)
			rev = h.at(i).write(ups...)
		}
		states, revs = append(states, now.clone()), append(revs, rev)
	}
	for i := range revs {
		for j := i; j < len(revs); j++ {
			replayed := states[i].clone()
			changes := h.at(i+j).changes(revs[i], revs[j])
			h.must(replayed.apply(changes))
			if !replayed.equal(states[j]) {
				h.Fatalf("the changes from state %d to %d do not lead there: %v", i, j, changes)
			}
		}
	}
}

// changesInOrder knows each change. Those of different things may come in any
// order, since only the end of a stretch is a state.
func changesInOrder(h *harness) {
	ts := parse("doc:2#viewer@ann", "doc:1#viewer@ann")
	start := h.head()
	h.insert(ts[0])
	m := h.putModel("class A implements Namespace {}", 0)
	h.insert(ts[1])
	end := h.delete(ts[0])
	changes := h.changes(start, end)
	now := newState()
	h.must(now.apply(changes))
	if want := newState(ts[1]); now.model != m.Number || !maps.Equal(now.tuples, want.tuples) {
		h.Fatalf("the changes %v lead to %v under model %d", changes, now.tuples, now.model)
	}
	models := 0
	for _, c := range changes {
		if c.Model != nil {
			models++
			if *c.Model != m {
				h.Fatalf("model %+v: expected %+v", *c.Model, m)
			}
		}
	}
	// What was added and removed again may be left out.
	if n := len(changes); models != 1 || n != 2 && n != 4 {
		h.Fatalf("%d changes: %v", n, changes)
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
	for i, t := range numbered(0, 12) { // past the tenth, where text would order otherwise
		revs = append(revs, h.at(i).insert(t))
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
		_, _, err = h.tryTail(bad)
		h.fails(err, errs.Invalid)
		_, err = h.trySets(bad, []engine.SetRead{{Object: engine.Object{Namespace: "doc", ID: "1"}, Relation: "viewer"}}, 10)
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
