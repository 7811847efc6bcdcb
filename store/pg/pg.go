package pg

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Options are settings of Open. The zero value works.
type Options struct {
	// MaxConns is how many connections there are at most; 0: four for each
	// processor, and at least 16.
	MaxConns int

	// StatementTimeout is when the server ends a statement. A round trip that
	// takes longer by a tenth, and a second, is given up. 0: 10 s.
	StatementTimeout time.Duration

	// ApplicationName is what the server shows the connections as; "": cardea.
	ApplicationName string

	// Migrate makes Open bring the schema up to date. Otherwise it refuses a
	// schema that is too old.
	Migrate bool

	// HashSharded makes Migrate spread the log indexes of CockroachDB over ranges,
	// for clusters whose write rate one range does not carry.
	HashSharded bool

	// For tests.
	dial pgconn.DialFunc // of the pool, if it is to count or to break
	deaf bool            // does not watch, nor tell
}

func (o *Options) defaults() {
	if o.MaxConns <= 0 {
		o.MaxConns = defaultConns()
	}
	if o.StatementTimeout <= 0 {
		o.StatementTimeout = 10 * time.Second
	}
	if o.ApplicationName == "" {
		o.ApplicationName = "cardea"
	}
}

// A DB is a database on a server, and the networks in it.
type DB struct {
	pool    *pgxpool.Pool
	server  server
	sql     texts
	options Options
	epoch   int64

	rounds, rows atomic.Int64

	stop context.CancelFunc // ends watching
	done sync.WaitGroup

	mu       sync.Mutex
	networks map[string]*Store

	wakeups wakeups
	counted counter
}

// Open connects to the database that dsn names: a URL with the scheme postgres,
// postgresql, cockroach or cockroachdb, with the parameters that pgx knows. It
// finds out by itself which kind of server it is. Close frees it.
//
// Invalid: dsn is malformed. Refused: the server does not let us in; or the schema
// is older than this build needs and Options.Migrate is not set, or newer than it
// knows. Unavailable: the server does not answer.
func Open(ctx context.Context, dsn string, o Options) (*DB, error) {
	o.defaults()
	kind, config, err := probe(ctx, dsn, o)
	if err != nil {
		return nil, err
	}
	if o.Migrate {
		if _, err := migrate(ctx, kind, config, o); err != nil {
			return nil, err
		}
	}
	if err := fits(ctx, kind, config); err != nil {
		return nil, err
	}
	db := &DB{server: kind, sql: newTexts(kind), options: o, networks: map[string]*Store{}}
	if db.pool, err = connect(ctx, kind, config, o); err != nil {
		return nil, err
	}
	if err := db.start(ctx); err != nil {
		db.pool.Close()
		return nil, err
	}
	return db, nil
}

// start reads the epoch and begins to watch.
func (db *DB) start(ctx context.Context) error {
	err := db.read(ctx, "read the epoch", func(b *pgx.Batch) {
		b.Queue("SELECT epoch FROM meta").QueryRow(func(row pgx.Row) error { return row.Scan(&db.epoch) })
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return errs.Wrap(errs.Refused, err, "the table meta of the database is empty: restore it from a copy")
	}
	if err != nil {
		return err
	}
	watching, stop := context.WithCancel(context.Background())
	db.stop = stop
	db.wakeups.init(db.server.tells() && !db.options.deaf)
	if db.wakeups.hears {
		db.done.Go(func() { db.watch(watching) })
	}
	if text := db.server.analyze(); text != "" && !db.options.deaf {
		db.counted.full = make(chan struct{}, 1)
		db.done.Go(func() { db.analyze(watching, text) })
	}
	return nil
}

// Close frees the database's resources. No method of the database or of its
// stores may run during or after it.
func (db *DB) Close() error {
	db.stop()
	db.done.Wait()
	db.pool.Close()
	return nil
}

// Ping reports whether the database can answer now.
func (db *DB) Ping(ctx context.Context) error {
	return db.read(ctx, "ping", func(b *pgx.Batch) { b.Queue("SELECT one FROM meta").Exec(ignored) })
}

// database is the pool for those who want database/sql. Closing it leaves the pool.
func (db *DB) database() *sql.DB { return stdlib.OpenDBFromPool(db.pool) }

// Stats are counts since Open.
type Stats struct {
	Rounds int64 // round trips to the database, those of the watch excepted
	Rows   int64 // rows that questions returned
}

// Stats returns the counts.
func (db *DB) Stats() Stats { return Stats{db.rounds.Load(), db.rows.Load()} }
