package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store"
	"github.com/cardea-iam/cardea/store/sqlite"
)

func TestSQLitePath(t *testing.T) {
	for _, c := range []struct {
		dsn, path string
		kind      errs.Kind
	}{
		{"mem:", sqlite.Memory, errs.OK},
		{"mem://", sqlite.Memory, errs.OK},
		{"sqlite://:memory:", sqlite.Memory, errs.OK},
		{"sqlite://./data/cardea.db", "./data/cardea.db", errs.OK},
		{"sqlite://cardea.db", "cardea.db", errs.OK},
		{"sqlite:///var/lib/cardea.db", "/var/lib/cardea.db", errs.OK},
		{"sqlite:///a%20b%3F.db", "/a b?.db", errs.OK},
		{"sqlite://x.db?", "x.db", errs.OK},
		{"sqlite://x.db?mode=ro", "", errs.Invalid},
		{"sqlite://x.db?_pragma=a&_pragma=b", "", errs.Invalid},
		{"sqlite://x.db?%zz", "", errs.Invalid},
		{"sqlite://%zz", "", errs.Invalid},
		{"sqlite://a%00b", "", errs.Invalid},
		{"sqlite://", "", errs.Invalid},
		{"sqlite://data/", "", errs.Invalid},
		{"sqlite:x.db", "", errs.Invalid},
		{"mem:x", "", errs.Invalid},
		{"", "", errs.Invalid},
		{"cardea.db", "", errs.Invalid},
		{"mysql://x", "", errs.Invalid},
		{"postgres://u:secret@h/db", "", errs.Unsupported},
		{"postgresql://u:secret@h/db", "", errs.Unsupported},
		{"cockroach://u:secret@h/db?password=secret", "", errs.Unsupported},
		{"mysql://u:secret@h/db", "", errs.Invalid},
		{"sqlite://u:secret@h/db?x=y", "", errs.Invalid},
	} {
		path, err := store.SQLitePath(c.dsn)
		if path != c.path || errs.KindOf(err) != c.kind {
			t.Errorf("%s: path %q, error %v: expected %q, %s", c.dsn, path, err, c.path, c.kind)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the message shows the password: %v", c.dsn, err)
		}
	}
}

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
		db, err := store.Open(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		x, err := engine.ParseTuple("doc:1#view@ann")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Tuples.Write(t.Context(), []engine.Update{{Op: engine.Insert, Tuple: x}}, 0); err != nil {
			t.Error(err)
		}
		if err := db.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{"data/cardea.db", "abs/cardea.db"} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := store.Open(t.Context(), "postgres://ann:pw@h/db"); errs.KindOf(err) != errs.Unsupported {
		t.Errorf("error %v: expected unsupported", err)
	}
}

func FuzzDSN(f *testing.F) {
	f.Add("sqlite://./x.db?y=z")
	f.Add("postgres://a:b@c/d?password=e")
	f.Fuzz(func(t *testing.T, dsn string) {
		if _, err := store.SQLitePath(dsn); err != nil && errs.KindOf(err) == errs.Internal {
			t.Error(err)
		}
		if once := store.Redact(dsn); store.Redact(once) != once {
			t.Errorf("%q is redacted to %q and that to %q", dsn, once, store.Redact(once))
		}
	})
}
