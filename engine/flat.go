package engine

import (
	"github.com/cardea-iam/cardea/engine/graph"
)

// A flat is a permission without intersections and negations, written as what to do with
// each relation that is stored of the object. Most permissions are of that kind: a
// few relations that the subject may be in, and a few whose objects are asked in
// turn. Where everything is in memory, one look at all that is stored of the object
// then answers it or shows that nothing leads on, instead of one for each relation;
// and most objects of a wide graph lead nowhere. With 200 parents of which none leads
// on, a check takes 6 µs instead of 12 to 14.
type flat struct {
	relations []flatRelation // by relation number
}

type flatRelation struct {
	members bool  // the rule holds for whoever is stored here
	asks    []ask // and if one of these holds for an object that is stored here
}

// nothing is what a rule makes of relations that it does not name.
var nothing flatRelation

func (f *flat) of(relation uint32) *flatRelation {
	if int(relation) >= len(f.relations) {
		return &nothing
	}
	return &f.relations[relation]
}

// flatten gives the rules of a namespace, and the expressions in them, their flat
// form if they have one.
func flatten(own []*rule) {
	for relation, r := range own {
		if r != nil {
			flattenRule(r, uint32(relation), own)
		}
	}
}

// flattenRule does so for one rule. What is asked of objects that a traversal leads
// to is left alone: their namespace is not known before the walk.
func flattenRule(r *rule, relation uint32, own []*rule) {
	f := flattener{out: &flat{}, own: own, met: map[*rule]bool{}}
	if len(r.alts) > 0 && f.add(r, relation) {
		r.flat = f.out
	}
	for _, a := range r.alts {
		for _, next := range a.args {
			if a.op != opTraverse && next.rule != nil && next.relation >= isExpression {
				flattenRule(next.rule, next.relation, own)
			}
		}
	}
}

type flattener struct {
	out *flat
	own []*rule
	met map[*rule]bool
}

// add adds a rule, and reports whether it has a flat form.
func (f *flattener) add(r *rule, relation uint32) bool {
	if f.met[r] {
		return true // a permission in terms of itself adds nothing
	}
	f.met[r] = true
	if r.stored {
		f.at(relation).members = true
	}
	for _, a := range r.alts {
		switch {
		case a.op == opTraverse:
			at := f.at(a.via)
			at.asks = append(at.asks, a.args[0])
		case a.op == opAsk && a.args[0].rule != nil:
			if !f.add(a.args[0].rule, a.args[0].relation) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func (f *flattener) at(relation uint32) *flatRelation {
	f.out.relations = grow(f.out.relations, relation)
	return &f.out.relations[relation]
}

// probe looks at all that is stored of an object under a flat rule: whether the
// subject is there, and if not, whether anything there leads on.
func (w *walk) probe(object uint32, f *flat) (found, leads bool) {
	return probe(w.snap, object, f, w.subject)
}

func probe(snap *graph.Snapshot, object uint32, f *flat, subject graph.Ref) (found, leads bool) {
	star := snap.Star(object)
	bare := snap.HasBare()
	for i := range star.Slots() {
		relation, far := star.Kind(i)
		at := f.of(relation)
		if at.members {
			if far == subject.Relation() && star.List(i).Has(subject.Object()) {
				return true, true
			}
			leads = leads || far != 0 || bare
		}
		leads = leads || len(at.asks) > 0
	}
	return false, leads
}

// visitFlat puts what a question with a flat rule leads to on the lists of region id.
func (w *walk) visitFlat(id int32, q question) answer {
	result := answer{no, certain, nil}
	star := w.snap.Star(q.ref.Object())
	for i := range star.Slots() {
		relation, far := star.Kind(i)
		at := q.rule.flat.of(relation)
		if at.members && (far != 0 || w.snap.HasBare()) {
			a := w.pushMembers(id, far, star.List(i))
			if a.verdict == yes {
				return a
			}
			result = either(result, a)
		}
		for _, next := range at.asks {
			a := w.pushObjects(id, star.List(i), next)
			if a.verdict == yes {
				return a
			}
			result = either(result, a)
		}
	}
	return result
}
