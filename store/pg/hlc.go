package pg

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// An hlc is a time of CockroachDB's hybrid logical clock: nanoseconds since 1970,
// and a counter for what happens within one of them. The zero hlc is before
// everything.
type hlc struct{ wall, logical int64 }

// parseHLC reads a decimal with up to ten digits behind the point.
func parseHLC(text string) (hlc, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > 10 {
		return hlc{}, errMalformed()
	}
	wall, err1 := strconv.ParseUint(whole, 10, 63)
	logical, err2 := strconv.ParseUint((fraction + "0000000000")[:10], 10, 63)
	if err1 != nil || err2 != nil || logical > math.MaxInt32 {
		return hlc{}, errMalformed()
	}
	return hlc{int64(wall), int64(logical)}, nil
}

func (t hlc) less(u hlc) bool { return t.wall < u.wall || t.wall == u.wall && t.logical < u.logical }

func (t hlc) String() string {
	if t == (hlc{}) {
		return ""
	}
	return fmt.Sprintf("%d.%010d", t.wall, t.logical)
}

func (t hlc) revision() engine.Revision { return engine.Revision(t.String()) }

func (t hlc) covers(other position) bool { return !t.less(other.(hlc)) }

func (t hlc) arg() string {
	if text := t.String(); text != "" {
		return text
	}
	return "0"
}

func (t hlc) marks() []any { return []any{t.arg()} }

// maxAhead is by how much a revision may lie ahead of the node that reads it, since
// the clocks of nodes differ by half a second at most (max-offset), or what
// somebody has set that to.
const maxAhead = 5 * time.Second

func (t hlc) readable(oldest string, newest position) error {
	now := newest.(hlc)
	if now.less(t) {
		if t.wall-now.wall > int64(maxAhead) {
			return errs.New(errs.Invalid, "the revision lies ahead of the store: expected one of this store")
		}
		return errBehind
	}
	first, err := parseHLC(oldest)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the start of the history is malformed in the database")
	}
	if t.less(first) {
		return errExpired()
	}
	return nil
}

// errBehind says that the clock of the database node has not come to the revision
// yet. It will within a moment.
var errBehind = errs.New(errs.Unavailable, "the clock of the database node lags behind the revision")
