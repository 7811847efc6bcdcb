package pg

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/script"
)

// Join does w on the tuples of the runner's network, and a script, in one transaction, or
// nothing. Its revision is one of the log like any other. It is not repeated when nobody
// knows whether it was made.
//
// Errors as for Store.Write and Runner.Write. Invalid, too: w has a key, which would not
// speak for the script.
func (r Runner) Join(ctx context.Context, w engine.Write, doing string, build func(*script.Script)) (engine.Written, error) {
	if w.Key != "" {
		return engine.Written{}, errs.New(errs.Invalid, "tuples and rows are written together: expected no idempotency key")
	}
	if err := validate(w); err != nil {
		return engine.Written{}, err
	}
	j := newJob(r.s, w)
	j.beside, j.doing = build, doing
	if err := j.run(ctx); err != nil {
		return engine.Written{}, err
	}
	return j.done, nil
}

// writeBeside writes what the job writes beside tuples, after its checks, and before the
// statement that tells its revision.
func (j *job) writeBeside(ctx context.Context, to sender) error {
	if j.beside == nil {
		return nil
	}
	var sc script.Script
	j.beside(&sc)
	return j.s.db.sendScript(ctx, to, sc)
}

// undo ends the transaction of a connection that still works.
func (db *DB) undo(ctx context.Context, to sender) error {
	b := &pgx.Batch{}
	b.Queue("ROLLBACK").Exec(ignored)
	return db.send(ctx, to, b)
}
