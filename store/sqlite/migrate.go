package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"io/fs"
	"os"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/steps"
)

//go:embed migrations/*.sql
var files embed.FS

// A Migration is one step of the schema.
type Migration struct {
	Version int64     // 1, 2, 3, ...
	Name    string    // the file that holds it
	Applied time.Time // zero while it is pending
}

// Migrate brings the schema of the file path up to date, creates the file if
// there is none, and returns the steps that it took.
//
// Refused: another process has the file open, or its schema is newer than this
// build knows, or has come from other steps.
func Migrate(ctx context.Context, path string) (steps []Migration, err error) {
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
	before, err := status(ctx, path, db)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, path, db); err != nil {
		return nil, err
	}
	after, err := status(ctx, path, db)
	if err != nil {
		return nil, err
	}
	for i, m := range after {
		if before[i].Applied.IsZero() && !m.Applied.IsZero() {
			steps = append(steps, m)
		}
	}
	return steps, nil
}

// Status returns all steps of the schema, in order, and when each was applied
// to the file path. It may run beside a process that has the file open.
//
// NotFound: there is no such file. Refused: its schema is newer than this build
// knows, or has come from other steps.
func Status(ctx context.Context, path string) ([]Migration, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, errs.Wrap(errs.NotFound, err, "data file %s is not there", path)
	}
	db, err := connect(path, reader)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return status(ctx, path, db)
}

// status asks the table of goose rather than goose, which would create it.
func status(ctx context.Context, path string, db *sql.DB) ([]Migration, error) {
	p, err := provider(db)
	if err != nil {
		return nil, err
	}
	applied, err := appliedAt(ctx, db)
	if err != nil {
		return nil, classify(err, "read the schema version of %s", path)
	}
	kept, err := kept(ctx, db)
	if err != nil {
		return nil, classify(err, "read the steps that %s has taken", path)
	}
	var out []Migration
	var edited error
	for _, source := range p.ListSources() {
		out = append(out, Migration{source.Version, source.Path, applied[source.Version]})
		if _, taken := applied[source.Version]; taken && edited == nil {
			edited = steps.Same(path, source.Version, kept[source.Version], sumOf(source.Path))
		}
		delete(applied, source.Version)
	}
	for version := range applied {
		if err := tooNew(path, version, out[len(out)-1].Version); err != nil {
			return nil, err
		}
	}
	return out, edited
}

// sumOf is the checksum of a step; provider has read the same file.
func sumOf(name string) string {
	text, err := files.ReadFile("migrations/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	return steps.Sum(text)
}

func isTable(ctx context.Context, db *sql.DB, name string) (there bool, err error) {
	err = db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = ?)", name).Scan(&there)
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
	rows, err := db.QueryContext(ctx, "SELECT version_id, tstamp FROM "+goose.DefaultTablename+" WHERE is_applied")
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
		applied[version] = at
	}
	return applied, rows.Err()
}

// migrate applies the pending steps, each in a transaction.
func migrate(ctx context.Context, path string, db *sql.DB) error {
	p, err := provider(db)
	if err != nil {
		return err
	}
	all, err := status(ctx, path, db)
	if err != nil {
		return err
	}
	sums := map[int64]string{}
	for _, step := range all {
		if step.Applied.IsZero() {
			sums[step.Version] = sumOf(step.Name)
		}
	}
	if err := steps.Keep(ctx, db, sums); err != nil {
		return classify(err, "write the steps that %s is to take", path)
	}
	if _, err := p.Up(ctx); err != nil {
		return classify(err, "migrate the schema of %s", path)
	}
	return nil
}

func tooNew(path string, current, known int64) error {
	if current <= known {
		return nil
	}
	return errs.New(errs.Refused, "schema of %s has version %d and this build knows %d: run a newer cardea, "+
		"or restore a copy of the data from before the upgrade", path, current, known)
}

func provider(db *sql.DB) (*goose.Provider, error) {
	dir, err := fs.Sub(files, "migrations")
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "embedded migrations are missing")
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "embedded migrations are broken")
	}
	return p, nil
}
