package pg

import (
	"context"
	"errors"

	"github.com/cockroachdb/cockroach-go/v2/crdb"
	crdbpgx "github.com/cockroachdb/cockroach-go/v2/crdb/crdbpgxv5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/script"
)

// A Runner runs scripts for one network.
type Runner struct{ s *Store }

var _ script.Runner = Runner{}

// Runner returns what runs scripts for the network name, which is made if it is new.
//
// Invalid, Refused: as for Network.
func (db *DB) Runner(ctx context.Context, name string) (Runner, error) {
	s, err := db.Network(ctx, name)
	return Runner{s}, err
}

// Network implements script.Runner.
func (r Runner) Network() int64 { return r.s.network }

// Read implements script.Runner.
func (r Runner) Read(ctx context.Context, doing string, build func(*script.Script)) error {
	db := r.s.db
	return db.repeat(ctx, doing, func(ctx context.Context) error {
		var sc script.Script
		build(&sc)
		return db.sendScript(ctx, db.pool, sc)
	})
}

// Write implements script.Runner.
func (r Runner) Write(ctx context.Context, doing string, build func(*script.Script)) error {
	db := r.s.db
	limited, cancel := context.WithTimeout(ctx, patience(db.options.StatementTimeout))
	defer cancel()
	for try, again := 0, false; ; try++ {
		sc := script.Script{Again: again}
		build(&sc)
		unsure, err := db.commit(limited, sc, build)
		if err == nil {
			return nil
		}
		again = again || unsure
		if try == retries || !transient(err) || again && sc.Demands() || !pause(limited, try) {
			return written(ctx, err, again, doing)
		}
	}
}

// written gives an error of Write its kind. again says that the script may have been
// committed.
func written(ctx context.Context, err error, again bool, doing string) error {
	var known *errs.Error
	switch {
	case errors.As(err, &known):
		return err
	case code(err) == uniqueViolation:
		return errs.Wrap(errs.Conflict, err, "could not %s: it is there already", doing)
	case again:
		return errs.Wrap(errs.Unknown, errors.Join(ctx.Err(), err), "could not %s for sure: the connection to the database broke, and it may or may not be done", doing)
	default:
		return classify(ctx, err, doing)
	}
}

const uniqueViolation = "23505"

// commit makes one transaction of a script, which build makes anew. A batch is a
// transaction on PostgreSQL; on CockroachDB only one statement is. One that may have to
// be undone is made within an open transaction. unsure says that it may have been
// committed although it failed.
func (db *DB) commit(ctx context.Context, sc script.Script, build func(*script.Script)) (unsure bool, err error) {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	transacts := db.server.transacts()
	if !sc.Demands() && (transacts || len(sc.Steps) == 1) {
		err := db.sendScript(ctx, conn, sc)
		return err != nil && !db.server.sure(err), err
	}
	if transacts {
		return db.open(ctx, conn, sc)
	}
	committing, again := false, sc.Again
	err = crdbpgx.ExecuteTx(crdb.WithMaxRetries(ctx, restarts), conn, pgx.TxOptions{}, func(tx pgx.Tx) error {
		sc := script.Script{Again: again}
		build(&sc)
		err := db.sendScript(ctx, tx, sc)
		committing = err == nil
		return err
	})
	return err != nil && committing && !db.server.sure(err), err
}

// open begins a transaction of a script in the round trip of its statements, and ends it
// in another one.
func (db *DB) open(ctx context.Context, conn *pgxpool.Conn, sc script.Script) (unsure bool, err error) {
	b := &pgx.Batch{}
	b.Queue("BEGIN").Exec(ignored)
	db.queue(b, sc)
	if err := db.send(ctx, conn, b); err != nil {
		_ = db.undo(ctx, conn) // or the pool closes it, which undoes it, too
		return false, err
	}
	tag, err := conn.Exec(ctx, "COMMIT")
	if err == nil && tag.String() != "COMMIT" {
		err = pgx.ErrTxCommitRollback
	}
	return err != nil && !db.server.sure(err), err
}

// sendScript makes a round trip of a script. One of one step is no batch, which would
// cost more.
func (db *DB) sendScript(ctx context.Context, to sender, sc script.Script) error {
	if len(sc.Steps) == 1 {
		db.rounds.Add(1)
		return db.sendStep(ctx, to, sc.Steps[0])
	}
	b := &pgx.Batch{}
	db.queue(b, sc)
	return db.send(ctx, to, b)
}

func (db *DB) queue(b *pgx.Batch, sc script.Script) {
	for _, step := range sc.Steps {
		q := b.Queue(db.server.script(step.SQL), step.Args...)
		if step.Row == nil {
			q.Exec(func(tag pgconn.CommandTag) error { return changed(step, tag) })
		} else {
			q.Query(func(rows pgx.Rows) error { return scanned(step, rows) })
		}
	}
}

func (db *DB) sendStep(ctx context.Context, to sender, step script.Step) error {
	text := db.server.script(step.SQL)
	if step.Row == nil {
		tag, err := to.Exec(ctx, text, step.Args...)
		if err != nil {
			return err
		}
		return changed(step, tag)
	}
	rows, err := to.Query(ctx, text, step.Args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return scanned(step, rows)
}

func changed(step script.Step, tag pgconn.CommandTag) error {
	if step.N != nil {
		*step.N = tag.RowsAffected()
	}
	if tag.RowsAffected() == 0 {
		return step.Must
	}
	return nil
}

func scanned(step script.Step, rows pgx.Rows) error {
	for rows.Next() {
		if err := step.Row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
