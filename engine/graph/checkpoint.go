package graph

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"sync"
)

// A checkpoint is a complete snapshot as bytes: the tables of names and of
// kinds, and the chunks of both directions as they stand in memory, little endian, so that
// reading it is copying, and entering the names in new hash tables. What reads it
// trusts nothing: a number out of its range is an error, whatever the checksum says.
//
// It is cut into blocks. Before each stand its length and the CRC-32C of this block and
// all before it; one without content ends the checkpoint. So one goroutine reads and
// sums up blocks, another makes a graph of them, and a third enters the names, which
// waits for memory: names and hash tables took three quarters of the time when one did
// it all.
const checkpointMagic = "cardea graph 6\n\x00"

// maxBlock is the content of a block in bytes, at most.
const maxBlock = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged is the cause of most errors of ReadCheckpoint.
var errDamaged = errors.New("the checkpoint is damaged")

// WriteCheckpoint writes s, which must be complete.
func (s *Snapshot) WriteCheckpoint(to io.Writer) error {
	if s.partial {
		return errors.New("a partial graph has no checkpoint")
	}
	w := &encoder{to: to, pace: newPace()}
	_, w.err = io.WriteString(to, checkpointMagic)
	for _, t := range []*names{s.namespaces, s.relations, s.objects} {
		w.names(t)
	}
	kinds := *s.kinds.list.Load()
	w.number(uint32(len(kinds)))
	for _, k := range kinds {
		w.number(k.relation)
		w.number(k.subject)
	}
	sets := *s.sets.list.Load()
	w.number(uint32(len(sets)))
	for _, k := range sets {
		w.number(k.namespace)
		w.number(k.relation)
	}
	w.vector(&s.forward)
	w.vector(&s.reverse)
	w.number(uint32(s.tuples))
	w.number(uint32(s.tuples >> 32))
	w.number(uint32(s.bare))
	w.number(uint32(s.bare >> 32))
	w.flush()
	w.flush() // the one without content
	return w.err
}

type encoder struct {
	to    io.Writer
	block []byte
	sum   uint32
	pace  *pace
	err   error
}

// flush writes what is gathered as a block.
func (w *encoder) flush() {
	w.sum = crc32.Update(w.sum, castagnoli, w.block)
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(w.block)))
	for _, part := range [][]byte{binary.LittleEndian.AppendUint32(head, w.sum), w.block} {
		if w.err == nil {
			_, w.err = w.to.Write(part)
		}
	}
	w.block = w.block[:0]
	w.pace.rest()
}

// room makes room in the block for n more bytes, which are far fewer than it has.
func (w *encoder) room(n int) {
	if len(w.block)+n > maxBlock {
		w.flush()
	}
}

func (w *encoder) number(n uint32) {
	w.room(4)
	w.block = binary.LittleEndian.AppendUint32(w.block, n)
}

func (w *encoder) numbers(list []uint32) {
	for _, n := range list {
		w.number(n)
	}
}

func (w *encoder) text(text string) {
	w.number(uint32(len(text)))
	w.room(len(text))
	w.block = append(w.block, text...)
}

// list writes the length of a list before it.
func (w *encoder) list(list []uint32) {
	w.number(uint32(len(list)))
	w.numbers(list)
}

// names writes a table run by run.
func (w *encoder) names(t *names) {
	t.mu.Lock()
	runs, next, count := *t.runs.Load(), maps.Clone(t.next), t.count
	t.mu.Unlock() // what is known of these is not written again
	w.number(count)
	w.number(uint32(len(runs)))
	for i, space := range runs {
		first, n := uint32(i)<<runBits, uint32(runLen)
		if end, open := next[space]; open && end>>runBits == uint32(i) {
			n = end - first
		}
		w.number(space)
		w.number(n)
		for id := range n {
			w.text(t.text(first + id))
		}
	}
}

