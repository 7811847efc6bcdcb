package testdb_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/internal/testdb"
)

func exec(t *testing.T, dsn, statement string) error {
	t.Helper()
	c, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		return err
	}
	defer c.Close(context.Background())
	_, err = c.Exec(t.Context(), statement)
	return err
}

// apart checks that each call gives an empty database of its own.
func apart(t *testing.T, database func() string) {
	t.Helper()
	a, b := database(), database()
	for _, dsn := range []string{a, b} {
		if err := exec(t, dsn, "CREATE TABLE x (id int8 PRIMARY KEY)"); err != nil {
			t.Error(err)
		}
	}
	if a == b {
		t.Errorf("two times %s", a)
	}
}

func TestPostgres(t *testing.T) {
	apart(t, func() string { return testdb.Postgres(t) })
}

func TestServer(t *testing.T) {
	s := testdb.NewServer(t)
	apart(t, s.Database)
	dsn := s.Database()
	if err := exec(t, dsn, "CREATE TABLE kept ()"); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	if err := exec(t, dsn, "TABLE kept"); err != nil {
		t.Error(err)
	}
}

func TestCockroach(t *testing.T) {
	apart(t, func() string { return testdb.Cockroach(t) })
}

// TestCluster: a row is there while one of three nodes is gone, and through that
// one when it is back.
func TestCluster(t *testing.T) {
	c := testdb.CockroachCluster(t, 3)
	if err := exec(t, c.DSN(0), "CREATE TABLE kept (id int8 PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	c.Kill(0)
	if err := exec(t, c.DSN(1), "SELECT id FROM kept"); err != nil {
		t.Error(err)
	}
	c.Start(0)
	if err := exec(t, c.DSN(0), "SELECT id FROM kept"); err != nil {
		t.Error(err)
	}
}
