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
	more := 300
	eventually(t, "names to be cleared away", func() bool {
		for j := range 20 {
			write(t, e, fmt.Sprintf("Doc:document-%d-%d#viewers@User:u", more, j), fmt.Sprintf("-Doc:document-%d-%d#viewers@User:u", more-1, j))
		}
		more++
		return e.Stats().Compactions > 0 && e.Stats().Bytes < 10*first
	})
	if !check(t, e, "Doc:stays#view@User:ann", fully) || check(t, e, "Doc:document-301-1#view@User:ann", fully) {
		t.Error("wrong answer")
	}
}
