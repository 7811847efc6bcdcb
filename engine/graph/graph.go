package graph

import "unsafe"

// Plain is the namespace, without a name, of plain subject ids.
const Plain uint32 = 0

// A Ref is a relation to an object: the object in the upper half, the relation
// in the lower.
type Ref uint64

// MakeRef returns the Ref of a relation to an object.
func MakeRef(object, relation uint32) Ref { return Ref(object)<<32 | Ref(relation) }

// Object returns the object of r.
func (r Ref) Object() uint32 { return uint32(r >> 32) }

// Relation returns the relation of r, 0 for the object itself.
func (r Ref) Relation() uint32 { return uint32(r) }

func (r Ref) hash() uint64 { return mix(uint64(r)) }

// A Set is the subjects of one Ref, or its memberships. It has one slot for each
// relation that they have, sorted by it; the zero Set has none.
type Set struct {
	c      *chunk
	object uint32
	lo, hi uint32 // of the slots of its object
}

// IsEmpty reports whether there is nothing in s.
func (s Set) IsEmpty() bool { return s.lo == s.hi }

// First returns the first slot.
func (s Set) First() Slot {
	if s.c == nil {
		return Slot{}
	}
	return s.entry().slot(s.lo)
}

// Next returns the slot behind another one.
func (s Set) Next(slot Slot) Slot {
	if slot.i+1 == s.hi {
		return Slot{}
	}
	return s.entry().next(slot)
}

func (s Set) entry() entry { return s.c.entry(s.object) }

// Relation returns the relation that the objects in a slot have.
func (s Set) Relation(slot Slot) uint32 { return s.c.far(s.entry().kind(slot.i)) }

// List returns the objects in a slot.
func (s Set) List(slot Slot) List { return s.c.list(s.entry(), slot) }

// Direct returns the subjects without a relation: plain ids, and objects.
func (s Set) Direct() List {
	if slot := s.First(); !slot.Ended() && s.Relation(slot) == 0 {
		return s.List(slot)
	}
	return List{}
}

// HasSets reports whether there are subjects with a relation.
func (s Set) HasSets() bool {
	return s.hi-s.lo > 1 || s.c != nil && s.c.far(s.entry().kind(s.lo)) != 0
}

// Contains reports whether the subject is one of the set as it stands.
func (s Set) Contains(subject Ref) bool {
	for slot := s.First(); !slot.Ended(); slot = s.Next(slot) {
		if s.Relation(slot) == subject.Relation() {
			return s.List(slot).Has(subject.Object())
		}
	}
	return false
}

// Len returns the number of subjects.
func (s Set) Len() (n int) {
	for slot := s.First(); !slot.Ended(); slot = s.Next(slot) {
		n += s.List(slot).Len()
	}
	return n
}

// All yields the subjects, sorted by relation and object.
func (s Set) All(yield func(Ref) bool) {
	for slot := s.First(); !slot.Ended(); slot = s.Next(slot) {
		for object := range s.List(slot).All {
			if !yield(MakeRef(object, s.Relation(slot))) {
				return
			}
		}
	}
}

// A Snapshot is one state of the graph.
type Snapshot struct {
	seen    view
	forward vector
	bare    int64 // tuples whose relation is empty; in a partial graph: not 0 if there may be any

	*tables
	reverse  vector
	tuples   int64
	bytes    int64 // of the chunks, an estimate
	replaced int64 // of those chunks of the snapshot before that this one does not share

	// In a partial graph only:
	partial bool
	loaded  trie[Ref, *Loaded]
}

// tables are what all snapshots of a graph share.
type tables struct {
	namespaces, relations, objects *names
	kinds                          *kinds
	sets                           *register[setKind]
}

// Empty returns a graph without tuples.
func Empty() *Snapshot {
	t := &tables{newNames(1), newNames(1), newNames(64), newRegister[kind](), newRegister[setKind]()}
	t.namespaces.intern(0, "")
	t.relations.intern(0, "")
	t.objects.append(0, "") // G3: object 0 is none
	return &Snapshot{tables: t, seen: t.view()}
}

// Unknown returns a partial graph of which nothing is known yet.
func Unknown() *Snapshot {
	s := Empty()
	s.partial = true
	return s
}

// Namespace returns the number of a namespace, if the graph ever met it.
func (s *Snapshot) Namespace(text string) (uint32, bool) { return s.namespaces.lookup(0, text) }

