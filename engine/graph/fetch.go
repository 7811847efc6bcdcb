package graph

// A check waits for memory more than for anything else: each object that it comes to
// is somewhere else, and a processor that has to know one place before it can ask for
// the next waits for each in turn. What is known to be needed is therefore asked for
// together, in loops so short that the processor runs through them before the first
// answer is there.

// A Pair is two objects by name, those of one question, and their numbers once they
// were looked up: 0 for one that the graph never met.
type Pair struct {
	NamespaceA, NamespaceB uint32
	A, B                   uint32
	IDA, IDB               string

	hashA, hashB   uint64
	entryA, entryB *nameEntry // of the hash tables, nil: none has the hash
	fetched        uint32     // of no meaning, see Fetch
}

// Pairs looks up the objects of pairs, and brings what is stored of each A into the
// processor's cache.
func (s *Snapshot) Pairs(list []Pair) {
	for i := range list {
		s.objects.begin(&list[i])
	}
	for i := range list {
		s.objects.reach(&list[i])
	}
	for i := range list {
		s.near(&list[i])
	}
	for i := range list {
		s.touch(&list[i])
	}
	for i := range list {
		s.objects.finish(&list[i])
	}
}

// begin asks for what stands in the hash tables in the names' own places.
func (t *names) begin(p *Pair) {
	p.hashA, p.hashB = hashName(p.NamespaceA, p.IDA), hashName(p.NamespaceB, p.IDB)
	tableA, tableB := *t.shard(p.hashA).table.Load(), *t.shard(p.hashB).table.Load()
	p.fetched += uint32(tableA[uint32(p.hashA)&uint32(len(tableA)-1)].name.Load())
	p.fetched += uint32(tableB[uint32(p.hashB)&uint32(len(tableB)-1)].name.Load())
}

// reach finds the first entries that may be those of the names, with their numbers.
func (t *names) reach(p *Pair) {
	p.A, p.B = 0, 0
	p.entryA = tagged(*t.shard(p.hashA).table.Load(), uint32(p.hashA))
	p.entryB = tagged(*t.shard(p.hashB).table.Load(), uint32(p.hashB))
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
		p.fetched += uint32(s.objects.record(p.entryA.at)[0])
	}
	if p.entryB != nil {
		p.fetched += uint32(s.objects.record(p.entryB.at)[0])
	}
	if c := s.forward.get(p.A >> chunkBits); c != nil {
		p.fetched += c.first[p.A&chunkMask]
	}
}

// touch asks for what is stored of the first.
func (s *Snapshot) touch(p *Pair) {
	if c := s.forward.get(p.A >> chunkBits); c != nil {
		if e := c.entry(p.A); len(e) > 0 {
			p.fetched += e[0]
		}
	}
}

// finish compares the texts; if one differs, two names have one tag.
func (t *names) finish(p *Pair) {
	if p.entryA != nil && !t.record(p.entryA.at).is(p.NamespaceA, p.IDA) {
		p.A, _ = t.lookup(p.NamespaceA, p.IDA)
	}
	if p.entryB != nil && !t.record(p.entryB.at).is(p.NamespaceB, p.IDB) {
		p.B, _ = t.lookup(p.NamespaceB, p.IDB)
	}
}

// Fetch brings what is stored of objects into the processor's cache. The number that
// it returns means nothing; who keeps it keeps the compiler from leaving out the rest.
func (s *Snapshot) Fetch(objects []uint32) (n uint32) {
	for _, object := range objects {
		n += s.objects.space(object)
		if c := s.forward.get(object >> chunkBits); c != nil {
			n += c.first[object&chunkMask]
		}
	}
	for _, object := range objects {
		if c := s.forward.get(object >> chunkBits); c != nil {
			if e := c.entry(object); len(e) > 0 {
				n += e[0]
			}
		}
	}
	return n
}
