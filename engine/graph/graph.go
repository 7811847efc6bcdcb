package graph

import "slices"

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

// A Set is the subjects of one Ref.
type Set struct {
	// Direct has the plain subject ids and the objects, Sets the subject sets
	// with a relation. Both are sorted and must not be written.
	Direct, Sets []Ref

	// Part is nil if all subjects are here. Else Sets is whole, but of Direct only
	// some are known.
	Part *Part

	// Key is for who loads the set, see Builder.Load.
	Key uint64
}

// A Part is what is known of a Set beyond its members.
type Part struct {
	Absent []Ref // subjects that are not members, sorted
}

// Contains reports whether the subject is one of the set as it stands.
func (s *Set) Contains(subject Ref) bool {
	if s == nil {
		return false
	}
	list := s.Direct
	if subject.Relation() != 0 {
		list = s.Sets
	}
	_, found := slices.BinarySearch(list, subject)
	return found
}

// Knows reports whether Contains tells the truth about the subject.
func (s *Set) Knows(subject Ref) bool {
	if s.Part == nil || subject.Relation() != 0 || s.Contains(subject) {
		return true
	}
	_, absent := slices.BinarySearch(s.Part.Absent, subject)
	return absent
}

// Len returns the number of subjects.
func (s *Set) Len() int { return len(s.Direct) + len(s.Sets) }

// A Snapshot is one state of the graph.
type Snapshot struct {
	namespaces names
	relations  names
	objects    names
	sets       trie[Ref, *Set]
	tuples     int64
	bare       int64 // tuples whose relation is empty; in a partial one: not 0 if there may be any
	bytes      int64 // an estimate
	partial    bool  // G5
}

// What things take in memory, measured on 64 bits: a name beside its text, a
// set beside its members, a member, and what Go adds to a slice of members.
const (
	nameBytes   = 120
	setBytes    = 64 + 40
	memberBytes = 8
)

// Empty returns a graph without tuples.
func Empty() *Snapshot { return empty(false) }

// Unknown returns a partial graph of which nothing is known yet.
func Unknown() *Snapshot { return empty(true) }

func empty(partial bool) *Snapshot {
	s := &Snapshot{partial: partial}
	b := s.Build()
	b.Namespace("")
	b.Relation("")
	b.next.objects.list = append(b.next.objects.list, name{}) // G3: object 0 is none
	return b.Publish()
}

// Namespace returns the number of a namespace, if the graph ever met it.
func (s *Snapshot) Namespace(text string) (uint32, bool) {
	return s.namespaces.lookup(name{text: text})
}

// Relation returns the number of a relation, if the graph ever met it.
func (s *Snapshot) Relation(text string) (uint32, bool) { return s.relations.lookup(name{text: text}) }

// Object returns the number of an object, if the graph ever met it.
func (s *Snapshot) Object(namespace uint32, id string) (uint32, bool) {
	return s.objects.lookup(name{namespace, id})
}

// NamespaceOf returns the namespace of an object.
func (s *Snapshot) NamespaceOf(object uint32) uint32 { return s.objects.list[object].space }

// NamespaceName returns the name of a namespace.
func (s *Snapshot) NamespaceName(namespace uint32) string { return s.namespaces.list[namespace].text }

// RelationName returns the name of a relation.
func (s *Snapshot) RelationName(relation uint32) string { return s.relations.list[relation].text }

// ObjectName returns the id of an object within its namespace.
func (s *Snapshot) ObjectName(object uint32) string { return s.objects.list[object].text }

// Set returns the subjects of r, nil if there are none, or, in a partial graph,
// if they are not known.
func (s *Snapshot) Set(r Ref) *Set {
	set, _ := s.sets.get(r.hash(), r)
	return set
}

// All yields every Ref that has subjects, in no particular order.
func (s *Snapshot) All(yield func(Ref, *Set) bool) { s.sets.all(yield) }

// Tuples returns the number of tuples in memory.
func (s *Snapshot) Tuples() int64 { return s.tuples }

// Bytes estimates the memory that the snapshot takes.
func (s *Snapshot) Bytes() int64 { return s.bytes }

// HasBare reports whether any tuple has the empty relation. While there is none,
// objects as subjects need not be looked into.
func (s *Snapshot) HasBare() bool { return s.bare > 0 }

// Fork returns the same state for a second line of builders (G2). It costs a
// copy of the list of names.
func (s *Snapshot) Fork() *Snapshot {
	f := *s
	f.namespaces.list = slices.Clone(s.namespaces.list)
	f.relations.list = slices.Clone(s.relations.list)
	f.objects.list = slices.Clone(s.objects.list)
	return &f
}
