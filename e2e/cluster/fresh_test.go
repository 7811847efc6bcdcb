package cluster

import (
	"fmt"
	"sync"
	"testing"
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
// read the log.
type deaf struct{ engine.Store }

func (deaf) Wake() <-chan struct{} { return nil }

// TestOneTailRead: a check with the token of another node's write takes exactly
// one read of the log's tail, the next with that token none, and however many ask
// at once share one, or two if some came while the first was under way.
func TestOneTailRead(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		writer := join(t, db, engine.Options{})
		if _, _, err := writer.ApplyModel(t.Context(), opl, engine.ApplyModel{}); err != nil {
			t.Fatal(err)
		}
		if !isSQLite(dsn) {
			db = open(t, dsn)
		}
		s, err := db.Network(t.Context(), "default")
		if err != nil {
			t.Fatal(err)
		}
		reader := start(t, deaf{s}, engine.Options{Poll: time.Hour})
		for i := range 20 {
			tuple := parse(t, fmt.Sprintf("Document:%d#viewers@User:ann", i))
			token, err := write(t.Context(), writer, insert(tuple))
			if err != nil {
				t.Fatal(err)
			}
			askers := 1
			if i%2 == 1 {
				askers = 64
			}
			before := reader.Stats()
			askTogether(t, reader, askers, tuple, token)
			after := reader.Stats()
			if got := after.Rounds - before.Rounds; got < 1 || got > int64(min(askers, 2)) {
				t.Errorf("write %d: %d checks with its token took %d reads of the tail", i, askers, got)
			}
			if err := expect(t.Context(), reader, tuple.String(), true, asFresh(token)); err != nil {
				t.Error(err)
			}
			if got := reader.Stats().StoreRounds - after.StoreRounds; got != 0 {
				t.Errorf("write %d: the next check with its token took %d round trips", i, got)
			}
		}
	})
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
