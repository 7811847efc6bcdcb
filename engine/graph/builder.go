package graph

import (
	"cmp"
	"slices"
	"sync/atomic"
)

var edits atomic.Uint64

// A Builder collects changes and makes a Snapshot of them. It is not for
// concurrent use.
type Builder struct {
	from    *Snapshot
	next    Snapshot
	edit    uint64
	pending map[Ref][]change
	dirty   bool // there is more than pending and new names
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
	return b.intern(&b.next.namespaces, name{text: text})
}

// Relation returns the number of a relation, a new one if need be.
func (b *Builder) Relation(text string) uint32 {
	return b.intern(&b.next.relations, name{text: text})
}

// Object returns the number of an object, a new one if need be.
func (b *Builder) Object(namespace uint32, id string) uint32 {
	return b.intern(&b.next.objects, name{namespace, id})
}

func (b *Builder) intern(t *names, n name) uint32 {
	before := len(t.list)
	id := t.intern(b.edit, n)
	if len(t.list) > before {
		b.next.bytes += nameBytes + int64(len(n.text))
	}
	return id
}

// Bytes estimates the memory that the next snapshot takes, without the changes
// that Publish makes.
func (b *Builder) Bytes() int64 { return b.next.bytes }

// Load makes the subjects of r known in a partial graph. The lists become the
// graph's. Changes of r that the builder was told of before are lost.
func (b *Builder) Load(r Ref, s *Set) {
	s.Direct, s.Sets = sorted(s.Direct), sorted(s.Sets)
	if s.Part != nil {
		s.Part.Absent = sorted(s.Part.Absent)
	}
	b.replace(r, b.next.Set(r), s)
	delete(b.pending, r)
}

func sorted(list []Ref) []Ref {
	slices.Sort(list)
	return slices.Compact(list)
}

// Set returns the subjects of r without the changes that Publish makes.
func (b *Builder) Set(r Ref) *Set { return b.next.Set(r) }

// Drop makes the subjects of r unknown in a partial graph.
func (b *Builder) Drop(r Ref) {
	b.replace(r, b.next.Set(r), nil)
	delete(b.pending, r)
}

// Suspect makes a partial graph say that tuples with the empty relation exist.
func (b *Builder) Suspect() {
	if b.next.bare == 0 {
		b.next.bare, b.dirty = 1, true
	}
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
	if len(b.pending) == 0 && !b.dirty && !b.grown() {
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
	if old == nil && b.next.partial {
		return
	}
	// The last change of a subject counts, so sort without changing their order.
	slices.SortStableFunc(changes, func(x, y change) int { return cmp.Compare(x.subject, y.subject) })
	set := &Set{}
	if old != nil {
		*set = *old
	}
	set.Direct = merge(set.Direct, changes, func(c change) bool { return c.subject.Relation() == 0 })
	set.Sets = merge(set.Sets, changes, func(c change) bool { return c.subject.Relation() != 0 })
	if set.Part != nil {
		for i := range changes {
			changes[i].insert = !changes[i].insert
		}
		set.Part = &Part{merge(set.Part.Absent, changes, func(c change) bool { return c.subject.Relation() == 0 })}
	}
	b.replace(r, old, set)
}

// replace puts set in the place of old, each nil for none.
func (b *Builder) replace(r Ref, old, set *Set) {
	b.dirty = true
	if set != nil && set.Len() == 0 && !b.next.partial {
		set = nil
	}
	grown := set.size() - old.size()
	b.next.tuples += grown
	b.next.bytes += set.bytes() - old.bytes()
	if r.Relation() == 0 && !b.next.partial {
		b.next.bare += grown
	}
	if set == nil {
		b.next.sets.remove(b.edit, r.hash(), r)
		return
	}
	b.next.sets.put(b.edit, r.hash(), r, set, Ref.hash)
}

func (s *Set) size() int64 {
	if s == nil {
		return 0
	}
	return int64(s.Len())
}

func (s *Set) bytes() int64 {
	if s == nil {
		return 0
	}
	n := int64(setBytes + memberBytes*s.Len())
	if s.Part != nil {
		n += int64(memberBytes * len(s.Part.Absent))
	}
	return n
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