// Relation returns the number of a relation, if the graph ever met it.
func (s *Snapshot) Relation(text string) (uint32, bool) {
	if text == "" {
		return 0, true // G3
	}
	return s.relations.lookup(0, text)
}

// Object returns the number of an object, if the graph ever met it.
func (s *Snapshot) Object(namespace uint32, id string) (uint32, bool) {
	return s.objects.lookup(namespace, id)
}

// NamespaceOf returns the namespace of an object.
func (s *Snapshot) NamespaceOf(object uint32) uint32 {
	if run := int(object >> runBits); run < len(s.seen.runs) {
		return s.seen.runs[run]
	}
	return s.objects.space(object)
}

// NamespaceName returns the name of a namespace.
func (s *Snapshot) NamespaceName(namespace uint32) string { return s.namespaces.text(namespace) }

// RelationName returns the name of a relation.
func (s *Snapshot) RelationName(relation uint32) string { return s.relations.text(relation) }

// ObjectName returns the id of an object within its namespace.
func (s *Snapshot) ObjectName(object uint32) string { return s.objects.text(object) }

// Set returns the subjects of r. In a partial graph they are those that are
// known, see Loaded.
func (s *Snapshot) Set(r Ref) Set { return s.forward.find(r) }

// Memberships returns the Refs that r is a subject of: slots by their relation. A
// partial graph does not know them.
func (s *Snapshot) Memberships(r Ref) Set { return s.reverse.find(r) }

func (v *vector) find(r Ref) Set {
	if c := v.get(r.Object() >> chunkBits); c != nil {
		return c.find(r.Object(), r.Relation())
	}
	return Set{}
}

// All yields every Ref that has subjects, and them.
func (s *Snapshot) All(yield func(Ref, Set) bool) {
	for n, c := range s.forward.all {
		for local := range uint32(chunkLen) {
			e := c.entry(local)
			for lo := uint32(0); lo < e.slots(); {
				relation := c.near(e.kind(lo))
				set := c.find(local, relation)
				if !yield(MakeRef(n<<chunkBits|local, relation), set) {
					return
				}
				lo = set.hi
			}
		}
	}
}

// Tuples returns the number of tuples in memory.
func (s *Snapshot) Tuples() int64 { return s.tuples }

// Bytes estimates the memory that the snapshot takes, the names included.
func (s *Snapshot) Bytes() int64 {
	return s.bytes + s.namespaces.bytes.Load() + s.relations.bytes.Load() + s.objects.bytes.Load()
}

// Beside estimates the memory that s takes beside next, which was built from it or
// shares nothing with it.
func (s *Snapshot) Beside(next *Snapshot) int64 {
	if s.tables != next.tables {
		return s.Bytes()
	}
	return next.replaced
}

// HasBare reports whether any tuple has the empty relation. While there is none,
// objects as subjects need not be looked into.
func (s *Snapshot) HasBare() bool { return s.bare > 0 }

// A Star is all that is stored of one object: a slot for each pair of relations, sorted by
// that of the object. The lists of the slots stand behind them, the first behind the last
// slot.
type Star []uint32

// Star returns all that is stored of an object.
func (s *Snapshot) Star(object uint32) Star {
	at, words := s.forward.lineAt(object)
	switch first := *(*uint32)(at); {
	case first == 0:
		return nil
	case first&spilled != 0: // else the chunk need not be looked at
		return Star(s.forward.get(object >> chunkBits).entry(object))
	default:
		return unsafe.Slice((*uint32)(at), words)
	}
}

// Slots returns the number of slots.
func (s Star) Slots() uint32 { return entry(s).slots() }

// Behind returns where the list behind that of slot i begins, which begins at at.
func (s Star) Behind(i, at uint32) uint32 { return at + s[i]&countMask + 1 }

// Kind returns the relation of slot i, and that of the subjects in it.
func (s *Snapshot) Kind(star Star, i uint32) (relation, subject uint32) {
	k := &s.seen.kinds[star[i]>>kindShift-1]
	return k.relation, k.subject
}

// List returns the subjects in slot i of an object's star, which begin at at.
func (s *Snapshot) List(object uint32, star Star, i, at uint32) List {
	if word := star[i]; word&bigFlag == 0 {
		return List{unsafe.Pointer(&star[at]), int(word&countMask + 1)}
	}
	return s.bigList(object, star[at])
}

func (s *Snapshot) bigList(object, i uint32) List {
	return s.forward.get(object >> chunkBits).bigs[i].list()
}
