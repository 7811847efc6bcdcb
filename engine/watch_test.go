package engine_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A watched is a watch as its consumer sees it.
type watched struct {
	t     *testing.T
	next  func() (engine.WatchEvent, error, bool)
	token engine.Token // the last one
	state map[engine.Tuple]bool
	model int64
}

// watch starts a watch, at from or as far as another one came, whose state it
// takes over.
func watch(t *testing.T, f *engine.Feed, from engine.Token, w engine.Watch) *watched {
	t.Helper()
	next, stop := iter.Pull2(f.Watch(t.Context(), from, w))
	t.Cleanup(stop)
	out := &watched{t: t, next: next, state: map[engine.Tuple]bool{}}
	if e := out.event(); len(e.Changes) > 0 || e.Token == "" || from != "" && e.Token != from {
		t.Fatalf("the first event is %+v, want the token %s and no changes", e, from)
	}
	return out
}

// event returns the next event, applied. One that changes what is not as it was
// before is out of order, or comes twice.
func (w *watched) event() engine.WatchEvent {
	w.t.Helper()
	e, err, ok := w.next()
	if err != nil || !ok {
		w.t.Fatalf("the watch ended with %v", err)
	}
	for _, c := range e.Changes {
		switch {
		case c.Model != nil:
			w.model = c.Model.Number
		case w.state[c.Tuple] == (c.Op == engine.Insert):
			w.t.Fatalf("change %v %s of a tuple that is so already", c.Op, c.Tuple)
		case c.Op == engine.Insert:
			w.state[c.Tuple] = true
		default:
			delete(w.state, c.Tuple)
		}
	}
	if e.Token != "" {
		w.token = e.Token
	}
	return e
}

// until reads events until one has a token and there is nothing more up to want.
func (w *watched) until(e *engine.Engine, want engine.Token) {
	w.t.Helper()
	for !covers(w.t, e, w.token, want) {
		w.event()
	}
}

// covers reports whether a watch at token a has seen all that token b shows.
func covers(t *testing.T, e *engine.Engine, a, b engine.Token) bool {
	t.Helper()
	if a == b {
		return true
	}
	// The changes from b to a are none if b is the newer one.
	next, stop := iter.Pull2(engine.NewFeed(e).Watch(t.Context(), a, engine.Watch{Heartbeat: time.Millisecond}))
	defer stop()
	for range 2 {
		ev, err, _ := next()
		if err != nil {
			t.Fatal(err)
		}
		if len(ev.Changes) > 0 {
			return false
		}
	}
	return true
}

// stored returns the tuples at a token that q selects.
func stored(t *testing.T, e *engine.Engine, q engine.Query, at engine.Token) map[engine.Tuple]bool {
	t.Helper()
	list, err := e.List(t.Context(), q, engine.ListPage{Size: 100_000}, exactly(at))
	if err != nil {
		t.Fatal(err)
	}
	out := map[engine.Tuple]bool{}
	for _, tuple := range list.Tuples {
		out[tuple] = true
	}
	return out
}

func newWatched(t *testing.T, o engine.Options) (*engine.Engine, *engine.Feed) {
	e := withDocs(t, o)
	return e, engine.NewFeed(e)
}

// randomUpdates returns updates on a few tuples, so that they meet again.
func randomUpdates(r *rand.Rand) []engine.Update {
	var ups []engine.Update
	for range 1 + r.IntN(8) {
		op := engine.Insert
		if r.IntN(2) == 0 {
			op = engine.Delete
		}
		relation, object := "viewers", engine.Object{Namespace: "Doc", ID: fmt.Sprint(r.IntN(5))}
		if r.IntN(3) == 0 {
			relation, object.Namespace = "members", "Group"
		}
		user := engine.Object{Namespace: "User", ID: fmt.Sprint(r.IntN(5))}
		ups = append(ups, engine.Update{Op: op, Tuple: engine.Tuple{Object: object, Relation: relation, Subject: engine.Subject{Object: user}}})
	}
	return ups
}

