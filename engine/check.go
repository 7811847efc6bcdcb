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
	s, err := e.stateAt(ctx, at)
	switch {
	case err != nil:
		e.counters.ask(at)
		return Answer{}, err
	case s.shelf != nil:
		e.counters.ask(at)
		results, s, reads, err := e.ask(ctx, s, []Tuple{t})
		if err != nil {
			return Answer{Token: s.token, Reads: reads}, err
		}
		return Answer{results[0].Allowed, s.token, reads}, results[0].Err
	default:
		allowed, err := e.check(ctx, s, &t, at)
		return Answer{Allowed: allowed, Token: s.token}, err
	}
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

// check answers one question at a state with all tuples.
func (e *Engine) check(ctx context.Context, s *state, t *Tuple, at Consistency) (allowed bool, err error) {
	var pair graph.Pair
	var names about
	a, err := s.about(t, &pair, &names)
	e.counters.ask(at) // which waits for another core, while memory is on its way
	if err == nil {
		var steps int64
		allowed, steps, err = s.answer(ctx, t, a, &pair, e.options.MaxWork)
		e.counters.steps.Add(steps)
	}
	e.counters.answered(err)
	return allowed, err
}

// check answers one question. lacks is nil, or in bounded mode for decideBounded.
func (s *state) check(ctx context.Context, t *Tuple, budget int64, lacks map[SetRead]bool) (bool, int64, error) {
	var pair graph.Pair
	var names about
	a, err := s.about(t, &pair, &names)
	switch {
	case err != nil:
		return false, 0, err
	case lacks == nil:
		return s.answer(ctx, t, a, &pair, budget)
	}
	if err := t.validIDs(); err != nil {
		return false, 0, err
	}
	s.snap.Guess(&pair)
	s.snap.Settle(&pair)
	return s.decideBounded(ctx, a.question(&pair), graph.MakeRef(pair.B, a.as), t.Subject, budget, lacks)
}

// answer answers a question of which pair was begun. It takes the numbers of the objects on
// trust, whose names are compared afterwards: what they are compared with comes from
// memory meanwhile. An id that is not valid is stored nowhere, so it is looked at
// only if it is not known.
func (s *state) answer(ctx context.Context, t *Tuple, a *about, pair *graph.Pair, budget int64) (allowed bool, steps int64, err error) {
	s.snap.Guess(pair)
	allowed, steps, err = s.decide(ctx, a.question(pair), graph.MakeRef(pair.B, a.as), budget)
	if s.snap.Settle(pair) {
		allowed, steps, err = s.decide(ctx, a.question(pair), graph.MakeRef(pair.B, a.as), budget)
	}
	if pair.A == 0 || pair.B == 0 {
		if err := t.validIDs(); err != nil {
			return false, steps, err
		}
	}
	return allowed, steps, err
}

// question returns the question for the first object of a pair.
func (a *about) question(p *graph.Pair) question {
	return question{ref: graph.MakeRef(p.A, a.relation), rule: a.rule}
}

// about returns what a question is about, perhaps in names, and begins p, its objects,
// whose ids may not be valid.
func (s *state) about(t *Tuple, p *graph.Pair, names *about) (*about, error) {
	a := s.program.forms.of(t)
	if a == nil {
		var err error
		if *names, err = s.resolve(t); err != nil {
			return nil, cmp.Or(t.Validate(), err)
		}
		if err := t.Validate(); err != nil {
			return nil, err
		}
		s.program.forms.keep(t, *names)
		a = names
	}
	p.Set(a.namespace, t.Object.ID, a.from, t.Subject.ID)
	s.snap.Begin(p)
	return a, nil
}

// resolve finds what a question is about by its names.
//
// NotFound: the model lacks a namespace. Invalid: a namespace declares relations, but not
// this one.
func (s *state) resolve(t *Tuple) (a about, err error) {
	if a.namespace, err = s.must(t.Object.Namespace); err != nil {
		return about{}, err
	}
	if a.from = graph.Plain; !t.Subject.IsID() {
		if a.from, err = s.must(t.Subject.Namespace); err != nil {
			return about{}, err
		}
	}
	a.relation, a.as = s.relation(t.Relation), s.relation(t.Subject.Relation)
	a.rule, err = s.ruleFor(a.namespace, a.relation, t.Relation)
	return a, err
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
	number, ok := s.snap.Namespace(namespace)
	return number, ok && int(number) < len(s.program.namespaces) && s.program.namespaces[number] != nil
}

func unknownNamespace(name string) error {
	return &errs.Error{Kind: errs.NotFound, Msg: fmt.Sprintf("Unknown namespace with name %q.", name)}
}
