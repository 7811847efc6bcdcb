package engine

import (
	"fmt"
	"testing"

	"github.com/cardea-iam/cardea/engine/graph"
)

// TestWrongGuess: a walk takes an object's number on trust, by a part of the hash of its
// name. When that is another object's, it is done again.
func TestWrongGuess(t *testing.T) {
	m := ModelOf(t, `class User implements Namespace {}
class Document implements Namespace { related: { viewers: User[] } }`)
	const known, asked = 400_000, 20_000_000 // of which some 29 have the hash of another
	viewer := func(i int) Subject { return SubjectSet("User", fmt.Sprint("user-", i), "") }
	tuples := make([]Tuple, known)
	for i := range tuples {
		tuples[i] = Tuple{Object{"Document", fmt.Sprint("known-", i)}, "viewers", viewer(i)}
	}
	s := stateOf(m, tuples, false)
	documents, _ := s.snap.Namespace("Document")
	for i := range asked {
		var pair graph.Pair
		pair.Set(documents, fmt.Sprint("unknown-", i), graph.Plain, "nobody")
		s.snap.Begin(&pair)
		s.snap.Guess(&pair)
		guessed := pair.A
		if guessed == 0 {
			continue
		}
		if !s.snap.Settle(&pair) || pair.A != 0 {
			t.Fatalf("%q is taken for %q", fmt.Sprint("unknown-", i), s.snap.ObjectName(guessed))
		}
		var number int
		if _, err := fmt.Sscanf(s.snap.ObjectName(guessed), "known-%d", &number); err != nil {
			continue // the hash of a user
		}
		q := Tuple{Object{"Document", fmt.Sprint("unknown-", i)}, "viewers", viewer(number)}
		if allowed, _, err := s.check(t.Context(), &q, 1e6, nil); err != nil || allowed {
			t.Fatalf("%s is %v, %v: the walk was at %q", q, allowed, err, s.snap.ObjectName(guessed))
		}
		q.Object.ID = s.snap.ObjectName(guessed)
		if allowed, _, err := s.check(t.Context(), &q, 1e6, nil); err != nil || !allowed {
			t.Fatalf("%s is %v, %v", q, allowed, err)
		}
		return
	}
	t.Fatal("no two names have one hash")
}
