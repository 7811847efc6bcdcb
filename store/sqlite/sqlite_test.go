package sqlite_test

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/cardea-iam/cardea/store/sqlite"
	"github.com/cardea-iam/cardea/store/storetest"
)

func open(tb testing.TB, path string) *sqlite.DB {
	tb.Helper()
	db, err := sqlite.Open(tb.Context(), path)
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

// network returns the store of the network "default".
func network(tb testing.TB, db *sqlite.DB) *sqlite.Store {
	tb.Helper()
	s, err := db.Network(context.Background(), "default")
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func file(tb testing.TB) string { return filepath.Join(tb.TempDir(), "cardea.db") }

func TestFile(t *testing.T) {
	storetest.Run(t, func(tb testing.TB) storetest.DB { return storetest.Of(open(tb, file(tb))) })
}

func TestMemory(t *testing.T) {
	storetest.Run(t, func(tb testing.TB) storetest.DB { return storetest.Of(open(tb, sqlite.Memory)) })
}

func TestDurable(t *testing.T) {
	storetest.RunDurable(t, func(tb testing.TB) func() storetest.DB {
		path := file(tb)
		return func() storetest.DB { return storetest.Of(open(tb, path)) }
	})
}

// TestShared is several users in one process, since a file has but one handle.
// It sees that the tests for several nodes run.
func TestShared(t *testing.T) {
	storetest.RunShared(t, func(tb testing.TB) func() storetest.DB {
		db := open(tb, sqlite.Memory)
		var users atomic.Int64
		return func() storetest.DB {
			users.Add(1)
			return storetest.Of(user{db, &users})
		}
	})
}

// A user shares a database, which the last one closes.
type user struct {
	*sqlite.DB
	users *atomic.Int64
}

func (u user) Close() error {
	if u.users.Add(-1) > 0 {
		return nil
	}
	return u.DB.Close()
}
