package graph

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// seed is the process's own, so that nobody can choose names that collide.
var seed = maphash.MakeSeed()

// mix spreads the bits of x over the whole word (the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// A names table numbers names, each a text within a space, in the order they come. It
// only grows, and all snapshots of a graph share it: a number that is newer than a
// snapshot has no subjects there.
//
// Numbers are given out in runs, each to one space. So the space of a number stands
// once for a run, and a walk, which asks for that of every object that it comes to,
// finds it in a table that stays in a cache. And the objects of a namespace stand
// together in the graph: the few folders that all walks go through are not scattered
// among the documents and users that were met between them.
//
// A name takes its text, rounded up to 4 bytes after a header of two or four (a
// UUID takes 16 bytes instead of 36), 4 bytes for its place, and 16 in a hash table
// that is half to three quarters full. Nothing of it has pointers, so the garbage
// collector does not look inside.
//
// A server's caches hold what it does with requests, and little of the graph. So
// what a name costs to find is the memory that it waits for, one after the other. The
// hash table has the number of the name and the place of its text, with 32 bits of its
// hash. So one wait tells what the name most likely is, and what is stored for it is
// asked for while its text is compared (Pair). And names are looked up together, those of one question
// or of a hundred, which makes them wait side by side.
//
// Readers take no lock: what a number leads to is written before the number can
// be found, and is never written again.
type names struct {
	mu     sync.Mutex                   // held by who adds
	shards atomic.Pointer[[]nameShard]  // each a hash table; a copy when one is enlarged
	used   []int                        // of each shard; guarded by mu
	runs   atomic.Pointer[[]uint32]     // the space of each run
	pages  atomic.Pointer[[]*namePage]  // what is known by number
	blocks atomic.Pointer[[]*nameBlock] // texts
	next   map[uint32]uint32            // the next number of a space, unless its run is full; guarded by mu
	count  uint32                       // of names; guarded by mu
	free   int                          // first free byte of the last block; guarded by mu
	bytes  atomic.Int64
}

const (
	runBits    = chunkBits // so the objects of a chunk are of one namespace
	runLen     = 1 << runBits
	pageBits   = 11
	blockBits  = 16
	blockBytes = 1 << blockBits
	maxBlocks  = blockUnit<<(32-blockBits) - 1
	blockUnit  = 4 // texts begin at multiples of it, so that a uint32 reaches 16 GiB
)

type (
	namePage  [1 << pageBits]uint32 // where the texts are, in units over all blocks
	nameBlock [blockBytes]byte
)

// A nameShard is a hash table with open addressing. All of them stand side by side, as
// the pointers to pages and blocks do, of which there are few: every question looks at
// them, and what is not looked at all the time leaves the processor's caches.
type nameShard []nameEntry

// A nameEntry has 32 bits of the hash above, which also give its place in the table, and
// the number of the name plus one below; 0 is free.
type nameEntry struct {
	name atomic.Uint64
	at   uint32 // where the text is; written before name, and never again
}

func newNames(shards int) *names {
	t := &names{used: make([]int, shards), next: map[uint32]uint32{}, free: blockBytes}
	t.runs.Store(&[]uint32{})
	t.pages.Store(&[]*namePage{})
	t.blocks.Store(&[]*nameBlock{})
	t.empty(8)
	return t
}

// empty makes all hash tables anew, of a length.
func (t *names) empty(length int) {
	shards := make([]nameShard, len(t.used))
	for i := range shards {
		shards[i] = make(nameShard, length)
	}
	t.shards.Store(&shards)
}

// A view is what questions look at of the tables, the names being those of objects. It
// stands in one place: by way of a table it took three waits for memory more to come to a
// name. It knows what there was when it was made, and perhaps newer names.
type view struct {
	kinds  []kind
	shards []nameShard
	blocks []*nameBlock
	runs   []uint32
}

func (t *tables) view() view {
	return view{*t.kinds.list.Load(), *t.objects.shards.Load(), *t.objects.blocks.Load(), *t.objects.runs.Load()}
}

// shard returns the hash table that a name is in.
func (v *view) shard(hash uint64) nameShard { return v.shards[hash>>32&uint64(len(v.shards)-1)] }

// record returns what stands at a place, nil if v does not know it.
func (v *view) record(at uint32) record {
	i := uint64(at) * blockUnit
	if i>>blockBits >= uint64(len(v.blocks)) {
		return nil
	}
	return v.blocks[i>>blockBits][i&(blockBytes-1):]
}

func hashName(space uint32, text string) uint64 {
	return maphash.String(seed, text) ^ mix(uint64(space))
}

// shard returns the hash table that a name is in.
func (t *names) shard(hash uint64) nameShard {
	shards := *t.shards.Load()
	return shards[hash>>32&uint64(len(shards)-1)]
}

// lookup returns the number of a name, if it has one.
func (t *names) lookup(space uint32, text string) (uint32, bool) {
	return t.find(hashName(space, text), space, text)
}

