package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// patience ends a test that hangs, for example because an iterator kept a
// connection. No test comes near it.
const patience = 2 * time.Minute

// A harness is a store with methods that fail the test instead of returning
// errors. The methods of the store itself serve for calls that must fail.
type harness struct {
	*testing.T
	engine.Store // of the first node
	ctx          context.Context
	dbs          []DB           // handles on one database, one for each node
	nodes        []engine.Store // the same network through each
}

func newHarness(t *testing.T, dbs ...DB) *harness {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	h := &harness{T: t, ctx: ctx, dbs: dbs}
	return h.network("default")
}

// network returns a harness for another network of the same database.
func (h *harness) network(name string) *harness {
	h.Helper()
	other := *h
	other.nodes = nil
	for _, db := range h.dbs {
		s, err := db.Network(h.ctx, name)
		h.must(err)
		other.nodes = append(other.nodes, s)
	}
	other.Store = other.nodes[0]
	return &other
}

// node returns the store as node i has it. There may be fewer nodes than that.
func (h *harness) node(i int) engine.Store { return h.nodes[i%len(h.nodes)] }

// at returns a harness that works as node i.
func (h *harness) at(i int) *harness {
	other := *h
	other.Store = h.node(i)
	return &other
}

func (h *harness) close() {
	for _, db := range h.dbs {
		if err := db.Close(); err != nil {
			h.Errorf("close: %v", err)
		}
	}
}

func (h *harness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatalf("unexpected error (%s): %v", errs.KindOf(err), err)
	}
}

// fails asserts the kind of an error.
func (h *harness) fails(err error, kind errs.Kind) {
	h.Helper()
	if got := errs.KindOf(err); got != kind {
		h.Fatalf("error %v has kind %s: expected %s", err, got, kind)
	}
}

func (h *harness) head() engine.Revision {
	h.Helper()
	rev, err := h.Head(h.ctx)
	h.must(err)
	return rev
}

// do does w, which must succeed.
func (h *harness) do(w engine.Write) engine.Written {
	h.Helper()
	done, err := h.Write(h.ctx, w)
	h.must(err)
	return done
}

func (h *harness) write(ups ...engine.Update) engine.Revision {
	h.Helper()
	return h.do(engine.Write{Updates: ups}).Revision
}

func (h *harness) insert(tuples ...engine.Tuple) engine.Revision {
	h.Helper()
	return h.do(adding(tuples...)).Revision
}

func (h *harness) delete(tuples ...engine.Tuple) engine.Revision {
	h.Helper()
	return h.do(removing(tuples...)).Revision
}

// deleteAll removes what q matches.
func (h *harness) deleteAll(q engine.Query) engine.Written {
	h.Helper()
	return h.do(engine.Write{Delete: []engine.Query{q}})
}

func (h *harness) putModel(source string, after int64) engine.ModelVersion {
	h.Helper()
	m, err := h.PutModel(h.ctx, source, after)
	h.must(err)
	return m
}

// read returns the tuples of q at rev, and asserts that they come in order.
func (h *harness) read(rev engine.Revision, q engine.Query) []engine.Tuple {
	h.Helper()
	return h.page(rev, q, engine.Page{})
}

func (h *harness) page(rev engine.Revision, q engine.Query, p engine.Page) []engine.Tuple {
	h.Helper()
	out, err := h.tryRead(rev, q, p)
	h.must(err)
	if !slices.IsSortedFunc(out, engine.Tuple.Compare) {
		h.Fatalf("query %s is not in order: %v", show(q), out)
	}
	return out
}

// tryRead collects until the error, which must come last and with a zero tuple.
func (h *harness) tryRead(rev engine.Revision, q engine.Query, p engine.Page) (out []engine.Tuple, failed error) {
	h.Helper()
	for t, err := range h.Read(h.ctx, rev, q, p) {
		switch {
		case failed != nil:
			h.Fatalf("%v comes after the error %v", t, failed)
		case err != nil && t != engine.Tuple{}:
			h.Fatalf("error %v comes with the tuple %v", err, t)
		case err != nil:
			failed = err
		default:
			out = append(out, t)
		}
	}
	return out, failed
}

// trySets collects until the error, which must come last and with a zero row.
func (h *harness) trySets(rev engine.Revision, sets []engine.SetRead, limit int) (out []engine.SetRow, failed error) {
	h.Helper()
	for row, err := range h.ReadSets(h.ctx, rev, sets, limit) {
		switch {
		case failed != nil:
			h.Fatalf("%v comes after the error %v", row, failed)
		case err != nil && row != engine.SetRow{}:
			h.Fatalf("error %v comes with the row %v", err, row)
		case err != nil:
			failed = err
		default:
			out = append(out, row)
		}
	}
	return out, failed
}

func (h *harness) changes(from, to engine.Revision) []engine.Change {
	h.Helper()
	out, err := h.tryChanges(from, to)
	h.must(err)
	return out
}

func (h *harness) tryChanges(from, to engine.Revision) (out []engine.Change, failed error) {
	h.Helper()
	for c, err := range h.Changes(h.ctx, from, to) {
		switch {
		case failed != nil:
			h.Fatalf("%v comes after the error %v", c, failed)
		case err != nil && c != engine.Change{}:
			h.Fatalf("error %v comes with the change %v", err, c)
		case err != nil:
			failed = err
		default:
			out = append(out, c)
		}
	}
	return out, failed
}

func (h *harness) tail(from engine.Revision) (engine.Revision, []engine.Change) {
	h.Helper()
	head, out, err := h.tryTail(from)
	h.must(err)
	return head, out
}

func (h *harness) tryTail(from engine.Revision) (engine.Revision, []engine.Change, error) {
	var out []engine.Change
	head, err := h.Tail(h.ctx, from, func(c engine.Change) error {
		out = append(out, c)
		return nil
	})
	return head, out, err
}

// shows asserts that the store holds exactly these tuples at rev.
func (h *harness) shows(rev engine.Revision, want ...engine.Tuple) {
	h.Helper()
	h.same(h.read(rev, engine.Query{}), newState(want...).sorted(engine.Query{}))
}

func (h *harness) same(got, want []engine.Tuple) {
	h.Helper()
	if !slices.Equal(got, want) {
		h.Fatalf("got %d tuples %v\nwant %d tuples %v", len(got), brief(got), len(want), brief(want))
	}
}

// covers asserts that a covers b.
func (h *harness) covers(a, b engine.Revision) {
	h.Helper()
	ok, err := h.Covers(a, b)
	h.must(err)
	if !ok {
		h.Fatalf("revision %q does not cover %q", a, b)
	}
}

// later asserts that b shows more than a.
func (h *harness) later(a, b engine.Revision) {
	h.Helper()
	h.covers(b, a)
	ok, err := h.Covers(a, b)
	h.must(err)
	if ok {
		h.Fatalf("revision %q covers the later %q", a, b)
	}
}

// random returns a source of randomness whose seed is in the log.
func (h *harness) random() *rand.Rand {
	h.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("CARDEA_TEST_SEED"); text != "" {
		given, err := strconv.ParseUint(text, 10, 64)
		h.must(err)
		seed = given
	}
	h.Logf("CARDEA_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// cancelled reports whether err says that its context ended.
func cancelled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
