package graph

import "slices"

// A Loaded says what a partial graph knows of a Ref: at least the subject sets
// among its subjects.
type Loaded struct {
	// Key is for who loads.
	Key uint64

	// Part is set if of the other subjects only some are known.
	Part   bool
	Absent []uint32 // objects that are no subjects, sorted; only if Part is set
}

// loadedBytes is what a Ref takes beside its subjects.
const loadedBytes = 120

// Knows reports whether l and the set it is about tell if the subject is a member.
func (l *Loaded) Knows(s Set, subject Ref) bool {
	if !l.Part || subject.Relation() != 0 || s.Contains(subject) {
		return true
	}
	_, absent := slices.BinarySearch(l.Absent, subject.Object())
	return absent
}

// Loaded returns what a partial graph knows of r, nil for nothing.
func (s *Snapshot) Loaded(r Ref) *Loaded {
	l, _ := s.loaded.get(r.hash(), r)
	return l
}

// AllLoaded yields every Ref of which a partial graph knows something.
func (s *Snapshot) AllLoaded(yield func(Ref, *Loaded) bool) { s.loaded.all(yield) }

// Loaded returns what is known of r so far.
func (b *Builder) Loaded(r Ref) *Loaded { return b.next.Loaded(r) }

// Load makes r known in a partial graph. members are subjects that were not known
// before; what was known stays.
func (b *Builder) Load(r Ref, l *Loaded, members []Ref) {
	slices.Sort(l.Absent)
	l.Absent = slices.Compact(l.Absent)
	b.setLoaded(r, l)
	for _, m := range members {
		b.edit(r, m, true)
	}
}

// Drop makes Refs unknown in a partial graph.
func (b *Builder) Drop(refs []Ref) {
	if len(refs) == 0 {
		return
	}
	b.apply() // else what is pending for them would bring subjects back
	for _, r := range refs {
		for m := range b.next.Set(r).All {
			b.edit(r, m, false)
		}
		b.setLoaded(r, nil)
	}
}

// Suspect makes a partial graph say that tuples with the empty relation exist.
func (b *Builder) Suspect() {
	if b.next.bare == 0 {
		b.next.bare, b.dirty = 1, true
	}
}

func (b *Builder) setLoaded(r Ref, l *Loaded) {
	old := b.next.Loaded(r)
	b.dirty = true
	b.next.bytes += l.bytes() - old.bytes()
	if l == nil {
		b.next.loaded.remove(b.number, r.hash(), r)
	} else {
		b.next.loaded.put(b.number, r.hash(), r, l, Ref.hash)
	}
}

func (l *Loaded) bytes() int64 {
	if l == nil {
		return 0
	}
	return int64(loadedBytes + 4*len(l.Absent))
}

// follow notes a change of r in a partial graph, and reports whether r is known.
func (b *Builder) follow(r, subject Ref, insert bool) bool {
	l := b.next.Loaded(r)
	if l == nil {
		return false
	}
	if l.Part && subject.Relation() == 0 {
		at, absent := slices.BinarySearch(l.Absent, subject.Object())
		if absent == insert {
			changed := *l
			if insert {
				changed.Absent = slices.Delete(slices.Clone(l.Absent), at, at+1)
			} else {
				changed.Absent = slices.Insert(slices.Clone(l.Absent), at, subject.Object())
			}
			b.setLoaded(r, &changed)
		}
	}
	return true
}
