package engine

import (
	"context"
	"iter"

	"github.com/cardea-iam/cardea/engine/graph"
	"github.com/cardea-iam/cardea/internal/errs"
)

// An ObjectQuery asks for the objects of a namespace that a subject has a relation
// or permission to.
type ObjectQuery struct {
	Namespace string
	Relation  string
	Subject   Subject
}

// Objects yields every object for which Check says yes, in no particular order,
// all at the revision of the token. The objects looked at are those that are in
// any tuple. An error comes last: what was yielded is then true, but not all.
//
// Errors as for Check, also for any object that is a candidate.
func (e *Engine) Objects(ctx context.Context, q ObjectQuery, at Consistency) (iter.Seq2[Object, error], Token, error) {
	s, err := e.at(ctx, at)
	if err != nil {
		return nil, "", err
	}
	return e.objects(ctx, s, q)
}

func (e *Engine) objects(ctx context.Context, s *state, q ObjectQuery) (iter.Seq2[Object, error], Token, error) {
	probe := Tuple{Object{q.Namespace, ""}, q.Relation, q.Subject}
	if err := probe.Validate(); err != nil {
		return nil, "", err
	}
	rule, err := s.asked(probe)
	if err != nil {
		return nil, "", err
	}
	if s.shelf != nil {
		return e.storedObjects(ctx, s, q), s.token, nil
	}
	l := &lister{ctx: ctx, engine: e, state: s, query: q, reach: s.program.reach(), rule: rule}
	l.namespace, _ = s.snap.Namespace(q.Namespace)
	var known bool
	if l.relation, known = s.snap.Relation(q.Relation); !known {
		l.relation = never
	}
	l.subject = s.find(q.Subject.Object, q.Subject.Relation)
	return l.all, s.token, nil
}

// A lister finds the objects of one query at one state.
type lister struct {
	ctx                 context.Context
	engine              *Engine
	state               *state
	query               ObjectQuery
	reach               *reach
	rule                *rule
	namespace, relation uint32
	subject             graph.Ref

	yield func(Object, error) bool
	ended bool
	steps int64
	seen  seenTable // Ref -> sure or not
	todo  []graph.Ref
}

const (
	unsure int32 = iota
	sure
)

func (l *lister) all(yield func(Object, error) bool) {
	l.yield, l.ended, l.steps, l.todo, l.seen = yield, false, 0, nil, seenTable{}
	l.seen.reset()
	if l.reach.asksEverywhere(l.namespace, l.relation) {
		l.everyObject()
		return
	}
	l.memberships(l.subject, true)
	l.openSets()
	for len(l.todo) > 0 && !l.ended {
		r := l.todo[len(l.todo)-1]
		l.todo = l.todo[:len(l.todo)-1]
		l.spend()
		known, _ := l.seen.get(r)
		l.follow(r, known == sure)
	}
}

// openSets notes those stored subject sets that may contain anybody, because of a
// negation or a constant.
func (l *lister) openSets() {
	if !l.state.snap.AnySubject(func(relation uint32) bool { return l.reach.asksEverywhere(anyNamespace, relation) }) {
		return
	}
	for object := range l.state.snap.Objects {
		namespace := l.state.snap.NamespaceOf(object)
		l.state.snap.Backlinks(object, func(as, _ uint32, _ graph.List) bool {
			if as != 0 && l.reach.asksEverywhere(namespace, as) {
				l.fact(graph.MakeRef(object, as), false)
			}
			return !l.ended
		})
		if l.spend(); l.ended {
			return
		}
	}
}

// spend counts a step, and ends the list if there were too many or nobody waits.
func (l *lister) spend() {
	l.steps++
	switch {
	case l.ended:
	case l.steps > l.engine.options.MaxWork:
		l.fail(errs.New(errs.Exhausted, "the list took more steps than limits.work allows"))
	case l.steps%1000 == 0 && l.ctx.Err() != nil:
		l.fail(l.ctx.Err())
	}
}

func (l *lister) fail(err error) {
	l.ended = true
	l.yield(Object{}, err)
}

// everyObject checks all objects of the namespace.
func (l *lister) everyObject() {
	for object := range l.state.snap.Objects {
		if l.state.snap.NamespaceOf(object) == l.namespace {
			l.candidate(object, false)
		}
		if l.spend(); l.ended {
			return
		}
	}
}

// candidate yields an object if it is one of the list.
func (l *lister) candidate(object uint32, isSure bool) {
	if !isSure {
		q := question{ref: graph.MakeRef(object, l.relation), rule: l.rule}
		allowed, steps, err := l.state.decide(l.ctx, q, l.subject, l.engine.options.MaxWork-l.steps)
		l.steps += steps
		if err != nil {
			l.fail(err)
			return
		}
		if !allowed {
			return
		}
	}
	if !l.yield(Object{l.query.Namespace, l.state.snap.ObjectName(object)}, nil) {
		l.ended = true
	}
}

// fact notes that the subject has r, or may have it.
func (l *lister) fact(r graph.Ref, isSure bool) {
	level := unsure
	if isSure {
		level = sure
	}
	if known, met := l.seen.get(r); met && known >= level {
		return
	} else if !met && r.Relation() == l.relation && l.state.snap.NamespaceOf(r.Object()) == l.namespace {
		l.candidate(r.Object(), isSure)
	}
	l.seen.set(r, level)
	l.todo = append(l.todo, r)
}

