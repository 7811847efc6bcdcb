package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/store/sqlite"
	"github.com/cardea-iam/cardea/store/storetest"
)

func open(tb testing.TB, path string) *sqlite.Store {
	tb.Helper()
	s, err := sqlite.Open(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func file(tb testing.TB) string { return filepath.Join(tb.TempDir(), "cardea.db") }

func TestFile(t *testing.T) {
	storetest.Run(t, func(tb testing.TB) engine.Store { return open(tb, file(tb)) })
}

func TestMemory(t *testing.T) {
	storetest.Run(t, func(tb testing.TB) engine.Store { return open(tb, sqlite.Memory) })
}

func TestDurable(t *testing.T) {
	storetest.RunDurable(t, func(tb testing.TB) func() engine.Store {
		path := file(tb)
		return func() engine.Store { return open(tb, path) }
	})
}
