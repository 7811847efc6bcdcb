package store

import (
	"context"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/grants"
	"github.com/cardea-iam/cardea/store/people"
	"github.com/cardea-iam/cardea/store/pg"
	"github.com/cardea-iam/cardea/store/sqlite"
)

// Options are for databases that run as servers. SQLite needs none of them. The
// zero value works.
type Options struct {
	// MaxConns is how many connections there are at most; 0: four for each
	// processor, and at least 16.
	MaxConns int

	// StatementTimeout is when the server ends a statement; 0: 10 s.
	StatementTimeout time.Duration

	// ApplicationName is what the server shows the connections as; "": cardea.
	ApplicationName string

	// Migrate brings the schema up to date, as is always done for SQLite. Without
	// it, Open refuses a schema that is too old.
	Migrate bool

	// HashSharded makes Migrate spread the log indexes of CockroachDB over ranges,
	// for clusters whose write rate one range does not carry.
	HashSharded bool
}

func (o Options) pg() pg.Options {
	return pg.Options{
		MaxConns:         o.MaxConns,
		StatementTimeout: o.StatementTimeout,
		ApplicationName:  o.ApplicationName,
		Migrate:          o.Migrate,
		HashSharded:      o.HashSharded,
	}
}

// A DB is an open database: one store for each network in it.
type DB struct{ backend backend }

// A backend is what the packages below this one make.
type backend interface {
	Network(ctx context.Context, name string) (engine.Store, error)
	Runner(ctx context.Context, name string) (joiner, error)
	Purge(ctx context.Context, t time.Time) (int64, error)
	Ping(ctx context.Context) error
	Close() error
}

// Open opens the database that dsn names:
//
//	sqlite://PATH       an SQLite file, absolute (sqlite:///var/lib/cardea.db) or
//	                    relative (sqlite://./data/cardea.db), created if it is
//	                    not there
//	mem:                in memory, gone with Close (also sqlite://:memory:)
//	postgres://...      PostgreSQL or CockroachDB, whichever answers, as pgx reads
//	                    the rest (also postgresql:, cockroach: and cockroachdb:)
//
// The caller closes it.
//
// Invalid: dsn has another form, or parameters that are not known. Refused: as
// for sqlite.Open and pg.Open. Unavailable: the server does not answer.
func Open(ctx context.Context, dsn string, o Options) (*DB, error) {
	at, err := locate(dsn)
	if err != nil {
		return nil, err
	}
	if at.server {
		db, err := pg.Open(ctx, dsn, o.pg())
		if err != nil {
			return nil, err
		}
		return &DB{adapter[*pg.Store, pg.Runner]{db}}, nil
	}
	db, err := sqlite.Open(ctx, at.path)
	if err != nil {
		return nil, err
	}
	return &DB{adapter[*sqlite.Store, sqlite.Runner]{db}}, nil
}

// Network returns the store of the network name, which is made if it is new;
// "default" is always there. The store lives as long as the database is open.
//
// Invalid: name is not 1 to 63 of a-z, 0-9, - and _.
func (db *DB) Network(ctx context.Context, name string) (engine.Store, error) {
	return db.backend.Network(ctx, name)
}

// Grants returns what the network name keeps for OAuth 2. It is made if it is new, and
// lives as long as the database is open.
//
// Invalid: as for Network.
func (db *DB) Grants(ctx context.Context, name string) (oauth.Store, error) {
	run, err := db.backend.Runner(ctx, name)
	if err != nil {
		return nil, err
	}
	return grants.New(run), nil
}

// People returns what the network name keeps of identities. It is made if it is new,
// and lives as long as the database is open.
//
// Invalid: as for Network.
func (db *DB) People(ctx context.Context, name string) (*People, error) {
	run, err := db.backend.Runner(ctx, name)
	if err != nil {
		return nil, err
	}
	return &People{people.New(run), run}, nil
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

// An adapter is the backend for a database whose stores have a type of their own.
type adapter[S engine.Store, R joiner] struct{ source[S, R] }

type source[S engine.Store, R joiner] interface {
	Network(ctx context.Context, name string) (S, error)
	Runner(ctx context.Context, name string) (R, error)
	Purge(ctx context.Context, t time.Time) (int64, error)
	Ping(ctx context.Context) error
	Close() error
}

func (a adapter[S, R]) Network(ctx context.Context, name string) (engine.Store, error) {
	s, err := a.source.Network(ctx, name)
	if err != nil {
		return nil, err // not s, which would be a nil pointer in an interface
	}
	return s, nil
}

func (a adapter[S, R]) Runner(ctx context.Context, name string) (joiner, error) {
	return a.source.Runner(ctx, name)
}
