package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/cardea-iam/cardea/engine"
)

// TestHistory: whatever clients of three nodes did and saw has a serial order, in
// which fully consistent reads see the state of their moment and tokens are never
// answered from before what they show.
func TestHistory(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		w := &world{nodes: nodes(t, dsn, 3)}
		w.run(t, seed, noError)
	})
}

// TestNewEnemy: Bob leaves the group before the document is shared with it, and
// comes back after it no longer is, each step through another node, which has
// heard of the step before. So he may never view it, at no consistency, on no
// node.
func TestNewEnemy(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		list := nodes(t, dsn, 3)
		done := make(chan struct{})
		var readers sync.WaitGroup
		for i, node := range list {
			for _, at := range []engine.Consistency{{}, fully} {
				readers.Go(func() { watchBob(t, node, i, at, done) })
			}
		}
		defer readers.Wait()
		defer close(done)
		live(t, list, rand.New(rand.NewPCG(seed, 0)))
	})
}

const (
	bobsQuestion = "Document:secret#view@User:bob"
	bobInGroup   = "Group:staff#members@User:bob"
	sharedWith   = "Document:secret#viewers@Group:staff#members"
)

// watchBob asks until done whether Bob may view the document.
func watchBob(t *testing.T, on *engine.Engine, node int, at engine.Consistency, done <-chan struct{}) {
	question := parse(t, bobsQuestion)
	for n := 0; ; n++ {
		select {
		case <-done:
			if n == 0 {
				t.Error("nobody asked")
			}
			return
		default:
		}
		runtime.Gosched() // the writers want to get on, too
		answer, err := on.Check(t.Context(), question, at)
		if err != nil || answer.Allowed {
			t.Errorf("node %d, mode %d: allowed %t, %v", node, at.Mode, answer.Allowed, err)
			return
		}
	}
}

// live changes group and document again and again, and asks with the token of
// each change on another node.
func live(t *testing.T, list []*engine.Engine, r *rand.Rand) {
	t.Helper()
	const rounds = 30
	steps := []engine.Update{
		insert(parse(t, bobInGroup)),
		remove(parse(t, bobInGroup)),
		insert(parse(t, sharedWith)),
		remove(parse(t, sharedWith)),
	}
	for round := range rounds {
		for i, step := range steps {
			token, err := write(t.Context(), list[r.IntN(len(list))], step)
			if err != nil {
				t.Fatal(err)
			}
			other := r.IntN(len(list))
			if err := expect(t.Context(), list[other], bobsQuestion, false, asFresh(token)); err != nil {
				t.Fatalf("round %d, step %d, node %d: %v", round, i, other, err)
			}
			// The step itself is there: the answer is not from before the token.
			if err := expect(t.Context(), list[other], step.Tuple.String(), step.Op == engine.Insert, asFresh(token)); err != nil {
				t.Fatalf("round %d, step %d, node %d: %v", round, i, other, err)
			}
		}
	}
}

// expect asks a question whose answer is known.
func expect(ctx context.Context, on *engine.Engine, question string, want bool, at engine.Consistency) error {
	tuple, err := engine.ParseTuple(question)
	if err != nil {
		return err
	}
	answer, err := on.Check(ctx, tuple, at)
	if err == nil && answer.Allowed != want {
		err = fmt.Errorf("%s: allowed %t, want %t", question, answer.Allowed, want)
	}
	return err
}
