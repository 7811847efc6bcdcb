package pg

import (
	"context"
	"net"
	"sync"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/testdb"
)

// A wire counts the round trips of connections, and can cut one.
type wire struct {
	mu    sync.Mutex
	trips int  // how often somebody wrote after they had read
	armed bool // an answer is lost, with the connection
	after int  // how many come before it
	cut   int  // how many were lost
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &wireConn{TCPConn: conn.(*net.TCPConn), on: w, hasRead: true}, nil
}

type wireConn struct {
	*net.TCPConn
	on      *wire
	hasRead bool
	lose    bool // the next answer
}

func (c *wireConn) Write(b []byte) (int, error) {
	c.on.mu.Lock()
	if c.hasRead {
		c.on.trips++
		c.hasRead = false
		c.lose = c.on.armed && c.on.after == 0
		c.on.armed = c.on.armed && !c.lose
		c.on.after--
	}
	c.on.mu.Unlock()
	return c.TCPConn.Write(b)
}

// Read hands nothing over of an answer that is to be lost, but waits for it, so
// that the server has done what it was asked for.
func (c *wireConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.on.mu.Lock()
	defer c.on.mu.Unlock()
	c.hasRead = true
	if c.lose && err == nil {
		c.on.cut++
		_ = c.TCPConn.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

func (w *wire) count(do func()) int {
	w.mu.Lock()
	before := w.trips
	w.mu.Unlock()
	do()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trips - before
}

// loseNext lets the answer to the next round trip be lost.
func (w *wire) loseNext() { w.loseAfter(0) }

// loseAfter lets the answer to the round trip behind the next n be lost.
func (w *wire) loseAfter(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.armed, w.after = true, n
}

// openWire opens a new database through w, with one connection in the pool, and
// without those that watch, which would count as well.
func openWire(t *testing.T, w *wire) (*DB, *Store) {
	t.Helper()
	db := openTest(t, testdb.Postgres(t), Options{MaxConns: 1, dial: w.dial, deaf: true})
	return db, networkTest(t, db, "default")
}

func openTest(t *testing.T, dsn string, o Options) *DB {
	t.Helper()
	o.Migrate = true
	db, err := Open(t.Context(), dsn, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func networkTest(t *testing.T, db *DB, name string) *Store {
	t.Helper()
	s, err := db.Network(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tupleOf(t testing.TB, text string) engine.Tuple {
	t.Helper()
	out, err := engine.ParseTuple(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tuplesOf(t testing.TB, texts ...string) (out []engine.Tuple) {
	t.Helper()
	for _, text := range texts {
		out = append(out, tupleOf(t, text))
	}
	return out
}

func write(t testing.TB, s *Store, w engine.Write) engine.Written {
	t.Helper()
	done, err := s.Write(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func adding(ts ...engine.Tuple) (w engine.Write)   { return updating(engine.Insert, ts...) }
func removing(ts ...engine.Tuple) (w engine.Write) { return updating(engine.Delete, ts...) }

func updating(op engine.Op, ts ...engine.Tuple) (w engine.Write) {
	for _, t := range ts {
		w.Updates = append(w.Updates, engine.Update{Op: op, Tuple: t})
	}
	return w
}

func read(t testing.TB, s *Store, rev engine.Revision, q engine.Query) (out []engine.Tuple) {
	t.Helper()
	for x, err := range s.Read(t.Context(), rev, q, engine.Page{}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, x)
	}
	return out
}

func head(t testing.TB, s *Store) engine.Revision {
	t.Helper()
	rev, err := s.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func tail(t testing.TB, s *Store, from engine.Revision) (engine.Revision, []engine.Change) {
	t.Helper()
	var out []engine.Change
	rev, err := s.Tail(t.Context(), from, func(c engine.Change) error {
		out = append(out, c)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rev, out
}

// TestRoundTrips counts what goes over the wire.
func TestRoundTrips(t *testing.T) {
	var w wire
	_, s := openWire(t, &w)
	ts := tuplesOf(t, "doc:1#viewer@ann", "doc:1#viewer@bob", "doc:1#viewer@group:eng#member", "doc:2#viewer@ann", "group:eng#member@cid")
	m, err := s.PutModel(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	start := write(t, s, adding(ts...)).Revision
	key := 0
	object, relation := "1", "viewer"
	for _, c := range []struct {
		name string
		do   func()
		want int
	}{
		{"Head", func() { head(t, s) }, 1},
		{"Tail of nothing", func() { tail(t, s, head(t, s)) }, 2},
		{"Tail of a little", func() { tail(t, s, start) }, 1},
		{"Read", func() { read(t, s, start, engine.Query{}) }, 1},
		{"Read an object", func() { read(t, s, start, engine.Query{Namespace: &ts[0].Object.Namespace, Object: &object}) }, 1},
		{"Model", func() {
			if _, err := s.Model(t.Context(), start); err != nil {
				t.Error(err)
			}
		}, 1},
		{"ReadSets", func() {
			sets := []engine.SetRead{{Object: ts[0].Object, Relation: "viewer"}, {Object: ts[4].Object, Relation: "member", Whole: true},
				{Object: ts[3].Object, Relation: "viewer", Member: ts[3].Subject}, {Object: ts[3].Object, Relation: "none"}}
			for range 6 {
				sets = append(sets, sets...)
			}
			for _, limit := range []int{1, 100} {
				for _, err := range s.ReadSets(t.Context(), start, sets, limit) {
					if err != nil {
						t.Error(err)
					}
				}
			}
		}, 2},
		{"Changes", func() {
			for _, err := range s.Changes(t.Context(), "", start) {
				if err != nil {
					t.Error(err)
				}
			}
		}, 1},
		{"Write", func() { write(t, s, removing(ts[0])) }, 1},
		{"Write of many", func() { write(t, s, adding(ts...)) }, 1},
		{"Write of both kinds", func() {
			both := adding(ts[0])
			both.Updates = append(both.Updates, removing(ts[3]).Updates...)
			write(t, s, both)
		}, 1},
		{"Write under a model, with a key and conditions", func() {
			all := adding(ts[3])
			all.Model = m.Number
			key++
			all.Key = string(rune('a' + key))
			all.If = []engine.Precondition{{Query: engine.Query{Object: &object}, Exists: true}, {Query: engine.Query{Relation: &relation, Subject: &ts[2].Subject}, Exists: true}}
			write(t, s, all)
		}, 1},
		{"Delete by query", func() { write(t, s, engine.Write{Delete: []engine.Query{{Object: &object}}}) }, 3},
	} {
		c.do() // prepares the statements
		if got := w.count(c.do); got != c.want {
			t.Errorf("%s: %d round trips, expected %d", c.name, got, c.want)
		}
	}
}
