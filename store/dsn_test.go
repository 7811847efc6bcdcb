package store

import (
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/sqlite"
)

func TestLocate(t *testing.T) {
	const onServer = "a server"
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
		{"postgres://u:secret@h/db", onServer, errs.OK},
		{"postgresql://u:secret@h/db", onServer, errs.OK},
		{"cockroach://u:secret@h/db?password=secret", onServer, errs.OK},
		{"cockroachdb://h", onServer, errs.OK},
		{"mysql://u:secret@h/db", "", errs.Invalid},
		{"sqlite://u:secret@h/db?x=y", "", errs.Invalid},
	} {
		at, err := locate(c.dsn)
		got := at.path
		if at.server {
			got += onServer
		}
		if got != c.path || errs.KindOf(err) != c.kind {
			t.Errorf("%s: %+v, error %v: expected %q, %s", c.dsn, at, err, c.path, c.kind)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the message shows the password: %v", c.dsn, err)
		}
	}
}

func FuzzDSN(f *testing.F) {
	f.Add("sqlite://./x.db?y=z")
	f.Add("postgres://a:b@c/d?password=e")
	f.Fuzz(func(t *testing.T, dsn string) {
		if _, err := locate(dsn); err != nil && errs.KindOf(err) == errs.Internal {
			t.Error(err)
		}
		if once := Redact(dsn); Redact(once) != once {
			t.Errorf("%q is redacted to %q and that to %q", dsn, once, Redact(once))
		}
	})
}
