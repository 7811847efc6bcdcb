package pg

import (
	"context"
	"embed"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/cardea-iam/cardea/store/steps"
)

//go:embed migrations
var files embed.FS

// Migrate brings the schema of the database that dsn names up to date and returns
// the steps that it took. Of several nodes that do so at the same time, one takes
// them and the others wait.
//
// Invalid, Unavailable: as for Open. Refused: as for Open, or the schema is newer
// than this build knows, or has come from other steps.
func Migrate(ctx context.Context, dsn string, o Options) ([]steps.Step, error) {
	o.defaults()
	kind, config, err := probe(ctx, dsn, o)
	if err != nil {
		return nil, err
	}
	return migrate(ctx, kind, config, o)
}

// Status returns all steps of the schema, in order, and when each was applied to
// the database that dsn names. It may run beside nodes that have it open.
//
// Invalid, Unavailable: as for Open. Refused: as for Open, or the schema is newer
// than this build knows, or has come from other steps.
func Status(ctx context.Context, dsn string, o Options) ([]steps.Step, error) {
	o.defaults()
	kind, config, err := probe(ctx, dsn, o)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*config)
	defer db.Close()
	return schema(kind).Status(ctx, db)
}

func fits(ctx context.Context, kind server, config *pgx.ConnConfig) error {
	db := stdlib.OpenDB(*config)
	defer db.Close()
	return schema(kind).Fits(ctx, db)
}

// migrate applies what is pending under the server's lock.
func migrate(ctx context.Context, kind server, config *pgx.ConnConfig, o Options) (taken []steps.Step, err error) {
	config = config.Copy()
	config.RuntimeParams["statement_timeout"] = "0" // an index on a large table takes as long as it takes
	db := stdlib.OpenDB(*config)
	defer db.Close()
	err = kind.migrating(ctx, db, o, func(ctx context.Context) (err error) {
		taken, err = schema(kind).Up(ctx, db)
		return err
	})
	return taken, err
}

func schema(kind server) steps.Schema {
	dir, err := fs.Sub(files, "migrations/"+kind.dialect())
	if err != nil {
		panic(err) // it is embedded
	}
	return steps.Schema{
		Where: "the database", Files: dir, Dialect: goose.DialectPostgres,
		IsTable: "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1)",
		Failed:  classify,
	}
}
