package graph

import (
	"sync"
	"sync/atomic"
)

// A kind is what a tuple says beside its two objects: its relation and that of
// its subject, 0 for subjects that are no subject sets. There are a few for each
// relation of a model.
type kind struct{ relation, subject uint32 }

// near returns the relation on the object's side, or, back, on the subject's.
func (k kind) near(back bool) uint32 {
	if back {
		return k.subject
	}
	return k.relation
}

// A setKind is a relation of the objects of a namespace that has been a subject set.
type setKind struct{ namespace, relation uint32 }

// A register numbers what it has not met before. It only grows, and readers take no
// lock.
type register[T comparable] struct {
	list atomic.Pointer[[]T]
	mu   sync.Mutex
	ids  map[T]uint32 // guarded by mu
}

// kinds are those of all tuples that a graph ever had.
type kinds = register[kind]

func newRegister[T comparable]() *register[T] {
	t := &register[T]{ids: map[T]uint32{}}
	t.list.Store(&[]T{})
	return t
}

func (t *register[T]) intern(k T) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	id, ok := t.ids[k]
	if !ok {
		list := append(*t.list.Load(), k) // readers of the shorter one do not see the new end
		id = uint32(len(list) - 1)
		t.ids[k] = id
		t.list.Store(&list)
	}
	return id
}

// Shapes returns how many different Kinds and SetKinds the graph ever had. While it
// stays the same, so do they.
func (s *Snapshot) Shapes() int { return len(*s.kinds.list.Load()) + len(*s.sets.list.Load()) }

// Kinds yields the relations of tuples with those of their subjects, 0 for subjects that
// are no subject sets: all that the graph ever had, and perhaps some of newer snapshots.
func (s *Snapshot) Kinds(yield func(relation, subject uint32) bool) {
	for _, k := range *s.kinds.list.Load() {
		if !yield(k.relation, k.subject) {
			return
		}
	}
}

// SetKinds yields the relations that were those of subject sets, with the namespaces of
// their objects, in the same way. A partial graph may not know all.
func (s *Snapshot) SetKinds(yield func(namespace, relation uint32) bool) {
	for _, k := range *s.sets.list.Load() {
		if !yield(k.namespace, k.relation) {
			return
		}
	}
}
