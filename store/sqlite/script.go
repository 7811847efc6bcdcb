package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"regexp"
	"sync"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/script"
)

// A Runner runs scripts for one network.
type Runner struct{ s *Store }

var _ script.Runner = Runner{}

// Runner returns what runs scripts for the network name, which is made if it is new.
//
// Invalid: as for Network.
func (db *DB) Runner(ctx context.Context, name string) (Runner, error) {
	s, err := db.Network(ctx, name)
	return Runner{s}, err
}

// Network implements script.Runner.
func (r Runner) Network() int64 { return r.s.network }

// Read implements script.Runner.
func (r Runner) Read(ctx context.Context, doing string, build func(*script.Script)) error {
	var sc script.Script
	build(&sc)
	for _, step := range sc.Steps {
		stmt, err := r.s.db.queries.get(ctx, numbered(step.SQL))
		if err != nil {
			return classify(err, "%s", doing)
		}
		if err := run(ctx, stmt, step); err != nil {
			return classify(err, "%s", doing)
		}
	}
	return nil
}

// Write implements script.Runner. It prepares statements before it is the writer's turn,
// which has the one connection to prepare them on.
func (r Runner) Write(ctx context.Context, doing string, build func(*script.Script)) error {
	if err := r.prepare(ctx, doing, build); err != nil {
		return err
	}
	return r.s.db.submit(ctx, 1, func(t *transaction) error { return r.write(t, doing, build) })
}

// prepare prepares the statements of a script.
func (r Runner) prepare(ctx context.Context, doing string, build func(*script.Script)) error {
	var sc script.Script
	build(&sc)
	for _, step := range sc.Steps {
		if _, err := r.s.db.scripts.get(ctx, numbered(step.SQL)); err != nil {
			return classify(err, "%s", doing)
		}
	}
	return nil
}

// write runs a script in a transaction.
func (r Runner) write(t *transaction, doing string, build func(*script.Script)) error {
	var sc script.Script
	build(&sc)
	for _, step := range sc.Steps {
		stmt, err := t.prepared(&r.s.db.scripts, numbered(step.SQL))
		if err != nil {
			return classify(err, "%s", doing)
		}
		if err := run(t.ctx, stmt, step); err != nil {
			return taken(err, doing)
		}
	}
	t.quiet++
	return nil
}

// taken is classify for what may violate a key.
func taken(err error, doing string) error {
	var e *driver.Error
	if errors.As(err, &e) && (e.Code() == lib.SQLITE_CONSTRAINT_PRIMARYKEY || e.Code() == lib.SQLITE_CONSTRAINT_UNIQUE) {
		return errs.Wrap(errs.Conflict, err, "could not %s: it is there already", doing)
	}
	return classify(err, "%s", doing)
}

// run runs one statement, and reads to the end what it returns.
func run(ctx context.Context, stmt *sql.Stmt, step script.Step) error {
	if step.Row == nil {
		n, err := affected(stmt.ExecContext(ctx, step.Args...))
		if step.N != nil {
			*step.N = n
		}
		if err == nil && n == 0 {
			err = step.Must
		}
		return err
	}
	rows, err := stmt.QueryContext(ctx, step.Args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := step.Row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

var (
	dollars = regexp.MustCompile(`\$(\d+)`)
	texts   sync.Map // of scripts, with the placeholders of SQLite
)

// numbered writes $1 as ?1. There are few texts, so all are kept.
func numbered(text string) string {
	if known, ok := texts.Load(text); ok {
		return known.(string)
	}
	out := dollars.ReplaceAllString(text, "?$1")
	texts.Store(text, out)
	return out
}