// TestWatch: while several writers work through two nodes, watches with and
// without filters, on both nodes, some of which are resumed at every event on the
// other node, make the store's state at each of their tokens.
func TestWatch(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := newStore(t)
	a := newEngine(t, s, engine.Options{Poll: 2 * time.Millisecond, KeepStates: 4})
	if _, _, err := a.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	b := newEngine(t, s, engine.Options{Poll: 2 * time.Millisecond})
	feeds := map[*engine.Engine]*engine.Feed{a: engine.NewFeed(a), b: engine.NewFeed(b)}
	group, one := "Group", "1"
	queries := []engine.Query{{}, {Namespace: &group}, {Object: &one}}
	start, err := a.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var watches, writers sync.WaitGroup
	last := make(chan struct{}) // closed when all is written
	var end engine.Token
	for i, q := range queries {
		for _, resumed := range []bool{false, true} {
			watches.Go(func() {
				on := []*engine.Engine{a, b}
				filter := engine.Watch{Queries: []engine.Query{q}, Heartbeat: 5 * time.Millisecond}
				w := watch(t, feeds[on[i%2]], start, filter)
				for n, done := 0, false; !done; n++ {
					select {
					case <-last:
						done = covers(t, a, w.token, end)
					default:
					}
					e := w.event()
					if e.Token == "" {
						continue
					}
					if want := stored(t, a, q, e.Token); !maps.Equal(want, w.state) {
						t.Errorf("query %d, event %d: the watch has\n%v, the store\n%v", i, n, w.state, want)
						return
					}
					if resumed {
						next := watch(t, feeds[on[n%2]], w.token, filter)
						next.state, w = w.state, next
					}
				}
			})
		}
	}
	for i := range 4 {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		writers.Go(func() {
			for range 60 {
				if _, err := []*engine.Engine{a, b}[i%2].Write(t.Context(), engine.Write{Updates: randomUpdates(r)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if end, err = a.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(last)
	watches.Wait()
}

// many returns tuples of one group.
func many(n int, name string) []engine.Update {
	var ups []engine.Update
	for i := range n {
		user := engine.Subject{Object: engine.Object{Namespace: "User", ID: fmt.Sprint(i)}}
		ups = append(ups, engine.Update{Op: engine.Insert, Tuple: engine.Tuple{
			Object: engine.Object{Namespace: "Group", ID: name}, Relation: "members", Subject: user,
		}})
	}
	return ups
}

// TestWatchLarge: a write that is larger than what a feed remembers comes in
// pieces, of which the last alone has a token, to those who wait for it, those
// who come later, and those who broke off in the middle.
func TestWatchLarge(t *testing.T) {
	for _, size := range []int{500, 501, 4096, 4097, 6_001} {
		e, f := newWatched(t, engine.Options{})
		before, err := e.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waiting := watch(t, f, "", engine.Watch{Heartbeat: time.Hour})
		for range 2 { // the second time the feed has begun to remember
			done, err := e.Write(t.Context(), engine.Write{Updates: many(size, "one")})
			if err != nil {
				t.Fatal(err)
			}
			whole(t, waiting, size)
			if waiting.token != done.Token {
				t.Fatalf("%d: the last event has the token %s, want the write's", size, waiting.token)
			}
			broken := watch(t, f, before, engine.Watch{})
			broken.event()
			if broken.token != before && size > 500 {
				t.Errorf("%d: a piece has a token", size)
			}
			whole(t, watch(t, f, before, engine.Watch{}), size)
			name := "one"
			if done, err = e.Delete(t.Context(), engine.Query{Object: &name}, engine.Write{}); err != nil {
				t.Fatal(err)
			}
			before = done.Token
			whole(t, waiting, 0)
		}
	}
}

// whole reads events up to the next token and expects so many tuples then.
func whole(t *testing.T, w *watched, size int) {
	t.Helper()
	for begun := w.token; w.token == begun; {
		if e := w.event(); len(e.Changes) > 500 || len(e.Changes) == 0 {
			t.Fatalf("an event has %d changes", len(e.Changes))
		}
	}
	if len(w.state) != size {
		t.Fatalf("%d tuples at the token, want %d", len(w.state), size)
	}
}

// TestWatchHeartbeat: a watch that has nothing to tell comes forward.
func TestWatchHeartbeat(t *testing.T) {
	e, f := newWatched(t, engine.Options{})
	group := "Group"
	w := watch(t, f, "", engine.Watch{Queries: []engine.Query{{Namespace: &group}}, Heartbeat: time.Millisecond})
	token := write(t, e, "Doc:1#viewers@User:ann")
	for w.token != token {
		if ev := w.event(); len(ev.Changes) > 0 {
			t.Fatalf("got %+v", ev)
		}
	}
	write(t, e, "Group:1#members@User:ann")
	for len(w.state) == 0 {
		w.event()
	}
	// Who resumes at the heartbeat does not see what came before.
	ev := watch(t, f, token, engine.Watch{Heartbeat: time.Hour}).event()
	if len(ev.Changes) != 1 || ev.Changes[0].Tuple != parse(t, "Group:1#members@User:ann") {
		t.Errorf("got %+v", ev)
	}
}

// TestWatchModel: a change of the model is told in its place, whatever the
// filter.
func TestWatchModel(t *testing.T) {
	e, f := newWatched(t, engine.Options{})
	group := "Group"
	w := watch(t, f, "", engine.Watch{Queries: []engine.Query{{Namespace: &group}}, Heartbeat: time.Hour})
	v, token, err := e.ApplyModel(t.Context(), docs+"class More implements Namespace {}", engine.ApplyModel{})
	if err != nil {
		t.Fatal(err)
	}
	ev := w.event()
	if len(ev.Changes) != 1 || w.model != v.Number || ev.Token != token || ev.Changes[0].Model.Source != "" {
		t.Errorf("got %+v, want model %d", ev, v.Number)
	}
}

// TestWatchShares: however many watch, the log is read once for all of them.
func TestWatchShares(t *testing.T) {
	e, f := newWatched(t, engine.Options{})
	var all []*watched
	for range 50 {
		all = append(all, watch(t, f, "", engine.Watch{Heartbeat: time.Hour}))
	}
	write(t, e, "Doc:0#viewers@User:ann")
	for _, w := range all {
		w.event()
	}
	before := e.Stats().StoreRounds
	for i := range 10 {
		write(t, e, fmt.Sprintf("Doc:%d#viewers@User:bob", i))
		for _, w := range all {
			w.event()
		}
	}
	// Each write is followed by a round of the follower, and read by the feed.
	if got := e.Stats().StoreRounds - before; got > 25 {
		t.Errorf("%d round trips for 10 writes and 50 watches", got)
	}
}

// TestWatchSlow: who does not take events misses none, although the feed has long
// forgotten them.
func TestWatchSlow(t *testing.T) {
	e, f := newWatched(t, engine.Options{})
	slow := watch(t, f, "", engine.Watch{Heartbeat: time.Hour})
	quick := watch(t, f, "", engine.Watch{Heartbeat: time.Hour})
	const writes, size = 10, 2000
	for i := range writes {
		if _, err := e.Write(t.Context(), engine.Write{Updates: many(size, fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
		whole(t, quick, (i+1)*size)
	}
	for len(slow.state) < writes*size {
		slow.event()
	}
	if !maps.Equal(slow.state, quick.state) || slow.token != quick.token {
		t.Error("the slow watch saw something else than the quick one")
	}
}

func TestWatchExpired(t *testing.T) {
	db, s := newDB(t)
	e := newEngine(t, s, engine.Options{})
	f := engine.NewFeed(e)
	if _, _, err := e.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	old := write(t, e, "Doc:1#viewers@User:ann")
	slow := watch(t, f, old, engine.Watch{Heartbeat: time.Hour})
	for range 3 {
		write(t, e, "-Doc:1#viewers@User:ann")
		write(t, e, "Doc:1#viewers@User:ann")
	}
	now := write(t, e, "Doc:2#viewers@User:ann")
	if _, err := db.Purge(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, err := range f.Watch(t.Context(), old, engine.Watch{}) {
		wantKind(t, err, errs.Expired, "read all tuples anew")
	}
	_, err, _ := slow.next()
	wantKind(t, err, errs.Expired, "read all tuples anew")
	watch(t, f, now, engine.Watch{})
}

func TestWatchRefuses(t *testing.T) {
	e, f := newWatched(t, engine.Options{})
	other, _ := newWatched(t, engine.Options{})
	foreign := write(t, other, "Doc:1#viewers@User:ann")
	long := strings.Repeat("x", engine.MaxNamespace+1)
	for _, tt := range []struct {
		from  engine.Token
		w     engine.Watch
		words string
	}{
		{"zzz", engine.Watch{}, "malformed"},
		{foreign, engine.Watch{}, "another store"},
		{"", engine.Watch{Heartbeat: -1}, "heartbeat"},
		{"", engine.Watch{Queries: []engine.Query{{}, {Namespace: &long}}}, "query 1: namespace has"},
	} {
		n := 0
		for _, err := range f.Watch(t.Context(), tt.from, tt.w) {
			n++
			wantKind(t, err, errs.Invalid, tt.words)
		}
		if n != 1 {
			t.Errorf("%+v gives %d events", tt, n)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range f.Watch(ctx, "", engine.Watch{Heartbeat: time.Hour}) {
		if err != nil && ctx.Err() == nil {
			t.Error(err)
		}
		cancel()
	}
	w := watch(t, f, "", engine.Watch{Heartbeat: time.Hour})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	_, err, _ := w.next()
	wantKind(t, err, errs.Unavailable, "shutting down")
}

// TestWatchStoreDown: a watch does not say that nothing happened when it cannot
// know.
func TestWatchStoreDown(t *testing.T) {
	s := &faulty{Store: newStore(t)}
	e := newEngine(t, s, engine.Options{Poll: time.Millisecond})
	w := watch(t, engine.NewFeed(e), "", engine.Watch{Heartbeat: time.Millisecond})
	s.down.Store(true)
	for {
		_, err, _ := w.next()
		if err == nil {
			continue
		}
		wantKind(t, err, errs.Unavailable, "cannot be followed")
		break
	}
	s.down.Store(false)
	eventually(t, "recovery", func() bool { return e.Ready(t.Context()) == nil })
	watch(t, engine.NewFeed(e), w.token, engine.Watch{})
}

// TestWatchNetworks: nothing crosses from one network into another.
func TestWatchNetworks(t *testing.T) {
	db, s := newDB(t)
	other, err := db.Network(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	var engines []*engine.Engine
	var watches []*watched
	for _, s := range []engine.Store{s, other} {
		e := newEngine(t, s, engine.Options{Poll: time.Millisecond})
		if _, _, err := e.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
			t.Fatal(err)
		}
		engines = append(engines, e)
		watches = append(watches, watch(t, engine.NewFeed(e), "", engine.Watch{Heartbeat: 2 * time.Millisecond}))
	}
	for i := range 20 {
		at := i % 2
		write(t, engines[at], fmt.Sprintf("Doc:%d#viewers@User:ann", i))
		for _, w := range watches {
			w.until(engines[slices.Index(watches, w)], head(t, engines[slices.Index(watches, w)]))
		}
	}
	for i, w := range watches {
		if want := stored(t, engines[i], engine.Query{}, w.token); !maps.Equal(want, w.state) || len(want) != 10 {
			t.Errorf("network %d: the watch has %v, the store %v", i, w.state, want)
		}
	}
	for _, err := range engine.NewFeed(engines[0]).Watch(t.Context(), watches[1].token, engine.Watch{}) {
		wantKind(t, err, errs.Invalid, "another store")
	}
}

func head(t *testing.T, e *engine.Engine) engine.Token {
	t.Helper()
	token, err := e.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}
