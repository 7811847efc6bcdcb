package pg

import (
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/testdb"
)

// TestPurgeBesideOpenTransaction purges while an old transaction is open, whose
// snapshot does not show the removals after it began, and so keeps them.
func TestPurgeBesideOpenTransaction(t *testing.T) {
	dsn := testdb.Postgres(t)
	db := openTest(t, dsn, Options{deaf: true})
	s := networkTest(t, db, "default")
	purge := func() int64 {
		t.Helper()
		n, err := db.Purge(t.Context(), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	ts := tuplesOf(t, "doc:0#view@ann", "doc:1#view@ann", "doc:2#view@ann")
	first := write(t, s, adding(ts...)).Revision
	write(t, s, removing(ts[0]))
	long := connectTo(t, dsn)
	exec(t, long, "BEGIN")
	exec(t, long, insertRow, s.network, "long")
	meanwhile := head(t, s)
	gone := write(t, s, removing(ts[1])).Revision
	old := write(t, s, adding(tupleOf(t, "doc:3#view@ann"))).Revision
	until(t, func() bool { return purge() == 1 || t.Failed() })
	if n := purge(); n != 0 {
		t.Fatalf("%d rows purged that a new revision may not show removed", n)
	}
	expired(t, s, first)
	if got := read(t, s, meanwhile, engine.Query{}); len(got) != 2 {
		t.Fatalf("before the removal there was %v", got)
	}
	exec(t, long, "COMMIT")
	until(t, func() bool { return purge() == 1 || t.Failed() })
	expired(t, s, meanwhile)
	// These do not show the long transaction, but all that was purged.
	if got := read(t, s, gone, engine.Query{}); len(got) != 1 {
		t.Errorf("after the removal there was %v", got)
	}
	at, changes := tail(t, s, old)
	if len(changes) != 1 || changes[0].Tuple.Object.ID != "long" {
		t.Errorf("the tail is %v", changes)
	}
	if got := read(t, s, at, engine.Query{}); len(got) != 3 {
		t.Errorf("there is %v", got)
	}
}

// expired sees that a revision cannot be read in any way.
func expired(t *testing.T, s *Store, rev engine.Revision) {
	t.Helper()
	for _, err := range s.Read(t.Context(), rev, engine.Query{}, engine.Page{}) {
		if errs.KindOf(err) != errs.Expired {
			t.Fatalf("error %v: expected that the revision has expired", err)
		}
	}
	if _, err := s.Tail(t.Context(), rev, func(engine.Change) error { return nil }); errs.KindOf(err) != errs.Expired {
		t.Fatalf("error %v: expected that the revision has expired", err)
	}
}

// TestPurgesAreTrimmed purges more transactions than are known one by one, of which
// then the newest is known.
func TestPurgesAreTrimmed(t *testing.T) {
	dsn := testdb.Postgres(t)
	db := openTest(t, dsn, Options{deaf: true})
	s := networkTest(t, db, "default")
	conn := connectTo(t, dsn)
	x := tupleOf(t, "doc:0#view@ann")
	old := write(t, s, adding(x)).Revision
	exec(t, conn, "INSERT INTO purged (network, removed) SELECT $1, i::text::xid8 FROM generate_series(1, $2::int) AS i", s.network, keptPurges+5)
	write(t, s, removing(x))
	until(t, func() bool {
		n, err := db.Purge(t.Context(), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return n == 1
	})
	var oldest string
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT oldest::text, (SELECT count(*) FROM purged) FROM network").Scan(&oldest, &n); err != nil {
		t.Fatal(err)
	}
	if n != keptPurges || oldest == "0" {
		t.Errorf("%d transactions are known after %s: expected %d", n, oldest, keptPurges)
	}
	expired(t, s, old)
	expired(t, s, "")
}
