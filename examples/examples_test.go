package examples_test

import (
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/examples"
)

// TestExamples looks after the files themselves: whether the answers are right
// is tested where there is something to ask.
func TestExamples(t *testing.T) {
	all := examples.All()
	if len(all) != 3 || len(examples.Names()) != 3 {
		t.Fatalf("%d examples, want 3", len(all))
	}
	for _, e := range all {
		t.Run(e.Name, func(t *testing.T) {
			if !strings.Contains(e.Model, "implements Namespace") {
				t.Error("model.ts declares no namespace")
			}
			unique(t, "tuples.txt", e.Tuples)
			var questions []string
			verdicts := map[bool]int{}
			for _, q := range e.Expected {
				questions = append(questions, q.Tuple)
				verdicts[q.Allowed]++
			}
			unique(t, "expected.txt", questions)
			if verdicts[true] < 15 || verdicts[false] < 15 {
				t.Errorf("expected.txt has %d allowed and %d denied, want 15 of each at least", verdicts[true], verdicts[false])
			}
		})
	}
}

func unique(t *testing.T, file string, lines []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, line := range lines {
		if !strings.Contains(line, "#") || !strings.Contains(line, "@") {
			t.Errorf("%s: %q is not ns:object#relation@subject", file, line)
		}
		if seen[line] {
			t.Errorf("%s: %q is there twice", file, line)
		}
		seen[line] = true
	}
}

func TestGetUnknown(t *testing.T) {
	if _, ok := examples.Get("nope"); ok {
		t.Error("found an example that is not there")
	}
}
