package store

import (
	"context"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/store/sqlite"
)

// Options are for databases that run as servers. SQLite needs none of them.
type Options struct {
	MaxConns         int           // connections at the same time; 0: as many as suit the processors
	StatementTimeout time.Duration // after which the server ends a statement; 0: 10 s
	ApplicationName  string        // what the server shows the connections as; "": cardea
	Migrate          bool          // bring the schema up to date, as is always done for SQLite
}

// A DB is an open database: one store for each network in it.
type DB struct{ backend backend }

// A backend is what the packages below this one make.
type backend interface {
	Network(ctx context.Context, name string) (engine.Store, error)
	Purge(ctx context.Context, t time.Time) (int64, error)
	Ping(ctx context.Context) error
	Close() error
}

// Open opens the database that dsn names, see dsn.go for its forms. A file is
// created if there is none, and its schema brought up to date. The caller
// closes it.
//
// Invalid: dsn has another form, or parameters that are not known.
// Unsupported: this build does not have the scheme's backend. Refused: as for
// sqlite.Open.
func Open(ctx context.Context, dsn string, _ Options) (*DB, error) {
	path, err := sqlitePath(dsn)
	if err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	return &DB{sqliteDB{db}}, nil
}

// Network returns the store of the network name, which is made if it is new;
// "default" is always there. The store lives as long as the database is open.
//
// Invalid: name is not 1 to 63 of a-z, 0-9, - and _.
func (db *DB) Network(ctx context.Context, name string) (engine.Store, error) {
	return db.backend.Network(ctx, name)
}

// Purge forgets tuples that were removed before t, in all networks, the
// revisions that only they tell apart, and the keys of writes from before t. It
// returns how many tuples went. What a transaction that is still open may look
// at stays until the next time.
func (db *DB) Purge(ctx context.Context, t time.Time) (int64, error) {
	return db.backend.Purge(ctx, t)
}

// Ping reports whether the database can answer now.
func (db *DB) Ping(ctx context.Context) error { return db.backend.Ping(ctx) }

// Close frees the database's resources. No method of it or of its stores may
// run during or after it.
func (db *DB) Close() error { return db.backend.Close() }

type sqliteDB struct{ *sqlite.DB }

func (db sqliteDB) Network(ctx context.Context, name string) (engine.Store, error) {
	s, err := db.DB.Network(ctx, name)
	if err != nil {
		return nil, err
	}
	return s, nil
}
