package storetest

import (
	"slices"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// RunDurable tests that what a store was told is there when it is opened again.
// create makes an empty place for one database, and the function it returns opens
// that place, each time after the one before was closed.
func RunDurable(t *testing.T, create func(tb testing.TB) (open func() DB)) {
	open := create(t)
	ts := parse("doc:1#viewer@ann", "doc:2#viewer@ann", "doc:3#viewer@ann")

	h := newHarness(t, open())
	id := h.ID()
	first := h.insert(ts[0])
	h.delete(ts[0])
	old := h.insert(ts[0], ts[1])
	m := h.putModel("class A implements Namespace {}", 0)
	w := removing(ts[0])
	w.Key = "once"
	done := h.do(w)
	last := done.Revision
	other := h.network("other")
	otherID := other.ID()
	other.insert(ts[2])
	h.close()

	h = newHarness(t, open())
	if h.ID() != id {
		t.Fatal("the identity of the store has changed")
	}
	head := h.head()
	h.covers(head, last)
	if other = h.network("other"); other.ID() != otherID {
		t.Fatal("the identity of a network has changed")
	}
	other.shows(other.head(), ts[2])
	if again := h.do(w); again != done {
		t.Fatalf("the repeated write did %+v: expected %+v", again, done)
	}
	h.shows(first, ts[0])
	h.shows(old, ts[0], ts[1])
	h.shows(head, ts[1])
	if got, err := h.Models(h.ctx, 0, 10); err != nil || !slices.Equal(got, []engine.ModelVersion{m}) {
		t.Fatalf("models %+v, error %v: expected %+v", got, err, m)
	}
	_, err := h.PutModel(h.ctx, "", 0)
	h.fails(err, errs.Conflict)
	now := newState(ts[0])
	h.must(now.apply(h.changes(first, head)))
	h.same(now.sorted(engine.Query{}), ts[1:2])
	next := h.insert(ts[2])
	h.later(last, next)
	h.purge(2)
	h.close()

	h = newHarness(t, open())
	_, err = h.tryRead(first, engine.Query{}, engine.Page{})
	h.fails(err, errs.Expired)
	h.shows(next, ts[1:]...)
	h.later(next, h.insert(ts[0]))
	h.close()
}
