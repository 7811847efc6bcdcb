package engine

import (
	"context"
	"fmt"
	"iter"

	"github.com/cardea-iam/cardea/engine/graph"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/opl"
)

// A state is what a question is answered at: one revision, its tuples and its
// model (rule E1). It never changes.
type state struct {
	revision Revision
	token    Token
	snap     *graph.Snapshot
	model    *model
	program  *program
	ways     *ways
	behind   int64 // bytes that keeping the state before takes beside this one; set when published

	// In bounded mode only: what the state is part of, and what keeps its sets.
	line  *line
	shelf *shelf
}

// A model is a compiled model and where it came from.
type model struct {
	compiled *opl.Model
	version  ModelVersion // zero if it came from the configuration
	location string       // where in the configuration, "" for the store
}

var noModel = &model{compiled: &opl.Model{}}

// compileVersion turns a version that the store holds into a model.
func compileVersion(v ModelVersion, o opl.Options) (*model, error) {
	if v.Number == 0 {
		return noModel, nil
	}
	source := opl.Source{Name: fmt.Sprintf("model version %d", v.Number), Text: []byte(v.Source)}
	compiled, err := opl.Compile([]opl.Source{source}, o)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "model version %d of the store does not compile with this server's settings", v.Number)
	}
	return &model{compiled: compiled, version: v}, nil
}

// load reads the whole store as it stood at rev, unless that takes more memory
// than there may be, which ok tells.
func (e *Engine) load(ctx context.Context, rev Revision) (s *state, ok bool, err error) {
	m, err := e.modelAt(ctx, rev)
	if err != nil {
		return nil, false, err
	}
	b := graph.Empty().Build()
	n := numberer{b: b}
	for batch, err := range ahead(ctx, e.store, rev) {
		if err != nil {
			return nil, false, err
		}
		for i := range batch {
			b.Insert(n.refs(&batch[i]))
		}
		if !e.fits(b.Bytes()) {
			return nil, false, nil
		}
	}
	s = e.newState(rev, b, m)
	return s, e.fits(s.snap.Bytes()), nil
}

