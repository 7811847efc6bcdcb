package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

const (
	living = math.MaxInt64 // the value of the column removed while a tuple lives

	// maxGroup and maxGroupUpdates bound what one commit holds, so that the
	// first of a group does not wait long for the last.
	maxGroup        = 256
	maxGroupUpdates = 10_000
)

// A request waits in the queue of the writer, which runs do inside a savepoint
// and answers after the commit.
type request struct {
	do      func(*transaction) error
	updates int
	taken   atomic.Bool // by the writer, or by a caller who gave up
	answer  chan error
	err     error // what do returned
}

// submit has the writer run do and returns after the commit. A caller whose
// context ends while the request still waits takes it back. From the moment
// the writer has begun it, submit waits for the true outcome: that takes no
// longer than a commit, and "perhaps" is an answer that nobody can use.
func (s *Store) submit(ctx context.Context, updates int, do func(*transaction) error) error {
	r := &request{do: do, updates: updates, answer: make(chan error, 1)}
	if err := ctx.Err(); err != nil {
		return withdrawn(err)
	}
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return withdrawn(ctx.Err())
	case <-s.stop:
		return errs.New(errs.Unavailable, "store is closed: nothing was written")
	}
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		if r.taken.CompareAndSwap(false, true) {
			return withdrawn(ctx.Err())
		}
		return <-r.answer
	}
}

func withdrawn(cause error) error {
	return errs.Wrap(errs.Unavailable, cause, "request was cancelled before it began: nothing was written")
}

// A batchWriter is the one goroutine that writes (rule S2).
type batchWriter struct {
	store *Store

	// What the last commit left behind.
	model int64 // the number of the active model, 0 for none
	time  int64 // of the newest revision, in microseconds since 1970

	insert, remove, unmake, stamp *sql.Stmt
}

func newWriter(ctx context.Context, s *Store) (*batchWriter, error) {
	w := &batchWriter{store: s}
	var head int64
	err := s.writes.QueryRowContext(ctx, `SELECT
		(SELECT coalesce(max(revision), 0) FROM revision),
		(SELECT coalesce(max(at), 0) FROM revision),
		(SELECT coalesce(max(number), 0) FROM model)`).Scan(&head, &w.time, &w.model)
	if err != nil {
		return nil, classify(err, "read the newest revision of %s", s.path)
	}
	s.head.Store(head)
	const exactly = ` WHERE namespace = ? AND object = ? AND relation = ?
		AND subject_namespace = ? AND subject_id = ? AND subject_relation = ? AND removed = 9223372036854775807`
	for text, stmt := range map[string]**sql.Stmt{
		"INSERT INTO tuple (" + list + ", created, removed) VALUES (?, ?, ?, ?, ?, ?, ?, 9223372036854775807) ON CONFLICT DO NOTHING": &w.insert,
		"UPDATE tuple SET removed = ?" + exactly + " AND created <> ?":                                                                &w.remove,
		"DELETE FROM tuple" + exactly + " AND created = ?":                                                                            &w.unmake,
		"INSERT INTO revision (revision, at) VALUES (?, ?)":                                                                           &w.stamp,
	} {
		if *stmt, err = s.writes.PrepareContext(ctx, text); err != nil {
			return nil, classify(err, "prepare to write %s", s.path)
		}
	}
	return w, nil
}

// run answers requests until the store closes; those that wait then are still
// answered.
func (w *batchWriter) run() {
	for {
		select {
		case r := <-w.store.queue:
			w.commit(w.gather(r))
		case <-w.store.stop:
			for {
				select {
				case r := <-w.store.queue:
					w.commit(w.gather(r))
				default:
					return
				}
			}
		}
	}
}

// gather adds to first whatever else waits. While one group is on its way to
// the disk the next one forms, so that groups grow with the load by themselves.
func (w *batchWriter) gather(first *request) []*request {
	var group []*request
	updates := 0
	add := func(r *request) {
		if r.taken.CompareAndSwap(false, true) {
			group = append(group, r)
			updates += r.updates
		}
	}
	add(first)
	for len(group) < maxGroup && updates < maxGroupUpdates {
		select {
		case r := <-w.store.queue:
			add(r)
		default:
			return group
		}
	}
	return group
}

// commit runs a group in one transaction, moves the head and answers.
func (w *batchWriter) commit(group []*request) {
	if len(group) == 0 {
		return
	}
	t, err := w.apply(group)
	if errors.Is(err, errTorn) {
		for _, r := range group {
			w.commit([]*request{r})
		}
		return
	}
	if err == nil {
		w.model, w.time = t.model, t.time
		w.store.head.Store(t.revision)
		w.store.oldest.Store(t.oldest)
	}
	for _, r := range group {
		if r.err == nil {
			r.err = err
		}
		r.answer <- r.err
	}
}

// errTorn says that a request took the transaction of its group down with it,
// as SQLite does when the disk is full. Nothing of the group was written; each
// request is then run alone.
var errTorn = errors.New("a request has ended the transaction")

