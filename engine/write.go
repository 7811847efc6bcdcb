package engine

import (
	"context"
	"fmt"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/opl"
)

// writeTries is how often a write is checked against the model anew because
// another one became active meanwhile.
const writeTries = 5

// Write applies all of ups in their order, or none. The token it returns shows
// them; on this node every later question does too, with or without the token.
//
// NotFound: the model lacks a namespace (a delete may name one that still has
// the tuple). Invalid: an insert that the model does not allow, or a part of a
// tuple that breaks a limit.
func (e *Engine) Write(ctx context.Context, ups []Update) (Token, error) {
	for try := 1; ; try++ {
		s := e.current.Load()
		for i, up := range ups {
			if err := e.allows(s, up); err != nil {
				return "", atIndex(err, i, len(ups))
			}
		}
		if len(ups) == 0 {
			return s.token, nil
		}
		rev, err := e.store.Write(ctx, ups, s.model.version.Number)
		if err == nil {
			return e.acknowledge(ctx, rev), nil
		}
		if errs.KindOf(err) != errs.Conflict || try == writeTries {
			return "", err
		}
		if err := e.sync(ctx); err != nil {
			return "", err
		}
	}
}

// acknowledge waits until this node shows rev. If that takes longer than the
// caller waits, the write is still done, so there is no error.
func (e *Engine) acknowledge(ctx context.Context, rev Revision) Token {
	_ = e.sync(ctx)
	return newToken(e.store.ID(), rev)
}

// atIndex says which of several updates err is about.
func atIndex(err error, i, n int) error {
	if n == 1 {
		return err
	}
	return &errs.Error{Kind: errs.KindOf(err), Msg: fmt.Sprintf("update %d: %v", i, err)}
}

// allows checks one update against the model.
func (e *Engine) allows(s *state, up Update) error {
	t := up.Tuple
	if err := t.Validate(); err != nil {
		return err
	}
	if up.Op == Delete && s.has(t) {
		return nil
	}
	if err := s.known(t); err != nil {
		return err
	}
	if up.Op == Delete || e.options.Compat {
		return nil
	}
	return fits(s.model.compiled, t)
}

// fits reports why the model does not let t be stored.
func fits(m *opl.Model, t Tuple) error {
	ns, ok := m.Namespace(t.Object.Namespace)
	if !ok {
		return unknownNamespace(t.Object.Namespace)
	}
	if len(ns.Relations) == 0 {
		return nil
	}
	r, ok := ns.Relation(t.Relation)
	switch {
	case !ok:
		return errs.New(errs.Invalid, "relation %q does not exist in namespace %q", t.Relation, ns.Name)
	case r.Permission:
		return errs.New(errs.Invalid, "%q is a permission of namespace %q: expected a relation, since permissions follow from relations and cannot be written", t.Relation, ns.Name)
	}
	for _, allowed := range r.Types {
		if allowed.Relation == t.Subject.Relation && (t.Subject.IsID() || allowed.Namespace == t.Subject.Namespace) {
			return nil
		}
	}
	return errs.New(errs.Invalid, "relation %q of namespace %q does not take the subject %s: expected %s",
		t.Relation, ns.Name, shorten(t.Subject.String()), expectedTypes(r.Types))
}

func expectedTypes(types []opl.Type) string {
	text := ""
	for i, t := range types {
		if i > 0 {
			text += " or "
		}
		if t.Relation == "" {
			text += t.Namespace
		} else {
			text += fmt.Sprintf("SubjectSet<%s, %q>", t.Namespace, t.Relation)
		}
	}
	return text
}

// Delete removes every tuple that matches q and returns how many there were.
//
// Invalid: q is empty. NotFound: q names a namespace that the model lacks and
// that has no such tuples.
func (e *Engine) Delete(ctx context.Context, q Query) (int64, Token, error) {
	if q.IsEmpty() {
		return 0, "", errs.New(errs.Invalid, "the query is empty: expected at least one of namespace, object, relation, subject")
	}
	if err := q.Validate(); err != nil {
		return 0, "", err
	}
	n, rev, err := e.store.DeleteAll(ctx, q)
	if err != nil {
		return 0, "", err
	}
	if n == 0 && q.Namespace != nil && !e.current.Load().declares(*q.Namespace) {
		return 0, "", unknownNamespace(*q.Namespace)
	}
	return n, e.acknowledge(ctx, rev), nil
}