// ahead yields all tuples at rev in batches, and reads the next ones meanwhile.
func ahead(ctx context.Context, store Store, rev Revision) iter.Seq2[[]Tuple, error] {
	return func(yield func([]Tuple, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		batches := make(chan []Tuple, 2)
		failed := make(chan error, 1)
		go func() {
			defer close(batches)
			failed <- readAll(ctx, store, rev, batches)
		}()
		defer func() {
			cancel()
			for range batches { // until the reader has ended
			}
		}()
		for batch := range batches {
			if !yield(batch, nil) {
				return
			}
		}
		if err := <-failed; err != nil {
			yield(nil, err)
		}
	}
}

// readAll sends all tuples at rev in batches. A panic of the store becomes an
// error.
func readAll(ctx context.Context, store Store, rev Revision, to chan<- []Tuple) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errs.New(errs.Internal, "panic while reading all tuples: %v", p)
		}
	}()
	const size = 4096
	send := func(batch []Tuple) error {
		select {
		case to <- batch:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	batch := make([]Tuple, 0, size)
	for t, err := range store.Read(ctx, rev, Query{}, Page{}) {
		if err != nil {
			return err
		}
		if batch = append(batch, t); len(batch) == size {
			if err := send(batch); err != nil {
				return err
			}
			batch = make([]Tuple, 0, size)
		}
	}
	return send(batch)
}

// modelAt returns the store's model as it stood at rev.
func (e *Engine) modelAt(ctx context.Context, rev Revision) (*model, error) {
	version, err := e.store.Model(ctx, rev)
	if err != nil {
		return nil, err
	}
	return compileVersion(version, e.options.OPL)
}

// begin returns a state at rev for the live line, whose mutex is held: with all
// tuples, or in bounded mode if they do not fit or did not before.
func (e *Engine) begin(ctx context.Context, rev Revision) (*state, error) {
	if now := e.live.now.Load(); now == nil || now.shelf == nil {
		if s, ok, err := e.load(ctx, rev); ok || err != nil {
			return s, err
		}
	}
	m, err := e.modelAt(ctx, rev)
	if err != nil {
		return nil, err
	}
	return e.goBounded(ctx, rev, m)
}

// newState publishes what b has collected. A model from the configuration goes
// before that of the store.
func (e *Engine) newState(rev Revision, b *graph.Builder, m *model) *state {
	if configured := e.configured.Load(); configured != nil {
		m = configured
	}
	p := compile(m.compiled, b, e.options.Compat)
	snap := b.Publish()
	return &state{
		revision: rev, token: newToken(e.store.ID(), rev),
		snap: snap, model: m, program: p, ways: newWays(p, snap, firstTurn),
	}
}

// An advance leads a state to a later one, change by change.
type advance struct {
	*Engine
	from    *state
	model   *model
	b       *graph.Builder
	changes []Change // all of them, in bounded mode
}

func (e *Engine) advance(s *state) *advance {
	return &advance{Engine: e, from: s, model: s.model, b: s.snap.Build()}
}

func (a *advance) by(change Change) error {
	if a.from.shelf != nil {
		a.changes = append(a.changes, change)
	}
	switch {
	case change.Model != nil && a.configured.Load() != nil:
	case change.Model != nil:
		compiled, err := compileVersion(*change.Model, a.options.OPL)
		if err != nil {
			return err
		}
		a.model = compiled
	case a.from.shelf != nil:
	case change.Op == Insert:
		a.b.Insert(refs(a.b, change.Tuple))
	default:
		a.b.Delete(refs(a.b, change.Tuple))
	}
	return nil
}

// all returns the state at rev, to which the changes lead.
func (a *advance) all(changes []Change, rev Revision) (*state, error) {
	for _, c := range changes {
		if err := a.by(c); err != nil {
			return nil, err
		}
	}
	return a.to(rev)
}

// to returns the state at rev, to which the changes led.
func (a *advance) to(rev Revision) (*state, error) {
	s := a.from
	if s.shelf != nil {
		s.keep(a.b, a.changes)
	}
	next := *s
	next.revision, next.token = rev, newToken(a.store.ID(), rev)
	if a.model != s.model {
		next = *a.newState(rev, a.b, a.model)
		next.line, next.shelf = s.line, s.shelf
		return &next, nil
	}
	if s.shelf != nil {
		return a.settled(&next, a.b)
	}
	next.snap = a.b.Publish()
	if next.snap.Shapes() != s.ways.shapes {
		next.ways = newWays(s.program, next.snap, firstTurn)
	}
	return &next, nil
}

// refs numbers the names of t.
func refs(b *graph.Builder, t Tuple) (on, subject graph.Ref) {
	on = graph.MakeRef(b.Object(b.Namespace(t.Object.Namespace), t.Object.ID), b.Relation(t.Relation))
	return on, subjectRef(b, t.Subject)
}

// A numberer numbers the names of many tuples in their order, in which most have most
// names in common with the one before.
type numberer struct {
	b                           *graph.Builder
	last                        Tuple // the zero Tuple is not one
	namespace, object, relation uint32
	from, as                    uint32 // of the subject
}

func (n *numberer) refs(t *Tuple) (on, subject graph.Ref) {
	another := t.Object.Namespace != n.last.Object.Namespace
	if another {
		n.namespace = n.b.Namespace(t.Object.Namespace)
	}
	if another || t.Object.ID != n.last.Object.ID {
		n.object = n.b.Object(n.namespace, t.Object.ID)
	}
	if t.Relation != n.last.Relation {
		n.relation = n.b.Relation(t.Relation)
	}
	if t.Subject.Namespace != n.last.Subject.Namespace {
		n.from = n.b.Namespace(t.Subject.Namespace)
	}
	if t.Subject.Relation != n.last.Subject.Relation {
		n.as = n.b.Relation(t.Subject.Relation)
	}
	n.last = *t
	return graph.MakeRef(n.object, n.relation), graph.MakeRef(n.b.Object(n.from, t.Subject.ID), n.as)
}

func subjectRef(b *graph.Builder, s Subject) graph.Ref {
	return graph.MakeRef(b.Object(b.Namespace(s.Namespace), s.ID), b.Relation(s.Relation))
}

// find returns the Ref of a relation to an object. Names that the graph never
// met give a Ref that nothing is stored for: it has object 0, or a relation
// that no object has.
func (s *state) find(o Object, relation string) graph.Ref {
	ns, ok := s.snap.Namespace(o.Namespace)
	if !ok {
		ns = never
	}
	return s.findIn(ns, o.ID, relation)
}

// findIn is find for an object in a namespace that has a number.
func (s *state) findIn(ns uint32, id, relation string) graph.Ref {
	object, _ := s.snap.Object(ns, id)
	return graph.MakeRef(object, s.relation(relation))
}

// relation returns the number of a relation, or never.
func (s *state) relation(name string) uint32 {
	r, ok := s.snap.Relation(name)
	if !ok {
		return never
	}
	return r
}

// never is a number that no namespace and no relation has.
const never = isExpression - 1

// name is the opposite of find, for a Ref that the graph holds.
func (s *state) name(r graph.Ref) Subject {
	return Subject{Object{
		s.snap.NamespaceName(s.snap.NamespaceOf(r.Object())), s.snap.ObjectName(r.Object()),
	}, s.snap.RelationName(r.Relation())}
}
