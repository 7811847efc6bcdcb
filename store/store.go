package store

import (
	"context"
	"net/url"
	"strings"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/sqlite"
)

// A DB is an open database: one store for each package that keeps data.
type DB struct {
	Tuples engine.Store

	close func() error
}

// Open opens the database that dsn names, creates it where the scheme allows,
// and brings its schema up to date:
//
//	sqlite://PATH       an SQLite file, absolute (sqlite:///var/lib/cardea.db)
//	                    or relative (sqlite://./data/cardea.db, sqlite://cardea.db)
//	mem:                in memory, gone with Close (also sqlite://:memory:)
//
// The caller closes it.
//
// Invalid: dsn has another form, or parameters that are not known.
// Unsupported: this build does not have the scheme's backend. Refused: as for
// sqlite.Open.
func Open(ctx context.Context, dsn string) (*DB, error) {
	path, err := SQLitePath(dsn)
	if err != nil {
		return nil, err
	}
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	return &DB{Tuples: s, close: s.Close}, nil
}

// Ping reports whether the database can answer now.
func (db *DB) Ping(ctx context.Context) error { return db.Tuples.Ping(ctx) }

// Close frees the database's resources.
func (db *DB) Close() error { return db.close() }

// SQLitePath returns the path of the file that dsn names, or sqlite.Memory.
// Package sqlite takes it, also for migrations.
//
// Invalid, Unsupported: as for Open.
func SQLitePath(dsn string) (string, error) {
	scheme, rest, ok := strings.Cut(dsn, ":")
	if !ok {
		return "", errs.New(errs.Invalid, "dsn has no scheme: expected sqlite://PATH or mem:")
	}
	switch scheme {
	case "mem":
		if strings.Trim(rest, "/") != "" {
			return "", errs.New(errs.Invalid, "dsn %s: expected nothing after mem:", Redact(dsn))
		}
		return sqlite.Memory, nil
	case "sqlite":
		return sqlitePath(dsn, rest)
	case "postgres", "postgresql", "cockroach", "cockroachdb":
		return "", errs.New(errs.Unsupported, "dsn %s: %s is not in this build yet; use sqlite://PATH", Redact(dsn), scheme)
	default:
		return "", errs.New(errs.Invalid, "dsn has the scheme %q: expected sqlite://PATH or mem:", scheme)
	}
}

// sqlitePath reads what follows the scheme. It is not url.Parse, which would
// take the first part of a relative path for a host.
func sqlitePath(dsn, rest string) (string, error) {
	rest, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return "", errs.New(errs.Invalid, "dsn %s: expected sqlite://PATH", Redact(dsn))
	}
	rest, query, _ := strings.Cut(rest, "?")
	params, err := url.ParseQuery(query)
	if err != nil {
		return "", errs.New(errs.Invalid, "dsn %s: its parameters are malformed", Redact(dsn))
	}
	for name := range params {
		return "", errs.New(errs.Invalid, "dsn %s: parameter %q is not known; sqlite has none", Redact(dsn), name)
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return "", errs.New(errs.Invalid, "dsn %s: its path has a broken %% escape", Redact(dsn))
	}
	switch {
	case path == "" || strings.HasSuffix(path, "/"):
		return "", errs.New(errs.Invalid, "dsn %s: expected the path of a file", Redact(dsn))
	case strings.ContainsRune(path, 0):
		return "", errs.New(errs.Invalid, "dsn %s: its path holds a NUL byte", Redact(dsn))
	}
	return path, nil
}
