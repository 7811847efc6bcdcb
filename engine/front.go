package engine

import "github.com/cardea-iam/cardea/engine/graph"

// The front of a walk has the questions that it goes to next, in the order in which it
// came by them. Where everything is in memory, most need no more than that: a rule that
// is flat, or counts only what is stored. The walk then looks once at what is stored of an
// object, which tells whether the subject is there, and appends what that leads to, whose
// memory the processor fetches while the walk is still at others. Queued with what is
// stored for them, objects were looked at three times: to see whether they lead on, to
// fetch what they lead to, and to go there; a "no" on Drive took a sixth longer, and one
// through a deep nesting of groups 70 %.

// simple reports whether what is stored of one object is all that a question of rule r
// looks at.
func (w *walk) simple(r *rule) bool {
	return w.lacks == nil && (r.flat != nil || len(r.alts) == 0)
}

// come looks at a question on the front of region id. Plain subject ids are no objects,
// and lead nowhere.
func (w *walk) come(id int32, ref graph.Ref) answer {
	if r := w.program.declared(w.snap.NamespaceOf(ref.Object()), ref.Relation()); r != nil && w.simple(r) {
		return w.step(id, ref, r)
	}
	r, a := w.ruleOf(ref)
	if r == nil {
		return a
	}
	return w.push(id, ref, r)
}

// ruleOf returns the rule of a question that a walk came to, nil if it is not asked.
func (w *walk) ruleOf(ref graph.Ref) (*rule, answer) {
	namespace, relation := w.snap.NamespaceOf(ref.Object()), ref.Relation()
	switch {
	case namespace == graph.Plain:
		return nil, answer{no, certain, nil}
	case relation == 0:
		return openRule, answer{}
	case relation >= isExpression:
		return w.program.expressions[relation-isExpression], answer{}
	default:
		return w.ruleIn(namespace, ref)
	}
}

// step asks a question of a simple rule that region id came to.
func (w *walk) step(id int32, ref graph.Ref, r *rule) answer {
	before := len(w.front)
	if w.leads(ref, r) {
		return answer{yes, certain, nil}
	}
	if len(w.front) == before {
		return answer{no, certain, nil}
	}
	a, fresh := w.first(id, ref)
	if !fresh {
		w.front = w.front[:before]
	}
	return a
}

// leads reports whether the subject is stored for a question of a simple rule. If not,
// it appends what the question leads to.
func (w *walk) leads(ref graph.Ref, r *rule) (found bool) {
	w.budget--
	snap, f := w.snap, r.flat
	if f == nil {
		return r.stored && w.leadsOpen(ref)
	}
	star := snap.Star(ref.Object())
	n := star.Slots()
	for i, at := uint32(0), n; i < n; i, at = i+1, star.Behind(i, at) {
		relation, far := snap.Kind(star, i)
		of := f.of(relation)
		if *of == nothing {
			continue
		}
		list := snap.List(ref.Object(), star, i, at)
		if of.members && w.holds(far, list) {
			return true
		}
		if of.asks > 0 {
			for _, next := range f.asksOf(of) {
				w.lead(next.relation, list)
			}
		}
	}
	return false
}

// leadsOpen does so for a relation that nothing declares.
func (w *walk) leadsOpen(ref graph.Ref) (found bool) {
	set := w.snap.Set(ref)
	for slot := set.First(); !slot.Ended(); slot = set.Next(slot) {
		if w.holds(set.Relation(slot), set.List(slot)) {
			return true
		}
	}
	return false
}

// holds reports whether the subject is among members of a relation, 0 for those that are no
// subject sets. If not, it appends what is in them.
func (w *walk) holds(relation uint32, members graph.List) bool {
	return relation == w.subject.Relation() && members.Has(w.subject.Object()) ||
		(relation != 0 || w.snap.HasBare()) && w.leadsInto(relation, members)
}

// leadsInto appends what is in members of a relation, all of them subject sets, unless it
// is known already whether the subject is in one of them. Without a relation they are objects,
// which are looked into as if they were groups.
func (w *walk) leadsInto(relation uint32, members graph.List) (found bool) {
	if w.climbs(relation, members.Len()) {
		return w.isAbove(relation, members)
	}
	w.lead(relation, members)
	return false
}

// lead appends a question to the front for each of some objects.
func (w *walk) lead(relation uint32, objects graph.List) {
	front := w.front
	for p := range objects.Pieces() {
		for _, object := range objects.Piece(p) {
			front = append(front, graph.MakeRef(object, relation))
		}
	}
	w.front = front
}

// nearest is of how many objects the processor fetches the memory at a time.
const nearest = 16

// fetch has the processor fetch what is stored of the objects on the front from one on, for
// those that come next after so many. It returns the end of what was fetched.
func (w *walk) fetch(from, next int) int {
	end := min(len(w.front), next+nearest)
	if from < end {
		w.snap.Fetch(w.front[from:end])
	}
	return max(from, end)
}
