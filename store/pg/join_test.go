package pg

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/script"
)

// TestJoinLosesTheConnection breaks it after each round trip of a joint write: both
// halves are there, or none is, and who is told of a failure can rely on it.
func TestJoinLosesTheConnection(t *testing.T) {
	var w wire
	db, s := openWire(t, &w)
	run, err := db.Runner(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	row := func(id string) func(*script.Script) {
		return func(sc *script.Script) {
			sc.Must(errs.New(errs.Conflict, "there is one"), "INSERT INTO identity_flow (network, id, version, expires, data) VALUES ($1, $2, 1, 0, '') ON CONFLICT DO NOTHING", run.Network(), id)
		}
	}
	has := func(id string) (n int) {
		err := run.Read(t.Context(), "read", func(sc *script.Script) {
			sc.Ask(func(scan script.Scan) error { return scan(&n) }, "SELECT count(*) FROM identity_flow WHERE network = $1 AND id = $2", run.Network(), id)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	subject := engine.SubjectID("old")
	join := func(id string) (engine.Written, error) {
		x := tupleOf(t, "doc:0#view@"+id)
		return run.Join(t.Context(), engine.Write{Delete: []engine.Query{{Subject: &subject}}, Updates: adding(x).Updates}, "join", row(id))
	}
	if _, err := join("first"); err != nil { // prepares the statements
		t.Fatal(err)
	}
	trips := w.count(func() { _, err = join("second") })
	if err != nil || trips != 4 {
		t.Fatalf("%d round trips, error %v: expected 4", trips, err)
	}
	unknown := 0
	for n := range trips {
		write(t, s, adding(tupleOf(t, "doc:0#view@old")))
		id := fmt.Sprint("lost", n)
		w.loseAfter(n)
		done, err := join(id)
		x := tupleOf(t, "doc:0#view@"+id)
		there := slices.Contains(read(t, s, head(t, s), engine.Query{}), x)
		old := slices.Contains(read(t, s, head(t, s), engine.Query{}), tupleOf(t, "doc:0#view@old"))
		if there != (has(id) == 1) || there == old {
			t.Fatalf("lost after round trip %d: the tuple is there: %t, the row: %d, what was to go: %t", n, there, has(id), old)
		}
		switch errs.KindOf(err) {
		case errs.OK:
			if !there || done.Inserted != 1 || done.Deleted != 1 {
				t.Fatalf("lost after round trip %d: %+v", n, done)
			}
		case errs.Unknown:
			unknown++
		default:
			t.Fatalf("lost after round trip %d: %v", n, err)
		}
	}
	if unknown != 1 || w.cut != trips {
		t.Fatalf("of %d lost answers %d left it unknown: expected the last one", w.cut, unknown)
	}
}
