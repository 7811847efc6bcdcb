package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// Write implements engine.Store.
func (s *Store) Write(ctx context.Context, w engine.Write) (engine.Written, error) {
	if err := validate(w); err != nil {
		return engine.Written{}, err
	}
	var done engine.Written
	err := s.db.submit(ctx, size(w), func(t *transaction) (err error) {
		done, err = s.write(t, w)
		return err
	})
	if err != nil {
		return engine.Written{}, err
	}
	return done, nil
}

// size is how much of a commit w takes up.
func size(w engine.Write) int {
	if len(w.Delete) > 0 {
		return maxGroupUpdates // perhaps
	}
	return len(w.If) + len(w.Updates)
}

func validate(w engine.Write) error {
	if len(w.Key) > engine.MaxKey {
		return errs.New(errs.Invalid, "the key has %d bytes: expected at most %d", len(w.Key), engine.MaxKey)
	}
	for i, u := range w.Updates {
		if u.Op != engine.Insert && u.Op != engine.Delete {
			return errs.New(errs.Invalid, "update %d has operation %d: expected insert or delete", i, u.Op)
		}
		if err := u.Tuple.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// write does w, unless its key says that it is done.
func (s *Store) write(t *transaction, w engine.Write) (engine.Written, error) {
	if w.Key == "" {
		return s.change(t, w)
	}
	hash := contents(w)
	done, found, err := s.repeated(t, w.Key, hash)
	if err != nil || found {
		return done, err
	}
	if done, err = s.change(t, w); err != nil {
		return engine.Written{}, err
	}
	_, err = t.tx.ExecContext(t.ctx, "INSERT INTO request (network, key, hash, revision, inserted, deleted, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
		s.network, []byte(w.Key), hash[:], t.revision, done.Inserted, done.Deleted, t.time)
	if err != nil {
		return engine.Written{}, classify(err, "write the key of a request")
	}
	t.quiet++
	return done, nil
}

// repeated returns what the write with the key did, and false if there was none.
func (s *Store) repeated(t *transaction, key string, hash [sha256.Size]byte) (done engine.Written, found bool, err error) {
	var first []byte
	var rev int64
	err = t.tx.QueryRowContext(t.ctx, "SELECT hash, revision, inserted, deleted FROM request WHERE network = ? AND key = ?",
		s.network, []byte(key)).Scan(&first, &rev, &done.Inserted, &done.Deleted)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return engine.Written{}, false, nil
	case err != nil:
		return engine.Written{}, false, classify(err, "look for the key of a request")
	case string(first) != string(hash[:]):
		return engine.Written{}, false, errs.New(errs.Invalid, "the key %q was used for another write: expected a new one", key)
	}
	done.Revision = revision(rev)
	return done, true, nil
}

// contents returns a hash of what w asks for. The model is not part of it: the
// caller who repeats a write may have met another one by then.
func contents(w engine.Write) [sha256.Size]byte {
	var b []byte
	number := func(n int) { b = binary.AppendUvarint(b, uint64(n)) }
	text := func(s string) {
		number(len(s))
		b = append(b, s...)
	}
	query := func(q engine.Query) {
		for _, p := range []*string{q.Namespace, q.Object, q.Relation} {
			if p == nil {
				number(0)
				continue
			}
			number(1)
			text(*p)
		}
		if q.Subject == nil {
			number(0)
			return
		}
		number(1)
		text(q.Subject.Namespace)
		text(q.Subject.ID)
		text(q.Subject.Relation)
	}
	number(len(w.If))
	for _, p := range w.If {
		if p.Exists {
			number(1)
		} else {
			number(0)
		}
		query(p.Query)
	}
	number(len(w.Delete))
	for _, q := range w.Delete {
		query(q)
	}
	number(len(w.Updates))
	for _, u := range w.Updates {
		number(int(u.Op))
		for _, part := range split(u.Tuple) {
			text(part)
		}
	}
	return sha256.Sum256(b)
}

// change checks what w demands and then changes the tuples.
func (s *Store) change(t *transaction, w engine.Write) (done engine.Written, err error) {
	if active := t.model(s); w.Model != 0 && w.Model != active {
		return engine.Written{}, staleModel(active, w.Model)
	}
	for i, p := range w.If {
		if err := s.demand(t, i, p); err != nil {
			return engine.Written{}, err
		}
	}
	for _, q := range w.Delete {
		n, err := s.deleteAll(t, q)
		if err != nil {
			return engine.Written{}, err
		}
		done.Deleted += n
	}
	if err := s.update(t, w, &done); err != nil {
		return engine.Written{}, err
	}
	if done.Inserted+done.Deleted > 0 {
		err = t.advance()
	}
	done.Revision = revision(t.revision)
	return done, err
}

// demand checks precondition i.
func (s *Store) demand(t *transaction, i int, p engine.Precondition) error {
	text, args := existsQuery(s.network, p.Query)
	stmt, err := t.stmt(text)
	if err != nil {
		return classify(err, "check precondition %d", i)
	}
	var exists bool
	if err := stmt.QueryRowContext(t.ctx, args...).Scan(&exists); err != nil {
		return classify(err, "check precondition %d", i)
	}
	switch {
	case p.Exists && !exists:
		return errs.New(errs.Refused, "precondition %d does not hold: there is no such tuple", i)
	case !p.Exists && exists:
		return errs.New(errs.Refused, "precondition %d does not hold: there is such a tuple", i)
	}
	return nil
}

func existsQuery(network int64, q engine.Query) (text string, args []any) {
	where := filter(network, q)
	return "SELECT EXISTS (SELECT 1 FROM " + from(q) + " WHERE " + where.text() + " AND +removed = 9223372036854775807)", where.args
}

// deleteAll removes what q matches and returns how many tuples there were.
func (s *Store) deleteAll(t *transaction, q engine.Query) (int64, error) {
	text, args := deleteQuery(s.network, t.revision+1, q)
	stmt, err := t.stmt(text)
	if err != nil {
		return 0, classify(err, "delete tuples")
	}
	n, err := affected(stmt.ExecContext(t.ctx, args...))
	if err != nil {
		return 0, classify(err, "delete tuples")
	}
	return n, nil
}

func deleteQuery(network, revision int64, q engine.Query) (text string, args []any) {
	where := filter(network, q)
	text = "UPDATE " + from(q) + " SET removed = ? WHERE " + where.text() + " AND +removed = 9223372036854775807"
	return text, append([]any{revision}, where.args...)
}

// update applies w.Updates and counts in done. A tuple that w.Delete has just
// removed and an update adds again was never away: its row is restored.
func (s *Store) update(t *transaction, w engine.Write, done *engine.Written) error {
	next := t.revision + 1
	for _, u := range lasting(w.Updates) {
		x := u.Tuple
		args := []any{next, s.network, x.Object.Namespace, x.Object.ID, x.Relation, x.Subject.Namespace, x.Subject.ID, x.Subject.Relation, next}
		var n int64
		var err error
		if u.Op == engine.Delete {
			n, err = affected(t.remove.ExecContext(t.ctx, args[:8]...))
			done.Deleted += n
		} else {
			if done.Deleted > 0 && len(w.Delete) > 0 {
				n, err = affected(t.restore.ExecContext(t.ctx, args[1:]...))
				done.Deleted -= n
			}
			if n == 0 && err == nil {
				n, err = affected(t.insert.ExecContext(t.ctx, args[1:]...))
				done.Inserted += n
			}
		}
		if err != nil {
			return classify(err, "write a tuple")
		}
	}
	return nil
}

// lasting returns the updates that decide: of those of one tuple the last. If
// all do the same, the ones after the first change nothing anyway.
func lasting(ups []engine.Update) []engine.Update {
	mixed := false
	for _, u := range ups {
		mixed = mixed || u.Op != ups[0].Op
	}
	if !mixed {
		return ups
	}
	last := make(map[engine.Tuple]int, len(ups))
	for i, u := range ups {
		last[u.Tuple] = i
	}
	out := make([]engine.Update, 0, len(last))
	for i, u := range ups {
		if last[u.Tuple] == i {
			out = append(out, u)
		}
	}
	return out
}
