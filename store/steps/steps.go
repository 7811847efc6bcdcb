// Package steps brings the schema of a database up to date, step by step.
//
// A step is never edited once a database may have taken it. Each database keeps a
// checksum of those that it took, so that one that took another text under the same
// number is refused rather than misread.
package steps

import (
	"context"
	"database/sql"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Step is one step of a schema.
type Step struct {
	Version int64     // 1, 2, 3, ...
	Name    string    // the file that holds it
	Applied time.Time // zero while it is pending
}

// A Schema is that of one kind of database.
type Schema struct {
	Where   string // what messages call the database
	Files   fs.FS  // has the steps, and nothing else
	Dialect goose.Dialect
	IsTable string // a query with one argument, the name: whether there is such a table
	// Failed makes an error of one of the database, which came while doing something.
	Failed func(ctx context.Context, err error, doing string) error
}

// Status returns all steps, in order, and when each was taken. It asks the table of
// goose rather than goose, which would create it.
//
// Refused: the schema is newer than this build knows, or has come from other steps.
func (s Schema) Status(ctx context.Context, db *sql.DB) ([]Step, error) {
	p, err := s.provider(db)
	if err != nil {
		return nil, err
	}
	applied, err := s.applied(ctx, db)
	if err != nil {
		return nil, s.Failed(ctx, err, "read the schema version of "+s.Where)
	}
	kept, err := s.kept(ctx, db)
	if err != nil {
		return nil, s.Failed(ctx, err, "read the steps that "+s.Where+" has taken")
	}
	var all []Step
	var edited error
	for _, source := range p.ListSources() {
		at, taken := applied[source.Version]
		all = append(all, Step{source.Version, source.Path, at})
		if taken && edited == nil && kept[source.Version] != s.sum(source.Path) {
			edited = s.other(source.Version)
		}
		delete(applied, source.Version)
	}
	known := all[len(all)-1].Version
	for version := range applied {
		if version > known {
			return nil, errs.New(errs.Refused, "the schema of %s has version %d and this build knows %d: run a newer cardea, "+
				"or restore a copy of the data from before the upgrade", s.Where, version, known)
		}
	}
	return all, edited
}

// Up takes the steps that are pending, each in a transaction, and returns them.
//
// Refused: as for Status.
func (s Schema) Up(ctx context.Context, db *sql.DB) (taken []Step, err error) {
	before, err := s.Status(ctx, db)
	if err != nil {
		return nil, err
	}
	if err := s.keep(ctx, db, pending(before)); err != nil {
		return nil, s.Failed(ctx, err, "write the steps that "+s.Where+" is to take")
	}
	p, err := s.provider(db)
	if err != nil {
		return nil, err
	}
	results, err := p.Up(ctx)
	if err != nil {
		return nil, s.Failed(ctx, err, "migrate the schema of "+s.Where)
	}
	if len(results) == 0 {
		return nil, nil
	}
	after, err := s.Status(ctx, db)
	if err != nil {
		return nil, err
	}
	for i, step := range after {
		if before[i].Applied.IsZero() && !step.Applied.IsZero() {
			taken = append(taken, step)
		}
	}
	return taken, nil
}

// Fits reports Refused unless all steps were taken, and otherwise as Status does.
func (s Schema) Fits(ctx context.Context, db *sql.DB) error {
	all, err := s.Status(ctx, db)
	if err != nil {
		return err
	}
	if lacks := pending(all); len(lacks) > 0 {
		return errs.New(errs.Refused, "the schema of %s lacks step %d, and maybe more: run cardea migrate up", s.Where, lacks[0].Version)
	}
	return nil
}

func pending(all []Step) (list []Step) {
	for _, step := range all {
		if step.Applied.IsZero() {
			list = append(list, step)
		}
	}
	return list
}

func (s Schema) isTable(ctx context.Context, db *sql.DB, name string) (there bool, err error) {
	err = db.QueryRowContext(ctx, s.IsTable, name).Scan(&there)
	return there, err
}

// applied returns when steps were taken, by version. Version 0 is goose's own.
func (s Schema) applied(ctx context.Context, db *sql.DB) (map[int64]time.Time, error) {
	there, err := s.isTable(ctx, db, goose.DefaultTablename)
	if err != nil || !there {
		return nil, err
	}
	all, err := byVersion[time.Time](ctx, db, "SELECT version_id, tstamp FROM "+goose.DefaultTablename+" WHERE is_applied AND version_id > 0")
	for version, at := range all {
		all[version] = at.UTC()
	}
	return all, err
}

// byVersion reads rows of a version and a value.
func byVersion[T any](ctx context.Context, db *sql.DB, query string) (map[int64]T, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[int64]T{}
	for rows.Next() {
		var version int64
		var value T
		if err := rows.Scan(&version, &value); err != nil {
			return nil, err
		}
		out[version] = value
	}
	return out, rows.Err()
}

func (s Schema) provider(db *sql.DB) (*goose.Provider, error) {
	p, err := goose.NewProvider(s.Dialect, db, s.Files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "embedded migrations are malformed")
	}
	return p, nil
}
