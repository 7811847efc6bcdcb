package sqlite

import (
	"context"
	"embed"
	"io/fs"
	"os"

	"github.com/pressly/goose/v3"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/steps"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrate brings the schema of the file path up to date, creates the file if
// there is none, and returns the steps that it took.
//
// Refused: another process has the file open, or its schema is newer than this
// build knows, or has come from other steps.
func Migrate(ctx context.Context, path string) (taken []steps.Step, err error) {
	lock, err := acquire(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := lock.release(); err == nil && e != nil {
			err = errs.Wrap(errs.Internal, e, "data file %s cannot be unlocked", path)
		}
	}()
	db, err := connect(path, writer)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return schema(path).Up(ctx, db)
}

// Status returns all steps of the schema, in order, and when each was applied
// to the file path. It may run beside a process that has the file open.
//
// NotFound: there is no such file. Refused: its schema is newer than this build
// knows, or has come from other steps.
func Status(ctx context.Context, path string) ([]steps.Step, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, errs.Wrap(errs.NotFound, err, "data file %s is not there", path)
	}
	db, err := connect(path, reader)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return schema(path).Status(ctx, db)
}

func schema(path string) steps.Schema {
	dir, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // it is embedded
	}
	return steps.Schema{
		Where: path, Files: dir, Dialect: goose.DialectSQLite3,
		IsTable: "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = ?)",
		Failed:  func(_ context.Context, err error, doing string) error { return classify(err, "%s", doing) },
	}
}
