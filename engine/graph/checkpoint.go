package graph

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
)

// A checkpoint is a complete snapshot as bytes: the tables of names and kinds, and
// the chunks of both directions as they stand in memory, little endian, so that
// reading it is copying, and entering the names in new hash tables. It ends with a
// CRC-32C of all that comes before. What reads it trusts nothing: a number out of
// its range is an error, whatever the checksum says.
const checkpointMagic = "cardea graph 2\n\x00"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged is the cause of most errors of ReadCheckpoint.
var errDamaged = errors.New("the checkpoint is damaged")

// WriteCheckpoint writes s, which must be complete.
func (s *Snapshot) WriteCheckpoint(to io.Writer) error {
	if s.partial {
		return errors.New("a partial graph has no checkpoint")
	}
	w := &encoder{to: bufio.NewWriterSize(to, 1<<20), sum: crc32.New(castagnoli)}
	w.bytes([]byte(checkpointMagic))
	for _, t := range []*names{s.namespaces, s.relations, s.objects} {
		w.names(t)
	}
	kinds := *s.kinds.list.Load()
	w.number(uint32(len(kinds)))
	for _, k := range kinds {
		w.number(k.relation)
		w.number(k.subject)
	}
	w.vector(&s.forward)
	w.vector(&s.reverse)
	w.number(uint32(s.tuples))
	w.number(uint32(s.tuples >> 32))
	w.number(uint32(s.bare))
	w.number(uint32(s.bare >> 32))
	sum := w.sum.Sum32()
	w.number(sum)
	if w.err == nil {
		w.err = w.to.Flush()
	}
	return w.err
}

type encoder struct {
	to  *bufio.Writer
	sum hash.Hash32
	buf []byte
	err error
}

func (w *encoder) bytes(b []byte) {
	if w.err != nil {
		return
	}
	w.sum.Write(b)
	_, w.err = w.to.Write(b)
}

func (w *encoder) number(n uint32) { w.numbers([]uint32{n}) }

func (w *encoder) numbers(list []uint32) {
	w.buf = w.buf[:0]
	for _, n := range list {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, n)
	}
	w.bytes(w.buf)
}

// list writes the length of a list before it.
func (w *encoder) list(list []uint32) {
	w.number(uint32(len(list)))
	w.numbers(list)
}

func (w *encoder) names(t *names) {
	t.mu.Lock()
	count := t.count
	t.mu.Unlock() // what is known of these is not written again
	w.number(count)
	for id := range count {
		text := t.text(id)
		w.number(t.space(id))
		w.number(uint32(len(text)))
		w.bytes([]byte(text))
	}
}

func (w *encoder) vector(v *vector) {
	for i, c := range v.all {
		w.number(i + 1)
		w.numbers(c.first[:])
		w.numbers(c.words)
		w.number(uint32(len(c.bigs)))
		for _, big := range c.bigs {
			w.number(uint32(len(big.pieces)))
			for _, piece := range big.pieces {
				w.list(piece)
			}
		}
	}
	w.number(0)
}

