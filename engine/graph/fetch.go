package graph

import "unsafe"

// A check waits for memory more than for anything else: each object that it comes to
// is somewhere else, and a processor that has to know one place before it can ask for
// the next waits for each in turn. What is known to be needed is therefore asked for
// together, and as long before it is needed as can be.

// A Pair is two objects by name, those of one question, and their numbers once they
// were looked up: 0 for one that the graph never met.
type Pair struct {
	NamespaceA, NamespaceB uint32
	A, B                   uint32
	IDA, IDB               string

	hashA, hashB   uint64
	entryA, entryB *nameEntry // of the hash tables, nil: none has the hash
}

// Begin asks for what Pairs looks at first.
func (s *Snapshot) Begin(p *Pair) { s.objects.begin(p) }

// Pairs looks up the objects of pairs that were begun, and brings what is stored of each
// A into the processor's cache.
func (s *Snapshot) Pairs(list []Pair) {
	for i := range list {
		s.objects.reach(&list[i])
	}
	for i := range list {
		s.near(&list[i])
	}
	for i := range list {
		s.touch(list[i].A)
	}
	for i := range list {
		s.objects.finish(&list[i])
	}
}

// begin asks for what stands in the hash tables in the names' own places.
func (t *names) begin(p *Pair) {
	p.hashA, p.hashB = hashName(p.NamespaceA, p.IDA), hashName(p.NamespaceB, p.IDB)
	tableA, tableB := t.shard(p.hashA), t.shard(p.hashB)
	a := unsafe.Pointer(&tableA[uint32(p.hashA)&uint32(len(tableA)-1)])
	prefetch(a, unsafe.Pointer(&tableB[uint32(p.hashB)&uint32(len(tableB)-1)]), a)
}

// reach finds the first entries that may be those of the names, with their numbers.
func (t *names) reach(p *Pair) {
	p.A, p.B = 0, 0
	p.entryA = t.shard(p.hashA).tagged(uint32(p.hashA))
	p.entryB = t.shard(p.hashB).tagged(uint32(p.hashB))
	if p.entryA != nil {
		p.A = uint32(p.entryA.name.Load()) - 1
	}
	if p.entryB != nil {
		p.B = uint32(p.entryB.name.Load()) - 1
	}
}

// near asks for the texts that the names are compared with, and for the place of what is
// stored of the first.
func (s *Snapshot) near(p *Pair) {
	if p.entryA != nil {
		s.nearOf(p.A, s.objects.place(p.entryA))
	}
	if p.entryB != nil {
		text := s.objects.place(p.entryB)
		prefetch(text, text, text)
	}
}

func (t *names) place(e *nameEntry) unsafe.Pointer { return unsafe.Pointer(&t.record(e.at)[0]) }

// finish compares the texts; if one differs, two names have one tag.
func (t *names) finish(p *Pair) {
	if p.entryA != nil && !t.record(p.entryA.at).is(p.NamespaceA, p.IDA) {
		p.A, _ = t.lookup(p.NamespaceA, p.IDA)
	}
	if p.entryB != nil && !t.record(p.entryB.at).is(p.NamespaceB, p.IDB) {
		p.B, _ = t.lookup(p.NamespaceB, p.IDB)
	}
}

// Fetch brings what is stored of objects into the processor's cache.
func (s *Snapshot) Fetch(objects []uint32) {
	for _, object := range objects {
		s.nearOf(object, unsafe.Pointer(&objects[0])) // which is near already
	}
	for _, object := range objects {
		s.touch(object)
	}
}

// nearOf asks for the place of what is stored of an object, and for something else.
func (s *Snapshot) nearOf(object uint32, other unsafe.Pointer) {
	if c := s.forward.get(object >> chunkBits); c != nil {
		prefetch(unsafe.Pointer(c), unsafe.Pointer(&c.first[object&chunkMask]), other)
	}
}

// touch asks for what is stored of an object.
func (s *Snapshot) touch(object uint32) {
	if c := s.forward.get(object >> chunkBits); c != nil {
		if e := c.entry(object); len(e) > 0 {
			first := unsafe.Pointer(&e[0])
			prefetch(first, unsafe.Pointer(&e[len(e)-1]), first) // the last is often in the next line
		}
	}
}
