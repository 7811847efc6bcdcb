package engine

import (
	"context"
	"sync"

	"github.com/cardea-iam/cardea/engine/graph"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A walk answers one question at one state.
//
// A question is a Ref: a relation, permission or expression of an object. Its
// answer is a least fixed point (rule E5), found as follows.
//
// Most of what a model says is a union: subject sets in subject sets, or-ed
// relations, traversed parents. A region is the set of questions that imply the
// one at its root through unions alone. It is searched with a work list and a
// visited set: one "yes" anywhere is the root's "yes", and when the list is
// empty every question of the region is a "no". Chains and cycles of any length
// cost neither stack nor thought there.
//
// Intersections and negations ask sub-questions, which open regions of their
// own, nested in the first. A nested region may meet a question that belongs to
// a region still open above it. The least fixed point lets it assume "no" there:
// if that question were a "yes", so would be the root above. An answer found
// with the help of such an assumption is provisional, and `low` is the depth of
// the outermost region that it rests on:
//
//   - A "yes" never rests on an assumption, because without negation more
//     tuples never turn a "yes" into a "no", and a negation accepts no
//     provisional answer.
//   - When a region ends as "no", what was provisional below it and rests on
//     nothing further out has become certain.
//   - When a region ends as "yes" or as an error, what was provisional below it
//     is forgotten, because it may have rested on that region's "no".
//
// A negation needs a certain answer, so below one no assumption is made about
// regions that were open before it: their questions are searched anew there, and
// what is found is certain. Only a negation met again below itself is left, and
// that is a recursion through a negation, and an error.
type walk struct {
	task
	climb       climb
	regions     []region
	seen        seenTable // question -> index in regions
	provisional []int32
	front       []graph.Ref // work lists of all open regions, one behind the other
	todo        []question  // the same, for what takes more than a look
	later       []question  // the same, for intersections and negations: dearer, so asked last
}

// A task is what is of one walk alone: all else is scratch, and kept for the next.
type task struct {
	ctx     context.Context
	snap    *graph.Snapshot
	program *program
	subject graph.Ref
	ways    *ways // nil: the walk cannot look from the subject
	budget  int64 // steps left
	look    int64 // when the budget falls below this, see whether anybody still waits
	stopped error // why the walk is over, which every open region then hears
	depth   int
	barrier int // regions less deep than this are outside of the innermost negation
	peak    int // the longest that todo was

	// In bounded mode only:
	state  *state
	member Subject          // the subject by name
	lacks  map[SetRead]bool // what the walk needed to know and did not
}

// maxDepth bounds the nesting of intersections and negations, each level of
// which takes some 600 bytes of a goroutine's stack: 64 MiB at the limit.
const maxDepth = 100_000

type question struct {
	ref  graph.Ref
	rule *rule
	set  graph.Set // what is stored for ref, if the rule counts that
	open bool      // set does not say all that the walk needs
	alt  *alt      // in later: the intersection or negation to ask
}

var walks = sync.Pool{New: func() any { return &walk{} }}

// decide answers q for a subject where everything is in memory.
func (s *state) decide(ctx context.Context, q question, subject graph.Ref, budget int64) (allowed bool, steps int64, err error) {
	allowed, known, open := q.atOnce(s.snap, subject)
	if known {
		return allowed, 1, nil
	}
	w := walks.Get().(*walk)
	w.begin(ctx, s, subject, budget)
	var a answer
	if open != 0 && q.rule.flat == nil {
		a = w.meet(q, open)
	} else {
		a = w.explore(q)
	}
	steps = budget - w.budget
	w.release()
	return a.verdict == yes, steps, a.err
}

// decideBounded does so in bounded mode, and notes in lacks what it needed to know
// and did not; if there is anything, an error may mean no more than that.
func (s *state) decideBounded(ctx context.Context, q question, subject graph.Ref, member Subject, budget int64, lacks map[SetRead]bool) (allowed bool, steps int64, err error) {
	if q.rule.stored && s.snap.Set(q.ref).Contains(subject) {
		return true, 1, nil
	}
	w := walks.Get().(*walk)
	w.begin(ctx, s, subject, budget)
	w.ways, w.state, w.member, w.lacks = nil, s, member, lacks
	a := w.solve(q.ref, q.rule)
	steps = budget - w.budget
	w.release()
	return a.verdict == yes, steps, a.err
}

// begin begins a walk.
func (w *walk) begin(ctx context.Context, s *state, subject graph.Ref, budget int64) {
	w.seen.reset()
	w.ctx, w.snap, w.program, w.subject, w.budget, w.look = ctx, s.snap, s.program, subject, budget, nextLook(budget)
	if !s.snap.HasBare() {
		w.ways, w.climb.turn = s.ways, s.ways.first
	}
}

// atOnce looks at what is stored of the object, and whether that tells the answer. If
// not, q is ready to be explored, or, if the rule has arms, open are those that are not
// known yet.
func (q *question) atOnce(snap *graph.Snapshot, subject graph.Ref) (allowed, known bool, open armSet) {
	r := q.rule
	if r.probe != nil {
		star := snap.Star(q.ref.Object())
		if r.flat != nil || !r.stored || !stores(snap, star, q.ref.Relation()) {
			no, open := r.probe.look(snap, q.ref.Object(), star, subject)
			return !no, no || open == 0, open
		}
	}
	if r.stored {
		q.set = snap.Set(q.ref)
	}
	if q.set.Contains(subject) {
		return true, true, 0
	}
	return false, len(r.alts) == 0 && ends(snap, q.set), 0
}

// ends reports whether the members of a set lead no further.
func ends(snap *graph.Snapshot, set graph.Set) bool {
	return !set.HasSets() && (set.IsEmpty() || !snap.HasBare())
}

// release makes w ready for the next walk. The scratch of a very large walk is
// left to the garbage collector.
func (w *walk) release() {
	if len(w.seen.entries) > keepSeen || cap(w.todo) > keepSeen || cap(w.front) > keepSeen {
		return
	}
	clear(w.todo[:w.peak]) // they hold on to a snapshot
	clear(w.later[:cap(w.later)])
	w.climb.reset()
	w.regions, w.provisional, w.front, w.todo, w.later = w.regions[:0], w.provisional[:0], w.front[:0], w.todo[:0], w.later[:0]
	w.task = task{}
	walks.Put(w)
}

// solve searches the region of ref.
func (w *walk) solve(ref graph.Ref, r *rule) answer {
	if a, known := w.recall(ref); known {
		return a
	}
	if w.depth >= maxDepth {
		return answer{failed, certain, errs.New(errs.Exhausted, "the check nests more than %d intersections and negations", maxDepth)}
	}
	if w.simple(r) {
		return w.start(ref, r)
	}
	q := question{ref: ref, rule: r, set: w.stored(ref, r)}
	if q.set.Contains(w.subject) {
		return answer{yes, certain, nil}
	}
	q.open = r.stored && w.lack(ref, q.set, false)
	return w.explore(q)
}

// explore searches the region of q, when it is known that the subject is not stored for
// q itself.
func (w *walk) explore(q question) answer {
	if w.simple(q.rule) {
		return w.start(q.ref, q.rule)
	}
	from := w.lists()
	w.queue(q)
	return w.search(q.ref, from)
}

// start does so for a question of a simple rule.
func (w *walk) start(ref graph.Ref, r *rule) answer {
	from := w.lists()
	switch {
	case w.leads(ref, r):
		w.cut(from)
		return answer{yes, certain, nil}
	case len(w.front) == from.front:
		return answer{no, certain, nil}
	default:
		return w.search(ref, from)
	}
}

// lists are the lengths of the work lists: where those of a region begin.
type lists struct{ front, todo, later int }

func (w *walk) lists() lists { return lists{len(w.front), len(w.todo), len(w.later)} }

func (w *walk) cut(to lists) {
	w.front, w.todo, w.later = w.front[:to.front], w.todo[:to.todo], w.later[:to.later]
}

// search searches the region of root, whose lists begin at from.
func (w *walk) search(root graph.Ref, from lists) answer {
	id, mark := w.enter(root)
	a := w.workOff(id, from)
	w.cut(from)
	return w.leave(id, mark, a)
}

// workOff works off the lists of region id, which begin at from. On the front the first
// come first, so that the memory of others comes meanwhile.
func (w *walk) workOff(id int32, from lists) answer {
	result := answer{no, certain, nil}
	next, fetched := from.front, from.front
	for {
		var a answer
		switch {
		case len(w.front) > next:
			if fetched < len(w.front) {
				fetched = w.fetch(fetched, next)
			}
			ref := w.front[next]
			next++
			if a = w.come(id, ref); next == len(w.front) {
				w.front = w.front[:from.front]
				next, fetched = from.front, from.front
			}
		case len(w.todo) > from.todo:
			w.budget--
			q := w.todo[len(w.todo)-1]
			w.todo = w.todo[:len(w.todo)-1]
			a = w.visit(id, q)
		case len(w.later) > from.later:
			w.budget--
			q := w.later[len(w.later)-1]
			w.later = w.later[:len(w.later)-1]
			a = w.combine(q)
		default:
			return result
		}
		if a.verdict == yes {
			return a
		}
		if w.stopped != nil || w.budget < w.look {
			if err := w.over(); err != nil {
				return answer{failed, certain, err}
			}
		}
		if a.verdict == failed || a.low != certain {
			result = either(result, a)
		}
	}
}

// either joins two answers of a union, neither of them a "yes". The first error
// is kept.
func either(a, b answer) answer {
	a.low = min(a.low, b.low)
	if a.verdict == no {
		a.verdict, a.err = b.verdict, b.err
	}
	return a
}

// over reports why the walk has to stop: no budget, or nobody waits any more.
func (w *walk) over() error {
	switch {
	case w.stopped != nil:
	case w.budget <= 0:
		w.stopped = errs.New(errs.Exhausted, "the check took more steps than limits.work allows")
	case w.budget < w.look:
		w.look = nextLook(w.budget)
		w.stopped = w.ctx.Err()
	}
	return w.stopped
}

// nextLook returns below which budget over is to be called. It is more than 0, so that the
// end of the budget is one of the times.
func nextLook(budget int64) int64 { return max(budget-1000, 1) }

// visit looks at one question of region id: it answers "yes", or puts what
// implies the question on the lists.
func (w *walk) visit(id int32, q question) answer {
	result := answer{no, certain, nil}
	if q.open {
		result = answer{failed, certain, errMissing}
	}
	for slot := q.set.First(); !slot.Ended(); slot = q.set.Next(slot) {
		if w.holds(q.set.Relation(slot), q.set.List(slot)) {
			return answer{yes, certain, nil}
		}
	}
	for i := range q.rule.alts {
		a := w.follow(id, q.ref.Object(), &q.rule.alts[i])
		if a.verdict == yes {
			return a
		}
		result = either(result, a)
	}
	return result
}

// follow puts what one alternative asks on the lists.
func (w *walk) follow(id int32, object uint32, a *alt) answer {
	switch a.op {
	case opTrue:
		return answer{yes, certain, nil}
	case opAsk:
		ref, r := graph.MakeRef(object, a.args[0].relation), a.args[0].rule
		if r == nil {
			var a answer
			if r, a = w.ruleIn(w.snap.NamespaceOf(object), ref); r == nil {
				return a
			}
		}
		return w.push(id, ref, r)
	case opTraverse:
		return w.traverse(id, graph.MakeRef(object, a.via), a.args[0])
	default: // opAnd, opNot
		w.later = append(w.later, question{ref: graph.MakeRef(object, a.id), alt: a})
		return answer{no, certain, nil}
	}
}

// traverse asks each object stored in via; plain subject ids are no objects.
func (w *walk) traverse(id int32, via graph.Ref, next ask) answer {
	result := answer{no, certain, nil}
	set := w.snap.Set(via)
	if w.lack(via, set, true) {
		result = answer{failed, certain, errMissing}
	}
	for slot := set.First(); !slot.Ended(); slot = set.Next(slot) {
		w.lead(next.relation, set.List(slot))
	}
	return result
}

// push adds a question to region id, unless its answer is known already or one
// look at what is stored tells it.
func (w *walk) push(id int32, ref graph.Ref, r *rule) answer {
	if w.simple(r) {
		return w.step(id, ref, r)
	}
	set := w.stored(ref, r)
	if set.Contains(w.subject) {
		return answer{yes, certain, nil}
	}
	if len(r.alts) == 0 && ends(w.snap, set) {
		w.budget--
		if r.stored && w.lack(ref, set, false) {
			return answer{failed, certain, errMissing}
		}
		return answer{no, certain, nil}
	}
	a, fresh := w.first(id, ref)
	if fresh {
		w.queue(question{ref: ref, rule: r, set: set, open: r.stored && w.lack(ref, set, false)})
	}
	return a
}

// first reports whether region id has to look into a question that it came to. If it was
// there already, or the answer is known, it has not.
func (w *walk) first(id int32, ref graph.Ref) (a answer, fresh bool) {
	e := w.seen.slot(ref)
	if e.walk == w.seen.walk {
		if e.value == id {
			return answer{no, certain, nil}, false
		}
		if a, known := w.recall(ref); known {
			return a, false
		}
	}
	w.seen.fill(e, ref, id)
	return answer{no, certain, nil}, true
}

func (w *walk) queue(q question) {
	w.todo = append(w.todo, q)
	w.peak = max(w.peak, len(w.todo))
}

func (w *walk) stored(ref graph.Ref, r *rule) graph.Set {
	if !r.stored {
		return graph.Set{}
	}
	if w.lacks != nil {
		if l := w.snap.Loaded(ref); l != nil {
			w.state.shelf.touch(l.Key)
		}
	}
	return w.snap.Set(ref)
}

// lack reports whether set, which is in memory for ref, leaves open whether the
// subject is in it, or, with all, who is; and notes that.
func (w *walk) lack(ref graph.Ref, set graph.Set, all bool) bool {
	if w.lacks == nil {
		return false
	}
	l := w.snap.Loaded(ref)
	if l != nil && !l.Part {
		return false
	}
	all = all || w.snap.HasBare() || w.member == Subject{}
	if l != nil && !all && l.Knows(set, w.subject) {
		return false
	}
	on := w.state.name(ref)
	w.lacks[SetRead{Object: on.Object, Relation: on.Relation, Member: w.member, Whole: all}] = true
	return true
}

// ruleIn finds the rule of a question that the data named, about an object of a
// namespace. What the model does not declare cannot be looked at, so it fails (rule
// E2).
func (w *walk) ruleIn(namespace uint32, ref graph.Ref) (*rule, answer) {
	r, kind := w.program.rule(namespace, ref.Relation())
	switch {
	case kind == errs.OK:
		return r, answer{}
	case w.program.compat && w.snap.Set(ref).Contains(w.subject):
		return nil, answer{yes, certain, nil}
	case w.program.compat && w.lack(ref, w.snap.Set(ref), false):
		return nil, answer{failed, certain, errMissing}
	case kind == errs.NotFound:
		return nil, answer{failed, certain, errs.New(errs.Invalid,
			"stored tuples lead to namespace %q, which does not exist", w.snap.NamespaceName(namespace))}
	default:
		return nil, answer{failed, certain, errs.New(errs.Invalid,
			"relation %q does not exist in namespace %q, to which stored tuples lead",
			w.snap.RelationName(ref.Relation()), w.snap.NamespaceName(namespace))}
	}
}

// combine answers an intersection or a negation.
func (w *walk) combine(q question) answer {
	if a, known := w.recall(q.ref); known {
		return a
	}
	id, mark := w.enter(q.ref)
	var a answer
	if q.alt.op == opAnd {
		a = w.all(q)
	} else {
		a = w.not(id, q)
	}
	return w.leave(id, mark, a)
}

// all answers an intersection. A "no" decides, whatever else failed (rule E3).
func (w *walk) all(q question) answer {
	result := answer{yes, certain, nil}
	for _, arg := range q.alt.args {
		a := w.arg(q, arg)
		if a.verdict == no {
			return a
		}
		low := min(result.low, a.low)
		if result.verdict == yes {
			result = a
		}
		result.low = low
	}
	return result
}

func (w *walk) not(id int32, q question) answer {
	outside := w.barrier
	w.barrier, w.regions[id].negation = w.depth, true
	a := w.arg(q, q.alt.args[0])
	w.barrier = outside
	switch {
	case a.verdict == yes:
		return answer{no, certain, nil}
	case a.verdict == no && a.low == certain:
		return answer{yes, certain, nil}
	case a.verdict == no:
		return answer{failed, certain, errs.New(errs.Refused,
			"stored tuples make %s depend on its own negation",
			Object{w.snap.NamespaceName(w.snap.NamespaceOf(q.ref.Object())), w.snap.ObjectName(q.ref.Object())})}
	default:
		return a
	}
}

func (w *walk) arg(q question, next ask) answer {
	ref, r := graph.MakeRef(q.ref.Object(), next.relation), next.rule
	if r == nil {
		var a answer
		if r, a = w.ruleIn(w.snap.NamespaceOf(ref.Object()), ref); r == nil {
			return a
		}
	}
	return w.solve(ref, r)
}
