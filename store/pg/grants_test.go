package pg_test

import (
	"testing"

	"github.com/cardea-iam/cardea/store/pg"
	"github.com/cardea-iam/cardea/store/storetest"
)

func TestGrants(t *testing.T) {
	for name, database := range servers {
		t.Run(name, func(t *testing.T) {
			storetest.RunGrants(t, func(tb testing.TB) storetest.Scripts[pg.Runner] {
				return open(tb, database(tb), pg.Options{MaxConns: 8})
			})
		})
	}
}
