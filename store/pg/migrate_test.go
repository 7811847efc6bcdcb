package pg

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/testdb"
)

// TestMigrateAtOnce has several nodes begin on an empty database at the same time.
// One of them takes the steps, and all find the schema complete.
func TestMigrateAtOnce(t *testing.T) {
	for name, database := range map[string]func(testing.TB) string{"PostgreSQL": testdb.Postgres, "CockroachDB": testdb.Cockroach} {
		t.Run(name, func(t *testing.T) {
			dsn := database(t)
			var mu sync.Mutex
			steps := 0
			var nodes sync.WaitGroup
			for i := range 6 {
				nodes.Go(func() {
					if i%2 == 0 {
						db, err := Open(t.Context(), dsn, Options{Migrate: true, MaxConns: 2})
						if err != nil {
							t.Error(err)
							return
						}
						if err := db.Close(); err != nil {
							t.Error(err)
						}
						return
					}
					taken, err := Migrate(t.Context(), dsn, Options{})
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					steps += len(taken)
				})
			}
			nodes.Wait()
			all, err := Status(t.Context(), dsn, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range all {
				if m.Applied.IsZero() {
					t.Errorf("%s is pending", m.Name)
				}
			}
			if steps > len(all) {
				t.Errorf("%d steps were taken of %d", steps, len(all))
			}
			if again, err := Migrate(t.Context(), dsn, Options{}); err != nil || len(again) != 0 {
				t.Errorf("steps %v, error %v: expected none", again, err)
			}
		})
	}
}

// TestSchema opens databases whose schema is another one than this build has.
func TestSchema(t *testing.T) {
	dsn := testdb.Postgres(t)
	if _, err := Open(t.Context(), dsn, Options{}); errs.KindOf(err) != errs.Refused || !strings.Contains(err.Error(), "cardea migrate up") {
		t.Errorf("without a schema: error %v (%s)", err, errs.KindOf(err))
	}
	all, err := Status(t.Context(), dsn, Options{})
	if err != nil || len(all) == 0 || !all[0].Applied.IsZero() || all[0].Version != 1 || all[0].Name == "" {
		t.Fatalf("status %+v, error %v: expected one that is pending", all, err)
	}
	taken, err := Migrate(t.Context(), dsn, Options{})
	if err != nil || len(taken) != len(all) || taken[0].Applied.IsZero() {
		t.Fatalf("steps %+v, error %v: expected all", taken, err)
	}
	db, err := Open(t.Context(), dsn, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}

	conn := connectTo(t, dsn)
	exec(t, conn, "UPDATE schema_step SET sum = '' WHERE version = 2")
	_, errOpen := Open(t.Context(), dsn, Options{})
	_, errMigrate := Migrate(t.Context(), dsn, Options{})
	_, errStatus := Status(t.Context(), dsn, Options{})
	for _, err := range []error{errOpen, errMigrate, errStatus} {
		if errs.KindOf(err) != errs.Refused || !strings.Contains(err.Error(), "step 2 of the schema") {
			t.Errorf("with a step that was edited: error %v (%s)", err, errs.KindOf(err))
		}
	}
	exec(t, conn, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)")
	_, errOpen = Open(t.Context(), dsn, Options{})
	_, errMigrate = Migrate(t.Context(), dsn, Options{})
	_, errStatus = Status(t.Context(), dsn, Options{})
	for _, err := range []error{errOpen, errMigrate, errStatus} {
		if errs.KindOf(err) != errs.Refused || !strings.Contains(err.Error(), "run a newer cardea") {
			t.Errorf("with a newer schema: error %v (%s)", err, errs.KindOf(err))
		}
	}
}

// TestEventsAreOnlyAdded: no statement takes back what the log of events says.
func TestEventsAreOnlyAdded(t *testing.T) {
	dsn := testdb.Postgres(t)
	if _, err := Migrate(t.Context(), dsn, Options{}); err != nil {
		t.Fatal(err)
	}
	conn := connectTo(t, dsn)
	exec(t, conn, "INSERT INTO identity_event (network, id, at, type, identity, session, client, detail) VALUES (1, 'a', 1, 'login', '', '', '', '{}')")
	for _, text := range []string{"DELETE FROM identity_event", "UPDATE identity_event SET type = 'logout'", "TRUNCATE identity_event"} {
		if _, err := conn.Exec(t.Context(), text); err == nil || !strings.Contains(err.Error(), "only added") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestDurableCommits opens a database that is told to acknowledge what it may lose.
func TestDurableCommits(t *testing.T) {
	dsn := testdb.Postgres(t)
	conn := connectTo(t, dsn)
	var name string
	if err := conn.QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	exec(t, conn, "ALTER DATABASE "+pgx.Identifier{name}.Sanitize()+" SET synchronous_commit = off")
	for _, dsn := range []string{dsn, dsn + "&synchronous_commit=off"} {
		db := openTest(t, dsn, Options{})
		var waits string
		if err := db.pool.QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&waits); err != nil || waits != "on" {
			t.Errorf("synchronous_commit is %s, error %v", waits, err)
		}
	}
}

// TestDSN tries what is no database.
func TestDSN(t *testing.T) {
	for dsn, kind := range map[string]errs.Kind{
		"":                               errs.Invalid,
		"mysql://h/db":                   errs.Invalid,
		"postgres:h":                     errs.Invalid,
		"postgres://h:secret/db":         errs.Invalid,
		"cockroach://u:secret@h:x/db":    errs.Invalid,
		"postgres://u:secret@[::1/db":    errs.Invalid,
		"postgres://u:secret@h/db?%zz=1": errs.Invalid,
		"postgres://u:secret@127.0.0.1:1/db?connect_timeout=2":    errs.Unavailable,
		"cockroachdb://u:secret@127.0.0.1:1/db?connect_timeout=2": errs.Unavailable,
	} {
		db, err := Open(t.Context(), dsn, Options{})
		if errs.KindOf(err) != kind {
			t.Errorf("%q: error %v (%s), expected %s", dsn, err, errs.KindOf(err), kind)
		}
		var e *errs.Error
		if db != nil || errors.As(err, &e) && strings.Contains(e.Msg, "secret") {
			t.Errorf("%q: a database, or a message that tells too much: %v", dsn, err)
		}
	}
	dsn := testdb.Postgres(t)
	for _, bad := range []string{strings.Replace(dsn, "://cardea@", "://nobody@", 1), strings.Replace(dsn, "?", "-there-is-none?", 1)} {
		if _, err := Open(t.Context(), bad, Options{}); errs.KindOf(err) != errs.Refused {
			t.Errorf("%s: error %v (%s), expected refused", bad, err, errs.KindOf(err))
		}
	}
}

// TestCockroachSchema: the steps for CockroachDB keep to what the oldest version that is
// supported has (20.1), which is seldom at hand to try: partial indexes and indexes on
// expressions are not there, and nothing may run only once.
func TestCockroachSchema(t *testing.T) {
	steps, err := fs.Glob(files, "migrations/cockroach/*.sql")
	if err != nil || len(steps) < 3 {
		t.Fatalf("%d steps, %v", len(steps), err)
	}
	comments := regexp.MustCompile(`(?m)--.*$`)
	for _, step := range steps {
		text, err := fs.ReadFile(files, step)
		if err != nil {
			t.Fatal(err)
		}
		sql := comments.ReplaceAllString(string(text), "")
		for what, pattern := range map[string]string{
			"a partial index":               `(?i)INDEX[^(]*\([^)]*\)\s*(STORING\s*\([^)]*\))?\s*WHERE`,
			"an index on an expression":     `(?i)INDEX[^(,;]*\([^)]*\(`,
			"a table that may be there":     `(?i)CREATE TABLE (\w+ *\()`,
			"a computed or identity column": `(?i)GENERATED|VIRTUAL`,
			"a collation":                   `(?i)COLLATE`,
			"SQL that CockroachDB has not":  `(?i)\bSKIP LOCKED\b|\bNULLS FIRST\b|\bCREATE FUNCTION\b|\bDO \$`,
		} {
			if found := regexp.MustCompile(pattern).FindString(sql); found != "" {
				t.Errorf("%s has %s: %s", step, what, found)
			}
		}
		if !strings.Contains(string(text), "+goose NO TRANSACTION") {
			t.Errorf("%s wants a transaction", step)
		}
	}
}
