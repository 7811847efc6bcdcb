package engine

import (
	"math"

	"github.com/cardea-iam/cardea/engine/graph"
)

// A verdict is an answer, or none because of an error.
type verdict uint8

const (
	no verdict = iota
	yes
	failed
)

// An answer is a verdict, what it rests on, and why it failed.
type answer struct {
	verdict verdict
	low     int // depth of the outermost open region that this rests on, or certain
	err     error
}

const certain = math.MaxInt

// A region is a set of questions that is searched for one answer, that of its root; see
// walk.
type region struct {
	root  graph.Ref
	state regionState
	answer
	depth    int
	negation bool
}

type regionState uint8

const (
	open regionState = iota
	rests
	done
	forgotten
)

// recall returns what is known of a question that was met before.
func (w *walk) recall(ref graph.Ref) (answer, bool) {
	at, met := w.seen.get(ref)
	if !met {
		return answer{}, false
	}
	r := &w.regions[at]
	switch {
	case r.state == open && (r.depth >= w.barrier || r.negation):
		return answer{no, r.depth, nil}, true
	case r.state == open || r.state == rests && r.low < w.barrier:
		return answer{}, false
	case r.state == forgotten || r.verdict != no && r.root != ref:
		return answer{}, false
	default:
		return r.answer, true
	}
}

// enter opens a region; mark is what leave needs.
func (w *walk) enter(root graph.Ref) (id int32, mark int) {
	id = int32(len(w.regions))
	w.regions = append(w.regions, region{root: root, depth: w.depth})
	w.seen.set(root, id)
	w.depth++
	return id, len(w.provisional)
}

// leave closes region id with its answer and settles what is provisional since
// mark.
func (w *walk) leave(id int32, mark int, a answer) answer {
	w.depth--
	r := &w.regions[id]
	if a.low >= r.depth {
		a.low = certain
	}
	state := forgotten
	if a.verdict == no {
		state = rests
		if a.low == certain {
			state = done
		}
	}
	for _, other := range w.provisional[mark:] {
		inner := &w.regions[other]
		inner.state, inner.low = state, min(inner.low, a.low)
		if state == done {
			inner.low = certain
		}
	}
	if state != rests {
		w.provisional = w.provisional[:mark]
	}
	r.answer, r.state = a, done
	if a.low != certain {
		r.state = rests
		w.provisional = append(w.provisional, id)
	}
	return a
}
