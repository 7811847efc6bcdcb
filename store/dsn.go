package store

import (
	"net/url"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/sqlite"
)

// sqlitePath returns the path of the file that dsn names, or sqlite.Memory:
//
//	sqlite://PATH       an SQLite file, absolute (sqlite:///var/lib/cardea.db)
//	                    or relative (sqlite://./data/cardea.db, sqlite://cardea.db)
//	mem:                in memory, gone with Close (also sqlite://:memory:)
//
// Invalid, Unsupported: as for Open.
func sqlitePath(dsn string) (string, error) {
	scheme, rest, ok := strings.Cut(dsn, ":")
	if !ok {
		return "", errs.New(errs.Invalid, "dsn has no scheme: expected sqlite://PATH or mem:")
	}
	switch scheme {
	case "mem":
		if strings.Trim(rest, "/") != "" {
			return "", errs.New(errs.Invalid, "dsn %s: expected nothing after mem:", Redact(dsn))
		}
		return sqlite.Memory, nil
	case "sqlite":
		return filePath(dsn, rest)
	case "postgres", "postgresql", "cockroach", "cockroachdb":
		return "", errs.New(errs.Unsupported, "dsn %s: %s is not in this build yet; use sqlite://PATH", Redact(dsn), scheme)
	default:
		return "", errs.New(errs.Invalid, "dsn has the scheme %q: expected sqlite://PATH or mem:", scheme)
	}
}

// filePath reads what follows the scheme. It is not url.Parse, which would
// take the first part of a relative path for a host.
func filePath(dsn, rest string) (string, error) {
	rest, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return "", errs.New(errs.Invalid, "dsn %s: expected sqlite://PATH", Redact(dsn))
	}
	rest, query, _ := strings.Cut(rest, "?")
	params, err := url.ParseQuery(query)
	if err != nil {
		return "", errs.New(errs.Invalid, "dsn %s: its parameters are malformed", Redact(dsn))
	}
	for name := range params {
		return "", errs.New(errs.Invalid, "dsn %s: parameter %q is not known; sqlite has none", Redact(dsn), name)
	}
	path, err := url.PathUnescape(rest)
	if err != nil {
		return "", errs.New(errs.Invalid, "dsn %s: its path has a broken %% escape", Redact(dsn))
	}
	switch {
	case path == "" || strings.HasSuffix(path, "/"):
		return "", errs.New(errs.Invalid, "dsn %s: expected the path of a file", Redact(dsn))
	case strings.ContainsRune(path, 0):
		return "", errs.New(errs.Invalid, "dsn %s: its path holds a NUL byte", Redact(dsn))
	}
	return path, nil
}
