package store

import (
	"net/url"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/sqlite"
)

// A location is where a DSN points: to a server, or to a file.
type location struct {
	server bool   // the rest of the DSN is for package pg
	path   string // of the SQLite file, or sqlite.Memory
}

// locate reads the scheme, and the path of a file.
//
// Invalid: as for Open.
func locate(dsn string) (location, error) {
	scheme, rest, ok := strings.Cut(dsn, ":")
	if !ok {
		return location{}, errs.New(errs.Invalid, "dsn has no scheme: expected sqlite://PATH, mem:, or postgres://...")
	}
	switch scheme {
	case "mem":
		if strings.Trim(rest, "/") != "" {
			return location{}, errs.New(errs.Invalid, "dsn %s: expected nothing after mem:", Redact(dsn))
		}
		return location{path: sqlite.Memory}, nil
	case "sqlite":
		path, err := filePath(dsn, rest)
		return location{path: path}, err
	case "postgres", "postgresql", "cockroach", "cockroachdb":
		return location{server: true}, nil
	default:
		return location{}, errs.New(errs.Invalid, "dsn has the scheme %q: expected sqlite://PATH, mem:, or postgres://...", scheme)
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

// File returns the SQLite file that dsn names, as for Open; "" if it is a database
// server, or memory. own reports whether the data is this process's own: a file or
// memory.
//
// Invalid: as for Open.
func File(dsn string) (path string, own bool, err error) {
	at, err := locate(dsn)
	if err != nil || at.server {
		return "", false, err
	}
	if at.path == sqlite.Memory {
		return "", true, nil
	}
	return at.path, true, nil
}
