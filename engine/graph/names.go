package graph

import (
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
	"sync"
	"sync/atomic"
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

// A names table numbers names, each a text within a space, from 0 in the order
// they come. It only grows, and all snapshots of a graph share it: a number that
// is newer than a snapshot has no subjects there.
//
// A name takes its text, rounded up to 4 bytes after a header of one or three (a
// UUID takes 16 bytes instead of 36), 8 bytes for its place and space, and 8 in a
// hash table that is half to three quarters full. Nothing of it has pointers, so
// the garbage collector does not look inside.
//
// Readers take no lock: what a number leads to is written before the number can
// be found, and is never written again.
type names struct {
	mu     sync.Mutex // held by who adds
	shards []nameShard
	pages  atomic.Pointer[[]*namePage]  // what is known by number
	blocks atomic.Pointer[[]*nameBlock] // texts
	count  uint32                       // guarded by mu
	free   int                          // first free byte of the last block; guarded by mu
	bytes  atomic.Int64
}

const (
	pageBits   = 8
	blockBits  = 14
	blockBytes = 1 << blockBits
	maxBlocks  = blockUnit << (32 - blockBits)
	blockUnit  = 4 // texts begin at multiples of it, so that a uint32 reaches 16 GiB
)

type (
	namePage struct {
		at    [1 << pageBits]uint32 // in units, over all blocks
		space [1 << pageBits]uint32
	}
	nameBlock [blockBytes]byte
)

// A nameShard is a hash table with open addressing. An entry has 32 bits of the
// hash above, which also give its place, and the number plus one below; 0 is free.
type nameShard struct {
	table atomic.Pointer[[]atomic.Uint64]
	used  int // guarded by names.mu
}

func newNames(shards int) *names {
	t := &names{shards: make([]nameShard, shards), free: blockBytes}
	t.pages.Store(&[]*namePage{})
	t.blocks.Store(&[]*nameBlock{})
	for i := range t.shards {
		table := make([]atomic.Uint64, 8)
		t.shards[i].table.Store(&table)
	}
	return t
}

func hashName(space uint32, text string) uint64 {
	return maphash.String(seed, text) ^ mix(uint64(space))
}

func (t *names) shard(hash uint64) *nameShard { return &t.shards[hash>>32&uint64(len(t.shards)-1)] }

// lookup returns the number of a name, if it has one.
func (t *names) lookup(space uint32, text string) (uint32, bool) {
	hash := hashName(space, text)
	return t.find(t.shard(hash), hash, space, text)
}

func (t *names) find(s *nameShard, hash uint64, space uint32, text string) (uint32, bool) {
	table := *s.table.Load()
	mask := uint32(len(table) - 1)
	tag := uint32(hash)
	for i := tag & mask; ; i = (i + 1) & mask {
		entry := table[i].Load()
		if entry == 0 {
			return 0, false
		}
		if id := uint32(entry) - 1; uint32(entry>>32) == tag && t.is(id, space, text) {
			return id, true
		}
	}
}

// intern returns the number of a name, a new one if it has none.
func (t *names) intern(space uint32, text string) uint32 {
	hash := hashName(space, text)
	s := t.shard(hash)
	if id, ok := t.find(s, hash, space, text); ok {
		return id
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, ok := t.find(s, hash, space, text); ok {
		return id
	}
	id := t.append(space, text)
	t.put(s, uint32(hash), id)
	return id
}

// append gives a name the next number. mu is held.
func (t *names) append(space uint32, text string) uint32 {
	id := t.count
	t.count++
	pages := *t.pages.Load()
	if int(id>>pageBits) == len(pages) {
		pages = append(pages, new(namePage))
		t.pages.Store(&pages)
		t.bytes.Add(8 << pageBits)
	}
	page := pages[id>>pageBits]
	page.at[id&(1<<pageBits-1)] = t.store(text)
	page.space[id&(1<<pageBits-1)] = space
	return id
}

// Headers of a text: its length, or one of these.
const (
	headerLong = 254 // two bytes of length follow, little endian
	headerUUID = 255 // 16 bytes follow
)

// store writes a text into a block, and returns its place.
func (t *names) store(text string) uint32 {
	var packed [16]byte
	isUUID := packUUID(&packed, text)
	size := 1 + len(text)
	switch {
	case isUUID:
		size = 17
	case len(text) >= headerLong:
		size = 3 + len(text)
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
	switch {
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

// put enters a number in a shard, which it enlarges in time. mu is held.
func (t *names) put(s *nameShard, tag, id uint32) {
	table := *s.table.Load()
	if 4*(s.used+1) > 3*len(table) {
		larger := make([]atomic.Uint64, 2*len(table))
		for i := range table {
			if entry := table[i].Load(); entry != 0 {
				place(larger, uint32(entry>>32), entry)
			}
		}
		t.bytes.Add(int64(8 * len(table)))
		table = larger
		s.table.Store(&table)
	}
	s.used++
	place(table, tag, uint64(tag)<<32|uint64(id+1))
}

func place(table []atomic.Uint64, tag uint32, entry uint64) {
	mask := uint32(len(table) - 1)
	i := tag & mask
	for table[i].Load() != 0 {
		i = (i + 1) & mask
	}
	table[i].Store(entry)
}

// raw returns the text of a number as it is stored: after its header, a UUID
// packed.
func (t *names) raw(id uint32) (text []byte, packed bool) {
	at := int((*t.pages.Load())[id>>pageBits].at[id&(1<<pageBits-1)]) * blockUnit
	from := (*t.blocks.Load())[at>>blockBits][at&(blockBytes-1):]
	switch n := int(from[0]); n {
	case headerUUID:
		return from[1:17], true
	case headerLong:
		return from[3 : 3+int(binary.LittleEndian.Uint16(from[1:]))], false
	default:
		return from[1 : 1+n], false
	}
}

func (t *names) space(id uint32) uint32 {
	return (*t.pages.Load())[id>>pageBits].space[id&(1<<pageBits-1)]
}

// is reports whether id is the number of a name.
func (t *names) is(id, space uint32, text string) bool {
	if t.space(id) != space {
		return false
	}
	raw, packed := t.raw(id)
	if !packed {
		return string(raw) == text
	}
	var want [16]byte
	return packUUID(&want, text) && string(raw) == string(want[:])
}

// text returns the text of a number.
func (t *names) text(id uint32) string {
	raw, packed := t.raw(id)
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
	hex.Encode(text[:8], b[:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:], b[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
