package engine

import (
	"context"
	"fmt"

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

// load reads the whole store as it stood at rev.
func (e *Engine) load(ctx context.Context, rev Revision) (*state, error) {
	version, err := e.store.Model(ctx, rev)
	if err != nil {
		return nil, err
	}
	m, err := compileVersion(version, e.options.OPL)
	if err != nil {
		return nil, err
	}
	b := graph.Empty().Build()
	for t, err := range e.store.Read(ctx, rev, Query{}, Page{}) {
		if err != nil {
			return nil, err
		}
		b.Insert(refs(b, t))
	}
	return e.newState(rev, b, m), nil
}

// newState publishes what b has collected. A model from the configuration goes
// before that of the store.
func (e *Engine) newState(rev Revision, b *graph.Builder, m *model) *state {
	if configured := e.configured.Load(); configured != nil {
		m = configured
	}
	p := compile(m.compiled, b, e.options.Compat)
	return &state{revision: rev, token: newToken(e.store.ID(), rev), snap: b.Publish(), model: m, program: p}
}

// advance returns the state at rev, to which s leads by the changes of the log.
func (e *Engine) advance(ctx context.Context, s *state, rev Revision, b *graph.Builder) (*state, error) {
	m := s.model
	for change, err := range e.store.Changes(ctx, s.revision, rev) {
		switch {
		case err != nil:
			return nil, err
		case change.Model != nil:
			if m, err = compileVersion(*change.Model, e.options.OPL); err != nil {
				return nil, err
			}
		case change.Op == Insert:
			b.Insert(refs(b, change.Tuple))
		default:
			b.Delete(refs(b, change.Tuple))
		}
	}
	if m == s.model && e.configured.Load() == nil {
		return &state{revision: rev, token: newToken(e.store.ID(), rev), snap: b.Publish(), model: m, program: s.program}, nil
	}
	return e.newState(rev, b, m), nil
}

// refs numbers the names of t.
func refs(b *graph.Builder, t Tuple) (on, subject graph.Ref) {
	on = graph.MakeRef(b.Object(b.Namespace(t.Object.Namespace), t.Object.ID), b.Relation(t.Relation))
	subject = graph.MakeRef(b.Object(b.Namespace(t.Subject.Namespace), t.Subject.ID), b.Relation(t.Subject.Relation))
	return on, subject
}

// find returns the Ref of a relation to an object. Names that the graph never
// met give a Ref that nothing is stored for: it has object 0, or a relation
// that no object has.
func (s *state) find(o Object, relation string) graph.Ref {
	const never = isExpression - 1
	r, ok := s.snap.Relation(relation)
	if !ok {
		r = never
	}
	ns, ok := s.snap.Namespace(o.Namespace)
	if !ok {
		return graph.MakeRef(0, r)
	}
	object, _ := s.snap.Object(ns, o.ID)
	return graph.MakeRef(object, r)
}

// has reports whether t is stored.
func (s *state) has(t Tuple) bool {
	return s.snap.Set(s.find(t.Object, t.Relation)).Contains(s.find(t.Subject.Object, t.Subject.Relation))
}

// name is the opposite of find, for a Ref that the graph holds.
func (s *state) name(r graph.Ref) Subject {
	return Subject{Object{
		s.snap.NamespaceName(s.snap.NamespaceOf(r.Object())), s.snap.ObjectName(r.Object()),
	}, s.snap.RelationName(r.Relation())}
}
