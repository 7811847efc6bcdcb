package engine

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/opl"
)

// ApplyModel tunes ApplyModel. The zero value is the safe one.
type ApplyModel struct {
	Force  bool // apply even if stored tuples do not fit
	DryRun bool // say what would happen, and change nothing
}

// ApplyModel makes an OPL text the store's active model. A text that means the
// same as the active model is not stored again.
//
// Invalid: the text does not compile; the message is the list of its errors,
// and the error wraps an opl.ErrorList. Refused: stored tuples do not fit the
// new model, or the model comes from the configuration. Conflict: another model
// was applied at the same time.
func (e *Engine) ApplyModel(ctx context.Context, source string, o ApplyModel) (ModelVersion, Token, error) {
	compiled, err := opl.Compile([]opl.Source{{Name: "model", Text: []byte(source)}}, e.options.OPL)
	if err != nil {
		return ModelVersion{}, "", &errs.Error{Kind: errs.Invalid, Msg: err.Error(), Err: err}
	}
	s, err := e.stateAt(ctx, Consistency{Mode: FullyConsistent})
	if err != nil {
		return ModelVersion{}, "", err
	}
	if s.model.location != "" {
		return ModelVersion{}, "", errs.New(errs.Refused, "the model comes from %s, as configured: change it there", s.model.location)
	}
	if s.model.version.Source == source {
		return s.model.version, s.token, nil
	}
	if !o.Force && !e.options.Compat {
		if err := e.orphans(ctx, s, compiled); err != nil {
			return ModelVersion{}, "", err
		}
	}
	if o.DryRun {
		return ModelVersion{Number: s.model.version.Number + 1, Source: source}, s.token, nil
	}
	version, err := e.store.PutModel(ctx, source, s.model.version.Number)
	if err != nil {
		return ModelVersion{}, "", err
	}
	return version, e.acknowledge(ctx, version.Revision), nil
}

// orphans reports the stored tuples that m has no place for.
func (e *Engine) orphans(ctx context.Context, s *state, m *opl.Model) error {
	const shown = 3
	var examples []string
	count := 0
	for t, err := range e.tuples(ctx, s) {
		if err != nil {
			return err
		}
		if err := fits(m, t); err != nil {
			if count++; count <= shown {
				examples = append(examples, fmt.Sprintf("%s (%v)", t, err))
			}
		}
	}
	if count == 0 {
		return nil
	}
	return errs.New(errs.Refused, "%d stored tuples do not fit the new model, among them %s: delete them first, or force the change",
		count, strings.Join(examples, "; "))
}

// tuples yields all tuples of s, in no particular order.
func (e *Engine) tuples(ctx context.Context, s *state) iter.Seq2[Tuple, error] {
	if s.shelf != nil {
		return e.store.Read(ctx, s.revision, Query{}, Page{})
	}
	return func(yield func(Tuple, error) bool) {
		for on, set := range s.snap.All {
			o := s.name(on)
			for subject := range set.All {
				if !yield(Tuple{o.Object, o.Relation, s.name(subject)}, nil) {
					return
				}
			}
		}
	}
}

// UseModel replaces the store's model by one from the configuration. Questions
// under way keep the model they began with.
func (e *Engine) UseModel(m *opl.Model, location string) {
	e.live.mu.Lock()
	defer e.live.mu.Unlock()
	configured := &model{compiled: m, location: location}
	e.configured.Store(configured)
	now := e.live.now.Load()
	next := e.newState(now.revision, now.snap.Build(), configured)
	next.line, next.shelf = now.line, now.shelf
	e.publish(next)
}

// Model returns the active model's version. One from the configuration has
// Number 0, and location says where it came from.
func (e *Engine) Model() (version ModelVersion, location string) {
	m := e.live.now.Load().model
	return m.version, m.location
}

// ModelVersion returns a version by its number.
//
// NotFound: there is no such version.
func (e *Engine) ModelVersion(ctx context.Context, number int64) (ModelVersion, error) {
	versions, err := e.store.Models(ctx, number+1, 1)
	if err != nil {
		return ModelVersion{}, err
	}
	if len(versions) == 0 || versions[0].Number != number {
		return ModelVersion{}, errs.New(errs.NotFound, "there is no model version %d", number)
	}
	return versions[0], nil
}

// Models returns up to limit versions with numbers below before, newest first;
// before 0 begins with the newest.
func (e *Engine) Models(ctx context.Context, before int64, limit int) ([]ModelVersion, error) {
	return e.store.Models(ctx, before, limit)
}

// Token returns the token of the revision a version became active at.
func (e *Engine) Token(v ModelVersion) Token { return newToken(e.store.ID(), v.Revision) }

// Namespaces returns the names of the active model's namespaces, in the order
// of their declaration.
func (e *Engine) Namespaces() []string {
	list := e.live.now.Load().model.compiled.Namespaces
	names := make([]string, len(list))
	for i, ns := range list {
		names[i] = ns.Name
	}
	return names
}

// Relations returns the names of what the active model has in a namespace: its relations,
// and its permissions.
func (e *Engine) Relations(namespace string) []string {
	ns, ok := e.live.now.Load().model.compiled.Namespace(namespace)
	if !ok {
		return nil
	}
	names := make([]string, len(ns.Relations))
	for i, r := range ns.Relations {
		names[i] = r.Name
	}
	return names
}
