package pg_test

import (
	"testing"

	"github.com/cardea-iam/cardea/store/pg"
	"github.com/cardea-iam/cardea/store/storetest"
)

func TestPeople(t *testing.T) {
	for name, database := range servers {
		t.Run(name, func(t *testing.T) {
			storetest.RunPeople(t, func(tb testing.TB) storetest.Scripts[pg.Runner] {
				return open(tb, database(tb), pg.Options{MaxConns: 8})
			})
		})
	}
}

func TestJoin(t *testing.T) {
	for name, database := range servers {
		t.Run(name, func(t *testing.T) {
			storetest.RunJoin(t, func(tb testing.TB) storetest.Both[*pg.Store, pg.Runner] {
				return open(tb, database(tb), pg.Options{MaxConns: 8})
			})
		})
	}
}
