package engine

import (
	"fmt"
	"strings"
	"testing"
)

// TestForms asks in more forms than are remembered, with names that run into each other
// and such as are too long, each more than once.
func TestForms(t *testing.T) {
	var source strings.Builder
	namespaces := []string{"A", "AB", "ABC", strings.Repeat("N", 40)}
	relations := []string{"b", "ab", "bc", "c", strings.Repeat("r", 30)}
	for i := range 12 {
		relations = append(relations, fmt.Sprint("x", i))
	}
	for _, ns := range namespaces {
		fmt.Fprintf(&source, "class %s implements Namespace { related: {", ns)
		for _, relation := range relations {
			fmt.Fprintf(&source, "%s: (A | SubjectSet<AB, \"b\">)[];", relation)
		}
		source.WriteString("} }\n")
	}
	m := ModelOf(t, source.String())
	var tuples []Tuple
	stored := map[Tuple]bool{}
	var questions []Tuple
	for i, ns := range namespaces {
		for j, relation := range relations {
			for k, subject := range []Subject{SubjectSet("A", "o", ""), SubjectSet("AB", "s", "b"), SubjectID("o")} {
				q := Tuple{Object{ns, "o"}, relation, subject}
				questions = append(questions, q)
				if (i+j+k)%2 == 0 && !subject.IsID() {
					tuples, stored[q] = append(tuples, q), true
				}
			}
		}
	}
	s := stateOf(m, tuples, false)
	for round := range 3 {
		for _, q := range questions {
			if got, _, err := s.check(t.Context(), &q, 1e6, nil); err != nil || got != stored[q] {
				t.Errorf("round %d: %s is %v, %v", round, q, got, err)
			}
		}
	}
	kept := 0
	for i := range s.program.forms {
		if s.program.forms[i].Load() != nil {
			kept++
		}
	}
	if kept < len(s.program.forms)/2 {
		t.Errorf("%d forms of %d are kept", kept, len(questions))
	}
}