func (w *encoder) vector(v *vector) {
	for i, c := range v.all {
		w.number(i + 1)
		ends, words := c.compact()
		w.numbers(ends[:])
		w.numbers(words)
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
	magic := make([]byte, len(checkpointMagic))
	if _, err := io.ReadFull(from, magic); err != nil || string(magic) != checkpointMagic {
		return nil, errors.New("the file is no checkpoint, or of another version")
	}
	r := newDecoder(from)
	defer func() {
		if late := r.close(); late != nil {
			s, err = nil, late
		}
	}()
	t := &tables{r.names(1, 0), r.names(1, 0), r.names(64, 1), nil, nil}
	t.kinds = registered(r, func(relation, subject uint32) kind { return kind{relation, subject} })
	t.sets = registered(r, func(namespace, relation uint32) setKind { return setKind{namespace, relation} })
	s = &Snapshot{tables: t, seen: t.view()}
	r.limits(t)
	r.vector(s, &s.forward, false)
	r.vector(s, &s.reverse, true)
	s.tuples = int64(r.number()) | int64(r.number())<<32
	s.bare = int64(r.number()) | int64(r.number())<<32
	if r.end(); r.err != nil {
		return nil, r.err
	}
	return s, nil
}

type decoder struct {
	blocks             chan string
	block              string // what is left of it
	err                error
	objects, kindCount uint32 // numbers must be below these

	stop    chan struct{} // closed when no more blocks are wanted
	helpers sync.WaitGroup
	read    error // why there are no more blocks; set before blocks is closed
	mu      sync.Mutex
	late    error // of a helper that panicked; guarded by mu
}

func newDecoder(from io.Reader) *decoder {
	r := &decoder{blocks: make(chan string, 2), stop: make(chan struct{})}
	r.help(func() {
		defer close(r.blocks)
		r.read = r.readBlocks(from)
	})
	return r
}

// help runs do beside the decoder.
func (r *decoder) help(do func()) {
	r.helpers.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.late = fmt.Errorf("%w: %v", errDamaged, p)
			}
		}()
		do()
	})
}

// close waits for the helpers.
func (r *decoder) close() error {
	close(r.stop)
	r.helpers.Wait()
	return r.late
}

func (r *decoder) readBlocks(from io.Reader) error {
	var head [8]byte
	var sum uint32
	buf := make([]byte, maxBlock)
	for {
		if _, err := io.ReadFull(from, head[:]); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		n := binary.LittleEndian.Uint32(head[:])
		if n > maxBlock {
			return errDamaged
		}
		if _, err := io.ReadFull(from, buf[:n]); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		if sum = crc32.Update(sum, castagnoli, buf[:n]); sum != binary.LittleEndian.Uint32(head[4:]) {
			return errDamaged
		}
		if n == 0 {
			return nil
		}
		select {
		case r.blocks <- string(buf[:n]): // a string, of which a name is a piece
		case <-r.stop:
			return nil
		}
	}
}

// take returns the next n bytes, none after an error. No part of a checkpoint spans two
// blocks but lists of numbers.
func (r *decoder) take(n int) string {
	if len(r.block) == 0 && n > 0 && r.err == nil {
		r.next()
	}
	if r.err == nil && n > len(r.block) {
		r.err = errDamaged
	}
	if r.err != nil {
		return ""
	}
	out := r.block[:n]
	r.block = r.block[n:]
	return out
}

// next waits for a block.
func (r *decoder) next() {
	var ok bool
	if r.block, ok = <-r.blocks; !ok {
		r.err = errDamaged
		if r.read != nil {
			r.err = r.read
		}
	}
}

// end reads the end of the checkpoint.
func (r *decoder) end() {
	if r.err != nil {
		return
	}
	if _, more := <-r.blocks; more || r.block != "" {
		r.err = errDamaged
	} else {
		r.err = r.read
	}
}

// maxText is the longest text that a name may have, in bytes.
const maxText = 1 << 12

