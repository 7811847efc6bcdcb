package cluster

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cardea-iam/cardea/engine"
)

// TestReadYourWrite: the token of a write on one node makes every other show it,
// and so does full consistency without a token; what asks for no freshness shows
// it by itself, if later.
func TestReadYourWrite(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		list := nodes(t, dsn, 3)
		for i := range 60 {
			tuple := parse(t, fmt.Sprintf("Document:%d#viewers@User:ann", i/2))
			up, want := insert(tuple), true
			if i%2 == 1 {
				up, want = remove(tuple), false
			}
			token, err := write(t.Context(), list[i%3], up)
			if err != nil {
				t.Fatal(err)
			}
			if err := expect(t.Context(), list[(i+1)%3], tuple.String(), want, asFresh(token)); err != nil {
				t.Fatalf("write %d, with its token: %v", i, err)
			}
			if err := expect(t.Context(), list[(i+2)%3], tuple.String(), want, fully); err != nil {
				t.Fatalf("write %d, fully consistent: %v", i, err)
			}
		}
		last := parse(t, "Document:last#viewers@User:ann")
		if _, err := write(t.Context(), list[0], insert(last)); err != nil {
			t.Fatal(err)
		}
		for _, node := range list {
			within(t, "the node shows the write by itself", func() bool {
				answer, err := node.Check(t.Context(), last, engine.Consistency{})
				return err == nil && answer.Allowed
			})
		}
	})
}

// deaf is a store that hints at nothing, so that only questions make its node
// read the log, and that does not begin to read before it may.
type deaf struct {
	engine.Store
	may func(context.Context)
}

func (deaf) Wake() <-chan struct{} { return nil }

func (d deaf) Tail(ctx context.Context, from engine.Revision, yield func(engine.Change) error) (engine.Revision, error) {
	d.may(ctx)
	return d.Store.Tail(ctx, from, yield)
}

// TestOneTailRead: a check with the token of another node's write takes exactly
// one read of the log's tail, the next with that token none, and many that ask
// while a read is under way share the one that comes after it.
//
// The clock of the test stands still, so that no node reads by the clock. With a
// connection open it would never move, and who waits for it would for ever, so the
// store is one in memory. That Tail is one round trip on a server is for store/pg.
func TestOneTailRead(t *testing.T) {
	synctest.Test(t, oneTailRead)
}

func oneTailRead(t *testing.T) {
	db := open(t, "mem:")
	writer := join(t, db, engine.Options{})
	if _, _, err := writer.ApplyModel(t.Context(), opl, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	s, err := db.Network(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	var reader *engine.Engine
	var waiting atomic.Int64 // how many have to wait before a read begins
	reader = start(t, deaf{s, func(ctx context.Context) {
		for ctx.Err() == nil && reader.Stats().Waits < waiting.Load() {
			runtime.Gosched()
		}
	}}, engine.Options{Poll: time.Hour})
	ask := func(name string, askers int) (tuple engine.Tuple, token engine.Token, reads int64) {
		tuple = parse(t, "Document:"+name+"#viewers@User:ann")
		token, err := write(t.Context(), writer, insert(tuple))
		if err != nil {
			t.Fatal(err)
		}
		before := reader.Stats()
		waiting.Store(before.Waits + int64(askers))
		askTogether(t, reader, askers, tuple, token)
		return tuple, token, reader.Stats().Rounds - before.Rounds
	}
	for i := range 20 {
		tuple, token, reads := ask(fmt.Sprint("one-", i), 1)
		if reads != 1 {
			t.Errorf("write %d: a check with its token took %d reads of the tail", i, reads)
		}
		before := reader.Stats()
		if err := expect(t.Context(), reader, tuple.String(), true, asFresh(token)); err != nil {
			t.Error(err)
		}
		if got := reader.Stats().StoreRounds - before.StoreRounds; got != 0 {
			t.Errorf("write %d: the next check with its token took %d round trips", i, got)
		}
	}
	for i := range 20 {
		// Two would do, but who is held up between a look at the state and the wait
		// comes too late for the second.
		if _, _, reads := ask(fmt.Sprint("many-", i), 64); reads > 4 {
			t.Errorf("write %d: 64 checks with its token took %d reads of the tail", i, reads)
		}
	}
}

// askTogether asks the same question many times at once.
func askTogether(t *testing.T, on *engine.Engine, askers int, tuple engine.Tuple, token engine.Token) {
	t.Helper()
	var all sync.WaitGroup
	for range askers {
		all.Go(func() {
			if err := expect(t.Context(), on, tuple.String(), true, asFresh(token)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
