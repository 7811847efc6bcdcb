package graph

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// A chunk has the adjacency of chunkLen objects with consecutive numbers, in one
// direction: in the forward direction the subjects of each object's relations, in
// the other one the objects of each subject's memberships. It never changes; a
// write copies the chunks that it touches, some kilobytes each, and shares the
// others. There is nothing to merge later, and no second place to look.
//
// It begins with a line of 1<<shift words for each object, which has the object's entry, or
// else where that stands behind the lines. How long the lines are depends on the
// entries: a server waits for memory more than for anything else on its walk, and where a line is
// follows from the object's number, so most objects cost one wait. (With entries of
// any length, and a table of where each begins, it was two.) A list longer than bigMin
// stands outside: its slot has one member, the list's place in bigs.
type chunk struct {
	words []uint32
	shift uint8
	back  bool   // of the reverse direction
	laid  uint32 // how long words was when the chunk was made anew
	kinds []kind // by number; there may be more by now, which this chunk has none of
	bigs  []*bigList
}

// An entry is what a chunk has of one object: its slots, one for each kind of its
// tuples, sorted by the near relation (that of the object itself) and then the far one,
// and behind them the members of the first slot, of the second, and so on. The slice
// may go on behind it.
//
// A slot is a word: the kind plus one, flags, and how many members there are less one,
// from which follows where those of the next begin. A line that begins with 0 is of an
// object without an entry.
type entry []uint32

const (
	chunkBits = 8
	chunkLen  = 1 << chunkBits
	chunkMask = chunkLen - 1

	countMask = bigMin - 1
	bigFlag   = bigMin     // the one member is a place in bigs
	moreFlag  = bigMin * 2 // there is another slot behind this one
	kindShift = 11
	spilled   = 1 << 31 // in a line: the entry stands behind the lines, at the word that the other bits say
	maxKinds  = 1<<(31-kindShift) - 1
)

// entry returns the entry of an object, nil if it has none.
func (c *chunk) entry(object uint32) entry {
	at := (object & chunkMask) << c.shift
	if at >= uint32(len(c.words)) {
		return nil
	}
	switch first := c.words[at]; {
	case first == 0:
		return nil
	case first&spilled != 0:
		return c.words[first&^spilled:]
	default:
		return c.words[at:]
	}
}

// size returns the length of an entry in words.
func (e entry) size() uint32 {
	n := e.slots()
	size := n
	for _, slot := range e[:n] {
		size += slot&countMask + 1
	}
	return size
}

// ends are where the entries of a chunk end that stand one behind the other: that of
// object i goes from ends[i] to ends[i+1].
type ends [chunkLen + 1]uint32

// lay puts entries that stand one behind the other into c.
func (c *chunk) lay(ends *ends, words []uint32) {
	if len(words) == 0 {
		return
	}
	c.shift = lineShift(ends)
	lines, behind := uint32(chunkLen)<<c.shift, uint32(0)
	for i := range chunkLen {
		if n := ends[i+1] - ends[i]; n > 1<<c.shift {
			behind += n
		}
	}
	c.words = make([]uint32, lines, lines+behind)
	c.laid = lines + behind
	for i := range uint32(chunkLen) {
		c.put(i, words[ends[i]:ends[i+1]])
	}
}

// put puts an entry into its line, or behind all others.
func (c *chunk) put(object uint32, e entry) {
	line := c.words[object<<c.shift:][:1<<c.shift]
	if len(e) > len(line) {
		line[0] = spilled | uint32(len(c.words))
		c.words = append(c.words, e...)
		return
	}
	line[0] = 0
	copy(line, e)
}

const (
	maxShift = 5

	// waitWords is what one wait less for an object's memory may cost, in words.
	waitWords = 12
)

