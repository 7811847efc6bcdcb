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

func TestJoin(t *testing.T) {
	for name, path := range map[string]func(testing.TB) string{"File": file, "Memory": func(testing.TB) string { return sqlite.Memory }} {
		t.Run(name, func(t *testing.T) {
			storetest.RunJoin(t, func(tb testing.TB) storetest.Both[*sqlite.Store, sqlite.Runner] { return open(tb, path(tb)) })
		})
	}
}
