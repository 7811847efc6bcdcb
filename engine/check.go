package engine

import (
	"cmp"
	"context"
	"fmt"

	"github.com/cardea-iam/cardea/engine/graph"
	"github.com/cardea-iam/cardea/internal/errs"
)

// An Answer is the result of a Check and the revision it was found at.
type Answer struct {
	Allowed bool
	Token   Token
	Reads   Reads
}

// Reads says what questions cost the store, beyond following its log: 0 if all
// they needed was in memory.
type Reads struct {
	Rounds int64 // round trips
	Rows   int64
}

// Check reports whether the subject of t has the relation or permission.
//
// NotFound: the model lacks the namespace of the object or of a subject set.
// Invalid: the namespace declares relations, but not this one; or stored tuples
// that the answer depends on lead to a namespace or relation that the model
// lacks. Refused: stored tuples make the answer depend on its own negation.
// Exhausted: it took more than Options.MaxWork.
func (e *Engine) Check(ctx context.Context, t Tuple, at Consistency) (Answer, error) {
	s, err := e.at(ctx, at)
	if err != nil {
		return Answer{}, err
	}
	if s.shelf != nil {
		results, s, reads, err := e.ask(ctx, s, []Tuple{t})
		if err != nil {
			return Answer{Token: s.token, Reads: reads}, err
		}
		return Answer{results[0].Allowed, s.token, reads}, results[0].Err
	}
	allowed, err := e.check(ctx, s, &t)
	return Answer{Allowed: allowed, Token: s.token}, err
}

// A Result is the answer to one item of a batch, or why there is none.
type Result struct {
	Allowed bool
	Err     error
}

// BatchCheck answers many questions at one revision, in their order. A question
// that fails does not fail the others.
//
// Invalid: there are more than Options.MaxBatch questions.
func (e *Engine) BatchCheck(ctx context.Context, ts []Tuple, at Consistency) ([]Result, Token, error) {
	if len(ts) > e.options.MaxBatch {
		return nil, "", errs.New(errs.Invalid, "batch exceeds max size of %d", e.options.MaxBatch)
	}
	s, err := e.at(ctx, at)
	if err != nil {
		return nil, "", err
	}
	if s.shelf != nil {
		results, s, _, err := e.ask(ctx, s, ts)
		return results, s.token, err
	}
	results := make([]Result, len(ts))
	for i := 0; i < len(ts); i += maxStage {
		end := min(i+maxStage, len(ts))
		e.checkAll(ctx, s, ts[i:end], results[i:end])
		if err := ctx.Err(); err != nil {
			return nil, "", err // cancellation is never an answer
		}
	}
	return results, s.token, nil
}

func (e *Engine) check(ctx context.Context, s *state, t *Tuple) (bool, error) {
	allowed, steps, err := s.check(ctx, t, e.options.MaxWork, nil)
	e.counters.steps.Add(steps)
	e.counters.answered(err)
	return allowed, err
}

// check answers one question. lacks is for bounded mode, see decide.
func (s *state) check(ctx context.Context, t *Tuple, budget int64, lacks map[SetRead]bool) (bool, int64, error) {
	var pair [1]graph.Pair
	a, err := s.about(t, &pair[0])
	if err != nil {
		return false, 0, err
	}
	s.snap.Pairs(pair[:])
	q := question{ref: graph.MakeRef(pair[0].A, a.relation), rule: a.rule}
	return decide(ctx, s, q, graph.MakeRef(pair[0].B, a.as), t.Subject, budget, lacks)
}

// about is what a question is about, in numbers, but for its two objects.
type about struct {
	namespace, relation uint32
	from, as            uint32 // namespace and relation of the subject
	rule                *rule
}

// about begins p, the objects of t, while it looks for the rest.
func (s *state) about(t *Tuple, p *graph.Pair) (about, error) {
	ns, from, unknown := s.namespacesOf(t)
	if unknown == nil {
		*p = graph.Pair{NamespaceA: ns, IDA: t.Object.ID, NamespaceB: from, IDB: t.Subject.ID}
		s.snap.Begin(p)
	}
	if !t.plainIDs() || unknown != nil {
		if err := cmp.Or(t.Validate(), unknown); err != nil {
			return about{}, err
		}
	}
	relation, valid := s.relationIn(ns, t.Relation)
	as, validAs := s.relationIn(from, t.Subject.Relation)
	if !valid || !validAs {
		if err := t.Validate(); err != nil {
			return about{}, err
		}
	}
	r, err := s.ruleFor(ns, relation, t.Relation)
	return about{ns, relation, from, as, r}, err
}

// namespacesOf returns the numbers of the namespaces of t's object and subject.
//
// NotFound: the model lacks one of them.
func (s *state) namespacesOf(t *Tuple) (object, subject uint32, err error) {
	if object, err = s.must(t.Object.Namespace); err != nil || t.Subject.IsID() {
		return object, graph.Plain, err
	}
	subject, err = s.must(t.Subject.Namespace)
	return object, subject, err
}

// relationIn returns the number of a relation, most likely one that a namespace of the
// model declares, whose name is therefore valid, or never.
func (s *state) relationIn(namespace uint32, name string) (number uint32, valid bool) {
	if name == "" {
		return 0, true
	}
	if rules := s.program.namespaces[namespace]; rules != nil {
		if number, ok := numberOf(rules.few, name); ok {
			return number, true
		}
	}
	return s.relation(name), false
}

// ruleFor returns the rule of the relation that a caller names.
func (s *state) ruleFor(ns, relation uint32, name string) (*rule, error) {
	r, kind := s.program.rule(ns, relation)
	switch {
	case kind == errs.OK:
		return r, nil
	case name == "":
		return openRule, nil
	default:
		return nil, errs.New(errs.Invalid, "relation %q does not exist", name)
	}
}

// asked returns the rule for a question like t, whatever its object.
func (s *state) asked(t Tuple) (*rule, error) {
	if err := s.known(t); err != nil {
		return nil, err
	}
	ns, _ := s.declared(t.Object.Namespace)
	return s.ruleFor(ns, s.relation(t.Relation), t.Relation)
}

// known reports the first namespace of t that the model lacks.
func (s *state) known(t Tuple) error {
	if !s.declares(t.Object.Namespace) {
		return unknownNamespace(t.Object.Namespace)
	}
	if !t.Subject.IsID() && !s.declares(t.Subject.Namespace) {
		return unknownNamespace(t.Subject.Namespace)
	}
	return nil
}

func (s *state) declares(namespace string) bool {
	_, ok := s.declared(namespace)
	return ok
}

// must returns the number of a namespace that the model has.
//
// NotFound: it has none of that name.
func (s *state) must(namespace string) (uint32, error) {
	number, ok := s.declared(namespace)
	if !ok {
		return 0, unknownNamespace(namespace)
	}
	return number, nil
}

// declared returns the number of a namespace that the model has.
func (s *state) declared(namespace string) (uint32, bool) {
	if len(s.program.few) > 0 {
		return numberOf(s.program.few, namespace)
	}
	number, ok := s.snap.Namespace(namespace)
	return number, ok && int(number) < len(s.program.namespaces) && s.program.namespaces[number] != nil
}

func unknownNamespace(name string) error {
	return &errs.Error{Kind: errs.NotFound, Msg: fmt.Sprintf("Unknown namespace with name %q.", name)}
}
