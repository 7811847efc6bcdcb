package engine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine/graph"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/opl"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "seed of the random worlds; 0 takes the time")
	askedFlag = flag.Int("questions", 200_000, "random questions that TestAgainstReference asks at least")
)

func newSeed(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: repeat with -seed=%d", seed, seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// ModelOf compiles a model, for the tests outside of the package as well.
func ModelOf(tb testing.TB, source string) *opl.Model {
	tb.Helper()
	m, err := opl.Compile([]opl.Source{{Name: "model", Text: []byte(source)}}, opl.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// stateOf makes a state without a store.
func stateOf(m *opl.Model, tuples []Tuple, compat bool) *state {
	b := graph.Empty().Build()
	for _, t := range tuples {
		b.Insert(refs(b, t))
	}
	p := compile(m, b, compat)
	snap := b.Publish()
	first := 1 + len(tuples)%3 // worlds are small, so the other side is tried at once
	return &state{snap: snap, model: &model{compiled: m}, program: p, ways: newWays(p, snap, first)}
}

// TestAgainstReference compares the engine with the reference on random models
// and tuples. What fails is made as small as it gets before it is shown.
func TestAgainstReference(t *testing.T) {
	r := newSeed(t)
	var sum tally
	wrong := 0
	for n := 0; sum.asked < *askedFlag; n++ {
		wild, compat := n%3 == 0, n%2 == 0
		w := newWorld(r, wild)
		for _, subject := range w.subjects {
			bad := w.compare(subject, wild, compat, &sum)
			if bad == nil {
				continue
			}
			wrong++
			w.shrink(subject, wild, compat)
			bad = w.compare(subject, wild, compat, &sum)
			t.Errorf("%v\nmodel:\n%s\ntuples: %v", bad, w.source, w.tuples)
			if wrong == 3 {
				t.FailNow()
			}
		}
	}
	t.Logf("%+v", sum)
	if sum.allowed < sum.asked/50 || sum.failed < sum.asked/500 || sum.allowed+sum.failed > sum.asked*9/10 {
		t.Error("the worlds are too much alike to show anything")
	}
}

type tally struct{ asked, allowed, failed int }

// compare asks every question about one subject and returns the first
// difference. In a tame world answers must be equal and errors too. In a wild
// one the engine may also decline to answer what depends on its own negation.
func (w *world) compare(subject Subject, wild, compat bool, sum *tally) error {
	ref := newReference(w.model, w.tuples, w.objects, subject, compat)
	s := stateOf(w.model, w.tuples, compat)
	var asked []Tuple
	var answers []Result
	for _, o := range w.objects {
		for _, relation := range append(w.relations, "") {
			if ns, _ := w.model.Namespace(o.Namespace); relation != "" && len(ns.Relations) > 0 {
				if _, declared := ns.Relation(relation); !declared {
					continue
				}
			}
			q := Tuple{o, relation, subject}
			got, _, err := s.check(context.Background(), &q, 1e6, nil)
			want, known := ref.answer(o, relation)
			sum.count(got, err)
			asked, answers = append(asked, q), append(answers, Result{got, err})
			switch {
			case errs.KindOf(err) == errs.Refused && wild:
			case err == nil && !known:
				return errors.New(q.String() + ": answered, but there is no answer")
			case err != nil && known:
				return errors.New(q.String() + ": " + err.Error())
			case err == nil && got != want:
				return errors.New(q.String() + ": the reference says otherwise")
			}
		}
	}
	return together(s, asked, answers)
}

// together asks at once what was asked one by one, and returns the first difference.
func together(s *state, asked []Tuple, want []Result) error {
	e := &Engine{options: Options{MaxWork: 1e6}}
	got := make([]Result, len(asked))
	e.checkAll(context.Background(), s, asked, got)
	for i, q := range asked {
		if got[i].Allowed != want[i].Allowed || errs.KindOf(got[i].Err) != errs.KindOf(want[i].Err) {
			return fmt.Errorf("%v: %v together with others, %v alone", q, got[i], want[i])
		}
	}
	return nil
}

func (sum *tally) count(allowed bool, err error) {
	sum.asked++
	if allowed {
		sum.allowed++
	}
	if err != nil {
		sum.failed++
	}
}

// shrink drops tuples for as long as the difference stays.
func (w *world) shrink(subject Subject, wild, compat bool) {
	for i := 0; i < len(w.tuples); {
		all := w.tuples
		w.tuples = slices.Delete(slices.Clone(all), i, i+1)
		if bad := w.compare(subject, wild, compat, &tally{}); bad == nil {
			w.tuples = all
			i++
		}
	}
}

// TestMetamorphic checks what must hold between answers, without a reference:
// the order of writing does not matter, a tuple about nothing else changes
// nothing, and where the model has no negation a tuple never takes away.
func TestMetamorphic(t *testing.T) {
	r := newSeed(t)
	for range 300 {
		w := newWorld(r, false)
		before := w.answers(t, w.tuples)
		shuffled := slices.Clone(w.tuples)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if !slices.Equal(before, w.answers(t, shuffled)) {
			t.Fatalf("the order of tuples changes answers\n%s\n%v", w.source, w.tuples)
		}
		unrelated := append(shuffled, Tuple{Object{"Group", "elsewhere"}, "members", SubjectID("nobody")})
		if !slices.Equal(before, w.answers(t, unrelated)) {
			t.Fatalf("an unrelated tuple changes answers\n%s\n%v", w.source, w.tuples)
		}
		more := w.randomTuple(r, false)
		if containsNot(w.model) || fits(w.model, more) != nil {
			continue
		}
		for i, now := range w.answers(t, append(shuffled, more)) {
			if before[i] && !now {
				t.Fatalf("adding %s takes a permission away\n%s\n%v", more, w.source, w.tuples)
			}
		}
	}
}

func (w *world) answers(t *testing.T, tuples []Tuple) []bool {
	s := stateOf(w.model, tuples, false)
	var list []bool
	for _, o := range w.objects {
		for _, relation := range w.relations {
			for _, subject := range w.subjects {
				got, _, err := s.check(t.Context(), &Tuple{o, relation, subject}, 1e6, nil)
				list = append(list, got && err == nil)
			}
		}
	}
	return list
}

func containsNot(m *opl.Model) bool {
	for _, ns := range m.Namespaces {
		for _, r := range ns.Relations {
			if r.Rewrite != nil && slices.Contains([]byte(r.Rewrite.String()), '!') {
				return true
			}
		}
	}
	return false
}
