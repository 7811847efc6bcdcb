package sqlite

import (
	"context"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/script"
)

// Join does w on the tuples of the runner's network, and a script, in one transaction, or
// nothing. Its revision is one of the log like any other.
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
	if err := r.prepare(ctx, doing, build); err != nil {
		return engine.Written{}, err
	}
	var done engine.Written
	err := r.s.db.submit(ctx, 1+size(w), func(t *transaction) (err error) {
		if done, err = r.s.write(t, w); err != nil {
			return err
		}
		return r.write(t, doing, build)
	})
	if err != nil {
		return engine.Written{}, err
	}
	return done, nil
}
