package identity

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Filter is a file that knows a set of passwords by their hashes (SHA-1), each by a few
// bits: a Bloom filter. All that are in it are found, and a few that are not, as many as
// it was made for. It is read where it lies, some bytes for each question, so it may be
// larger than memory, and be replaced by another one while it is used.
type Filter struct{ Path string }

// The file has a head of 32 bytes, and the bits after it:
//
//	16 bytes  filterMagic
//	 8 bytes  the number of bits
//	 8 bytes  how many of them each password has
const (
	filterMagic = "cardea-bloom-1\r\n"
	filterHead  = 32
	maxProbes   = 64
)

// Has reports whether the filter has a hash.
//
// NotFound: there is no such file. Invalid: it is no filter.
func (f Filter) Has(sum [sha1.Size]byte) (bool, error) {
	file, err := os.Open(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, errs.New(errs.NotFound, "the filter of passwords %s is not there", f.Path)
	case err != nil:
		return false, errs.Wrap(errs.Internal, err, "the filter of passwords %s cannot be opened", f.Path)
	}
	defer file.Close()
	invalid := errs.New(errs.Invalid, "%s is no filter of passwords: make one with cardea passwords filter", f.Path)
	var head [filterHead]byte
	if _, err := file.ReadAt(head[:], 0); err != nil || string(head[:16]) != filterMagic {
		return false, invalid
	}
	size, probes := binary.BigEndian.Uint64(head[16:]), binary.BigEndian.Uint64(head[24:])
	info, err := file.Stat()
	if err != nil || size == 0 || probes == 0 || probes > maxProbes || uint64(info.Size()) != filterHead+(size+7)/8 {
		return false, invalid
	}
	var one [1]byte
	for n := range probes {
		at := probe(sum, n, size)
		if _, err := file.ReadAt(one[:], int64(filterHead+at/8)); err != nil {
			return false, errs.Wrap(errs.Internal, err, "the filter of passwords %s cannot be read", f.Path)
		}
		if one[0]>>(at%8)&1 == 0 {
			return false, nil
		}
	}
	return true, nil
}

// probe is the place of the n-th bit of a hash. Its two halves are as good as two hashes.
func probe(sum [sha1.Size]byte, n, size uint64) uint64 {
	a, b := binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])
	hi, _ := bits.Mul64(a+n*(b|1), size)
	return hi
}

// A FilterBuilder makes a filter in memory.
type FilterBuilder struct {
	size, probes uint64
	bits         []byte
}

// NewFilter returns a builder for a number of passwords, of which others are found at a
// rate between 0 and 1, such as 0.001.
//
// Invalid: one of both makes no sense.
func NewFilter(passwords int64, rate float64) (*FilterBuilder, error) {
	if passwords <= 0 || !(rate > 0 && rate < 1) {
		return nil, errs.New(errs.Invalid, "a filter of %d passwords with a rate of %g: expected some, and a rate between 0 and 1", passwords, rate)
	}
	perPassword := -math.Log2(rate) / math.Ln2
	size := math.Ceil(float64(passwords) * perPassword)
	if size > 1<<43 {
		return nil, errs.New(errs.Invalid, "a filter of %d passwords with a rate of %g takes more than 1 TiB", passwords, rate)
	}
	b := &FilterBuilder{size: max(uint64(size), 64), probes: uint64(min(max(math.Round(-math.Log2(rate)), 1), maxProbes))}
	b.bits = make([]byte, (b.size+7)/8)
	return b, nil
}

// Add adds a hash.
func (b *FilterBuilder) Add(sum [sha1.Size]byte) {
	for n := range b.probes {
		at := probe(sum, n, b.size)
		b.bits[at/8] |= 1 << (at % 8)
	}
}

// AddLine adds a line of a list: a hash in hexadecimal, with or without a colon and a
// count behind it, or a password. It reports whether there was one.
func (b *FilterBuilder) AddLine(line string) bool {
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return false
	}
	text, _, _ := strings.Cut(line, ":")
	var sum [sha1.Size]byte
	if len(text) == hex.EncodedLen(sha1.Size) {
		if _, err := hex.Decode(sum[:], []byte(text)); err == nil {
			b.Add(sum)
			return true
		}
	}
	b.Add(sha1.Sum([]byte(line)))
	return true
}

// WriteTo implements io.WriterTo.
func (b *FilterBuilder) WriteTo(w io.Writer) (int64, error) {
	head := binary.BigEndian.AppendUint64([]byte(filterMagic), b.size)
	head = binary.BigEndian.AppendUint64(head, b.probes)
	n, err := w.Write(head)
	if err != nil {
		return int64(n), err
	}
	m, err := w.Write(b.bits)
	return int64(n + m), err
}
