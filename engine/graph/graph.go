package graph

import (
	"slices"
	"sync/atomic"
)

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

// Len returns the number of subjects.
func (s *Set) Len() int { return len(s.Direct) + len(s.Sets) }

// A Snapshot is one state of the graph.
type Snapshot struct {
	namespaces names
	relations  names
	objects    names
	sets       trie[Ref, *Set]
	tuples     int64
	bare       int64 // tuples whose relation is empty
}

// Empty returns a graph without tuples.
func Empty() *Snapshot {
	s := &Snapshot{}
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

// Set returns the subjects of r, nil if there are none.
func (s *Snapshot) Set(r Ref) *Set {
	set, _ := s.sets.get(r.hash(), r)
	return set
}

// All yields every Ref that has subjects, in no particular order.
func (s *Snapshot) All(yield func(Ref, *Set) bool) { s.sets.all(yield) }

// Tuples returns the number of tuples.
func (s *Snapshot) Tuples() int64 { return s.tuples }

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

var edits atomic.Uint64

// A Builder collects changes and makes a Snapshot of them. It is not for
// concurrent use.
type Builder struct {
	from    *Snapshot
	next    Snapshot
	edit    uint64
	pending map[Ref][]change
}

type change struct {
	subject Ref
	insert  bool
}

// Build starts the next snapshot.
func (s *Snapshot) Build() *Builder {
	return &Builder{from: s, next: *s, edit: edits.Add(1), pending: map[Ref][]change{}}
}

// Namespace returns the number of a namespace, a new one if need be.
func (b *Builder) Namespace(text string) uint32 {
	return b.next.namespaces.intern(b.edit, name{text: text})
}

// Relation returns the number of a relation, a new one if need be.
func (b *Builder) Relation(text string) uint32 {
	return b.next.relations.intern(b.edit, name{text: text})
}

// Object returns the number of an object, a new one if need be.
func (b *Builder) Object(namespace uint32, id string) uint32 {
	return b.next.objects.intern(b.edit, name{namespace, id})
}

// Insert adds a subject to r; if it is there already nothing changes.
func (b *Builder) Insert(r, subject Ref) {
	b.pending[r] = append(b.pending[r], change{subject, true})
}

// Delete takes a subject out of r; if it is not there nothing changes.
func (b *Builder) Delete(r, subject Ref) {
	b.pending[r] = append(b.pending[r], change{subject, false})
}

// Publish returns the snapshot with all changes, in the order they came, which
// is the old snapshot if there were none. The builder must not be used again.
func (b *Builder) Publish() *Snapshot {
	if len(b.pending) == 0 && !b.grown() {
		return b.from
	}
	for r, changes := range b.pending {
		b.apply(r, changes)
	}
	b.pending = nil
	return &b.next
}

// grown reports whether there are new names.
func (b *Builder) grown() bool {
	return len(b.next.objects.list) > len(b.from.objects.list) ||
		len(b.next.relations.list) > len(b.from.relations.list) ||
		len(b.next.namespaces.list) > len(b.from.namespaces.list)
}

func (b *Builder) apply(r Ref, changes []change) {
	old := b.next.Set(r)
	if old == nil {
		old = &Set{}
	}
	// The last change of a subject counts, so sort without changing their order.
	slices.SortStableFunc(changes, func(x, y change) int {
		switch {
		case x.subject < y.subject:
			return -1
		case x.subject > y.subject:
			return 1
		}
		return 0
	})
	set := &Set{
		Direct: merge(old.Direct, changes, func(c change) bool { return c.subject.Relation() == 0 }),
		Sets:   merge(old.Sets, changes, func(c change) bool { return c.subject.Relation() != 0 }),
	}
	grown := int64(set.Len() - old.Len())
	b.next.tuples += grown
	if r.Relation() == 0 {
		b.next.bare += grown
	}
	if set.Len() == 0 {
		b.next.sets.remove(b.edit, r.hash(), r)
		return
	}
	b.next.sets.put(b.edit, r.hash(), r, set, Ref.hash)
}

// merge applies those sorted changes for which mine holds to a sorted list, and
// returns a new list, or the old one if nothing changes.
func merge(old []Ref, changes []change, mine func(change) bool) []Ref {
	n := 0
	for _, c := range changes {
		if mine(c) {
			n++
		}
	}
	if n == 0 {
		return old
	}
	list := make([]Ref, 0, len(old)+n)
	for i, c := range changes {
		if !mine(c) || i+1 < len(changes) && changes[i+1].subject == c.subject {
			continue
		}
		at, found := slices.BinarySearch(old, c.subject)
		list = append(list, old[:at]...)
		if c.insert {
			list = append(list, c.subject)
		}
		if found {
			at++
		}
		old = old[at:]
	}
	return append(list, old...)
}
