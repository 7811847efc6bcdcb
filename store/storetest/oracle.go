package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/cardea-iam/cardea/engine"
)

// A state is the oracle: the set of tuples that a store has to show, and the
// number of the active model.
type state struct {
	tuples map[engine.Tuple]bool
	model  int64
}

func newState(tuples ...engine.Tuple) state {
	s := state{tuples: map[engine.Tuple]bool{}}
	for _, t := range tuples {
		s.tuples[t] = true
	}
	return s
}

func (s state) clone() state { return state{maps.Clone(s.tuples), s.model} }

func (s state) equal(o state) bool { return s.model == o.model && maps.Equal(s.tuples, o.tuples) }

func (s *state) update(ups ...engine.Update) {
	for _, u := range ups {
		if u.Op == engine.Insert {
			s.tuples[u.Tuple] = true
		} else {
			delete(s.tuples, u.Tuple)
		}
	}
}

func (s *state) apply(changes []engine.Change) {
	for _, c := range changes {
		if c.Model != nil {
			s.model = c.Model.Number
			continue
		}
		s.update(engine.Update{Op: c.Op, Tuple: c.Tuple})
	}
}

// deleteAll removes what q matches and returns how many there were.
func (s *state) deleteAll(q engine.Query) int64 {
	before := len(s.tuples)
	maps.DeleteFunc(s.tuples, func(t engine.Tuple, _ bool) bool { return q.Matches(t) })
	return int64(before - len(s.tuples))
}

// sorted returns what q matches, in the order of Tuple.Compare.
func (s state) sorted(q engine.Query) []engine.Tuple {
	var out []engine.Tuple
	for t := range s.tuples {
		if q.Matches(t) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, engine.Tuple.Compare)
	return out
}

// A universe is a small set of names, so that random tuples meet again. The
// names differ in case, are prefixes of each other, and lie on both sides of
// the separators that a careless encoding would use.
type universe struct {
	namespaces, objects, relations, subjectNamespaces, subjects, subjectRelations []string
}

var small = universe{
	namespaces:        []string{"doc", "Doc", "docs"},
	objects:           []string{"", "1", "10", "é"},
	relations:         []string{"", "view", "viewer"},
	subjectNamespaces: []string{"", "User", "doc"},
	subjects:          []string{"", "ann", "ann#", "1"},
	subjectRelations:  []string{"", "view"},
}

func (u universe) tuple(r *rand.Rand) engine.Tuple {
	return engine.Tuple{
		Object:   engine.Object{Namespace: pick(r, u.namespaces), ID: pick(r, u.objects)},
		Relation: pick(r, u.relations),
		Subject:  u.subject(r),
	}
}

func (u universe) subject(r *rand.Rand) engine.Subject {
	s := engine.SubjectSet(pick(r, u.subjectNamespaces), pick(r, u.subjects), pick(r, u.subjectRelations))
	if s.IsID() {
		s.Relation = ""
	}
	return s
}

func (u universe) updates(r *rand.Rand, n int) []engine.Update {
	out := make([]engine.Update, n)
	for i := range out {
		out[i] = engine.Update{Op: engine.Insert, Tuple: u.tuple(r)}
		if r.IntN(5) < 2 {
			out[i].Op = engine.Delete
		}
	}
	return out
}

// queries returns one random query for each set of fields that can be given.
func (u universe) queries(r *rand.Rand) []engine.Query {
	var out []engine.Query
	for fields := range 16 {
		t := u.tuple(r)
		out = append(out, queryOf(t, fields))
	}
	return out
}

// queryOf returns the query that fixes those fields of t whose bit is set.
func queryOf(t engine.Tuple, fields int) engine.Query {
	var q engine.Query
	if fields&1 != 0 {
		q.Namespace = &t.Object.Namespace
	}
	if fields&2 != 0 {
		q.Object = &t.Object.ID
	}
	if fields&4 != 0 {
		q.Relation = &t.Relation
	}
	if fields&8 != 0 {
		q.Subject = &t.Subject
	}
	return q
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

func updates(op engine.Op, tuples []engine.Tuple) []engine.Update {
	ups := make([]engine.Update, len(tuples))
	for i, t := range tuples {
		ups[i] = engine.Update{Op: op, Tuple: t}
	}
	return ups
}

// numbered returns the tuples doc:from#view@User:from to doc:to-1#view@User:to-1.
func numbered(from, to int) []engine.Tuple {
	var out []engine.Tuple
	for i := from; i < to; i++ {
		out = append(out, engine.Tuple{
			Object:   engine.Object{Namespace: "doc", ID: fmt.Sprintf("%06d", i)},
			Relation: "view",
			Subject:  engine.SubjectSet("User", fmt.Sprint(i), ""),
		})
	}
	return out
}

func parse(texts ...string) []engine.Tuple {
	var out []engine.Tuple
	for _, text := range texts {
		t, err := engine.ParseTuple(text)
		if err != nil {
			panic(err) // a mistake in the test
		}
		out = append(out, t)
	}
	return out
}

func show(q engine.Query) string {
	text := func(p *string) string {
		if p == nil {
			return "*"
		}
		return fmt.Sprintf("%q", *p)
	}
	subject := "*"
	if q.Subject != nil {
		subject = fmt.Sprintf("%+q", [...]string{q.Subject.Namespace, q.Subject.ID, q.Subject.Relation})
	}
	return fmt.Sprintf("%s:%s#%s@%s", text(q.Namespace), text(q.Object), text(q.Relation), subject)
}

// brief keeps a failure readable.
func brief(tuples []engine.Tuple) []engine.Tuple { return tuples[:min(len(tuples), 30)] }
