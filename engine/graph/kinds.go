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

// A kinds table numbers kinds. It only grows, and readers take no lock.
type kinds struct {
	list atomic.Pointer[[]kind]
	mu   sync.Mutex
	ids  map[kind]uint32 // guarded by mu
}

func newKinds() *kinds {
	t := &kinds{ids: map[kind]uint32{}}
	t.list.Store(&[]kind{})
	return t
}

func (t *kinds) of(id uint32) kind { return (*t.list.Load())[id] }

func (t *kinds) intern(k kind) uint32 {
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
