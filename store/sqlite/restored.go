package sqlite

import (
	"context"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Restored begins a new epoch of the file path, which is a copy that was put back:
// tokens from before are refused from then on, since they may speak of what the copy
// does not have.
//
// Refused: another process has the file open, or its schema is too new or too old.
func Restored(ctx context.Context, path string) (err error) {
	lock, err := acquire(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := lock.release(); err == nil && e != nil {
			err = errs.Wrap(errs.Internal, e, "data file %s cannot be unlocked", path)
		}
	}()
	db, err := connect(path, writer)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := schema(path).Fits(ctx, db); err != nil {
		return err
	}
	if _, err := db.ExecContext(ctx, "UPDATE meta SET epoch = epoch + 1"); err != nil {
		return classify(err, "begin a new epoch of %s", path)
	}
	return nil
}
