package pg

import (
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/testdb"
)

// TestRestored moves rows to where a dump of a server that has lived longer would
// put them: ahead of all transactions of this one.
func TestRestored(t *testing.T) {
	dsn := testdb.Postgres(t)
	db, err := Open(t.Context(), dsn, Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	s := networkTest(t, db, "default")
	id := s.ID()
	ts := tuplesOf(t, "doc:0#view@ann", "doc:1#view@ann", "doc:2#view@ann")
	write(t, s, adding(ts...))
	write(t, s, removing(ts[0]))
	m, err := s.PutModel(t.Context(), "// text", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	conn := connectTo(t, dsn)
	const ahead = "SET %s = (%s::text::bigint + 1000000000)::text::xid8 WHERE %s < '18446744073709551615'"
	for _, c := range []struct{ table, column string }{{"tuple", "created"}, {"tuple", "removed"}, {"model", "created"}} {
		exec(t, conn, "UPDATE "+c.table+" "+strings.ReplaceAll(ahead, "%s", c.column))
		db := openTest(t, dsn, Options{})
		if _, err := db.Network(t.Context(), "default"); errs.KindOf(err) != errs.Refused || !strings.Contains(err.Error(), "restored") {
			t.Fatalf("with %s of %s ahead: error %v (%s)", c.column, c.table, err, errs.KindOf(err))
		}
	}
	if err := Restored(t.Context(), dsn, Options{}); err != nil {
		t.Fatal(err)
	}

	s = networkTest(t, openTest(t, dsn, Options{}), "default")
	if s.ID() == id {
		t.Error("the identity of the network is that of before")
	}
	rev := head(t, s)
	if got := read(t, s, rev, engine.Query{}); len(got) != 2 {
		t.Errorf("there is %v", got)
	}
	if got, err := s.Model(t.Context(), rev); err != nil || got.Number != m.Number || got.Source != m.Source || got.Created != m.Created {
		t.Errorf("model %+v, error %v: expected %+v", got, err, m)
	}
	if _, changes := tail(t, s, ""); len(changes) != 3 {
		t.Errorf("the log from the start is %v", changes)
	}
	write(t, s, adding(ts[0]))
	if _, changes := tail(t, s, rev); len(changes) != 1 {
		t.Errorf("the log from the head is %v", changes)
	}
}
