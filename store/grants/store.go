package grants

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/script"
)

// A Store is the oauth.Store of one network.
type Store struct {
	run     script.Runner
	network int64
}

var _ oauth.Store = (*Store)(nil)

// New returns the store of the network of r.
func New(r script.Runner) *Store { return &Store{run: r, network: r.Network()} }

// longest is how many bytes a text of a key may have. PostgreSQL refuses index entries
// above 2700 bytes, and the longest has three texts.
const longest = 512

// storable reports whether all databases can hold the texts in a key.
func storable(texts ...string) bool {
	for _, t := range texts {
		if len(t) > longest || !utf8.ValidString(t) || strings.IndexByte(t, 0) >= 0 {
			return false
		}
	}
	return true
}

// valid reports Invalid for what a row cannot hold.
func valid(what string, texts ...string) error {
	if storable(texts...) {
		return nil
	}
	return errs.New(errs.Invalid, "%s: expected texts of at most %d bytes of UTF-8 without NUL", what, longest)
}

func notFound(what, id string) error {
	return errs.New(errs.NotFound, "there is no %s %.80q", what, id)
}

// newMark returns the random number of a call.
func newMark() []byte {
	mark := make([]byte, 16)
	rand.Read(mark)
	return mark
}

// never is kept_until of what Purge does not look at.
const never = math.MaxInt64

// micros is a time as it is stored, and clock the inverse.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func clock(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// keptUntil is the expiry as kept_until.
func keptUntil(expires time.Time) int64 {
	if expires.IsZero() {
		return never
	}
	return expires.UnixMicro()
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// blob keeps a nil slice from becoming NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// list is a list as it is stored, and unlist the inverse.
func list(texts []string) (string, error) {
	if len(texts) == 0 {
		return "[]", nil
	}
	for _, t := range texts {
		if !utf8.ValidString(t) {
			return "", errs.New(errs.Invalid, "%.80q: expected UTF-8", t)
		}
	}
	out, err := json.Marshal(texts)
	if err != nil {
		return "", errs.Wrap(errs.Internal, err, "a list cannot be written")
	}
	return string(out), nil
}

func unlist(text string) (out []string, err error) {
	if text == "[]" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, errs.Wrap(errs.Internal, err, "a list in the database is malformed")
	}
	return out, nil
}

// A filter is a condition on the rows of a network.
type filter struct {
	text strings.Builder
	args []any
	n    int // conditions beside the network
}

func (s *Store) filter() *filter {
	f := &filter{}
	f.text.WriteString("network = " + f.arg(s.network))
	return f
}

// arg adds an argument and returns its placeholder.
func (f *filter) arg(value any) string {
	f.args = append(f.args, value)
	return "$" + strconv.Itoa(len(f.args))
}

// and adds a condition without counting it.
func (f *filter) and(parts ...string) {
	f.text.WriteString(" AND ")
	for _, p := range parts {
		f.text.WriteString(p)
	}
}

// equal adds that a column has a value, unless that is empty.
func (f *filter) equal(column, value string) {
	if value != "" {
		f.and(column, " = ", f.arg(value))
		f.n++
	}
}

// page adds the end of a query, which returns at most limit rows, or all.
func (f *filter) page(order string, limit int) string {
	text := f.text.String() + " ORDER BY " + order
	if limit > 0 {
		text += " LIMIT " + f.arg(int64(limit))
	}
	return text
}

// batch is how many rows a transaction deletes or changes.
const batch = "1000"

// drain repeats a deletion of a batch until left finds nothing more, and returns how
// many rows went. What a lost connection had deleted is not counted.
func (s *Store) drain(ctx context.Context, doing, text, left string, args ...any) (int64, error) {
	for total := int64(0); ; {
		var n int64
		more := false
		err := s.run.Write(ctx, doing, func(sc *script.Script) {
			more = false
			sc.Count(&n, text, args...)
			sc.Ask(flag(&more), left, args...)
		})
		if err != nil {
			return total, err
		}
		if total += n; !more {
			return total, nil
		}
	}
}

// flag returns what notes that there is a row.
func flag(there *bool) func(script.Scan) error {
	return func(scan script.Scan) error {
		*there = true
		return scan(new(int64))
	}
}

// remove deletes the one row that text selects.
func (s *Store) remove(ctx context.Context, what, id, text string, args ...any) error {
	var n int64
	again := false
	err := s.run.Write(ctx, "delete a "+what, func(sc *script.Script) {
		again = sc.Again
		sc.Count(&n, text, args...)
	})
	if err == nil && n == 0 && !again { // else it went the first time
		return notFound(what, id)
	}
	return err
}
