package engine_test

import (
	"fmt"
	"testing"

	"github.com/cardea-iam/cardea/engine"
)

// TestRenumber: an engine whose tuples come and go does not grow, and nobody who
// asks meanwhile notices, at whichever revision.
func TestRenumber(t *testing.T) {
	e := withDocs(t, engine.Options{}.RenumberAfter(500), "Doc:stays#viewers@User:ann")
	var first int64
	var tokens []engine.Token
	for i := range 300 {
		var ups []string
		for j := range 20 {
			ups = append(ups, fmt.Sprintf("Doc:document-%d-%d#viewers@User:user-%d-%d", i, j, i, j))
			if i > 0 {
				ups = append(ups, fmt.Sprintf("-Doc:document-%d-%d#viewers@User:user-%d-%d", i-1, j, i-1, j))
			}
		}
		tokens = append(tokens, write(t, e, ups...))
		if !check(t, e, fmt.Sprintf("Doc:document-%d-7#view@User:user-%d-7", i, i), latency) ||
			check(t, e, fmt.Sprintf("Doc:document-%d-7#view@User:user-%d-7", i-1, i-1), latency) ||
			!check(t, e, "Doc:stays#view@User:ann", latency) {
			t.Fatal("wrong answer")
		}
		if i > 10 && !check(t, e, fmt.Sprintf("Doc:document-%d-3#view@User:user-%d-3", i-10, i-10), exactly(tokens[i-10])) {
			t.Fatal("wrong answer about the past")
		}
		if i == 20 {
			first = e.Stats().Bytes
		}
	}
	eventually(t, "a renumbering", func() bool { return e.Stats().Compactions > 0 })
	if last := e.Stats().Bytes; last > 10*first {
		t.Errorf("memory grew from %d to %d bytes", first, last)
	}
	if got := e.Stats().Tuples; got != 21 {
		t.Errorf("%d tuples: expected 21", got)
	}
}
