package engine

import (
	"slices"

	"github.com/cardea-iam/cardea/opl"
)

// reference is the shortest program that obeys the rules of this package: it
// computes every answer for one subject as the well-founded model of the rules
// (van Gelder, The Alternating Fixpoint of Logic Programs with Negation, 1989),
// by plain iteration, without a cache or a goroutine.
//
// lower holds what is certainly a "yes" and upper what is possibly one. What the
// model does not declare is possible and never certain, so a question between
// the two has no answer.
type reference struct {
	model   *opl.Model
	tuples  []Tuple
	subject Subject
	compat  bool

	lower, upper facts
}

// facts are the questions (an object and a relation) that hold.
type facts map[Subject]bool

func newReference(m *opl.Model, tuples []Tuple, objects []Object, subject Subject, compat bool) *reference {
	r := &reference{model: m, tuples: tuples, subject: subject, compat: compat, lower: facts{}}
	questions := r.questions(objects)
	for {
		r.upper = r.fixpoint(questions, r.lower, true)
		lower := r.fixpoint(questions, r.upper, false)
		if len(lower) == len(r.lower) {
			return r
		}
		r.lower = lower
	}
}

// answer says yes or no, and whether there is an answer at all.
func (r *reference) answer(o Object, relation string) (allowed, known bool) {
	q := Subject{o, relation}
	return r.lower[q], r.lower[q] == r.upper[q]
}

// questions returns all that can be asked of the objects and of those in tuples.
func (r *reference) questions(objects []Object) []Subject {
	relations := map[string]bool{"": true}
	for _, ns := range r.model.Namespaces {
		for _, relation := range ns.Relations {
			relations[relation.Name] = true
		}
	}
	all := map[Object]bool{}
	for _, o := range objects {
		all[o] = true
	}
	for _, t := range r.tuples {
		relations[t.Relation], relations[t.Subject.Relation] = true, true
		all[t.Object], all[t.Subject.Object] = true, true
	}
	var list []Subject
	for o := range all {
		for relation := range relations {
			list = append(list, Subject{o, relation})
		}
	}
	return list
}

// fixpoint returns the least set of facts in which a negation holds if other
// lacks what it negates. unknown says what becomes of questions without answer.
func (r *reference) fixpoint(questions []Subject, other facts, unknown bool) facts {
	now := facts{}
	for changed := true; changed; {
		changed = false
		for _, q := range questions {
			if !now[q] && r.holds(q, now, other, unknown) {
				now[q], changed = true, true
			}
		}
	}
	return now
}

func (r *reference) holds(q Subject, now, other facts, unknown bool) bool {
	stored, rewrite := true, opl.Expr(opl.Const(false))
	ns, ok := r.model.Namespace(q.Namespace)
	switch {
	case q.Relation == "": // the object itself, whatever its namespace
	case !ok:
		return unknown || r.compat && r.stored(q)
	case len(ns.Relations) > 0:
		relation, ok := ns.Relation(q.Relation)
		if !ok {
			return unknown || r.compat && r.stored(q)
		}
		stored = !relation.Permission || r.compat
		if relation.Permission {
			rewrite = relation.Rewrite
		}
	}
	for _, t := range r.tuples {
		if stored && t.Object == q.Object && t.Relation == q.Relation && (t.Subject == r.subject || !t.Subject.IsID() && now[t.Subject]) {
			return true
		}
	}
	return r.eval(q.Object, rewrite, now, other, unknown)
}

// stored reports whether a tuple names the subject itself.
func (r *reference) stored(q Subject) bool {
	return slices.Contains(r.tuples, Tuple{q.Object, q.Relation, r.subject})
}

// eval is holds for an expression about o. A negation looks at the other facts,
// where what is unknown counts the other way round.
func (r *reference) eval(o Object, e opl.Expr, now, other facts, unknown bool) bool {
	switch e := e.(type) {
	case opl.Or:
		for _, part := range e.Of {
			if r.eval(o, part, now, other, unknown) {
				return true
			}
		}
		return false
	case opl.And:
		for _, part := range e.Of {
			if !r.eval(o, part, now, other, unknown) {
				return false
			}
		}
		return true
	case opl.Not:
		return !r.eval(o, e.Of, other, now, !unknown)
	case opl.Computed:
		return now[Subject{o, e.Relation}]
	case opl.Traverse:
		for _, t := range r.tuples {
			if t.Object == o && t.Relation == e.Relation && !t.Subject.IsID() && r.eval(t.Subject.Object, e.Of, now, other, unknown) {
				return true
			}
		}
		return false
	default:
		return bool(e.(opl.Const))
	}
}
