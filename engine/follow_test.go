package engine_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
)

// A hinted store says when somebody wrote.
type hinted struct {
	engine.Store
	wake chan struct{}
}

func (h *hinted) Wake() <-chan struct{} { return h.wake }

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestHints: an engine that would not ask for an hour follows the log when the
// store says that there is something.
func TestHints(t *testing.T) {
	s := newStore(t)
	writer := newEngine(t, s, engine.Options{})
	if _, _, err := writer.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	h := &hinted{s, make(chan struct{}, 1)}
	e := newEngine(t, h, engine.Options{})
	write(t, writer, "Doc:1#viewers@User:ann")
	if check(t, e, "Doc:1#view@User:ann", latency) {
		t.Fatal("the engine follows the log by itself")
	}
	h.wake <- struct{}{}
	eventually(t, "the write", func() bool { return check(t, e, "Doc:1#view@User:ann", latency) })
}

// TestPoll: without hints the clock does.
func TestPoll(t *testing.T) {
	s := newStore(t)
	writer := newEngine(t, s, engine.Options{})
	e := newEngine(t, s, engine.Options{Poll: 5 * time.Millisecond})
	if _, _, err := writer.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	write(t, writer, "Doc:1#viewers@User:ann")
	eventually(t, "the model and the write", func() bool { return len(e.Namespaces()) > 0 })
	eventually(t, "the write", func() bool { return check(t, e, "Doc:1#view@User:ann", latency) })
}

// TestTokenNeedsOneTail: however many ask with the token of a write at once, one
// or two reads of the tail serve them.
func TestTokenNeedsOneTail(t *testing.T) {
	s := newStore(t)
	writer := newEngine(t, s, engine.Options{})
	if _, _, err := writer.ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	e := newEngine(t, s, engine.Options{})
	token := write(t, writer, "Doc:1#viewers@User:ann")
	before := e.Stats()
	for range 2 {
		if !check(t, e, "Doc:1#view@User:ann", atLeast(token)) {
			t.Error("ann cannot view")
		}
	}
	if got := e.Stats().StoreRounds - before.StoreRounds; got != 1 {
		t.Errorf("two checks with the token took %d round trips: expected 1", got)
	}
}

// A gated store lets a read of the tail begin, and end when the test says so.
type gated struct {
	engine.Store
	began, goOn chan struct{}
}

func (g *gated) Tail(ctx context.Context, from engine.Revision, yield func(engine.Change) error) (engine.Revision, error) {
	g.began <- struct{}{}
	<-g.goOn
	return g.Store.Tail(ctx, from, yield)
}

// TestConcurrentCallersShareARound: whoever asks for full consistency while a read of
// the tail is under way is not served by that one, and all of them by the next.
func TestConcurrentCallersShareARound(t *testing.T) {
	s := newStore(t)
	if _, _, err := newEngine(t, s, engine.Options{}).ApplyModel(t.Context(), docs, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	g := &gated{s, make(chan struct{}), make(chan struct{})}
	e, err := engine.New(t.Context(), g, engine.Options{Poll: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	latest := engine.Consistency{Mode: engine.FullyConsistent}
	question := parse(t, "Doc:1#view@User:ann")
	var first, others sync.WaitGroup
	ask := func() {
		if _, err := e.Check(t.Context(), question, latest); err != nil {
			t.Error(err)
		}
	}
	first.Go(ask)
	<-g.began
	const callers = 50
	for range callers {
		others.Go(ask)
	}
	eventually(t, "the callers", func() bool { return e.Waiting() == callers })
	g.goOn <- struct{}{}
	first.Wait()
	<-g.began
	g.goOn <- struct{}{}
	others.Wait()
	if got := e.Stats().Rounds; got != 2 {
		t.Errorf("%d reads of the tail for 1 and %d callers, want 2", got, callers)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
