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
// on, a check takes 8 to 9 µs instead of 12 to 14.
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
	if len(r.alts) > 0 {
		r.flat = flatOf(r, relation)
	}
	for _, a := range r.alts {
		for _, next := range a.args {
			if a.op != opTraverse && next.rule != nil && next.relation >= isExpression {
				flattenRule(next.rule, next.relation, own)
			}
		}
	}
	if len(r.alts) == 1 && r.alts[0].op == opAnd {
		r.arms = armsOf(r.alts[0].args)
	}
}

// flatOf returns the flat form of a rule, nil if it has none.
func flatOf(r *rule, relation uint32) *flat {
	f := flattener{out: &flat{}, met: map[*rule]bool{}}
	if !f.add(r, relation) {
		return nil
	}
	return f.out
}

// An arm is what an intersection asks, or, if not is set, what it asks to be "no".
// Many permissions are such: some relations and what they lead to, unless banned. One
// look at all that is stored of the object then answers most of their questions, and
// shows which arms have to be walked for the others.
type arm struct {
	ask
	flat *flat
	not  bool
}

const maxArms = 64 // bits of the set of those that are open

// armsOf returns the arms of an intersection, nil if not all of them are flat.
func armsOf(args []ask) []arm {
	if len(args) > maxArms {
		return nil
	}
	var arms []arm
	for _, next := range args {
		a := arm{ask: next}
		if r := next.rule; r != nil && !r.stored && len(r.alts) == 1 && r.alts[0].op == opNot {
			a.ask, a.not = r.alts[0].args[0], true
		}
		if a.rule == nil {
			return nil
		}
		if a.flat = flatOf(a.rule, a.relation); a.flat == nil {
			return nil
		}
		arms = append(arms, a)
	}
	return arms
}

type flattener struct {
	out *flat
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
func (f *flat) probe(snap *graph.Snapshot, star graph.Star, subject graph.Ref) (found, leads bool) {
	bare := snap.HasBare()
	for s := star.First(); !s.Ended(); s = star.Next(s) {
		relation, far := star.Kind(s)
		at := f.of(relation)
		if at.members {
			if far == subject.Relation() && star.List(s).Has(subject.Object()) {
				return true, true
			}
			leads = leads || far != 0 || bare
		}
		leads = leads || len(at.asks) > 0
	}
	return false, leads
}

// probeArms looks at all that is stored of an object under a rule with arms. An arm
// that is known to be "no" decides, whatever the others are (rule E3). Without one,
// open has those that must be walked, as a set of bits; if there are none, the answer
// is "yes".
func (r *rule) probeArms(snap *graph.Snapshot, star graph.Star, subject graph.Ref) (no bool, open uint64) {
	for i := range r.arms {
		a := &r.arms[i]
		switch found, leads := a.flat.probe(snap, star, subject); {
		case found == a.not && (found || !leads):
			return true, 0
		case !found && leads:
			open |= 1 << i
		}
	}
	return false, open
}

// stores reports whether a relation of an object has subjects.
func stores(star graph.Star, relation uint32) bool {
	for s := star.First(); !s.Ended(); s = star.Next(s) {
		if r, _ := star.Kind(s); r == relation {
			return true
		}
	}
	return false
}

// meet answers a question with arms of which those in open are not known.
func (w *walk) meet(q question, open uint64) answer {
	result := answer{yes, certain, nil}
	for i := range q.rule.arms {
		if open&(1<<i) == 0 {
			continue
		}
		arm := &q.rule.arms[i]
		ref := graph.MakeRef(q.ref.Object(), arm.relation)
		a, known := w.recall(ref)
		switch {
		case known:
		case arm.rule.flat != nil:
			a = w.explore(question{ref: ref, rule: arm.rule})
		default:
			a = w.solve(ref, arm.rule)
		}
		if a.verdict != failed && arm.not {
			a.verdict = yes - a.verdict
		}
		switch a.verdict {
		case no:
			return a
		case failed:
			result = a
		}
	}
	return result
}

// near appends the objects that a star leads to under f, up to so many.
func (f *flat) near(list []uint32, most int, star graph.Star, bare bool) []uint32 {
	for s := star.First(); !s.Ended(); s = star.Next(s) {
		relation, far := star.Kind(s)
		at := f.of(relation)
		if len(at.asks) > 0 || at.members && (far != 0 || bare) {
			members := star.List(s).Piece(0)
			n := min(len(members), most)
			list = append(list, members[:n]...)
			most -= n
		}
	}
	return list
}
