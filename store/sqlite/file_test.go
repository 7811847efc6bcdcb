package sqlite_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/sqlite"
)

// execSQL runs plain SQL on a file that no store has open.
func execSQL(t *testing.T, path, text string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(text, args...); err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, kind errs.Kind, parts ...string) {
	t.Helper()
	if errs.KindOf(err) != kind {
		t.Fatalf("error %v has kind %s: expected %s", err, errs.KindOf(err), kind)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not name %q", err, part)
		}
	}
}

func TestOneProcessOnly(t *testing.T) {
	path := file(t)
	s := open(t, path)
	_, err := sqlite.Open(t.Context(), path)
	wantError(t, err, errs.Refused, path, "in use")
	_, err = sqlite.Migrate(t.Context(), path)
	wantError(t, err, errs.Refused, path, "in use")
	if _, err := sqlite.Status(t.Context(), path); err != nil {
		t.Errorf("status beside an open store: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dir")
	path := filepath.Join(dir, "cardea.db")
	s := open(t, path)
	defer s.Close()
	for name, want := range map[string]os.FileMode{
		dir: os.ModeDir | 0o700, path: 0o600, path + "-wal": 0o600, path + "-shm": 0o600, path + ".lock": 0o600,
	} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v: expected %v", name, info.Mode(), want)
		}
	}
}

func TestOddPaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a b", "a?b", "a%20b", "a#b", "ä", "file:x", "-x", "a&_pragma=x"} {
		path := filepath.Join(dir, name)
		if err := open(t, path).Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	t.Chdir(dir)
	for _, path := range []string{"x.db", "./sub/y.db", ":memory", "z:memory:"} {
		if err := open(t, path).Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Error(err)
		}
	}
}

func TestNotADatabase(t *testing.T) {
	path := file(t)
	if err := os.WriteFile(path, []byte(strings.Repeat("# settings\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := sqlite.Open(t.Context(), path)
	wantError(t, err, errs.Invalid, path, "not a SQLite database")
	_, err = sqlite.Status(t.Context(), path)
	wantError(t, err, errs.Invalid, path)
	_, err = sqlite.Open(t.Context(), t.TempDir())
	wantError(t, err, errs.Refused)
	_, err = sqlite.Open(t.Context(), filepath.Join(path, "x.db")) // below a file
	wantError(t, err, errs.Refused, "x.db")
}

func TestMigrate(t *testing.T) {
	path := file(t)
	_, err := sqlite.Status(t.Context(), path)
	wantError(t, err, errs.NotFound, path)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pending, err := sqlite.Status(t.Context(), path)
	if err != nil || len(pending) == 0 || !pending[0].Applied.IsZero() {
		t.Fatalf("status %v, error %v: expected pending steps", pending, err)
	}
	steps, err := sqlite.Migrate(t.Context(), path)
	if err != nil || len(steps) != len(pending) || steps[0].Applied.IsZero() {
		t.Fatalf("steps %v, error %v: expected all of %v", steps, err, pending)
	}
	again, err := sqlite.Migrate(t.Context(), path)
	if err != nil || len(again) != 0 {
		t.Fatalf("steps %v, error %v: expected none", again, err)
	}
	applied, err := sqlite.Status(t.Context(), path)
	if err != nil || !slices.Equal(applied, steps) {
		t.Fatalf("status %v, error %v: expected %v", applied, err, steps)
	}
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSchemaTooNew(t *testing.T) {
	path := file(t)
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	execSQL(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)")
	_, err := sqlite.Open(t.Context(), path)
	wantError(t, err, errs.Refused, path, "9999", "newer cardea")
	_, err = sqlite.Migrate(t.Context(), path)
	wantError(t, err, errs.Refused, "9999")
	_, err = sqlite.Status(t.Context(), path)
	wantError(t, err, errs.Refused, "9999")
	execSQL(t, path, "DELETE FROM goose_db_version WHERE version_id = 9999")
	if err := open(t, path).Close(); err != nil { // the refusals left no lock and no change
		t.Fatal(err)
	}
}

// TestSchemaEdited opens a file whose schema has come from other steps of the same
// numbers, or from a build that kept no checksums.
func TestSchemaEdited(t *testing.T) {
	path := file(t)
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	for _, edit := range []string{"UPDATE schema_step SET sum = 'x' WHERE version = 3", "DELETE FROM schema_step WHERE version = 2", "DROP TABLE schema_step"} {
		execSQL(t, path, edit)
		_, errOpen := sqlite.Open(t.Context(), path)
		_, errMigrate := sqlite.Migrate(t.Context(), path)
		_, errStatus := sqlite.Status(t.Context(), path)
		for _, err := range []error{errOpen, errMigrate, errStatus} {
			wantError(t, err, errs.Refused, path, "step ", "not the one of this build")
		}
	}
}

// TestEpoch makes tokens from before a restore those of another store.
func TestEpoch(t *testing.T) {
	path := file(t)
	ids := map[any]bool{}
	for range 3 {
		db := open(t, path)
		ids[network(t, db).ID()] = true
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		execSQL(t, path, "UPDATE meta SET epoch = epoch + 1")
	}
	if len(ids) != 3 {
		t.Errorf("%d identities: expected one for each epoch", len(ids))
	}
}

// TestClockGoesBack sets the date of the newest revision ahead of the clock.
// Purge finds revisions by bisection, so their dates must never decrease.
func TestClockGoesBack(t *testing.T) {
	path := file(t)
	write := func() engine.ModelVersion {
		db := open(t, path)
		defer db.Close()
		s := network(t, db)
		models, err := s.Models(t.Context(), 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.PutModel(t.Context(), "", int64(len(models)))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	write()
	future := time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC)
	execSQL(t, path, "UPDATE revision SET at = ?", future.UnixMicro())
	if m := write(); m.Created.Before(future) {
		t.Errorf("version made at %v, after one made at %v", m.Created, future)
	}
}

// TestEventsAreOnlyAdded: no statement takes back what the log of events says.
func TestEventsAreOnlyAdded(t *testing.T) {
	path := file(t)
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	execSQL(t, path, "INSERT INTO identity_event (network, id, at, type, identity, session, client, detail) VALUES (1, 'a', 1, 'login', '', '', '', '{}')")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, text := range []string{"DELETE FROM identity_event", "UPDATE identity_event SET type = 'logout'", "UPDATE identity_event SET network = 2 WHERE id = 'a'"} {
		if _, err := db.ExecContext(t.Context(), text); err == nil || !strings.Contains(err.Error(), "only added") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
