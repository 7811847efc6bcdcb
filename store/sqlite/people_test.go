package sqlite_test

import (
	"testing"

	"github.com/cardea-iam/cardea/store/sqlite"
	"github.com/cardea-iam/cardea/store/storetest"
)

func TestPeople(t *testing.T) {
	storetest.RunPeople(t, func(tb testing.TB) storetest.Scripts[sqlite.Runner] { return open(tb, file(tb)) })
}

func TestPeopleInMemory(t *testing.T) {
	storetest.RunPeople(t, func(tb testing.TB) storetest.Scripts[sqlite.Runner] { return open(tb, sqlite.Memory) })
}
