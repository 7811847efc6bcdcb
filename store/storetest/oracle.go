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

// apply follows changes and returns an error if one of them is void: what came
// was there, or what went was not, as if the log had a gap or repeated itself.
func (s *state) apply(changes []engine.Change) error {
	for i, c := range changes {
		switch {
		case c.Model != nil && (c.Op != 0 || c.Tuple != engine.Tuple{}):
			return fmt.Errorf("change %d has a model and a tuple: %+v", i, c)
		case c.Model != nil && c.Model.Number > s.model:
			s.model = c.Model.Number
		case c.Op == engine.Insert && !s.tuples[c.Tuple]:
			s.tuples[c.Tuple] = true
		case c.Op == engine.Delete && s.tuples[c.Tuple]:
			delete(s.tuples, c.Tuple)
		default:
			return fmt.Errorf("change %d of %d is void: operation %d of %v, or model %v after %d", i, len(changes), c.Op, c.Tuple, c.Model, s.model)
		}
	}
	return nil
}

// deleteAll removes what q matches.
func (s *state) deleteAll(q engine.Query) {
	maps.DeleteFunc(s.tuples, func(t engine.Tuple, _ bool) bool { return q.Matches(t) })
}

// write does what w says and returns the net changes, or, with ok false, does
// nothing because a precondition does not hold.
func (s *state) write(w engine.Write) (inserted, deleted int64, ok bool) {
	for _, p := range w.If {
		if len(s.sorted(p.Query)) > 0 != p.Exists {
			return 0, 0, false
		}
	}
	before := s.clone()
	for _, q := range w.Delete {
		s.deleteAll(q)
	}
	s.update(w.Updates...)
	for t := range s.tuples {
		if !before.tuples[t] {
			inserted++
		}
	}
	for t := range before.tuples {
		if !s.tuples[t] {
			deleted++
		}
	}
	return inserted, deleted, true
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

// write returns a random write, with up to two preconditions, two deletions by
// query and some updates.
func (u universe) write(r *rand.Rand) engine.Write {
	var w engine.Write
	for range r.IntN(3) {
		// An absence is likelier to hold the more the query fixes.
		p := engine.Precondition{Query: queryOf(u.tuple(r), 15), Exists: false}
		if r.IntN(2) == 0 {
			p = engine.Precondition{Query: queryOf(u.tuple(r), r.IntN(16)), Exists: true}
		}
		w.If = append(w.If, p)
	}
	for range r.IntN(3) {
		w.Delete = append(w.Delete, queryOf(u.tuple(r), 1+r.IntN(15)))
	}
	w.Updates = u.updates(r, r.IntN(12))
	return w
}

func adding(tuples ...engine.Tuple) engine.Write {
	return engine.Write{Updates: updates(engine.Insert, tuples)}
}

func removing(tuples ...engine.Tuple) engine.Write {
	return engine.Write{Updates: updates(engine.Delete, tuples)}
}

// exactly is the query for one tuple.
func exactly(t engine.Tuple) engine.Query { return queryOf(t, 15) }

// exists and absent are the two kinds of preconditions.
func exists(q engine.Query) engine.Precondition { return engine.Precondition{Query: q, Exists: true} }
func absent(q engine.Query) engine.Precondition { return engine.Precondition{Query: q} }

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
