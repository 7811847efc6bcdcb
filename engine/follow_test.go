package engine_test

import (
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
