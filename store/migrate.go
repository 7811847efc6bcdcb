package store

import (
	"context"
	"time"

	"github.com/cardea-iam/cardea/store/sqlite"
)

// A Migration is one step of a database's schema.
type Migration struct {
	Version int64     // 1, 2, 3, ...
	Name    string    // the file that holds it
	Applied time.Time // zero while it is pending
}

// Migrate brings the schema of the database that dsn names up to date, and
// returns the steps that it took. A file is created if there is none.
//
// Invalid, Unsupported: as for Open. Refused: another process has the file open,
// or the schema is newer than this build knows.
func Migrate(ctx context.Context, dsn string) ([]Migration, error) {
	path, err := sqlitePath(dsn)
	if err != nil {
		return nil, err
	}
	return migrations(sqlite.Migrate(ctx, path))
}

// Status returns all steps of the schema, in order, and when each was applied to
// the database that dsn names. It may run beside processes that have it open.
//
// Invalid, Unsupported: as for Open. NotFound: there is no such database.
// Refused: its schema is newer than this build knows.
func Status(ctx context.Context, dsn string) ([]Migration, error) {
	path, err := sqlitePath(dsn)
	if err != nil {
		return nil, err
	}
	return migrations(sqlite.Status(ctx, path))
}

func migrations(steps []sqlite.Migration, err error) ([]Migration, error) {
	if err != nil {
		return nil, err
	}
	var out []Migration
	for _, s := range steps {
		out = append(out, Migration(s))
	}
	return out, nil
}