// lineShift returns how long lines are best for entries.
func lineShift(ends *ends) uint8 {
	var count, sum [maxShift + 2]uint32 // of entries by the shift of the shortest line that they fit in
	for i := range chunkLen {
		if n := ends[i+1] - ends[i]; n > 0 {
			fits := min(bits.Len32(n-1), maxShift+1)
			count[fits]++
			sum[fits] += n
		}
	}
	best, least, behind := 0, uint32(math.MaxUint32), uint32(0)
	for shift := maxShift; shift >= 0; shift-- {
		behind += sum[shift+1] + waitWords*count[shift+1]
		if cost := chunkLen<<shift + behind; cost < least {
			best, least = shift, cost
		}
	}
	return uint8(best)
}

// compact returns the entries of c one behind the other.
func (c *chunk) compact() (ends ends, words []uint32) {
	words = make([]uint32, 0, len(c.words))
	for i := range uint32(chunkLen) {
		e := c.entry(i)
		words = append(words, e[:e.size()]...)
		ends[i+1] = uint32(len(words))
	}
	return ends, words
}

// slots returns the number of slots.
func (e entry) slots() uint32 {
	if len(e) == 0 {
		return 0
	}
	n := uint32(1)
	for e[n-1]&moreFlag != 0 {
		n++
	}
	return n
}

// kind returns the kind of slot i.
func (e entry) kind(i uint32) uint32 { return e[i]>>kindShift - 1 }

// A Slot is a place in an entry: the i-th slot, and where its members begin. With at 0 it
// is the end. (Two numbers stay in registers; an iterator that knew its entry was copied
// from call to call, and made a direct check take 0.24 µs instead of 0.17.)
type Slot struct{ i, at uint32 }

// Ended reports whether s is behind the last slot.
func (s Slot) Ended() bool { return s.at == 0 }

// slot returns slot i, or the end.
func (e entry) slot(i uint32) Slot {
	n := e.slots()
	if i >= n {
		return Slot{}
	}
	at := n
	for j := range i {
		at += e[j]&countMask + 1
	}
	return Slot{i, at}
}

// next returns the slot behind s.
func (e entry) next(s Slot) Slot {
	word := e[s.i]
	if word&moreFlag == 0 {
		return Slot{}
	}
	return Slot{s.i + 1, s.at + word&countMask + 1}
}

func (e entry) members(s Slot) []uint32 { return e[s.at : s.at+e[s.i]&countMask+1] }

// near returns the relation of a slot's kind that belongs to the objects of c, and
// far the other.
func (c *chunk) near(k uint32) uint32 { return c.kinds[k].near(c.back) }

func (c *chunk) far(k uint32) uint32 { return c.kinds[k].near(!c.back) }

// list returns the objects of a slot.
func (c *chunk) list(e entry, s Slot) List {
	if e[s.i]&bigFlag != 0 {
		return c.bigs[e[s.at]].list()
	}
	return flatList(e.members(s))
}

// find returns the slots of an object with a near relation.
func (c *chunk) find(object, relation uint32) Set {
	e := c.entry(object)
	n := e.slots()
	if n == 0 {
		return Set{}
	}
	lo := uint32(0)
	for ; lo < n; lo++ {
		if r := c.near(e.kind(lo)); r == relation {
			break
		} else if r > relation {
			return Set{}
		}
	}
	hi := lo
	for hi < n && c.near(e.kind(hi)) == relation {
		hi++
	}
	if lo == hi {
		return Set{}
	}
	return Set{c, object, lo, hi}
}

// bytes estimates the memory that c takes.
func (c *chunk) bytes() int64 {
	if c == nil {
		return 0
	}
	n := int64(96 + 4*cap(c.words) + 8*cap(c.bigs))
	for _, big := range c.bigs {
		n += big.bytes()
	}
	return n
}

// A chunkEdit is an edit of the list of an object and a kind. They come sorted.
type chunkEdit struct {
	object, kind uint32
	edit
}

