package sqlite

import (
	"context"
	"database/sql"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Memory is the path of a database that lives in memory and dies with Close.
// Each Open of it makes another one.
const Memory = ":memory:"

// A DB is one SQLite file and the networks in it.
type DB struct {
	path    string
	lock    *fileLock // nil in memory
	writes  *sql.DB   // one connection, used by the writer only
	reads   *sql.DB   // a pool of connections that cannot write; in memory, writes itself
	queries queries   // prepared on reads
	scripts queries   // prepared on writes

	epoch uint32       // how often the file was restored
	head  atomic.Int64 // the newest committed revision

	queue chan *request
	stop  chan struct{}
	done  sync.WaitGroup

	mu       sync.Mutex
	networks map[string]*Store // all that the file holds
}

// Open opens the file path, creates it if there is none (with its directory),
// and brings its schema up to date. Close frees it.
//
// Refused: another process has the file open, or its schema is newer than this
// build knows. Invalid: the file is not a database.
func Open(ctx context.Context, path string) (*DB, error) {
	lock, err := acquire(path)
	if err != nil {
		return nil, err
	}
	db := &DB{
		path:     path,
		lock:     lock,
		queue:    make(chan *request, 4*maxGroup),
		stop:     make(chan struct{}),
		networks: map[string]*Store{},
	}
	if err := db.open(ctx); err != nil {
		db.free()
		return nil, err
	}
	return db, nil
}

func (db *DB) open(ctx context.Context) error {
	var err error
	if db.writes, err = connect(db.path, writer); err != nil {
		return err
	}
	if _, err := schema(db.path).Up(ctx, db.writes); err != nil {
		return err
	}
	db.reads = db.writes
	if db.path != Memory {
		if db.reads, err = connect(db.path, reader); err != nil {
			return err
		}
	}
	db.queries.db, db.scripts.db = db.reads, db.writes
	w, err := newWriter(ctx, db)
	if err != nil {
		return err
	}
	if err := db.load(ctx); err != nil {
		return err
	}
	db.done.Go(w.run)
	return nil
}

// Close frees the database's resources. Requests that wait are answered first;
// no method of the database or of its stores may run during or after it.
func (db *DB) Close() error {
	close(db.stop)
	db.done.Wait()
	return db.free()
}

// free closes what is open: the readers first, so that the writer, as the last
// connection, folds the write-ahead log into the file.
func (db *DB) free() error {
	var failed error
	if db.reads != nil && db.reads != db.writes {
		failed = db.reads.Close()
	}
	if db.writes != nil {
		if err := db.writes.Close(); failed == nil {
			failed = err
		}
	}
	if err := db.lock.release(); failed == nil {
		failed = err
	}
	if failed != nil {
		return classify(failed, "close %s", db.path)
	}
	return nil
}

// Ping reports whether the database can answer now.
func (db *DB) Ping(ctx context.Context) error {
	var one int
	if err := db.reads.QueryRowContext(ctx, "SELECT one FROM meta").Scan(&one); err != nil {
		return classify(err, "read %s", db.path)
	}
	return nil
}

// readers is the number of connections that read at the same time. Reading is
// bound by the processor; a few more keep short queries from waiting on long
// ones.
func readers() int { return max(4, 2*runtime.GOMAXPROCS(0)) }

func clock(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// query runs a statement of the cache. It scans each row into dest and then
// calls each.
func (db *DB) query(ctx context.Context, text string, args, dest []any, each func()) error {
	stmt, err := db.queries.get(ctx, text)
	if err != nil {
		return classify(err, "read %s", db.path)
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return classify(err, "read %s", db.path)
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return classify(err, "read %s", db.path)
		}
		each()
	}
	if err := rows.Err(); err != nil {
		return classify(err, "read %s", db.path)
	}
	return nil
}
