package sqlite_test

import (
	"testing"

	"github.com/cardea-iam/cardea/store/sqlite"
	"github.com/cardea-iam/cardea/store/storetest"
)

func TestGrants(t *testing.T) {
	storetest.RunGrants(t, func(tb testing.TB) storetest.Scripts[sqlite.Runner] { return open(tb, file(tb)) })
}

func TestGrantsInMemory(t *testing.T) {
	storetest.RunGrants(t, func(tb testing.TB) storetest.Scripts[sqlite.Runner] { return open(tb, sqlite.Memory) })
}