func (t *names) find(hash uint64, space uint32, text string) (uint32, bool) {
	table := t.shard(hash)
	tag := uint32(hash)
	for i := tag; ; i++ {
		entry := &table[i&uint32(len(table)-1)]
		name := entry.name.Load()
		if name == 0 {
			return 0, false
		}
		if uint32(name>>32) == tag && t.record(entry.at).is(space, text) {
			return uint32(name) - 1, true
		}
	}
}

// tagged returns the first entry with a tag, nil if there is none.
func (table nameShard) tagged(tag uint32) *nameEntry {
	for i := tag; ; i++ {
		entry := &table[i&uint32(len(table)-1)]
		switch name := entry.name.Load(); {
		case name == 0:
			return nil
		case uint32(name>>32) == tag:
			return entry
		}
	}
}

// intern returns the number of a name, a new one if it has none.
func (t *names) intern(space uint32, text string) uint32 {
	hash := hashName(space, text)
	if id, ok := t.find(hash, space, text); ok {
		return id
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, ok := t.find(hash, space, text); ok {
		return id
	}
	id, at := t.append(space, text)
	t.put(hash, id, at)
	return id
}

// append gives a name the next number of its space, and returns that and the place of its
// text. mu is held.
func (t *names) append(space uint32, text string) (id, at uint32) {
	id, open := t.next[space]
	if !open {
		id = t.newRun(space)
	}
	if t.next[space] = id + 1; (id+1)%runLen == 0 {
		delete(t.next, space)
	}
	t.count++
	at = t.store(space, text)
	(*t.pages.Load())[id>>pageBits][id&(1<<pageBits-1)] = at
	return id, at
}

// newRun begins a run of a space, and returns its first number. mu is held.
func (t *names) newRun(space uint32) uint32 {
	runs := *t.runs.Load()
	first := uint32(len(runs)) << runBits
	runs = append(runs, space) // readers of the shorter one do not see the new end
	t.runs.Store(&runs)
	t.bytes.Add(4)
	if pages := *t.pages.Load(); int(first>>pageBits) == len(pages) {
		pages = append(pages, new(namePage))
		t.pages.Store(&pages)
		t.bytes.Add(4 << pageBits)
	}
	return first
}

// end returns a number above all others.
func (t *names) end() uint32 { return uint32(len(*t.runs.Load())) << runBits }

// A record is the space of a name and its text with a header, and what comes after it
// in the block.
type record []byte

const (
	manySpaces = 255 // in the first byte: the space is this, or a larger one, and follows in 4 bytes

	// Headers of a text: its length, or one of these.
	headerLong = 254 // two bytes of length follow, little endian
	headerUUID = 255 // 16 bytes follow
)

func (r record) space() uint32 {
	if space := r[0]; space < manySpaces {
		return uint32(space)
	}
	return binary.LittleEndian.Uint32(r[1:])
}

// text returns the text as it is stored: a UUID packed.
func (r record) text() (text []byte, packed bool) {
	if r[0] == manySpaces {
		r = r[4:]
	}
	r = r[1:]
	switch n := int(r[0]); n {
	case headerUUID:
		return r[1:17], true
	case headerLong:
		return r[3 : 3+int(binary.LittleEndian.Uint16(r[1:]))], false
	default:
		return r[1 : 1+n], false
	}
}

// store writes a record into a block, and returns its place.
func (t *names) store(space uint32, text string) uint32 {
	var packed [16]byte
	isUUID := packUUID(&packed, text)
	head := 1
	if space >= manySpaces {
		head += 4
	}
	size := head + 1 + len(text)
	switch {
	case isUUID:
		size = head + 17
	case len(text) >= headerLong:
		size = head + 3 + len(text)
	}
	blocks := *t.blocks.Load()
	if t.free+size > blockBytes {
		if len(blocks) == maxBlocks {
			panic("graph: the names take more than 16 GiB")
		}
		blocks = append(blocks, new(nameBlock))
		t.blocks.Store(&blocks)
		t.free = 0
		t.bytes.Add(blockBytes)
	}
	start := t.free
	to := blocks[len(blocks)-1][start:]
	to[0] = byte(min(space, manySpaces))
	if space >= manySpaces {
		binary.LittleEndian.PutUint32(to[1:], space)
	}
	switch to = to[head:]; {
	case isUUID:
		to[0] = headerUUID
		copy(to[1:], packed[:])
	case len(text) >= headerLong:
		to[0] = headerLong
		binary.LittleEndian.PutUint16(to[1:], uint16(len(text)))
		copy(to[3:], text)
	default:
		to[0] = byte(len(text))
		copy(to[1:], text)
	}
	t.free = (start + size + blockUnit - 1) / blockUnit * blockUnit
	return uint32(((len(blocks)-1)*blockBytes + start) / blockUnit)
}

// put enters a name in its shard, which it enlarges in time. mu is held.
func (t *names) put(hash uint64, id, at uint32) {
	shards := *t.shards.Load()
	n := hash >> 32 & uint64(len(shards)-1)
	if table := shards[n]; 4*(t.used[n]+1) > 3*len(table) {
		shards = slices.Clone(shards)
		shards[n] = table.larger()
		t.shards.Store(&shards)
		t.bytes.Add(int64(nameBytes * len(table)))
	}
	t.used[n]++
	shards[n].place(hash<<32|uint64(id+1), at)
}

// larger returns a copy with twice the room.
func (table nameShard) larger() nameShard {
	larger := make(nameShard, 2*len(table))
	for i := range table {
		if name := table[i].name.Load(); name != 0 {
			larger.place(name, table[i].at)
		}
	}
	return larger
}

const nameBytes = 16 // of a nameEntry

// maxReserve bounds what reserve takes on somebody's word: 256 MiB.
const maxReserve = 1 << 24

// reserve makes the hash tables of an empty t as large as they will be with n names.
func (t *names) reserve(n uint32) {
	length := 8
	for 4*(int(n)/len(t.used)+1) > 3*length {
		length *= 2
	}
	t.empty(length)
	t.bytes.Add(int64(nameBytes * (length - 8) * len(t.used)))
}

func (table nameShard) place(name uint64, at uint32) {
	mask := uint32(len(table) - 1)
	i := uint32(name>>32) & mask
	for table[i].name.Load() != 0 {
		i = (i + 1) & mask
	}
	table[i].at = at
	table[i].name.Store(name)
}

// record returns what stands at a place.
func (t *names) record(at uint32) record {
	i := uint64(at) * blockUnit
	return (*t.blocks.Load())[i>>blockBits][i&(blockBytes-1):]
}

// of returns the record of a number.
func (t *names) of(id uint32) record {
	return t.record((*t.pages.Load())[id>>pageBits][id&(1<<pageBits-1)])
}

func (t *names) space(id uint32) uint32 { return (*t.runs.Load())[id>>runBits] }

// is reports whether r is of a name.
func (r record) is(space uint32, text string) bool {
	if len(r) == 0 || r.space() != space {
		return false
	}
	raw, packed := r.text()
	if !packed {
		return string(raw) == text
	}
	return isUUID(raw, text)
}

// text returns the text of a number.
func (t *names) text(id uint32) string {
	raw, packed := t.of(id).text()
	if packed {
		return unpackUUID(raw)
	}
	return string(raw)
}

// packUUID writes the bytes of a UUID in its usual form, lower case with four
// hyphens, and reports whether text is one.
func packUUID(to *[16]byte, text string) bool {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return false
	}
	for n, i := range uuidBytes {
		high, low := unhex[text[i]], unhex[text[i+1]]
		if high|low > 15 {
			return false
		}
		to[n] = high<<4 | low
	}
	return true
}

