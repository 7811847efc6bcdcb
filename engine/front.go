package engine

import "github.com/cardea-iam/cardea/engine/graph"

// A front is where a walk goes next: objects that stand together in the graph, and what
// to ask each of them. Where everything is in memory, most questions need no more than
// that: a rule that is flat, or counts only what is stored. The walk then looks once at
// what is stored of an object, which tells whether the subject is there, and appends a
// front for each slot that leads on. Queued as questions of their own, objects were
// looked at three times: to see whether they lead on, to fetch what they lead to, and to
// go there; a "no" on Drive took a sixth longer, and one through a deep nesting of groups 70 %.
type front struct {
	objects graph.List
	ask
	sets bool // they are subject sets, to which there may be another way, see climb
}

// simple reports whether fronts are all that a question of rule r leads to.
func (w *walk) simple(r *rule) bool {
	return w.lacks == nil && (r.flat != nil || len(r.alts) == 0)
}

// step asks a question of a simple rule that region id came to.
func (w *walk) step(id int32, ref graph.Ref, r *rule) answer {
	before := len(w.fronts)
	if w.leads(ref, r) {
		return answer{yes, certain, nil}
	}
	if len(w.fronts) == before {
		return answer{no, certain, nil}
	}
	a, fresh := w.first(id, ref)
	if !fresh {
		w.widest = max(w.widest, len(w.fronts))
		w.fronts = w.fronts[:before]
	}
	return a
}

// leads reports whether the subject is stored for a question of a simple rule. If not,
// it appends what the question leads to.
func (w *walk) leads(ref graph.Ref, r *rule) (found bool) {
	w.budget--
	if r.flat != nil {
		return w.leadsFlat(r.flat, w.snap.Star(ref.Object()))
	}
	if !r.stored {
		return false
	}
	star := w.snap.Star(ref.Object())
	for s := star.First(); !s.Ended(); s = star.Next(s) {
		relation, far := star.Kind(s)
		if relation != ref.Relation() {
			continue
		}
		list := star.List(s)
		if far == w.subject.Relation() && list.Has(w.subject.Object()) {
			return true
		}
		w.leadsInto(far, list)
	}
	return false
}

func (w *walk) leadsFlat(f *flat, star graph.Star) (found bool) {
	for s := star.First(); !s.Ended(); s = star.Next(s) {
		relation, far := star.Kind(s)
		at := f.of(relation)
		if at.members {
			if far == w.subject.Relation() && star.List(s).Has(w.subject.Object()) {
				return true
			}
			w.leadsInto(far, star.List(s))
		}
		for _, next := range f.asksOf(at) {
			w.fronts = append(w.fronts, front{objects: star.List(s), ask: next})
		}
	}
	return false
}

// leadsInto appends what is in subject sets that are members, all with the same
// relation. With the empty one they are objects, which are looked into as if they were
// groups.
func (w *walk) leadsInto(relation uint32, members graph.List) {
	switch {
	case relation != 0:
		w.fronts = append(w.fronts, front{members, ask{relation: relation}, true})
	case w.snap.HasBare():
		w.fronts = append(w.fronts, front{members, ask{rule: openRule}, true})
	}
}

// advance asks what a front has to ask.
func (w *walk) advance(id int32, f front) answer {
	if f.sets {
		return w.pushMembers(id, f.relation, f.objects)
	}
	return w.pushObjects(id, f.objects, f.ask)
}

// ahead has the processor fetch what is stored of the objects on the fronts from one on,
// so that the walk waits for memory once for all of them, and not for one after the
// other. It returns the end of those fronts.
func (w *walk) ahead(from int) int {
	near := w.near[:0]
	end := from
	for ; end < len(w.fronts) && (end == from || len(near) < nearest/2); end++ {
		some := w.fronts[end].objects.Piece(0)
		near = append(near, some[:min(len(some), nearest-len(near))]...)
	}
	if len(near) > 1 {
		w.snap.Fetch(near)
	}
	return end
}

// nearest is of how many objects a walk waits for memory together.
const nearest = 16
