package sqlite

import (
	"context"
	"encoding/binary"
	"regexp"
	"strconv"
	"sync/atomic"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A Store is the engine.Store of one network.
type Store struct {
	db      *DB
	network int64
	id      engine.StoreID

	oldest atomic.Int64 // the oldest readable revision
	model  int64        // the number of the active model, 0 for none; the writer's
}

var _ engine.Store = (*Store)(nil)

var networkName = regexp.MustCompile(`^[a-z0-9_-]{1,63}$`)

// Network returns the store of the network name, which is made if it is new;
// "default" is always there. The same name gives the same Store.
//
// Invalid: name is not 1 to 63 of a-z, 0-9, - and _.
func (db *DB) Network(ctx context.Context, name string) (*Store, error) {
	if !networkName.MatchString(name) {
		return nil, errs.New(errs.Invalid, "network %.80q: expected 1 to 63 of a-z, 0-9, - and _", name)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if s := db.networks[name]; s != nil {
		return s, nil
	}
	var s *Store
	err := db.submit(ctx, 1, func(t *transaction) error {
		var network int64
		var id []byte
		row := t.tx.QueryRowContext(t.ctx,
			"INSERT INTO network (name, store, oldest) VALUES (?, randomblob(16), 0) RETURNING id, store", name)
		if err := row.Scan(&network, &id); err != nil {
			return classify(err, "make the network %s", name)
		}
		t.quiet++
		var err error
		s, err = db.newStore(network, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	db.networks[name] = s
	return s, nil
}

// newStore mixes the epoch into the last four bytes of a network's random
// identity.
func (db *DB) newStore(network int64, id []byte) (*Store, error) {
	s := &Store{db: db, network: network}
	if len(id) != len(s.id) {
		return nil, errs.New(errs.Internal, "the identity of a network in %s has %d bytes: expected %d", db.path, len(id), len(s.id))
	}
	s.id = engine.StoreID(id)
	tail := s.id[len(s.id)-4:]
	binary.BigEndian.PutUint32(tail, binary.BigEndian.Uint32(tail)^db.epoch)
	return s, nil
}

// load makes the stores of the networks that the file holds.
func (db *DB) load(ctx context.Context) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if err := db.writes.QueryRowContext(ctx, "SELECT epoch FROM meta").Scan(&db.epoch); err != nil {
		return classify(err, "read the epoch of %s", db.path)
	}
	rows, err := db.writes.QueryContext(ctx, `SELECT id, name, store, oldest,
		(SELECT coalesce(max(number), 0) FROM model WHERE network = network.id) FROM network`)
	if err != nil {
		return classify(err, "read the networks of %s", db.path)
	}
	defer rows.Close()
	for rows.Next() {
		var network, oldest, model int64
		var name string
		var id []byte
		if err := rows.Scan(&network, &name, &id, &oldest, &model); err != nil {
			return classify(err, "read the networks of %s", db.path)
		}
		s, err := db.newStore(network, id)
		if err != nil {
			return err
		}
		s.oldest.Store(oldest)
		s.model = model
		db.networks[name] = s
	}
	if err := rows.Err(); err != nil {
		return classify(err, "read the networks of %s", db.path)
	}
	return nil
}

// ID implements engine.Store.
func (s *Store) ID() engine.StoreID { return s.id }

// Head implements engine.Store. It asks no database.
func (s *Store) Head(ctx context.Context) (engine.Revision, error) {
	if err := ctx.Err(); err != nil {
		return "", classify(err, "read the newest revision")
	}
	return revision(s.db.head.Load()), nil
}

// Wake implements engine.Store: no other process writes.
func (s *Store) Wake() <-chan struct{} { return nil }

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
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

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
	if head := s.db.head.Load(); n > head {
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