// ReadCheckpoint reads what WriteCheckpoint wrote.
func ReadCheckpoint(from io.Reader) (s *Snapshot, err error) {
	defer func() { // a bug here must not keep the server from starting
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	r := &decoder{from: bufio.NewReaderSize(from, 1<<20), sum: crc32.New(castagnoli)}
	if magic := r.bytes(len(checkpointMagic)); r.err == nil && string(magic) != checkpointMagic {
		return nil, errors.New("the file is no checkpoint, or of another version")
	}
	t := &tables{r.names(1), r.names(1), r.names(64), r.kinds()}
	s = &Snapshot{tables: t}
	r.limits(t)
	r.vector(s, &s.forward, false)
	r.vector(s, &s.reverse, true)
	s.tuples = int64(r.number()) | int64(r.number())<<32
	s.bare = int64(r.number()) | int64(r.number())<<32
	sum := r.sum.Sum32()
	if r.number() != sum && r.err == nil {
		r.err = errDamaged
	}
	if r.err != nil {
		return nil, r.err
	}
	return s, nil
}

type decoder struct {
	from               *bufio.Reader
	sum                hash.Hash32
	buf                []byte
	err                error
	objects, kindCount uint32 // numbers must be below these
}

// maxText is the longest text that a name may have, in bytes.
const maxText = 1 << 12

// piece is how much is read at once: a damaged length must not make the process
// ask for terabytes.
const piece = 1 << 16

func (r *decoder) bytes(n int) []byte {
	if r.err != nil {
		n = 0
	}
	if cap(r.buf) < n {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	if n == 0 {
		return r.buf
	}
	if _, err := io.ReadFull(r.from, r.buf); err != nil {
		r.err = fmt.Errorf("%w: %w", errDamaged, err)
		clear(r.buf)
	}
	r.sum.Write(r.buf)
	return r.buf
}

func (r *decoder) number() uint32 {
	if b := r.bytes(4); len(b) == 4 {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// numbers reads n numbers below a limit; 0 is no limit.
func (r *decoder) numbers(n int, below uint32) []uint32 {
	out := make([]uint32, 0, min(n, piece))
	for len(out) < n && r.err == nil {
		b := r.bytes(4 * min(n-len(out), piece))
		for ; len(b) >= 4; b = b[4:] {
			x := binary.LittleEndian.Uint32(b)
			if below > 0 && x >= below {
				r.err = errDamaged
			}
			out = append(out, x)
		}
	}
	return out
}

func (r *decoder) list(below uint32) []uint32 { return r.numbers(int(r.number()), below) }

func (r *decoder) names(shards int) *names {
	t := newNames(shards)
	for range r.number() {
		if r.err != nil {
			break
		}
		space := r.number()
		text := string(r.bytes(min(int(r.number()), maxText)))
		_, at := t.append(space, text)
		hash := hashName(space, text)
		t.put(t.shard(hash), uint32(hash), at)
	}
	return t
}

func (r *decoder) kinds() *kinds {
	t := newKinds()
	for range r.number() {
		if r.err != nil {
			break
		}
		t.intern(kind{r.number(), r.number()})
	}
	return t
}

func (r *decoder) limits(t *tables) {
	r.objects, r.kindCount = t.objects.count, uint32(len(*t.kinds.list.Load()))
	for _, k := range *t.kinds.list.Load() {
		if k.relation >= t.relations.count || k.subject >= t.relations.count {
			r.err = errDamaged
		}
	}
	if r.err == nil && (r.objects == 0 || t.relations.count == 0 || t.namespaces.count == 0) {
		r.err = errDamaged
	}
}

func (r *decoder) vector(s *Snapshot, v *vector, back bool) {
	const edit = 0 // no builder's
	for next := r.number(); next != 0 && r.err == nil; next = r.number() {
		i := next - 1
		if i >= (r.objects+chunkMask)>>chunkBits {
			r.err = errDamaged
			return
		}
		c := &chunk{table: s.kinds, back: back}
		r.chunk(c)
		s.bytes += c.bytes()
		v.set(edit, i, c)
	}
}

func (r *decoder) chunk(c *chunk) {
	copy(c.first[:], r.numbers(len(c.first), 0))
	if c.first[0] != 0 || !ascending(c.first[:]) {
		r.err = errDamaged
		return
	}
	c.words = r.numbers(int(c.first[chunkLen]), 0)
	for range r.number() {
		if r.err != nil {
			return
		}
		big := &bigList{}
		for range r.number() {
			if r.err != nil {
				return
			}
			if list := r.list(r.objects); len(list) > 0 {
				big.pieces = append(big.pieces, list)
				big.len += len(list)
			}
		}
		c.bigs = append(c.bigs, big)
	}
	if r.err == nil && !r.sound(c) {
		r.err = errDamaged
	}
}

// sound checks that the entries of c lead to where there is something.
func (r *decoder) sound(c *chunk) bool {
	for i := range uint32(chunkLen) {
		e := c.entry(i)
		if len(e) == 0 {
			continue
		}
		if len(e) < 2 || e[1] < 2 || e[1]%2 != 0 || int(e[1]) > len(e) {
			return false
		}
		at := e[1]
		for j := range e.slots() {
			if e.kind(j) >= r.kindCount || e[2*j+1] < at || int(e[2*j+1]) > len(e) {
				return false
			}
			at = e[2*j+1]
		}
		for j := range e.slots() {
			if !r.soundList(c, e, j) {
				return false
			}
		}
	}
	return true
}

func (r *decoder) soundList(c *chunk, e entry, j uint32) bool {
	members := e.members(j)
	if e.big(j) {
		return len(members) == 1 && int(members[0]) < len(c.bigs)
	}
	for _, object := range members {
		if object >= r.objects {
			return false
		}
	}
	return true
}

func ascending(list []uint32) bool {
	for i := 1; i < len(list); i++ {
		if list[i-1] > list[i] {
			return false
		}
	}
	return true
}
