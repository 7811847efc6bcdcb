package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// Memory is the path of a store that lives in memory and dies with Close. Each
// Open of it makes another store.
const Memory = ":memory:"

// A Store is an engine.Store in one SQLite file.
type Store struct {
	path    string
	id      engine.StoreID
	lock    *fileLock // nil in memory
	writes  *sql.DB   // one connection, used by the writer only
	reads   *sql.DB   // a pool of connections that cannot write; in memory, writes itself
	queries queries   // prepared on reads

	head   atomic.Int64 // the newest committed revision
	oldest atomic.Int64 // the oldest readable revision

	queue chan *request
	stop  chan struct{}
	done  sync.WaitGroup
}

var _ engine.Store = (*Store)(nil)

// Open opens the store in the file path, creates it if there is none (with its
// directory), and brings its schema up to date. Close frees it.
//
// Refused: another process has the file open, or its schema is newer than this
// build knows. Invalid: the file is not a database.
func Open(ctx context.Context, path string) (*Store, error) {
	lock, err := acquire(path)
	if err != nil {
		return nil, err
	}
	s := &Store{
		path:  path,
		lock:  lock,
		queue: make(chan *request, 4*maxGroup),
		stop:  make(chan struct{}),
	}
	if err := s.open(ctx); err != nil {
		s.free()
		return nil, err
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	var err error
	if s.writes, err = connect(s.path, writer); err != nil {
		return err
	}
	if err := migrate(ctx, s.path, s.writes); err != nil {
		return err
	}
	s.reads = s.writes
	if s.path != Memory {
		if s.reads, err = connect(s.path, reader); err != nil {
			return err
		}
	}
	s.queries.db = s.reads
	w, err := newWriter(ctx, s)
	if err != nil {
		return err
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	s.done.Go(w.run)
	return nil
}

// load reads what the store keeps in memory about itself.
func (s *Store) load(ctx context.Context) error {
	var id []byte
	var epoch uint32
	var oldest int64
	err := s.writes.QueryRowContext(ctx, "SELECT id, epoch, oldest FROM meta").Scan(&id, &epoch, &oldest)
	if err != nil {
		return classify(err, "read the identity of the store in %s", s.path)
	}
	if len(id) != len(s.id) {
		return errs.New(errs.Internal, "the identity of the store in %s has %d bytes: expected %d", s.path, len(id), len(s.id))
	}
	s.id = engine.StoreID(id)
	tail := s.id[len(s.id)-4:]
	binary.BigEndian.PutUint32(tail, binary.BigEndian.Uint32(tail)^epoch)
	s.oldest.Store(oldest)
	return nil
}

// Close implements engine.Store. Requests that wait are answered first.
func (s *Store) Close() error {
	close(s.stop)
	s.done.Wait()
	return s.free()
}

// free closes what is open: the readers first, so that the writer, as the last
// connection, folds the write-ahead log into the file.
func (s *Store) free() error {
	var failed error
	if s.reads != nil && s.reads != s.writes {
		failed = s.reads.Close()
	}
	if s.writes != nil {
		if err := s.writes.Close(); failed == nil {
			failed = err
		}
	}
	if err := s.lock.release(); failed == nil {
		failed = err
	}
	if failed != nil {
		return classify(failed, "close %s", s.path)
	}
	return nil
}

// ID implements engine.Store: the random identity, with the epoch mixed into
// its last four bytes.
func (s *Store) ID() engine.StoreID { return s.id }

// Head implements engine.Store. It asks no database.
func (s *Store) Head(ctx context.Context) (engine.Revision, error) {
	if err := ctx.Err(); err != nil {
		return "", classify(err, "read the newest revision")
	}
	return revision(s.head.Load()), nil
}

// Covers implements engine.Store.
func (s *Store) Covers(a, b engine.Revision) (bool, error) {
	m, err := number(a)
	if err != nil {
		return false, err
	}
	n, err := number(b)
	if err != nil {
		return false, err
	}
	return m >= n, nil
}

// Ping implements engine.Store.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.reads.QueryRowContext(ctx, "SELECT one FROM meta").Scan(&one); err != nil {
		return classify(err, "read %s", s.path)
	}
	return nil
}

// revision writes the counter as text, in the one way that number accepts, so
// that equal states have equal revisions.
func revision(n int64) engine.Revision {
	if n == 0 {
		return ""
	}
	return engine.Revision(strconv.FormatInt(n, 10))
}

// number is the inverse of revision.
func number(rev engine.Revision) (int64, error) {
	if rev == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(rev), 10, 64)
	if err != nil || n <= 0 || n >= living || revision(n) != rev {
		return 0, errs.New(errs.Invalid, "revision is malformed: expected one of this store")
	}
	return n, nil
}

// readable returns the number of a revision that lies inside the history.
func (s *Store) readable(rev engine.Revision) (int64, error) {
	n, err := number(rev)
	if err != nil {
		return 0, err
	}
	if head := s.head.Load(); n > head {
		return 0, errs.New(errs.Invalid, "revision %d lies ahead of the store, which is at %d", n, head)
	}
	return n, s.kept(n)
}

// kept reports Expired if revision n has been purged. A reader asks again after
// each page, because Purge declares revisions expired before it deletes rows:
// a page read before the declaration is whole.
func (s *Store) kept(n int64) error {
	if oldest := s.oldest.Load(); n < oldest {
		return errs.New(errs.Expired, "revision %d is no longer kept: the oldest is %d", n, oldest)
	}
	return nil
}

// readers is the number of connections that read at the same time. Reading is
// bound by the processor; a few more keep short queries from waiting on long
// ones.
func readers() int { return max(4, 2*runtime.GOMAXPROCS(0)) }
