package engine

import (
	"context"
	"iter"

	"github.com/cardea-iam/cardea/engine/graph"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A SubjectQuery asks for the subjects of one kind that have a relation or
// permission to an object: plain ids (no Namespace), objects of a namespace, or
// subject sets with a relation in it.
type SubjectQuery struct {
	Object    Object
	Relation  string
	Namespace string
	Set       string // the relation of the subject sets; "" for objects and plain ids
}

// Subjects yields every subject for which Check says yes, in no particular order,
// all at the revision of the token. The subjects looked at are those that are in
// any tuple. An error comes last: what was yielded is then true, but not all.
//
// Errors as for Check, also for any subject that is a candidate.
func (e *Engine) Subjects(ctx context.Context, q SubjectQuery, at Consistency) (iter.Seq2[Subject, error], Token, error) {
	s, err := e.at(ctx, at)
	if err != nil {
		return nil, "", err
	}
	return e.subjects(ctx, s, q)
}

func (e *Engine) subjects(ctx context.Context, s *state, q SubjectQuery) (iter.Seq2[Subject, error], Token, error) {
	probe := Tuple{q.Object, q.Relation, Subject{Object{q.Namespace, ""}, q.Set}}
	if err := probe.Validate(); err != nil {
		return nil, "", err
	}
	rule, err := s.asked(probe)
	if err != nil {
		return nil, "", err
	}
	if s.shelf != nil {
		return e.storedSubjects(ctx, s, q), s.token, nil
	}
	d := &digger{ctx: ctx, engine: e, state: s, query: q, rule: rule, from: s.find(q.Object, q.Relation)}
	d.namespace, d.set = s.kindOf(q)
	return d.all, s.token, nil
}

// kindOf returns the numbers of the subjects that q is about.
func (s *state) kindOf(q SubjectQuery) (namespace, relation uint32) {
	namespace, ok := s.snap.Namespace(q.Namespace)
	if !ok {
		namespace = never
	}
	relation, ok = s.snap.Relation(q.Set)
	if !ok {
		relation = never
	}
	return namespace, relation
}

// A digger finds the subjects of one query at one state. It goes down all that may
// lead to a "yes": of an intersection one arm, and into no negation. Where it came
// through an intersection, what it finds is a candidate, and is checked. Where a
// negation or a constant alone may say "yes", all subjects are candidates.
type digger struct {
	ctx            context.Context
	engine         *Engine
	state          *state
	query          SubjectQuery
	rule           *rule
	from           graph.Ref
	namespace, set uint32

	yield   func(Subject, error) bool
	ended   bool
	anybody bool // a candidate is
	steps   int64
	seen    seenTable // Ref looked into -> sure or not
	yielded seenTable // subject -> 1 if it was yielded or refused
	todo    []dig
}

type dig struct {
	ref  graph.Ref
	rule *rule
	sure bool
}

func (d *digger) all(yield func(Subject, error) bool) {
	d.yield, d.ended, d.anybody, d.steps, d.todo = yield, false, false, 0, nil
	d.seen, d.yielded = seenTable{}, seenTable{}
	d.seen.reset()
	d.yielded.reset()
	d.push(d.from, d.rule, true)
	for len(d.todo) > 0 && !d.ended && !d.anybody {
		next := d.todo[len(d.todo)-1]
		d.todo = d.todo[:len(d.todo)-1]
		d.into(next)
	}
	if d.anybody && !d.ended {
		d.everySubject()
	}
}

func (d *digger) spend() {
	d.steps++
	switch {
	case d.ended:
	case d.steps > d.engine.options.MaxWork:
		d.fail(errs.New(errs.Exhausted, "the list took more steps than limits.work allows"))
	case d.steps%1000 == 0 && d.ctx.Err() != nil:
		d.fail(d.ctx.Err())
	}
}

func (d *digger) fail(err error) {
	d.ended = true
	d.yield(Subject{}, err)
}

// push notes a question to look into. One that the model does not have leaves all
// it would lead to undecided.
func (d *digger) push(ref graph.Ref, r *rule, isSure bool) {
	level := unsure
	if isSure {
		level = sure
	}
	if known, met := d.seen.get(ref); met && known >= level {
		return
	}
	d.seen.set(ref, level)
	if r == nil {
		found, kind := d.state.program.rule(d.state.snap.NamespaceOf(ref.Object()), ref.Relation())
		if r = found; kind != errs.OK {
			r, isSure = openRule, false
		}
	}
	d.todo = append(d.todo, dig{ref, r, isSure})
}

func (d *digger) into(q dig) {
	if q.rule.stored {
		d.stored(q)
	}
	d.alts(q.ref.Object(), q.rule.alts, q.sure)
}

func (d *digger) stored(q dig) {
	set := d.state.snap.Set(q.ref)
	for slot := set.First(); !slot.Ended(); slot = set.Next(slot) {
		relation := set.Relation(slot)
		for object := range set.List(slot).All {
			if relation == d.set && d.state.snap.NamespaceOf(object) == d.namespace {
				d.candidate(graph.MakeRef(object, relation), q.sure)
			}
			if relation != 0 || d.state.snap.HasBare() && d.state.snap.NamespaceOf(object) != graph.Plain {
				d.push(graph.MakeRef(object, relation), nil, q.sure)
			}
			if d.spend(); d.ended {
				return
			}
		}
	}
}

func (d *digger) alts(object uint32, alts []alt, isSure bool) {
	for i := range alts {
		switch a := &alts[i]; a.op {
		case opAsk:
			d.push(graph.MakeRef(object, a.args[0].relation), a.args[0].rule, isSure)
		case opTraverse:
			d.traverse(graph.MakeRef(object, a.via), a.args[0], isSure)
		case opAnd:
			d.arm(object, a)
		default:
			d.anybody = true
		}
	}
}

// arm looks into that arm of an intersection which leads to subjects.
func (d *digger) arm(object uint32, a *alt) {
	if i, ok := d.state.program.reach().arm(d.state.snap.NamespaceOf(object), *a); ok {
		d.push(graph.MakeRef(object, a.args[i].relation), a.args[i].rule, false)
		return
	}
	d.anybody = true
}

func (d *digger) traverse(via graph.Ref, next ask, isSure bool) {
	set := d.state.snap.Set(via)
	for slot := set.First(); !slot.Ended(); slot = set.Next(slot) {
		for object := range set.List(slot).All {
			if d.state.snap.NamespaceOf(object) != graph.Plain {
				d.push(graph.MakeRef(object, next.relation), next.rule, isSure)
			}
			if d.spend(); d.ended {
				return
			}
		}
	}
}

// candidate yields a subject if it is one of the list, once.
func (d *digger) candidate(r graph.Ref, isSure bool) {
	if _, met := d.yielded.get(r); met {
		return
	}
	d.yielded.set(r, 1)
	if !isSure {
		q := question{ref: d.from, rule: d.rule}
		allowed, steps, err := d.state.decide(d.ctx, q, r, d.engine.options.MaxWork-d.steps)
		d.steps += steps
		if err != nil {
			d.fail(err)
			return
		}
		if !allowed {
			return
		}
	}
	if !d.yield(d.state.name(r), nil) {
		d.ended = true
	}
}

// everySubject checks all subjects of the kind.
func (d *digger) everySubject() {
	for object := range d.state.snap.Objects {
		if d.state.snap.NamespaceOf(object) == d.namespace {
			d.candidate(graph.MakeRef(object, d.set), false)
		}
		if d.spend(); d.ended {
			return
		}
	}
}

// storedSubjects is Subjects in bounded mode, see storedObjects.
func (e *Engine) storedSubjects(ctx context.Context, s *state, q SubjectQuery) iter.Seq2[Subject, error] {
	candidates := func(yield func(Tuple, error) bool) {
		for o, err := range e.storedObjectsOf(ctx, s.revision, q.Namespace) {
			if !yield(Tuple{q.Object, q.Relation, Subject{o, q.Set}}, err) {
				return
			}
		}
	}
	return func(yield func(Subject, error) bool) {
		for t, err := range e.allowed(ctx, s.revision, candidates) {
			if !yield(t.Subject, err) {
				return
			}
		}
	}
}