// sorted sorts edits by order, and leaves equal ones as they came. Many are first
// sorted by object alone, digit by digit, which takes no comparing.
func (c *chunk) sorted(edits []chunkEdit) []chunkEdit {
	if len(edits) < 1<<10 {
		slices.SortStableFunc(edits, c.order)
		return edits
	}
	edits = sortedByObject(edits)
	for lo := 0; lo < len(edits); {
		hi := lo + 1
		for hi < len(edits) && edits[hi].object == edits[lo].object {
			hi++
		}
		if hi-lo > 1 {
			slices.SortStableFunc(edits[lo:hi], c.order)
		}
		lo = hi
	}
	return edits
}

// sortedByObject is a radix sort.
func sortedByObject(edits []chunkEdit) []chunkEdit {
	const bits = 11
	other := make([]chunkEdit, len(edits))
	for shift := 0; shift < 32; shift += bits {
		var starts [1<<bits + 1]int
		for _, e := range edits {
			starts[e.object>>shift&(1<<bits-1)+1]++
		}
		for i := range 1 << bits {
			starts[i+1] += starts[i]
		}
		for _, e := range edits {
			digit := e.object >> shift & (1<<bits - 1)
			other[starts[digit]] = e
			starts[digit]++
		}
		edits, other = other, edits
	}
	return edits
}

// order sorts edits as slots are: by object, near relation, far relation, and then
// by the object in the list.
func (c *chunk) order(a, b chunkEdit) int {
	if a.object != b.object {
		return cmp.Compare(a.object, b.object)
	}
	if a.kind != b.kind {
		if n := cmp.Compare(c.near(a.kind), c.near(b.kind)); n != 0 {
			return n
		}
		return cmp.Compare(c.far(a.kind), c.far(b.kind))
	}
	return cmp.Compare(a.edit.object, b.edit.object)
}

// edited returns a copy of c with sorted edits, which are of kinds, and by how many
// members it grew, in all and in lists of the empty near relation.
func (c *chunk) edited(kinds []kind, edits []chunkEdit) (next *chunk, grown, bare int64) {
	m := merge{from: c, to: &chunk{kinds: kinds, back: c.back}}
	if !m.patch(edits) {
		m = merge{from: c, to: m.to}
		m.rebuild(edits)
	}
	return m.to, m.grown, m.bare
}

// A merge makes a chunk from another one and edits.
type merge struct {
	from, to *chunk
	grown    int64
	bare     int64

	ends  ends // of the entries in words
	words []uint32

	// Scratch: edits of a slot, and the entry in the making.
	edits   []edit
	slots   []uint32
	members []uint32
}

// patchMost is how many edits of a chunk change single entries in a copy of it. To make it
// anew takes three times as long, since all entries are looked at.
const patchMost = 32

// patch copies the chunk and changes the entries that edits are about. It reports false if
// the chunk has to be made anew: because lists stand outside, which would be kept for ever, or
// because entries behind the lines were replaced by so many others.
func (m *merge) patch(edits []chunkEdit) bool {
	c, to := m.from, m.to
	if len(edits) > patchMost || len(c.words) == 0 || len(c.bigs) > 0 {
		return false
	}
	to.shift, to.laid = c.shift, c.laid
	to.words = append(make([]uint32, 0, len(c.words)+c.behind(edits)), c.words...)
	for len(edits) > 0 {
		n := sameObject(edits)
		local := edits[0].object & chunkMask
		m.words = m.words[:0]
		m.editObject(local, edits[:n])
		to.put(local, m.words)
		edits = edits[n:]
	}
	return uint32(len(to.words)) <= to.laid+to.laid/8
}

// behind returns for how many words edits may need room behind the lines.
func (c *chunk) behind(edits []chunkEdit) (words int) {
	for len(edits) > 0 {
		n := sameObject(edits)
		if most := int(c.entry(edits[0].object).size()) + 2*n; most > 1<<c.shift { // each is a member, and perhaps a slot
			words += most
		}
		edits = edits[n:]
	}
	return words
}

