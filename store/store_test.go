package store_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/testdb"
	"github.com/cardea-iam/cardea/store"
)

func TestRedact(t *testing.T) {
	for dsn, want := range map[string]string{
		"sqlite://./data/cardea.db":                   "sqlite://./data/cardea.db",
		"mem:":                                        "mem:",
		"":                                            "",
		"postgres://ann@h:5432/db":                    "postgres://ann@h:5432/db",
		"postgres://ann:pw@h:5432/db":                 "postgres://ann:xxxxx@h:5432/db",
		"postgres://ann:p@w/?:x@h/db":                 "postgres://ann:xxxxx@h/db",
		"postgres://ann:%zz@h/db":                     "postgres://ann:xxxxx@h/db",
		"postgres://:pw@h/db":                         "postgres://:xxxxx@h/db",
		"postgres://ann:pw@h1,h2/db?sslmode=off":      "postgres://ann:xxxxx@h1,h2/db?sslmode=off",
		"postgres://h/db?user=a&password=pw&x=1":      "postgres://h/db?user=a&password=xxxxx&x=1",
		"postgres://h/db?PASSWORD=pw":                 "postgres://h/db?PASSWORD=xxxxx",
		"postgres://h/db?sslpassword=pw&sslkey=k.pem": "postgres://h/db?sslpassword=xxxxx&sslkey=xxxxx",
		"host=h user=ann password=pw dbname=d":        "host=h user=ann password=xxxxx dbname=d",
		"host=h password='a b' dbname=d":              "host=h password=xxxxx dbname=d",
		"cockroach://ann:pw@h:26257/db?options=--cluster%3Dabc-1": "cockroach://ann:xxxxx@h:26257/db?options=--cluster%3Dabc-1",
	} {
		if got := store.Redact(dsn); got != want {
			t.Errorf("%s becomes %s: expected %s", dsn, got, want)
		}
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, dsn := range []string{"mem:", "sqlite://./data/cardea.db", "sqlite://" + filepath.ToSlash(dir) + "/abs/cardea.db"} {
		use(t, dsn, store.Options{})
	}
	for _, path := range []string{"data/cardea.db", "abs/cardea.db"} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// use opens the empty database that dsn names and does a bit of everything.
func use(t *testing.T, dsn string, o store.Options) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	db, err := store.Open(ctx, dsn, o)
	if err != nil {
		t.Fatal(err)
	}
	x, err := engine.ParseTuple("doc:1#view@ann")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[engine.StoreID]bool{}
	for _, name := range []string{"default", "other"} {
		s, err := db.Network(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		ids[s.ID()] = true
		for op := engine.Insert; op <= engine.Delete; op++ {
			done, err := s.Write(ctx, engine.Write{Updates: []engine.Update{{Op: op, Tuple: x}}})
			if err != nil || done.Inserted+done.Deleted != 1 {
				t.Errorf("network %s: %+v, error %v", name, done, err)
			}
		}
	}
	if len(ids) != 2 {
		t.Error("two networks have the same identity")
	}
	if s, err := db.Network(ctx, "no name"); s != nil || errs.KindOf(err) != errs.Invalid {
		t.Errorf("store %v, error %v: expected invalid", s, err)
	}
	// A server keeps what another transaction may still look at.
	purged := int64(0)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for purged < 2 {
		n, err := db.Purge(ctx, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if purged += n; purged < 2 {
			<-tick.C
		}
	}
	if purged != 2 {
		t.Errorf("%d tuples purged: expected 2", purged)
	}
	if err := db.Ping(ctx); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestServers(t *testing.T) {
	for name, database := range map[string]func(testing.TB) string{"PostgreSQL": testdb.Postgres, "CockroachDB": testdb.Cockroach} {
		t.Run(name, func(t *testing.T) {
			dsn := database(t)
			_, rest, _ := strings.Cut(dsn, "://")
			_, err := store.Open(t.Context(), dsn, store.Options{})
			if errs.KindOf(err) != errs.Refused || !strings.Contains(err.Error(), "cardea migrate up") {
				t.Fatalf("error %v: expected to be told to migrate", err)
			}
			pending, err := store.Status(t.Context(), dsn)
			if err != nil || len(pending) == 0 || !pending[0].Applied.IsZero() {
				t.Fatalf("status %v, error %v: expected pending steps", pending, err)
			}
			steps, err := store.Migrate(t.Context(), dsn)
			if err != nil || len(steps) != len(pending) {
				t.Fatalf("steps %v, error %v: expected all of %v", steps, err, pending)
			}
			use(t, "cockroach://"+rest, store.Options{}) // the server says what it is, not the scheme
			use(t, "postgresql://"+strings.TrimPrefix(database(t), "postgres://"), store.Options{Migrate: true, MaxConns: 2, StatementTimeout: time.Minute, ApplicationName: "test"})
		})
	}
}

func TestMigrate(t *testing.T) {
	dsn := "sqlite://" + filepath.ToSlash(t.TempDir()) + "/cardea.db"
	_, err := store.Status(t.Context(), dsn)
	if errs.KindOf(err) != errs.NotFound {
		t.Fatalf("error %v: expected not found", err)
	}
	steps, err := store.Migrate(t.Context(), dsn)
	if err != nil || len(steps) == 0 || steps[0].Version != 1 || steps[0].Name == "" || steps[0].Applied.IsZero() {
		t.Fatalf("steps %v, error %v", steps, err)
	}
	status, err := store.Status(t.Context(), dsn)
	if err != nil || !slices.Equal(status, steps) {
		t.Fatalf("status %v, error %v: expected %v", status, err, steps)
	}
	if steps, err = store.Migrate(t.Context(), dsn); err != nil || len(steps) != 0 {
		t.Fatalf("steps %v, error %v: expected none", steps, err)
	}
	for _, dsn := range []string{"mysql://u:secret@h/db", "cardea.db", "sqlite://x.db?y=z", "postgres://u:secret@h/db?port=x"} {
		_, err := store.Migrate(t.Context(), dsn)
		_, err2 := store.Status(t.Context(), dsn)
		_, err3 := store.Open(t.Context(), dsn, store.Options{})
		for _, err := range []error{err, err2, err3} {
			if errs.KindOf(err) != errs.Invalid || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s: error %v: expected invalid", dsn, err)
			}
		}
	}
}
