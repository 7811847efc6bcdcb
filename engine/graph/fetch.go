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

// Set makes p the pair of two names.
func (p *Pair) Set(namespaceA uint32, idA string, namespaceB uint32, idB string) {
	*p = Pair{NamespaceA: namespaceA, IDA: idA, NamespaceB: namespaceB, IDB: idB}
}

// Begin asks for what Guess looks at first.
func (s *Snapshot) Begin(p *Pair) { s.seen.begin(p) }

// Guess finds the numbers that the objects of a pair that was begun have most likely, and
// brings what is stored of A into the processor's cache.
func (s *Snapshot) Guess(p *Pair) {
	s.seen.reach(p)
	s.near(p)
}

// GuessAll does so for many, and waits for the memory of all at the same time.
func (s *Snapshot) GuessAll(list []Pair) {
	for i := range list {
		s.seen.reach(&list[i])
	}
	for i := range list {
		s.near(&list[i])
	}
}

// Settle makes the numbers of a pair certain: it compares the texts. It reports whether a
// guess was wrong: two names have one tag, or one is newer than s, as those that a partial
// graph is asked for first may be.
func (s *Snapshot) Settle(p *Pair) (changed bool) {
	a, b := p.A, p.B
	if !s.met(p.entryA, p.NamespaceA, p.IDA) {
		p.A, _ = s.objects.lookup(p.NamespaceA, p.IDA)
	}
	if !s.met(p.entryB, p.NamespaceB, p.IDB) {
		p.B, _ = s.objects.lookup(p.NamespaceB, p.IDB)
	}
	return p.A != a || p.B != b
}

// begin asks for what stands in the hash tables in the names' own places.
func (v *view) begin(p *Pair) {
	p.hashA, p.hashB = hashName(p.NamespaceA, p.IDA), hashName(p.NamespaceB, p.IDB)
	tableA, tableB := v.shard(p.hashA), v.shard(p.hashB)
	a := unsafe.Pointer(&tableA[uint32(p.hashA)&uint32(len(tableA)-1)])
	prefetch(a, unsafe.Pointer(&tableB[uint32(p.hashB)&uint32(len(tableB)-1)]), a)
}

// reach finds the first entries that may be those of the names, with their numbers.
func (v *view) reach(p *Pair) {
	p.A, p.B = 0, 0
	p.entryA = v.shard(p.hashA).tagged(uint32(p.hashA))
	p.entryB = v.shard(p.hashB).tagged(uint32(p.hashB))
	if p.entryA != nil {
		p.A = uint32(p.entryA.name.Load()) - 1
	}
	if p.entryB != nil {
		p.B = uint32(p.entryB.name.Load()) - 1
	}
}

// near asks for the texts that the names are compared with, and for what is stored of
// the first.
func (s *Snapshot) near(p *Pair) {
	var line, textA, textB unsafe.Pointer
	if p.entryA != nil {
		line, _ = s.forward.lineAt(p.A)
		textA = s.seen.place(p.entryA)
	}
	if p.entryB != nil {
		textB = s.seen.place(p.entryB)
	}
	prefetch(line, textA, textB)
}

func (v *view) place(e *nameEntry) unsafe.Pointer {
	return unsafe.Pointer(unsafe.SliceData(v.record(e.at)))
}

// met reports whether an entry is all that there is to know of a name.
func (s *Snapshot) met(e *nameEntry, namespace uint32, id string) bool {
	if e == nil {
		return !s.partial
	}
	return s.seen.record(e.at).is(namespace, id)
}

// Fetch brings what is stored of objects into the processor's cache.
func (s *Snapshot) Fetch(list []Ref) {
	var at [3]unsafe.Pointer
	n := 0
	for _, ref := range list {
		at[n], _ = s.forward.lineAt(ref.Object())
		if n++; n == len(at) {
			prefetch(at[0], at[1], at[2])
			n = 0
		}
	}
	if n > 0 {
		prefetch(at[0], at[1], at[2]) // the third may be of before, and is near
	}
}