// rebuild makes the chunk anew.
func (m *merge) rebuild(edits []chunkEdit) {
	m.words = make([]uint32, 0, len(m.from.words)+len(edits)+2*min(len(edits), 4))
	for local := uint32(0); local < chunkLen; {
		if len(edits) == 0 {
			m.copyObjects(local, chunkLen)
			break
		}
		next, n := edits[0].object&chunkMask, sameObject(edits)
		m.copyObjects(local, next)
		m.editObject(next, edits[:n])
		edits, local = edits[n:], next+1
	}
	m.to.lay(&m.ends, m.words)
}

// sameObject returns how many edits at the beginning are about one object.
func sameObject(edits []chunkEdit) int {
	n := 1
	for n < len(edits) && edits[n].object == edits[0].object {
		n++
	}
	return n
}

// copyObjects takes over the objects from lo to below hi as they are.
func (m *merge) copyObjects(lo, hi uint32) {
	c := m.from
	for i := lo; i < hi; i++ {
		e := c.entry(i)
		if len(c.bigs) == 0 {
			m.words = append(m.words, e[:e.size()]...)
			m.ends[i+1] = uint32(len(m.words))
			continue
		}
		for s := e.slot(0); !s.Ended(); s = e.next(s) {
			m.put(e.kind(s.i), c.list(e, s))
		}
		m.finish(i)
	}
}

// put appends a slot to the entry. Its list is not empty.
func (m *merge) put(kind uint32, l List) {
	word := (kind+1)<<kindShift | moreFlag
	if big := l.big(); big != nil {
		word |= bigFlag
		m.members = append(m.members, uint32(len(m.to.bigs)))
		m.to.bigs = append(m.to.bigs, big)
	} else {
		word |= uint32(l.n - 1)
		m.members = append(m.members, l.flat()...)
	}
	m.slots = append(m.slots, word)
}

// finish makes what was put the entry of an object.
func (m *merge) finish(local uint32) {
	if n := len(m.slots); n > 0 {
		m.slots[n-1] &^= moreFlag
	}
	m.words = append(append(m.words, m.slots...), m.members...)
	m.ends[local+1] = uint32(len(m.words))
	m.slots, m.members = m.slots[:0], m.members[:0]
}

// editObject takes over one object with its edits.
func (m *merge) editObject(local uint32, edits []chunkEdit) {
	c := m.from
	e := c.entry(local)
	slot := e.slot(0)
	for len(edits) > 0 || !slot.Ended() {
		n := 0
		for n < len(edits) && edits[n].kind == edits[0].kind {
			n++
		}
		switch {
		case n == 0 || !slot.Ended() && m.to.before(e.kind(slot.i), edits[0].kind):
			m.put(e.kind(slot.i), c.list(e, slot))
			slot = e.next(slot)
		case !slot.Ended() && e.kind(slot.i) == edits[0].kind:
			m.editSlot(edits[0].kind, c.list(e, slot), edits[:n])
			edits = edits[n:]
			slot = e.next(slot)
		default:
			m.editSlot(edits[0].kind, List{}, edits[:n])
			edits = edits[n:]
		}
	}
	m.finish(local)
}

// before reports whether a slot of kind a comes before one of kind b.
func (c *chunk) before(a, b uint32) bool {
	if a == b {
		return false
	}
	if x, y := c.near(a), c.near(b); x != y {
		return x < y
	}
	return c.far(a) < c.far(b)
}

// editSlot appends a slot with its edits, unless it ends up empty.
func (m *merge) editSlot(kind uint32, l List, edits []chunkEdit) {
	m.edits = m.edits[:0]
	for _, e := range edits {
		m.edits = append(m.edits, e.edit)
	}
	before := l.Len()
	if big := l.big(); big != nil {
		big = big.edited(m.edits)
		if l = big.list(); big.len <= bigMin/2 {
			l = flatList(big.flat())
		}
	} else {
		l = flatList(edited(make([]uint32, 0, before+len(edits)), l.flat(), m.edits))
		if l.n > bigMin {
			l = newBig(l.flat()).list()
		}
	}
	m.grown += int64(l.Len() - before)
	if m.to.near(kind) == 0 {
		m.bare += int64(l.Len() - before)
	}
	if l.Len() > 0 {
		m.put(kind, l)
	}
}