// uuidBytes are the places of the bytes of a UUID in its text.
var uuidBytes = [16]uint8{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

// unhex has the values of hexadecimal digits, and 255 for all else.
var unhex = func() (values [256]uint8) {
	for i := range values {
		values[i] = 255
	}
	for i, digit := range "0123456789abcdef" {
		values[digit] = uint8(i)
	}
	return values
}()

func unpackUUID(b []byte) string {
	var text [36]byte
	a, c, d, e := hex8(le32(b)), hex8(le32(b[4:])), hex8(le32(b[8:])), hex8(le32(b[12:]))
	binary.LittleEndian.PutUint64(text[0:], a)
	binary.LittleEndian.PutUint32(text[9:], uint32(c))
	binary.LittleEndian.PutUint32(text[14:], uint32(c>>32))
	binary.LittleEndian.PutUint32(text[19:], uint32(d))
	binary.LittleEndian.PutUint32(text[24:], uint32(d>>32))
	binary.LittleEndian.PutUint64(text[28:], e)
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}

// isUUID reports whether text is that of the bytes of a UUID.
func isUUID(uuid []byte, text string) bool {
	if len(text) != 36 {
		return false
	}
	t, b := (*[36]byte)(unsafe.Pointer(unsafe.StringData(text))), (*[16]byte)(uuid) // whose lengths need not be compared again
	return t[8] == '-' && t[13] == '-' && t[18] == '-' && t[23] == '-' &&
		hex8(le32(b[:])) == binary.LittleEndian.Uint64(t[:]) &&
		hex8(le32(b[4:])) == uint64(le32(t[9:]))|uint64(le32(t[14:]))<<32 &&
		hex8(le32(b[8:])) == uint64(le32(t[19:]))|uint64(le32(t[24:]))<<32 &&
		hex8(le32(b[12:])) == binary.LittleEndian.Uint64(t[28:])
}

func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

// hex8 returns the eight hexadecimal digits of four bytes, the first in the lowest place: all
// digits at once, each of which takes 39 more from ten on.
func hex8(bytes uint32) uint64 {
	x := uint64(bytes)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = x>>4&0x000f000f000f000f | x<<8&0x0f000f000f000f00
	letters := (x + 0x0606060606060606) >> 4 & 0x0101010101010101
	return x + 0x3030303030303030 + 39*letters
}
