package engine

import (
	"testing"

	"github.com/cardea-iam/cardea/examples"
	"github.com/cardea-iam/cardea/opl"
)

// TestExamples asks the questions of every example of the reference and of the
// engine. The doors are asked the same by the tests at the edge.
func TestExamples(t *testing.T) {
	for _, example := range examples.All() {
		t.Run(example.Name, func(t *testing.T) {
			m, err := opl.Compile([]opl.Source{{Name: example.Name, Text: []byte(example.Model)}}, opl.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var tuples []Tuple
			for _, text := range example.Tuples {
				tuple := parse(t, text)
				if err := fits(m, tuple); err != nil {
					t.Errorf("%s: %v", text, err)
				}
				tuples = append(tuples, tuple)
			}
			s := stateOf(m, tuples, false)
			for _, q := range example.Expected {
				tuple := parse(t, q.Tuple)
				got, _, err := s.check(t.Context(), &tuple, 1e6, nil)
				if err != nil || got != q.Allowed {
					t.Errorf("expected.txt:%d: %s: the engine says %v, %v", q.Line, q.Tuple, got, err)
				}
				ref := newReference(m, below(tuples, tuple.Object), []Object{tuple.Object}, tuple.Subject, false)
				if allowed, known := ref.answer(tuple.Object, tuple.Relation); !known || allowed != q.Allowed {
					t.Errorf("expected.txt:%d: %s: the reference says %v, known %v", q.Line, q.Tuple, allowed, known)
				}
			}
		})
	}
}

// below returns the tuples that a question about o can depend on.
func below(tuples []Tuple, o Object) []Tuple {
	byObject := map[Object][]Tuple{}
	for _, t := range tuples {
		byObject[t.Object] = append(byObject[t.Object], t)
	}
	var found []Tuple
	seen := map[Object]bool{o: true}
	for todo := []Object{o}; len(todo) > 0; todo = todo[1:] {
		for _, t := range byObject[todo[0]] {
			found = append(found, t)
			if !seen[t.Subject.Object] {
				seen[t.Subject.Object] = true
				todo = append(todo, t.Subject.Object)
			}
		}
	}
	return found
}

func parse(tb testing.TB, text string) Tuple {
	tb.Helper()
	t, err := ParseTuple(text)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}
