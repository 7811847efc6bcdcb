package graph

import (
	"cmp"
	"slices"
)

// A chunk has the adjacency of chunkLen objects with consecutive numbers, in one
// direction: in the forward direction the subjects of each object's relations, in
// the other one the objects of each subject's memberships. It never changes; a
// write copies the chunks that it touches, some kilobytes each, and shares the
// others. There is nothing to merge later, and no second place to look.
//
// Object i has the slots first[i] to first[i+1], one for each kind of its tuples,
// sorted by the near relation (that of the object itself) and then the far one.
// Slot j ends in members at ends[j] and begins where slot j-1 ends. A list longer
// than bigMin stands outside: its slot has one member, the list's place in bigs.
type chunk struct {
	table   *kinds
	back    bool // of the reverse direction
	first   [chunkLen + 1]uint32
	kinds   []uint32 // with bigFlag if the list is in bigs
	ends    []uint32
	members []uint32
	bigs    []*bigList
}

const (
	chunkBits = 7
	chunkLen  = 1 << chunkBits
	chunkMask = chunkLen - 1
	bigFlag   = 1 << 31
)

// near returns the relation of a slot's kind that belongs to the objects of c, and
// far the other.
func (c *chunk) near(k uint32) uint32 { return c.table.of(k &^ bigFlag).near(c.back) }

func (c *chunk) far(k uint32) uint32 { return c.table.of(k &^ bigFlag).near(!c.back) }

// list returns the objects of slot j.
func (c *chunk) list(j uint32) List {
	start := uint32(0)
	if j > 0 {
		start = c.ends[j-1]
	}
	if c.kinds[j]&bigFlag != 0 {
		return List{big: c.bigs[c.members[start]]}
	}
	return List{flat: c.members[start:c.ends[j]]}
}

// find returns the slots of an object with a near relation.
func (c *chunk) find(object, relation uint32) Set {
	lo, end := c.first[object&chunkMask], c.first[object&chunkMask+1]
	if lo == end {
		return Set{}
	}
	table := *c.table.list.Load()
	for ; lo < end; lo++ {
		if r := table[c.kinds[lo]&^bigFlag].near(c.back); r == relation {
			break
		} else if r > relation {
			return Set{}
		}
	}
	hi := lo
	for hi < end && table[c.kinds[hi]&^bigFlag].near(c.back) == relation {
		hi++
	}
	if lo == hi {
		return Set{}
	}
	return Set{c, lo, hi}
}

// bytes estimates the memory that c takes.
func (c *chunk) bytes() int64 {
	if c == nil {
		return 0
	}
	n := int64(4*(chunkLen+1)+112) + int64(4*(cap(c.kinds)+cap(c.ends)+cap(c.members))+8*cap(c.bigs))
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

// edited returns a copy of c with sorted edits, and by how many members it grew,
// in all and in lists of the empty near relation.
func (c *chunk) edited(edits []chunkEdit) (next *chunk, grown, bare int64) {
	m := merge{from: c, to: &chunk{table: c.table, back: c.back}}
	m.to.kinds = make([]uint32, 0, len(c.kinds)+min(len(edits), 4))
	m.to.ends = make([]uint32, 0, len(c.ends)+min(len(edits), 4))
	m.to.members = make([]uint32, 0, len(c.members)+len(edits))
	for local := uint32(0); local < chunkLen; {
		if len(edits) == 0 {
			m.copyObjects(local, chunkLen)
			break
		}
		next := edits[0].object & chunkMask
		m.copyObjects(local, next)
		n := 1
		for n < len(edits) && edits[n].object == edits[0].object {
			n++
		}
		m.editObject(next, edits[:n])
		edits, local = edits[n:], next+1
	}
	m.to.members = slices.Clip(m.to.members)
	return m.to, m.grown, m.bare
}

// A merge makes a chunk from another one and edits.
type merge struct {
	from, to *chunk
	edits    []edit // scratch
	grown    int64
	bare     int64
}

// copyObjects takes over the objects from lo to below hi as they are.
func (m *merge) copyObjects(lo, hi uint32) {
	if lo >= hi {
		return
	}
	c, to := m.from, m.to
	a, b := c.first[lo], c.first[hi]
	shift := uint32(len(to.kinds)) - a
	for i := lo; i < hi; i++ {
		to.first[i+1] = c.first[i+1] + shift
	}
	if a == b {
		return
	}
	start := uint32(0)
	if a > 0 {
		start = c.ends[a-1]
	}
	if len(c.bigs) > 0 {
		for j := a; j < b; j++ {
			m.copySlot(j)
		}
		return
	}
	move := uint32(len(to.members)) - start
	to.kinds = append(to.kinds, c.kinds[a:b]...)
	to.members = append(to.members, c.members[start:c.ends[b-1]]...)
	for _, end := range c.ends[a:b] {
		to.ends = append(to.ends, end+move)
	}
}

func (m *merge) copySlot(j uint32) { m.put(m.from.kinds[j]&^bigFlag, m.from.list(j)) }

// put appends a slot.
func (m *merge) put(kind uint32, l List) {
	to := m.to
	if l.big != nil {
		kind |= bigFlag
		to.members = append(to.members, uint32(len(to.bigs)))
		to.bigs = append(to.bigs, l.big)
	} else {
		to.members = append(to.members, l.flat...)
	}
	to.kinds = append(to.kinds, kind)
	to.ends = append(to.ends, uint32(len(to.members)))
}

// editObject takes over one object with its edits.
func (m *merge) editObject(local uint32, edits []chunkEdit) {
	c := m.from
	slot, end := c.first[local], c.first[local+1]
	for len(edits) > 0 || slot < end {
		n := 0
		for n < len(edits) && edits[n].kind == edits[0].kind {
			n++
		}
		switch {
		case n == 0 || slot < end && c.before(c.kinds[slot], edits[0].kind):
			m.copySlot(slot)
			slot++
		case slot < end && c.kinds[slot]&^bigFlag == edits[0].kind:
			m.editSlot(edits[0].kind, c.list(slot), edits[:n])
			edits = edits[n:]
			slot++
		default:
			m.editSlot(edits[0].kind, List{}, edits[:n])
			edits = edits[n:]
		}
	}
	m.to.first[local+1] = uint32(len(m.to.kinds))
}

// before reports whether a slot of kind a comes before one of kind b.
func (c *chunk) before(a, b uint32) bool {
	a &^= bigFlag
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
	if l.big != nil {
		l = List{big: l.big.edited(m.edits)}
		if l.big.len <= bigMin/2 {
			l = List{flat: l.big.flat()}
		}
	} else {
		l = List{flat: edited(make([]uint32, 0, before+len(edits)), l.flat, m.edits)}
		if len(l.flat) > bigMin {
			l = List{big: newBig(l.flat)}
		}
	}
	m.grown += int64(l.Len() - before)
	if m.from.near(kind) == 0 {
		m.bare += int64(l.Len() - before)
	}
	if l.Len() > 0 {
		m.put(kind, l)
	}
}