func number(s string) uint32 {
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

func (r *decoder) number() uint32 {
	if s := r.take(4); s != "" {
		return number(s)
	}
	return 0
}

// piece is for how many numbers there is room at once: a damaged length must not make
// the process ask for terabytes.
const piece = 1 << 16

// numbers reads n numbers below a limit; 0 is no limit.
func (r *decoder) numbers(n int, below uint32) []uint32 {
	out := make([]uint32, 0, min(n, piece))
	for len(out) < n && r.err == nil {
		if r.block == "" {
			r.next()
		}
		s := r.take(4 * min(n-len(out), max(len(r.block)/4, 1)))
		for ; len(s) >= 4; s = s[4:] {
			x := number(s)
			if below > 0 && x >= below {
				r.err = errDamaged
			}
			out = append(out, x)
		}
	}
	return out
}

func (r *decoder) list(below uint32) []uint32 { return r.numbers(int(r.number()), below) }

// A named is a name's hash, its number and the place of its text.
type named struct {
	hash   uint64
	id, at uint32
}

// manyNames is how many names are handed on together.
const manyNames = 4096

// names reads a table. Its names from number first on can be found in it when the
// helpers are done.
func (r *decoder) names(shards int, first uint32) *names {
	t := newNames(shards)
	count := r.number()
	t.reserve(min(count, maxReserve))
	found := make(chan []named, 16)
	r.help(func() {
		defer func() {
			for range found { // if it panics
			}
		}()
		for list := range found {
			for _, n := range list {
				t.put(n.hash, n.id, n.at)
			}
		}
	})
	defer close(found)
	list := make([]named, 0, manyNames)
	for range r.number() {
		space, n := r.number(), r.number()
		if n == 0 || n > runLen {
			r.err = cmp.Or(r.err, errDamaged)
		}
		delete(t.next, space) // a run that is not full is the last of its space
		for range n {
			text := r.take(min(int(r.number()), maxText))
			if r.err != nil {
				break
			}
			id, at := t.append(space, text)
			if id < first {
				continue
			}
			if list = append(list, named{hashName(space, text), id, at}); len(list) == cap(list) {
				found <- list
				list = make([]named, 0, manyNames)
			}
		}
		if r.err != nil {
			break
		}
	}
	found <- list
	return t
}

// registered reads a register of pairs of numbers.
func registered[T comparable](r *decoder, of func(a, b uint32) T) *register[T] {
	t := newRegister[T]()
	for range r.number() {
		if r.err != nil {
			break
		}
		a := r.number()
		t.intern(of(a, r.number()))
	}
	return t
}

func (r *decoder) limits(t *tables) {
	r.objects, r.kindCount = t.objects.end(), uint32(len(*t.kinds.list.Load()))
	for _, k := range *t.kinds.list.Load() {
		if k.relation >= t.relations.count || k.subject >= t.relations.count {
			r.err = errDamaged
		}
	}
	for _, k := range *t.sets.list.Load() {
		if k.namespace >= t.namespaces.count || k.relation >= t.relations.count {
			r.err = errDamaged
		}
	}
	for _, namespace := range *t.objects.runs.Load() {
		if namespace >= t.namespaces.count {
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
		c := &chunk{kinds: *s.kinds.list.Load(), back: back}
		r.chunk(c)
		s.bytes += c.bytes()
		v.set(edit, i, c)
	}
}

func (r *decoder) chunk(c *chunk) {
	var ends ends
	copy(ends[:], r.numbers(len(ends), 0))
	if ends[0] != 0 || !ascending(ends[:]) {
		r.err = errDamaged
		return
	}
	words := r.numbers(int(ends[chunkLen]), 0)
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
	for i := 0; i < chunkLen && r.err == nil; i++ {
		if !r.soundEntry(c, words[ends[i]:ends[i+1]]) {
			r.err = errDamaged
		}
	}
	if r.err == nil {
		c.lay(&ends, words)
	}
}

// soundEntry checks that an entry for c is whole, and leads to where there is something.
func (r *decoder) soundEntry(c *chunk, e entry) bool {
	slots, size := 0, 0
	for more := len(e) > 0; more; slots++ {
		if slots == len(e) || e.kind(uint32(slots)) >= r.kindCount {
			return false
		}
		size += int(e[slots]&countMask + 1)
		more = e[slots]&moreFlag != 0
	}
	if slots+size != len(e) {
		return false
	}
	for s := e.slot(0); !s.Ended(); s = e.next(s) {
		if !r.soundList(c, e, s) {
			return false
		}
	}
	return true
}

func (r *decoder) soundList(c *chunk, e entry, s Slot) bool {
	members := e.members(s)
	if e[s.i]&bigFlag != 0 {
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