// apply runs the requests, each in its savepoint, and commits those that
// succeeded. It runs under no caller's context: the group has many callers.
func (w *batchWriter) apply(group []*request) (*transaction, error) {
	ctx := context.Background()
	tx, err := w.store.writes.BeginTx(ctx, nil)
	if err != nil {
		return nil, classify(err, "begin to write %s", w.store.path)
	}
	t := &transaction{
		ctx:      ctx,
		tx:       tx,
		revision: w.store.head.Load(),
		oldest:   w.store.oldest.Load(),
		model:    w.model,
		time:     max(w.time, time.Now().UnixMicro()),
		insert:   tx.Stmt(w.insert),
		remove:   tx.Stmt(w.remove),
		unmake:   tx.Stmt(w.unmake),
		stamp:    tx.Stmt(w.stamp),
	}
	for _, r := range group {
		if err := t.attempt(r, len(group) == 1); err != nil {
			tx.Rollback()
			return nil, err
		}
	}
	if t.revision == w.store.head.Load() && t.purged == 0 {
		tx.Rollback() // nothing changed: nothing has to reach the disk
		return t, nil
	}
	if err := tx.Commit(); err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "commit to %s failed: the outcome is unknown until the store is opened again", w.store.path)
	}
	return t, nil
}

// A transaction is what a request's function works with.
type transaction struct {
	ctx      context.Context
	tx       *sql.Tx
	revision int64 // the newest so far
	model    int64 // the active one so far
	time     int64 // of the revisions made here
	oldest   int64 // the oldest readable one
	purged   int64 // rows whose change makes no revision

	insert, remove, unmake, stamp *sql.Stmt
}

// attempt runs one request; if it fails, nothing of it stays. The error is of
// the transaction as a whole.
func (t *transaction) attempt(r *request, alone bool) error {
	if alone {
		// The transaction can be its savepoint, which spares SQLite the copy of
		// every page that it touches.
		r.err = r.do(t)
		return r.err
	}
	if !t.exec("SAVEPOINT request") {
		return errTorn
	}
	before := *t
	if r.err = r.do(t); r.err != nil {
		*t = before
		if !t.exec("ROLLBACK TO request") {
			return errTorn
		}
	}
	if !t.exec("RELEASE request") {
		return errTorn
	}
	return nil
}

func (t *transaction) exec(text string) bool {
	_, err := t.tx.ExecContext(t.ctx, text)
	return err == nil
}

// advance makes the next revision, which the rows written by this request
// already carry.
func (t *transaction) advance() error {
	t.revision++
	_, err := t.stamp.ExecContext(t.ctx, t.revision, t.time)
	if err != nil {
		return classify(err, "write revision %d", t.revision)
	}
	return nil
}

// Write implements engine.Store.
//
// Invalid: an update has no operation or a tuple that breaks a limit.
func (s *Store) Write(ctx context.Context, ups []engine.Update, model int64) (engine.Revision, error) {
	if err := validate(ups); err != nil {
		return "", err
	}
	var rev int64
	err := s.submit(ctx, len(ups), func(t *transaction) error {
		if model != 0 && model != t.model {
			return staleModel(t.model, model)
		}
		changed, err := t.update(ups)
		if err != nil {
			return err
		}
		if changed {
			err = t.advance()
		}
		rev = t.revision
		return err
	})
	if err != nil {
		return "", err
	}
	return revision(rev), nil
}

func validate(ups []engine.Update) error {
	for i, u := range ups {
		if u.Op != engine.Insert && u.Op != engine.Delete {
			return errs.New(errs.Invalid, "update %d has operation %d: expected insert or delete", i, u.Op)
		}
		if err := u.Tuple.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// update applies ups in order and reports whether a row changed.
func (t *transaction) update(ups []engine.Update) (changed bool, err error) {
	next := t.revision + 1
	inserted := false
	for _, u := range ups {
		x := u.Tuple
		var n int64
		switch u.Op {
		case engine.Insert:
			n, err = affected(t.insert.ExecContext(t.ctx, x.Object.Namespace, x.Object.ID, x.Relation,
				x.Subject.Namespace, x.Subject.ID, x.Subject.Relation, next))
			inserted = inserted || n > 0
		case engine.Delete:
			n, err = affected(t.remove.ExecContext(t.ctx, next, x.Object.Namespace, x.Object.ID, x.Relation,
				x.Subject.Namespace, x.Subject.ID, x.Subject.Relation, next))
			if err == nil && n == 0 && inserted {
				// A tuple that this very request has added leaves no trace.
				n, err = affected(t.unmake.ExecContext(t.ctx, x.Object.Namespace, x.Object.ID, x.Relation,
					x.Subject.Namespace, x.Subject.ID, x.Subject.Relation, next))
			}
		}
		if err != nil {
			return false, classify(err, "write a tuple")
		}
		changed = changed || n > 0
	}
	return changed, nil
}

// DeleteAll implements engine.Store.
func (s *Store) DeleteAll(ctx context.Context, q engine.Query) (int64, engine.Revision, error) {
	var n, rev int64
	where := filter(q)
	err := s.submit(ctx, maxGroupUpdates, func(t *transaction) error {
		args := append([]any{t.revision + 1}, where.args...)
		var err error
		n, err = affected(t.tx.ExecContext(t.ctx,
			"UPDATE tuple SET removed = ? WHERE "+where.text()+" AND removed = 9223372036854775807", args...))
		if err != nil {
			return classify(err, "delete tuples")
		}
		if n > 0 {
			err = t.advance()
		}
		rev = t.revision
		return err
	})
	if err != nil {
		return 0, "", err
	}
	return n, revision(rev), nil
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
