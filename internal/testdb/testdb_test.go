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
