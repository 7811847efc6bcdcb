package pg

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/steps"
)

//go:embed migrations
var files embed.FS

// A Migration is one step of the schema.
type Migration struct {
	Version int64     // 1, 2, 3, ...
	Name    string    // the file that holds it
	Applied time.Time // zero while it is pending
}

// Migrate brings the schema of the database that dsn names up to date and returns
// the steps that it took. Of several nodes that do so at the same time, one takes
// them and the others wait.
//
// Invalid, Unavailable: as for Open. Refused: as for Open, or the schema is newer
// than this build knows, or has come from other steps.
func Migrate(ctx context.Context, dsn string, o Options) ([]Migration, error) {
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
func Status(ctx context.Context, dsn string, o Options) ([]Migration, error) {
	o.defaults()
	kind, config, err := probe(ctx, dsn, o)
	if err != nil {
		return nil, err
	}
	return schema(ctx, kind, config)
}

func schema(ctx context.Context, kind server, config *pgx.ConnConfig) ([]Migration, error) {
	db := stdlib.OpenDB(*config)
	defer db.Close()
	return status(ctx, kind, db)
}

// migrate applies what is pending under the server's lock.
func migrate(ctx context.Context, kind server, config *pgx.ConnConfig, o Options) (taken []Migration, err error) {
	config = config.Copy()
	config.RuntimeParams["statement_timeout"] = "0" // an index on a large table takes as long as it takes
	db := stdlib.OpenDB(*config)
	defer db.Close()
	err = kind.migrating(ctx, db, o, func(ctx context.Context) error {
		before, err := status(ctx, kind, db)
		if err != nil {
			return err
		}
		p, err := provider(kind, db)
		if err != nil {
			return err
		}
		sums := map[int64]string{}
		for _, step := range before {
			if step.Applied.IsZero() {
				sums[step.Version] = sumOf(kind, step.Name)
			}
		}
		if err := steps.Keep(ctx, db, sums); err != nil {
			return classify(ctx, err, "write the steps that are to be taken")
		}
		results, err := p.Up(ctx)
		if err != nil {
			return classify(ctx, err, "migrate the schema")
		}
		if len(results) == 0 {
			return nil
		}
		after, err := status(ctx, kind, db)
		if err != nil {
			return err
		}
		for i, m := range after {
			if before[i].Applied.IsZero() && !m.Applied.IsZero() {
				taken = append(taken, m)
			}
		}
		return nil
	})
	return taken, err
}

// status asks the table of goose rather than goose, which would create it.
func status(ctx context.Context, kind server, db *sql.DB) ([]Migration, error) {
	p, err := provider(kind, db)
	if err != nil {
		return nil, err
	}
	applied, err := appliedAt(ctx, db)
	if err != nil {
		return nil, classify(ctx, err, "read the schema version")
	}
	kept, err := kept(ctx, db)
	if err != nil {
		return nil, classify(ctx, err, "read the steps that were taken")
	}
	var out []Migration
	var edited error
	for _, source := range p.ListSources() {
		out = append(out, Migration{source.Version, source.Path, applied[source.Version]})
		if _, taken := applied[source.Version]; taken && edited == nil {
			edited = steps.Same("the database", source.Version, kept[source.Version], sumOf(kind, source.Path))
		}
		delete(applied, source.Version)
	}
	known := out[len(out)-1].Version
	for version := range applied {
		if version > known {
			return nil, tooNew(version, known)
		}
	}
	return out, edited
}

// sumOf is the checksum of a step; provider has read the same file.
func sumOf(kind server, name string) string {
	text, err := files.ReadFile("migrations/" + kind.dialect() + "/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return steps.Sum(text)
}

func isTable(ctx context.Context, db *sql.DB, name string) (there bool, err error) {
	err = db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1)", name).Scan(&there)
	return there, err
}

func kept(ctx context.Context, db *sql.DB) (map[int64]string, error) {
	there, err := isTable(ctx, db, steps.Table)
	if err != nil {
		return nil, err
	}
	return steps.Kept(ctx, db, there)
}

func appliedAt(ctx context.Context, db *sql.DB) (map[int64]time.Time, error) {
	applied := map[int64]time.Time{}
	if there, err := isTable(ctx, db, goose.DefaultTablename); err != nil || !there {
		return applied, err
	}
	rows, err := db.QueryContext(ctx, "SELECT version_id, tstamp FROM "+goose.DefaultTablename+" WHERE is_applied AND version_id > 0")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var version int64
		var at time.Time
		if err := rows.Scan(&version, &at); err != nil {
			return nil, err
		}
		applied[version] = at.UTC()
	}
	return applied, rows.Err()
}

func provider(kind server, db *sql.DB) (*goose.Provider, error) {
	dir, err := fs.Sub(files, "migrations/"+kind.dialect())
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "embedded migrations are missing")
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "embedded migrations are malformed")
	}
	return p, nil
}

// fits reports Refused unless the schema is the one of this build.
func fits(steps []Migration) error {
	for _, step := range steps {
		if step.Applied.IsZero() {
			return errs.New(errs.Refused, "the schema of the database lacks step %d, and maybe more: run cardea migrate up", step.Version)
		}
	}
	return nil
}

func tooNew(current, known int64) error {
	return errs.New(errs.Refused, "the schema of the database has version %d and this build knows %d: run a newer cardea, "+
		"or restore a copy of the data from before the upgrade", current, known)
}
