package pg_test

import (
	"testing"

	"github.com/cardea-iam/cardea/internal/testdb"
	"github.com/cardea-iam/cardea/store/pg"
	"github.com/cardea-iam/cardea/store/storetest"
)

// servers are the two kinds of database that the package is for.
var servers = map[string]func(testing.TB) string{"PostgreSQL": testdb.Postgres, "CockroachDB": testdb.Cockroach}

func open(tb testing.TB, dsn string, o pg.Options) *pg.DB {
	tb.Helper()
	o.Migrate = true
	db, err := pg.Open(tb.Context(), dsn, o)
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

// handle is open for a suite that opens many: each needs few connections.
func handle(tb testing.TB, dsn string) storetest.DB {
	tb.Helper()
	return storetest.Of(open(tb, dsn, pg.Options{MaxConns: 8}))
}

func TestSuite(t *testing.T) {
	for name, database := range servers {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(tb testing.TB) storetest.DB { return handle(tb, database(tb)) })
		})
	}
}

func TestShared(t *testing.T) {
	for name, database := range servers {
		t.Run(name, func(t *testing.T) {
			storetest.RunShared(t, func(tb testing.TB) func() storetest.DB {
				dsn := database(tb)
				return func() storetest.DB { return handle(tb, dsn) }
			})
		})
	}
}

func TestDurable(t *testing.T) {
	for name, database := range servers {
		t.Run(name, func(t *testing.T) {
			storetest.RunDurable(t, func(tb testing.TB) func() storetest.DB {
				dsn := database(tb)
				return func() storetest.DB { return handle(tb, dsn) }
			})
		})
	}
}