// follow notes what follows from r.
func (l *lister) follow(r graph.Ref, isSure bool) {
	l.memberships(r, isSure)
	namespace := l.state.snap.NamespaceOf(r.Object())
	for _, c := range l.reach.same[r.Relation()] {
		if c.namespace != namespace && c.namespace != anyNamespace {
			continue
		}
		switch holds, known := l.rest(r.Object(), c, isSure); {
		case holds:
			l.fact(graph.MakeRef(r.Object(), c.relation), true)
		case !known:
			l.fact(graph.MakeRef(r.Object(), c.relation), false)
		}
	}
	across := l.reach.across[r.Relation()]
	if len(across) == 0 || namespace == graph.Plain {
		return
	}
	l.state.snap.Backlinks(r.Object(), func(_, via uint32, objects graph.List) bool {
		for _, c := range across {
			if c.via != via {
				continue
			}
			for object := range objects.All {
				if c.namespace == anyNamespace || c.namespace == l.state.snap.NamespaceOf(object) {
					l.fact(graph.MakeRef(object, c.relation), isSure && c.sure)
				}
				if l.spend(); l.ended {
					return false
				}
			}
		}
		return true
	})
}

// rest reports whether all holds that c needs beside the question it follows from,
// if that is known.
func (l *lister) rest(object uint32, c consequence, isSure bool) (holds, known bool) {
	if !isSure || !c.sure {
		return false, false
	}
	for _, arg := range c.rest {
		r := arg.rule
		if r == nil {
			found, kind := l.state.program.rule(l.state.snap.NamespaceOf(object), arg.relation)
			if r = found; kind != errs.OK {
				return false, false
			}
		}
		q := question{ref: graph.MakeRef(object, arg.relation), rule: r}
		allowed, steps, err := l.state.decide(l.ctx, q, l.subject, l.engine.options.MaxWork-l.steps)
		l.steps += steps
		if err != nil || !allowed {
			return false, err == nil
		}
	}
	return true, true
}

// memberships notes the sets that r is stored in, where the model counts that.
func (l *lister) memberships(r graph.Ref, isSure bool) {
	set := l.state.snap.Memberships(r)
	for slot := set.First(); !slot.Ended(); slot = set.Next(slot) {
		relation := set.Relation(slot)
		for object := range set.List(slot).All {
			rule, kind := l.state.program.rule(l.state.snap.NamespaceOf(object), relation)
			switch {
			case kind != errs.OK: // what leads to it cannot be decided: see what Check says
				l.fact(graph.MakeRef(object, relation), false)
			case rule.stored:
				l.fact(graph.MakeRef(object, relation), isSure)
			}
			if l.spend(); l.ended {
				return
			}
		}
	}
}

// storedObjects is Objects in bounded mode, where memory does not know what leads
// to a subject: all objects of the namespace are read from the store and checked.
func (e *Engine) storedObjects(ctx context.Context, s *state, q ObjectQuery) iter.Seq2[Object, error] {
	candidates := func(yield func(Tuple, error) bool) {
		for o, err := range e.storedObjectsOf(ctx, s.revision, q.Namespace) {
			if !yield(Tuple{o, q.Relation, q.Subject}, err) {
				return
			}
		}
	}
	return func(yield func(Object, error) bool) {
		for t, err := range e.allowed(ctx, s.revision, candidates) {
			if !yield(t.Object, err) {
				return
			}
		}
	}
}

// allowed yields those of many questions that are answered with yes, all at one
// revision, in bounded mode.
func (e *Engine) allowed(ctx context.Context, rev Revision, questions iter.Seq2[Tuple, error]) iter.Seq2[Tuple, error] {
	return func(yield func(Tuple, error) bool) {
		s, err := e.boundedAt(ctx, rev)
		if err != nil {
			yield(Tuple{}, err)
			return
		}
		batch := make([]Tuple, 0, 1000)
		for t, err := range questions {
			if err != nil {
				yield(Tuple{}, err)
				return
			}
			if batch = append(batch, t); len(batch) == cap(batch) {
				if !e.allowedOf(ctx, s.line.now.Load(), batch, yield) {
					return
				}
				batch = batch[:0]
			}
		}
		e.allowedOf(ctx, s.line.now.Load(), batch, yield)
	}
}

// allowedOf yields those of a batch, and reports whether to go on.
func (e *Engine) allowedOf(ctx context.Context, s *state, batch []Tuple, yield func(Tuple, error) bool) bool {
	results, _, _, err := e.ask(ctx, s, batch)
	if err != nil {
		return yield(Tuple{}, err) && false
	}
	for i, r := range results {
		if r.Err != nil {
			return yield(Tuple{}, r.Err) && false
		}
		if r.Allowed && !yield(batch[i], nil) {
			return false
		}
	}
	return true
}

// storedObjectsOf yields the objects of a namespace that are in any tuple.
func (e *Engine) storedObjectsOf(ctx context.Context, rev Revision, namespace string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		seen := map[Object]bool{}
		for t, err := range e.store.Read(ctx, rev, Query{}, Page{}) {
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, o := range [2]Object{t.Object, t.Subject.Object} {
				if o.Namespace != namespace || seen[o] {
					continue
				}
				seen[o] = true
				if !yield(o, nil) {
					return
				}
			}
		}
	}
}
