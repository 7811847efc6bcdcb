package engine

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/cardea-iam/cardea/internal/errs"
)

// TestListsAgainstChecks compares lists of objects and of subjects with checks of
// every object and every subject, in random worlds.
func TestListsAgainstChecks(t *testing.T) {
	r := newSeed(t)
	sure, listed := 0, 0
	for range 400 {
		w := newWorld(r, false)
		s := stateOf(w.model, w.tuples, false)
		e := &Engine{options: Options{}.withDefaults()}
		relations := append(slices.Clone(w.relations), "")
		for range 20 {
			subject, relation := pick(r, w.subjects), pick(r, relations)
			namespace := pick(r, []string{"User", "Group", "Doc"})
			all := w.everyObject(namespace)
			want, decided := map[Object]bool{}, len(all) > 0
			for _, o := range all {
				allowed, _, err := s.check(context.Background(), &Tuple{o, relation, subject}, 1e6, nil)
				if decided = decided && err == nil; allowed {
					want[o] = true
				}
			}
			got := map[Object]bool{}
			list, _, err := e.objects(context.Background(), s, ObjectQuery{namespace, relation, subject})
			if err == nil {
				for o, failed := range list {
					if err = failed; failed == nil && got[o] {
						t.Fatalf("%s comes twice", o)
					} else if failed == nil {
						got[o] = true
					}
				}
			}
			if decided && (err != nil || !maps.Equal(got, want)) {
				t.Fatalf("objects of %s with %q for %s: got %v, %v, want %v\n%s\n%v", namespace, relation, subject, got, err, want, w.source, w.tuples)
			}
			if decided {
				sure++
			}
			listed += len(got)
			w.compareSubjects(t, e, s, pick(r, w.objects), relation, pick(r, w.subjects))
		}
	}
	if listed == 0 || sure == 0 {
		t.Error("nothing was listed")
	}
}

func (w *world) compareSubjects(t *testing.T, e *Engine, s *state, o Object, relation string, like Subject) {
	t.Helper()
	q := SubjectQuery{Object: o, Relation: relation, Namespace: like.Namespace, Set: like.Relation}
	all := w.everyObject(like.Namespace)
	want, decided := map[Subject]bool{}, len(all) > 0
	for _, x := range all {
		subject := Subject{x, like.Relation}
		allowed, _, err := s.check(context.Background(), &Tuple{o, relation, subject}, 1e6, nil)
		if decided = decided && err == nil; allowed {
			want[subject] = true
		}
	}
	got := map[Subject]bool{}
	list, _, err := e.subjects(context.Background(), s, q)
	if err == nil {
		for x, failed := range list {
			if err = failed; failed == nil && got[x] {
				t.Fatalf("%s comes twice", x)
			} else if failed == nil {
				got[x] = true
			}
		}
	}
	if decided && (err != nil || !maps.Equal(got, want)) {
		t.Fatalf("subjects like %s with %q to %s: got %v, %v, want %v\n%s\n%v", like, relation, o, got, err, want, w.source, w.tuples)
	}
	if err != nil && errs.KindOf(err) != errs.Refused && errs.KindOf(err) != errs.Invalid {
		t.Fatal(err)
	}
}

// everyObject returns the objects of a namespace that are in a tuple.
func (w *world) everyObject(namespace string) []Object {
	var out []Object
	for _, t := range w.tuples {
		for _, o := range []Object{t.Object, t.Subject.Object} {
			if o.Namespace == namespace && !slices.Contains(out, o) {
				out = append(out, o)
			}
		}
	}
	return out
}
