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

var suite = []struct {
	name string
	test func(*harness)
}{
	{"ReadYourWrite", readYourWrite},
	{"OldRevisionIsStable", oldRevisionIsStable},
	{"EmptyStore", emptyStore},
	{"EmptyWrite", emptyWrite},
	{"WriteIsAtomic", writeIsAtomic},
	{"InsertIsIdempotent", insertIsIdempotent},
	{"DeleteIsIdempotent", deleteIsIdempotent},
	{"UpdatesApplyInOrder", updatesApplyInOrder},
	{"TextComparesByBytes", textComparesByBytes},
	{"EmptyStrings", emptyStrings},
	{"NamesAtTheLimits", namesAtTheLimits},
	{"KindsOfSubjects", kindsOfSubjects},
	{"EveryQuery", everyQuery},
	{"AfterAnyTuple", afterAnyTuple},
	{"PagesWhileWriting", pagesWhileWriting},
	{"ManyRows", manyRows},
	{"DeleteAll", deleteAll},
	{"DeleteAllEveryQuery", deleteAllEveryQuery},
	{"IteratorsBrokenOff", iteratorsBrokenOff},
	{"StoreUsedWhileIterating", storeUsedWhileIterating},
	{"ChangesAreTheDifference", changesAreTheDifference},
	{"ChangesInOrder", changesInOrder},
	{"ChangesOfNothing", changesOfNothing},
	{"ChangesBackwards", changesBackwards},
	{"CoversOrdersWrites", coversOrdersWrites},
	{"RevisionsOfNoStore", revisionsOfNoStore},
	{"ModelsAreNumbered", modelsAreNumbered},
	{"ModelText", modelText},
	{"ModelConflict", modelConflict},
	{"ModelRace", modelRace},
	{"WriteUnderModel", writeUnderModel},
	{"WriteRacesModel", writeRacesModel},
	{"PurgeKeepsWhatLives", purgeKeepsWhatLives},
	{"PurgeOfLongAgo", purgeOfLongAgo},
	{"PurgeManyRows", purgeManyRows},
	{"PurgeWhileReading", purgeWhileReading},
	{"PurgeUnderLoad", purgeUnderLoad},
	{"ParallelWriters", parallelWriters},
	{"PairsAreNeverHalf", pairsAreNeverHalf},
	{"FollowerStaysExact", followerStaysExact},
	{"HeadCoversAcknowledged", headCoversAcknowledged},
	{"CancelledBefore", cancelledBefore},
	{"CancelledMeanwhile", cancelledMeanwhile},
	{"Ping", ping},
	{"Identity", identity},
}

// Run runs all tests, some at the same time, each on a store of its own. open
// returns an empty store, or calls tb.Skip if its database is not there. Run
// closes the stores.
func Run(t *testing.T, open func(tb testing.TB) engine.Store) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, open(t))
			h.open = func() *harness { return newHarness(t, open(t)) }
			c.test(h)
			h.close()
		})
	}
}

// A harness is a store with methods that fail the test instead of returning
// errors. The methods of the store itself serve for calls that must fail.
type harness struct {
	*testing.T
	engine.Store
	ctx  context.Context
	open func() *harness // another empty store, which the test closes
}

func newHarness(t *testing.T, s engine.Store) *harness {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return &harness{T: t, Store: s, ctx: ctx}
}

func (h *harness) close() {
	if err := h.Store.Close(); err != nil {
		h.Errorf("close: %v", err)
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

func (h *harness) write(ups ...engine.Update) engine.Revision {
	h.Helper()
	rev, err := h.Write(h.ctx, ups, 0)
	h.must(err)
	return rev
}

func (h *harness) insert(tuples ...engine.Tuple) engine.Revision {
	h.Helper()
	return h.write(updates(engine.Insert, tuples)...)
}

func (h *harness) delete(tuples ...engine.Tuple) engine.Revision {
	h.Helper()
	return h.write(updates(engine.Delete, tuples)...)
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
