package pg

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A snapshot says which transactions of a PostgreSQL server are visible: those
// below xmax but for those in xip. It is always in its one canonical form: xip
// ascends without repetition and lies below xmax, and the last transaction
// before xmax is visible. So equal sets have equal snapshots. The zero snapshot
// sees nothing.
type snapshot struct {
	xmax uint64
	xip  []uint64
}

// newSnapshot makes the snapshot canonical. It keeps xip.
func newSnapshot(xmax uint64, xip []uint64) snapshot {
	slices.Sort(xip)
	xip = slices.Compact(xip)
	n, _ := slices.BinarySearch(xip, xmax)
	xip = xip[:n]
	for len(xip) > 0 && xip[len(xip)-1] == xmax-1 {
		xmax, xip = xmax-1, xip[:len(xip)-1]
	}
	return snapshot{xmax, xip}
}

// xmin is the first transaction that is not visible.
func (s snapshot) xmin() uint64 {
	if len(s.xip) > 0 {
		return s.xip[0]
	}
	return s.xmax
}

// sees reports whether transaction x is visible.
func (s snapshot) sees(x uint64) bool {
	if x >= s.xmax {
		return false
	}
	_, running := slices.BinarySearch(s.xip, x)
	return !running
}

// covers reports whether all that o sees is visible in s. The last transaction
// below o.xmax is visible in o, so the highest ones decide about the rest.
func (s snapshot) covers(other position) bool {
	o := other.(snapshot)
	if o.xmax > s.xmax {
		return false
	}
	for _, x := range s.xip {
		if o.sees(x) {
			return false
		}
	}
	return true
}

// gap is how many transactions with makes xip longer by.
func (s snapshot) gap(x uint64) uint64 {
	if x <= s.xmax {
		return 0
	}
	return x - s.xmax
}

// with returns the snapshot that sees x as well, and of the others what s sees.
func (s snapshot) with(x uint64) snapshot {
	if x < s.xmax {
		xip := slices.Clone(s.xip)
		if i, running := slices.BinarySearch(xip, x); running {
			xip = slices.Delete(xip, i, i+1)
		}
		return newSnapshot(s.xmax, xip)
	}
	xip := slices.Grow(slices.Clone(s.xip), int(s.gap(x)))
	for y := s.xmax; y < x; y++ {
		xip = append(xip, y)
	}
	return newSnapshot(x+1, xip)
}

// until returns what s sees up to transaction x.
func (s snapshot) until(x uint64) snapshot {
	switch {
	case x == 0:
		return snapshot{}
	case x+1 >= s.xmax:
		return s
	}
	return newSnapshot(x+1, slices.Clone(s.xip))
}

// String writes s as the server does, xmin:xmax:xip, or "" if it sees nothing.
func (s snapshot) String() string {
	if s.xmin() == 0 {
		return ""
	}
	b := make([]byte, 0, 48)
	b = strconv.AppendUint(b, s.xmin(), 10)
	b = append(b, ':')
	b = strconv.AppendUint(b, s.xmax, 10)
	b = append(b, ':')
	for i, x := range s.xip {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, x, 10)
	}
	return string(b)
}

// parseSnapshot reads what the server writes, canonical or not.
func parseSnapshot(text string) (snapshot, error) {
	if text == "" {
		return snapshot{}, nil
	}
	low, rest, ok1 := strings.Cut(text, ":")
	high, list, ok2 := strings.Cut(rest, ":")
	xmin, err1 := parseXID(low)
	xmax, err2 := parseXID(high)
	if !ok1 || !ok2 || err1 != nil || err2 != nil || xmin > xmax {
		return snapshot{}, errMalformed()
	}
	var xip []uint64
	for list != "" {
		var item string
		item, list, ok1 = strings.Cut(list, ",")
		x, err := parseXID(item)
		if err != nil || ok1 && list == "" || x < xmin || x >= xmax || len(xip) > 0 && x <= xip[len(xip)-1] {
			return snapshot{}, errMalformed()
		}
		xip = append(xip, x)
	}
	return newSnapshot(xmax, xip), nil
}

func parseXID(text string) (uint64, error) {
	x, err := strconv.ParseUint(text, 10, 64)
	if err != nil || x == 0 || x > math.MaxInt64 || text[0] == '+' || text[0] == '0' {
		return 0, errMalformed()
	}
	return x, nil
}

func errMalformed() error {
	return errs.New(errs.Invalid, "revision is malformed: expected one of this store")
}
