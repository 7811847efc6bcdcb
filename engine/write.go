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

// A Receipt says what a write did.
type Receipt struct {
	Token    Token // shows the write
	Inserted int64 // tuples that were not there before and are now
	Deleted  int64 // tuples that were there before and are not now
}

// Write does all of w, or nothing: see Store.Write. w.Model is the engine's to
// set. The receipt's token shows the write; on this node every later question
// does too, with or without the token.
//
// NotFound: the model lacks a namespace of an update (a delete may name one that
// still has the tuple). Invalid: an insert that the model does not allow, a part
// of a tuple or query that breaks a limit, a deletion of everything, or a key
// that was used for another write. Refused: a precondition does not hold.
// Unknown: the connection to the database broke at the wrong moment.
func (e *Engine) Write(ctx context.Context, w Write) (Receipt, error) {
	if len(w.Updates) == 0 && len(w.Delete) == 0 && len(w.If) == 0 && w.Key == "" {
		return Receipt{Token: e.Applied()}, nil
	}
	return e.WriteBy(ctx, w, e.store.Write)
}

// WriteBy is Write by means of write, which does what Store.Write says on the engine's
// own store, and in the same transaction what else its caller wants. Nothing is too
// little for it: it is called whatever w has, and again if another model became active
// meanwhile. Errors of other kinds are write's.
func (e *Engine) WriteBy(ctx context.Context, w Write, write func(context.Context, Write) (Written, error)) (Receipt, error) {
	if err := validQueries(w); err != nil {
		return Receipt{}, err
	}
	for try, synced := 1, false; ; try++ {
		s := e.live.now.Load()
		if err := e.allowsAll(ctx, s, w.Updates); err != nil {
			// Another node may just have applied a model that allows it.
			if synced || e.sync(ctx) != nil || e.live.now.Load().model == s.model {
				return Receipt{}, err
			}
			synced = true
			continue
		}
		w.Model = s.model.version.Number
		done, err := write(ctx, w)
		if err == nil {
			return Receipt{e.acknowledge(ctx, done.Revision), done.Inserted, done.Deleted}, nil
		}
		if errs.KindOf(err) != errs.Conflict || try == writeTries {
			return Receipt{}, err
		}
		if err := e.sync(ctx); err != nil {
			return Receipt{}, err
		}
	}
}

// validQueries checks what of w does not depend on the model.
func validQueries(w Write) error {
	for i, p := range w.If {
		if err := p.Query.Validate(); err != nil {
			return atIndex(err, "precondition", i, len(w.If))
		}
	}
	for i, q := range w.Delete {
		err := q.Validate()
		if err == nil && q.IsEmpty() {
			err = errs.New(errs.Invalid, "the query is empty: expected at least one of namespace, object, relation, subject")
		}
		if err != nil {
			return atIndex(err, "deletion", i, len(w.Delete))
		}
	}
	if len(w.Key) > MaxKey {
		return errs.New(errs.Invalid, "the idempotency key has %d bytes: expected at most %d", len(w.Key), MaxKey)
	}
	return nil
}

// acknowledge waits until this node shows rev. If that takes longer than the
// caller waits, the write is still done, so there is no error.
func (e *Engine) acknowledge(ctx context.Context, rev Revision) Token {
	_, _ = e.atLeast(ctx, rev)
	return newToken(e.store.ID(), rev)
}

// atIndex says which of several things err is about.
func atIndex(err error, what string, i, n int) error {
	if n == 1 {
		return err
	}
	return &errs.Error{Kind: errs.KindOf(err), Msg: fmt.Sprintf("%s %d: %v", what, i, err)}
}

// allowsAll checks updates against the model.
func (e *Engine) allowsAll(ctx context.Context, s *state, ups []Update) error {
	for i, up := range ups {
		if err := e.allows(ctx, s, up); err != nil {
			return atIndex(err, "update", i, len(ups))
		}
	}
	return nil
}

// allows checks one update against the model.
func (e *Engine) allows(ctx context.Context, s *state, up Update) error {
	t := up.Tuple
	if err := t.Validate(); err != nil {
		return err
	}
	if err := s.known(t); err != nil {
		if up.Op == Delete {
			if there, failed := e.has(ctx, s, t); there || failed != nil {
				return failed
			}
		}
		return err
	}
	if up.Op == Delete || e.options.Compat {
		return nil
	}
	return fits(s.model.compiled, t)
}

// Allows reports why the active model does not let t be stored, as Write would.
//
// NotFound: the model lacks a namespace of t. Invalid: anything else.
func (e *Engine) Allows(ctx context.Context, t Tuple) error {
	return e.allows(ctx, e.live.now.Load(), Update{Insert, t})
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

// Delete is Write for one query, and knows better what was not found.
//
// NotFound: q names a namespace that the model lacks and that has no such
// tuples. Otherwise as for Write.
func (e *Engine) Delete(ctx context.Context, q Query, w Write) (Receipt, error) {
	w.Delete = append(w.Delete, q)
	done, err := e.Write(ctx, w)
	if err == nil && done.Deleted == 0 && q.Namespace != nil && !e.live.now.Load().declares(*q.Namespace) {
		return Receipt{}, unknownNamespace(*q.Namespace)
	}
	return done, err
}

// has reports whether t is stored.
func (e *Engine) has(ctx context.Context, s *state, t Tuple) (bool, error) {
	if s.shelf == nil {
		return s.snap.Set(s.find(t.Object, t.Relation)).Contains(s.find(t.Subject.Object, t.Subject.Relation)), nil
	}
	q := Query{&t.Object.Namespace, &t.Object.ID, &t.Relation, &t.Subject}
	for _, err := range e.store.Read(ctx, s.revision, q, Page{Limit: 1}) {
		return err == nil, err
	}
	return false, nil
}
