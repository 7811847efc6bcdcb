package store

import (
	"context"

	"github.com/cardea-iam/cardea/store/pg"
	"github.com/cardea-iam/cardea/store/sqlite"
	"github.com/cardea-iam/cardea/store/steps"
)

// A Migration is one step of a database's schema.
type Migration = steps.Step

// Migrate brings the schema of the database that dsn names up to date, and
// returns the steps that it took. A file is created if there is none. Of several
// nodes that do so at once on a server, one takes them and the others wait.
//
// Invalid, Unavailable: as for Open. Refused: another process has the file open,
// the server does not let us in, or the schema is newer than this build knows.
func Migrate(ctx context.Context, dsn string) ([]Migration, error) {
	at, err := locate(dsn)
	switch {
	case err != nil:
		return nil, err
	case at.server:
		return pg.Migrate(ctx, dsn, pg.Options{})
	default:
		return sqlite.Migrate(ctx, at.path)
	}
}

// Status returns all steps of the schema, in order, and when each was applied to
// the database that dsn names. It may run beside processes that have it open.
//
// Invalid, Unavailable: as for Open. NotFound: there is no such file. Refused: as
// for Migrate, except that the file may be open.
func Status(ctx context.Context, dsn string) ([]Migration, error) {
	at, err := locate(dsn)
	switch {
	case err != nil:
		return nil, err
	case at.server:
		return pg.Status(ctx, dsn, pg.Options{})
	default:
		return sqlite.Status(ctx, at.path)
	}
}

// Restored begins a new epoch of the database that dsn names, which was restored
// from a copy or has lost its newest writes: tokens from before are refused from
// then on. No process may have it open. On a server it writes all tuples anew.
//
// Invalid, Unavailable: as for Open. Refused: as for Migrate, or the schema is too
// old.
func Restored(ctx context.Context, dsn string) error {
	at, err := locate(dsn)
	switch {
	case err != nil:
		return err
	case at.server:
		return pg.Restored(ctx, dsn, pg.Options{})
	default:
		return sqlite.Restored(ctx, at.path)
	}
}
