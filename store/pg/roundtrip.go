package pg

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cardea-iam/cardea/internal/errs"
)

// retries is how often a question is asked again, with a pause in front that
// begins at firstPause and grows fivefold: a failover takes longer and is the
// caller's to wait for.
const (
	retries    = 2
	firstPause = 20 * time.Millisecond
)

// patience is how long to wait for an answer to statements with a time limit.
func patience(statement time.Duration) time.Duration { return statement + statement/10 + time.Second }

// read makes a round trip with the statements that build queues, and repeats it
// if the connection breaks. build starts anew each time.
func (db *DB) read(ctx context.Context, doing string, build func(*pgx.Batch)) error {
	return db.repeat(ctx, doing, func(ctx context.Context) error {
		b := &pgx.Batch{}
		build(b)
		return db.send(ctx, db.pool, b)
	})
}

// repeat does what only reads, and repeats it if the connection breaks.
func (db *DB) repeat(ctx context.Context, doing string, read func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, patience(db.options.StatementTimeout))
	defer cancel()
	for try := 0; ; try++ {
		err := read(limited)
		if err == nil {
			return nil
		}
		if try == retries || !transient(err) || !pause(limited, try) {
			return classify(ctx, err, doing)
		}
	}
}

// A sender is a pool, a connection, or a transaction.
type sender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// send makes a round trip. On PostgreSQL a batch outside of a transaction is one.
func (db *DB) send(ctx context.Context, to sender, b *pgx.Batch) error {
	db.rounds.Add(1)
	return to.SendBatch(ctx, b).Close()
}

// pause waits before try is repeated. It reports false if ctx ends.
func pause(ctx context.Context, try int) bool {
	wait := firstPause
	for range try {
		wait *= 5
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func ignored(pgconn.CommandTag) error { return nil }

// code is the SQLSTATE that the server answered, or "" if none came.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// transient reports whether the same statements may succeed at once, on another
// connection or because another transaction has ended meanwhile.
func transient(err error) bool {
	var known *errs.Error
	if errors.As(err, &known) {
		return false
	}
	switch c := code(err); {
	case c == "":
		return broken(err)
	case restart(err):
		return true
	default:
		return lost(c) || c == "40003" || c == "0A000" || c == "26000" // a plan or statement that changed under us
	}
}

// restart reports whether the server undid the transaction for the sake of others.
func restart(err error) bool {
	c := code(err)
	return c == "40001" || c == "40P01"
}

// lost reports whether a code says that the server is going away.
func lost(c string) bool {
	return strings.HasPrefix(c, "08") || c == "57P01" || c == "57P02" || c == "57P03" || c == "XXUUU" || c == "58C01"
}

// broken reports whether the connection failed, rather than the statement.
func broken(err error) bool {
	var network net.Error
	var connecting *pgconn.ConnectError
	return errors.As(err, &network) || errors.As(err, &connecting) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// classify gives an error its kind. ctx is the caller's, what the attempt in the
// imperative: "read x". Errors that have a kind keep it.
func classify(ctx context.Context, err error, what string) error {
	var known *errs.Error
	if errors.As(err, &known) {
		return err
	}
	if cause := ctx.Err(); cause != nil {
		return errs.Wrap(errs.Unavailable, errors.Join(cause, err), "could not %s: the request was cancelled", what)
	}
	switch c := code(err); {
	case c == "57014" || c == "" && (errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err)):
		return errs.Wrap(errs.Unavailable, err, "could not %s: the database does not answer in time", what)
	case c == "" && broken(err):
		return errs.Wrap(errs.Unavailable, err, "could not %s: the connection to the database broke", what)
	case c == "":
		return errs.Wrap(errs.Internal, err, "could not %s", what)
	case restart(err) || lost(c) || c == "40003" || c == "55P03" || c == "25006":
		return errs.Wrap(errs.Unavailable, err, "could not %s: the database is restarting or busy", what)
	case strings.HasPrefix(c, "53"):
		return errs.Wrap(errs.Unavailable, err, "could not %s: the database has no more connections, memory or disk", what)
	case strings.HasPrefix(c, "28") || c == "3D000" || c == "42501":
		return errs.Wrap(errs.Refused, err, "could not %s: the database does not let this user in, or not do it", what)
	case c == "42P01" || c == "42703":
		return errs.Wrap(errs.Refused, err, "could not %s: the database lacks a table; run cardea migrate up", what)
	default:
		return errs.Wrap(errs.Internal, err, "could not %s", what)
	}
}
