package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/cardea-iam/cardea/internal/errs"
)

type role int

const (
	writer role = iota
	reader
)

// connect opens the pool of a role. In memory there is one connection for all,
// since every connection to ":memory:" is another database.
func connect(path string, as role) (*sql.DB, error) {
	settings := []string{"busy_timeout(10000)", "temp_store(memory)"}
	switch as {
	case writer:
		settings = append(settings,
			"journal_mode(wal)",
			"synchronous(full)",             // an acknowledged write survives a power failure
			"cache_size(-65536)",            // KiB: bulk imports touch three trees at random
			"wal_autocheckpoint(16384)",     // pages: ...
			"journal_size_limit(134217728)") // bytes: a big import does not leave its log behind
	case reader:
		settings = append(settings, "query_only(true)", "cache_size(-16384)")
	}
	params := url.Values{"_pragma": settings, "_txlock": {"immediate"}}
	name := "file::memory:"
	if path != Memory {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, errs.Wrap(errs.Invalid, err, "path %s cannot be made absolute", path)
		}
		name = "file://" + (&url.URL{Path: filepath.ToSlash(abs)}).EscapedPath()
	}
	db, err := sql.Open("sqlite", name+"?"+params.Encode())
	if err != nil {
		return nil, classify(err, "open %s", path)
	}
	connections := 1
	if as == reader {
		connections = readers()
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// classify gives an error of the database its kind. doing names the attempt in
// the imperative: "read x". Errors that have a kind keep it.
func classify(err error, doing string, args ...any) error {
	var known *errs.Error
	if errors.As(err, &known) {
		return err
	}
	what := fmt.Sprintf(doing, args...)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errs.Wrap(errs.Unavailable, err, "could not %s: the request was cancelled", what)
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return errs.Wrap(errs.Internal, err, "could not %s", what)
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_INTERRUPT, lib.SQLITE_NOMEM:
		return errs.Wrap(errs.Unavailable, err, "could not %s: the database is busy", what)
	case lib.SQLITE_FULL, lib.SQLITE_IOERR:
		return errs.Wrap(errs.Unavailable, err, "could not %s: the disk is full or failing", what)
	case lib.SQLITE_CANTOPEN, lib.SQLITE_PERM, lib.SQLITE_READONLY:
		return errs.Wrap(errs.Refused, err, "could not %s: this process may not open or write it", what)
	case lib.SQLITE_NOTADB:
		return errs.Wrap(errs.Invalid, err, "could not %s: it is not a SQLite database", what)
	default:
		return errs.Wrap(errs.Internal, err, "could not %s", what)
	}
}

// columns are the parts of a tuple in the order of Tuple.Compare.
var columns = [...]string{"namespace", "object", "relation", "subject_namespace", "subject_id", "subject_relation"}

// list is columns as SQL text.
var list = strings.Join(columns[:], ", ")
