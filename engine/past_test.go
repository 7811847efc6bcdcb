package engine_test

import (
	"fmt"
	"testing"

	"github.com/cardea-iam/cardea/engine"
)

// TestPastIsBounded: large writes, which copy most of the graph, do not pile up
// copies of it; those that are gone are read from the store again.
func TestPastIsBounded(t *testing.T) {
	e := withDocs(t, engine.Options{})
	const docs, size, writes = 30_000, 1000, 40
	insert := func(doc func(i int) int, user int) engine.Token {
		w := engine.Write{}
		for i := range size {
			w.Updates = append(w.Updates, engine.Update{Op: engine.Insert, Tuple: parse(t, fmt.Sprintf("Doc:%d#viewers@User:%d", doc(i), user))})
		}
		done, err := e.Write(t.Context(), w)
		if err == nil {
			_, err = e.Head(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		return done.Token
	}
	for n := range docs / size {
		insert(func(i int) int { return n*size + i }, -1)
	}
	var tokens []engine.Token
	for n := range writes {
		tokens = append(tokens, insert(func(i int) int { return i * docs / size }, n))
	}
	states, bytes := e.Past()
	if limit := max(e.Stats().Bytes/8, 16<<20); bytes > limit || bytes == 0 || states == 0 || states >= writes+docs/size {
		t.Errorf("%d past states take %d bytes, and may take %d", states, bytes, limit)
	}
	for _, n := range []int{0, 1, writes / 2, writes - 1} {
		for user, want := range map[int]bool{n: true, n + 1: false} {
			if got := check(t, e, fmt.Sprintf("Doc:30#viewers@User:%d", user), exactly(tokens[n])); got != want {
				t.Errorf("after write %d, user %d: %t, want %t", n, user, got, want)
			}
		}
	}
}
