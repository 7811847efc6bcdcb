package pg

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"regexp"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A Store is the engine.Store of one network.
type Store struct {
	db      *DB
	network int64
	name    string
	id      engine.StoreID
	wake    chan struct{} // nil if the server cannot tell
	group   group
}

var _ engine.Store = (*Store)(nil)

var networkName = regexp.MustCompile(`^[a-z0-9_-]{1,63}$`)

// Network returns the store of the network name, which is made if it is new. The
// same name gives the same Store.
//
// Invalid: name is not 1 to 63 of a-z, 0-9, - and _. Refused: the network's rows are
// of another server, see Restored.
func (db *DB) Network(ctx context.Context, name string) (*Store, error) {
	if !networkName.MatchString(name) {
		return nil, errs.New(errs.Invalid, "network %.80q: expected 1 to 63 of a-z, 0-9, - and _", name)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if s := db.networks[name]; s != nil {
		return s, nil
	}
	var random engine.StoreID
	rand.Read(random[:])
	for {
		s, err := db.makeNetwork(ctx, name, random)
		if err != nil {
			return nil, err
		}
		if s != nil {
			db.networks[name] = s
			return s, nil
		}
	}
}

// makeNetwork inserts the network, unless it is there, and reads it. If another
// node has just taken its number, it returns nil, and the next try takes another.
func (db *DB) makeNetwork(ctx context.Context, name string, random engine.StoreID) (*Store, error) {
	s := &Store{db: db, name: name}
	var id []byte
	err := db.read(ctx, "make a network", func(b *pgx.Batch) {
		b.Queue(`INSERT INTO network (id, name, store, oldest)
			SELECT (SELECT coalesce(max(id), 0) + 1 FROM network), $1::text, $2::bytea, `+db.server.never()+`
			WHERE NOT EXISTS (SELECT 1 FROM network WHERE name = $1::text) ON CONFLICT DO NOTHING`, name, random[:]).Exec(ignored)
		b.Queue("SELECT id, store FROM network WHERE name = $1", name).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				if err := rows.Scan(&s.network, &id); err != nil {
					return err
				}
			}
			return rows.Err()
		})
	})
	if err != nil || id == nil {
		return nil, err
	}
	if len(id) != len(s.id) {
		return nil, errs.New(errs.Internal, "the identity of the network %s has %d bytes: expected %d", name, len(id), len(s.id))
	}
	// The epoch is mixed into the last bytes.
	s.id = engine.StoreID(id)
	tail := s.id[len(s.id)-8:]
	binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^uint64(db.epoch))
	if err := s.belongs(ctx); err != nil {
		return nil, err
	}
	s.wake = db.wakeups.subscribe(s.network)
	return s, nil
}

// ID implements engine.Store.
func (s *Store) ID() engine.StoreID { return s.id }

// Ping implements engine.Store.
func (s *Store) Ping(ctx context.Context) error { return s.db.Ping(ctx) }

// Wake implements engine.Store.
func (s *Store) Wake() <-chan struct{} { return s.wake }

// Covers implements engine.Store.
func (s *Store) Covers(a, b engine.Revision) (bool, error) {
	p, err := s.db.server.parse(a)
	if err != nil {
		return false, err
	}
	q, err := s.db.server.parse(b)
	if err != nil {
		return false, err
	}
	return p.covers(q), nil
}

// Head implements engine.Store.
func (s *Store) Head(ctx context.Context) (engine.Revision, error) {
	head, err := s.db.server.ask(ctx, s)
	if err != nil {
		return "", err
	}
	return head.revision(), nil
}
