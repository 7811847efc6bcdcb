package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/sqlite"
)

// TestRestored: a file that was put back has another identity, and what it held.
func TestRestored(t *testing.T) {
	path := file(t)
	identity := func() any {
		db, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		s, err := db.Network(t.Context(), "default")
		if err != nil {
			t.Fatal(err)
		}
		return s.ID()
	}
	before := identity()
	if err := sqlite.Restored(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if identity() == before {
		t.Error("tokens from before the restoration are taken")
	}
	if err := sqlite.Restored(t.Context(), filepath.Join(t.TempDir(), "new")); errs.KindOf(err) == errs.OK {
		t.Error("a file that is not there was restored")
	}
}
