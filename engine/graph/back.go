package graph

// Backlinks yields all that an object, with whatever relation, is a subject of:
// the relation that it has as a subject, and for it the relations and objects of
// the tuples. A partial graph does not know them.
func (s *Snapshot) Backlinks(object uint32, yield func(as, relation uint32, objects List) bool) {
	c := s.reverse.get(object >> chunkBits)
	if c == nil {
		return
	}
	e := c.entry(object)
	for s := e.slot(0); !s.Ended(); s = e.next(s) {
		if !yield(c.near(e.kind(s.i)), c.far(e.kind(s.i)), c.list(e, s)) {
			return
		}
	}
}

// Objects yields every object that is in a tuple, on either side, by number.
func (s *Snapshot) Objects(yield func(uint32) bool) {
	chunks := max(s.forward.len(), s.reverse.len())
	for i := range chunks {
		forward, reverse := s.forward.get(i), s.reverse.get(i)
		for local := range uint32(chunkLen) {
			if (forward.has(local) || reverse.has(local)) && !yield(i<<chunkBits|local) {
				return
			}
		}
	}
}

func (c *chunk) has(local uint32) bool { return c != nil && c.entry(local) != nil }

// len returns a number above those of all chunks.
func (v *vector) len() uint32 { return uint32(len(v.root)) << nodeBits }

// AnySubject reports whether there may be subject sets with a relation for which
// holds is true.
func (s *Snapshot) AnySubject(holds func(relation uint32) bool) bool {
	for _, subject := range s.Kinds {
		if subject != 0 && holds(subject) {
			return true
		}
	}
	return false
}
