package engine

import "github.com/cardea-iam/cardea/engine/graph"

// A seenTable maps Refs to numbers for one walk. It has open addressing, and each
// entry has the number of the walk that wrote it, so that the table is empty for
// the next walk without being cleared: what it costs is what is used of it.
type seenTable struct {
	entries []seenEntry // a power of two
	walk    uint32
	used    int
}

type seenEntry struct {
	ref   graph.Ref
	walk  uint32
	value int32
}

// keepSeen is the largest table that is kept for other walks, in entries of 16
// bytes.
const keepSeen = 1 << 16

// reset empties the table.
func (t *seenTable) reset() {
	if t.walk++; t.walk == 0 { // after four billion walks numbers begin anew
		clear(t.entries)
		t.walk = 1
	}
	t.used = 0
	if len(t.entries) == 0 {
		t.entries = make([]seenEntry, 64)
	}
}

func (t *seenTable) slot(r graph.Ref) *seenEntry {
	mask := uint64(len(t.entries) - 1)
	for i := (uint64(r) * 0x9e3779b97f4a7c15) >> 32; ; i++ {
		if e := &t.entries[i&mask]; e.walk != t.walk || e.ref == r {
			return e
		}
	}
}

func (t *seenTable) get(r graph.Ref) (int32, bool) {
	e := t.slot(r)
	return e.value, e.walk == t.walk
}

func (t *seenTable) set(r graph.Ref, value int32) { t.fill(t.slot(r), r, value) }

// fill puts r into its slot.
func (t *seenTable) fill(e *seenEntry, r graph.Ref, value int32) {
	if e.walk != t.walk {
		if t.used++; 2*t.used > len(t.entries) {
			t.grow()
			e = t.slot(r)
		}
	}
	*e = seenEntry{r, t.walk, value}
}

func (t *seenTable) grow() {
	old := t.entries
	t.entries = make([]seenEntry, 2*len(old))
	for _, e := range old {
		if e.walk == t.walk {
			*t.slot(e.ref) = e
		}
	}
}
