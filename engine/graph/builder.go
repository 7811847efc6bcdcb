package graph

import "sync/atomic"

var builders atomic.Uint64

// A Builder collects changes and makes a Snapshot of them. It is not for
// concurrent use.
type Builder struct {
	from    *Snapshot
	next    Snapshot
	number  uint64 // its own, for what it may change in place
	pending []change
	kinds   map[kind]uint32
	sets    map[setKind]uint32
	dirty   bool // next differs from from
	pace    *pace
}

// A change is an edit of the list of a tuple's object and of that of its subject.
type change struct {
	object, kind, subject uint32
	insert                bool
}

// maxPending is how many changes are gathered before they are applied. Applying
// copies every chunk that they touch, so more at once is less work in all.
const maxPending = 1 << 20

// Build starts the next snapshot. Any number of builders may start from any
// snapshot.
func (s *Snapshot) Build() *Builder {
	b := &Builder{from: s, next: *s, number: builders.Add(1), kinds: map[kind]uint32{}, sets: map[setKind]uint32{}}
	b.next.replaced = 0
	return b
}

// Gently makes b rest half of the time, for work that is in no hurry.
func (b *Builder) Gently() { b.pace = newPace() }

// Namespace returns the number of a namespace, a new one if need be.
func (b *Builder) Namespace(text string) uint32 { return b.next.namespaces.intern(0, text) }

// Relation returns the number of a relation, a new one if need be.
func (b *Builder) Relation(text string) uint32 { return b.next.relations.intern(0, text) }

// Object returns the number of an object, a new one if need be.
func (b *Builder) Object(namespace uint32, id string) uint32 {
	return b.next.objects.intern(namespace, id)
}

// Bytes estimates the memory that the next snapshot takes, as far as the changes
// have been applied.
func (b *Builder) Bytes() int64 { return b.next.Bytes() + int64(16*len(b.pending)) }

// Insert adds a subject to r; if it is there already nothing changes.
func (b *Builder) Insert(r, subject Ref) { b.change(r, subject, true) }

// Delete takes a subject out of r; if it is not there nothing changes.
func (b *Builder) Delete(r, subject Ref) { b.change(r, subject, false) }

func (b *Builder) change(r, subject Ref, insert bool) {
	if !b.next.partial || b.follow(r, subject, insert) {
		b.edit(r, subject, insert)
	}
}

func (b *Builder) edit(r, subject Ref, insert bool) {
	k := kind{r.Relation(), subject.Relation()}
	id := internWith(b.kinds, b.next.kinds, k)
	if id >= maxKinds {
		panic("graph: tuples have more than a million pairs of relations")
	}
	if k.subject != 0 {
		internWith(b.sets, b.next.sets, setKind{b.next.objects.space(subject.Object()), k.subject})
	}
	if len(b.pending)%256 == 0 {
		b.pace.rest()
	}
	if len(b.pending) == cap(b.pending) && len(b.pending) >= maxPending/16 {
		// append would copy to one twice the size, and again: nothing can stop a thread that does.
		b.pending = append(make([]change, 0, maxPending), b.pending...)
	}
	b.pending = append(b.pending, change{r.Object(), id, subject.Object(), insert})
	if len(b.pending) >= maxPending {
		b.apply()
	}
}

// internWith is t.intern by way of what is known of t already.
func internWith[T comparable](known map[T]uint32, t *register[T], k T) uint32 {
	id, ok := known[k]
	if !ok {
		id = t.intern(k)
		known[k] = id
	}
	return id
}

// Publish returns the snapshot with all changes, in the order they came, which
// is the old snapshot if there were none. The builder must not be used again.
func (b *Builder) Publish() *Snapshot {
	b.apply()
	if !b.dirty {
		return b.from
	}
	b.next.seen = b.next.view()
	next := b.next // a pointer into b would keep b, with the snapshot that it came from, and so all before
	return &next
}

// apply puts what is pending into chunks, in both directions.
func (b *Builder) apply() {
	if len(b.pending) == 0 {
		return
	}
	b.dirty = true
	edits := make([]chunkEdit, len(b.pending))
	for i, c := range b.pending {
		edits[i] = chunkEdit{c.object, c.kind, edit{c.subject, c.insert}}
	}
	b.applyTo(&b.next.forward, edits, false)
	if !b.next.partial {
		for i, c := range b.pending {
			edits[i] = chunkEdit{c.subject, c.kind, edit{c.object, c.insert}}
		}
		b.applyTo(&b.next.reverse, edits, true)
	}
	b.pending = b.pending[:0]
}

func (b *Builder) applyTo(v *vector, edits []chunkEdit, back bool) {
	kinds := *b.next.kinds.list.Load()
	empty := &chunk{kinds: kinds, back: back}
	edits = lastOfEach(empty.sorted(edits))
	for len(edits) > 0 {
		i := edits[0].object >> chunkBits
		n := 1
		for n < len(edits) && edits[n].object>>chunkBits == i {
			n++
		}
		b.pace.rest()
		old := v.get(i)
		from := old
		if from == nil {
			from = empty
		}
		c, grown, bare := from.edited(kinds, edits[:n])
		b.next.bytes += c.bytes() - old.bytes()
		b.next.replaced += old.bytes()
		if !back {
			b.next.tuples += grown
		}
		if !back && !b.next.partial {
			b.next.bare += bare
		}
		v.set(b.number, i, c)
		edits = edits[n:]
	}
}

// lastOfEach keeps the last edit of those about the same tuple, which counts.
func lastOfEach(edits []chunkEdit) []chunkEdit {
	out := edits[:0]
	for i, e := range edits {
		if i+1 < len(edits) && edits[i+1].object == e.object && edits[i+1].kind == e.kind && edits[i+1].edit.object == e.edit.object {
			continue
		}
		out = append(out, e)
	}
	return out
}
