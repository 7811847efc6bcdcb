package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"sync/atomic"
	"time"

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
func (db *DB) submit(ctx context.Context, updates int, do func(*transaction) error) error {
	r := &request{do: do, updates: updates, answer: make(chan error, 1)}
	if err := ctx.Err(); err != nil {
		return withdrawn(err)
	}
	select {
	case db.queue <- r:
	case <-ctx.Done():
		return withdrawn(ctx.Err())
	case <-db.stop:
		return errs.New(errs.Unavailable, "the database is closed: nothing was written")
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
	db   *DB
	time int64 // of the newest revision, in microseconds since 1970

	insert, remove, restore, stamp *sql.Stmt
}

func newWriter(ctx context.Context, db *DB) (*batchWriter, error) {
	w := &batchWriter{db: db}
	var head int64
	err := db.writes.QueryRowContext(ctx, "SELECT coalesce(max(revision), 0), coalesce(max(at), 0) FROM revision").Scan(&head, &w.time)
	if err != nil {
		return nil, classify(err, "read the newest revision of %s", db.path)
	}
	db.head.Store(head)
	const one = ` WHERE network = ? AND namespace = ? AND object = ? AND relation = ?
		AND subject_namespace = ? AND subject_id = ? AND subject_relation = ? AND removed = `
	for text, stmt := range map[string]**sql.Stmt{
		"INSERT INTO tuple (network, " + list + ", created, removed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 9223372036854775807) ON CONFLICT DO NOTHING": &w.insert,
		"UPDATE tuple SET removed = ?" + one + "9223372036854775807":                                                                              &w.remove,
		"UPDATE tuple SET removed = 9223372036854775807" + one + "?":                                                                              &w.restore,
		"INSERT INTO revision (revision, at) VALUES (?, ?)":                                                                                       &w.stamp,
	} {
		if *stmt, err = db.writes.PrepareContext(ctx, text); err != nil {
			return nil, classify(err, "prepare to write %s", db.path)
		}
	}
	return w, nil
}

// run answers requests until the store closes; those that wait then are still
// answered.
func (w *batchWriter) run() {
	for {
		select {
		case r := <-w.db.queue:
			w.commit(w.gather(r))
		case <-w.db.stop:
			for {
				select {
				case r := <-w.db.queue:
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
		case r := <-w.db.queue:
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
		w.time = t.time
		for s, number := range t.models {
			s.model = number
		}
		w.db.head.Store(t.revision)
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
	tx, err := w.db.writes.BeginTx(ctx, nil)
	if err != nil {
		return nil, classify(err, "begin to write %s", w.db.path)
	}
	t := &transaction{
		ctx:      ctx,
		tx:       tx,
		revision: w.db.head.Load(),
		time:     max(w.time, time.Now().UnixMicro()),
		insert:   tx.Stmt(w.insert),
		remove:   tx.Stmt(w.remove),
		restore:  tx.Stmt(w.restore),
		stamp:    tx.Stmt(w.stamp),
		stmts:    map[string]*sql.Stmt{},
	}
	for _, r := range group {
		if err := t.attempt(r, len(group) == 1); err != nil {
			tx.Rollback()
			return nil, err
		}
	}
	if t.revision == w.db.head.Load() && t.quiet == 0 {
		tx.Rollback() // nothing changed: nothing has to reach the disk
		return t, nil
	}
	if err := tx.Commit(); err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "commit to %s failed: the outcome is unknown until the store is opened again", w.db.path)
	}
	return t, nil
}

// A transaction is what a request's function works with.
type transaction struct {
	ctx      context.Context
	tx       *sql.Tx
	revision int64            // the newest so far
	time     int64            // of the revisions made here
	models   map[*Store]int64 // that became active here; replaced, never changed
	quiet    int64            // rows whose change makes no revision

	insert, remove, restore, stamp *sql.Stmt
	stmts                          map[string]*sql.Stmt // by text; they end with tx
}

// model returns the number of the network's active model so far.
func (t *transaction) model(s *Store) int64 {
	if number, ok := t.models[s]; ok {
		return number
	}
	return s.model
}

func (t *transaction) activate(s *Store, number int64) {
	models := map[*Store]int64{s: number}
	for other, number := range t.models {
		if other != s {
			models[other] = number
		}
	}
	t.models = models
}

// prepared is stmt for a text that is likely to be in a cache of the same connection.
func (t *transaction) prepared(cache *queries, text string) (*sql.Stmt, error) {
	if t.stmts[text] == nil {
		if stmt := cache.known(text); stmt != nil {
			t.stmts[text] = t.tx.StmtContext(t.ctx, stmt)
		}
	}
	return t.stmt(text)
}

// stmt returns the prepared statement text.
func (t *transaction) stmt(text string) (*sql.Stmt, error) {
	if stmt := t.stmts[text]; stmt != nil {
		return stmt, nil
	}
	stmt, err := t.tx.PrepareContext(t.ctx, text)
	if err != nil {
		return nil, err
	}
	t.stmts[text] = stmt
	return stmt, nil
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

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
