package graph

import "hash/maphash"

// seed is the process's own, so that nobody can choose names that collide.
var seed = maphash.MakeSeed()

// A name is a string within a space: an object within its namespace.
type name struct {
	space uint32
	text  string
}

func (n name) hash() uint64 {
	return maphash.String(seed, n.text) ^ mix(uint64(n.space))
}

// mix spreads the bits of x over the whole word (the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// A names table numbers names from 0 in the order they come. It only grows: the
// slice is shared by all snapshots, each of which sees its own length of it.
type names struct {
	ids  trie[name, uint32]
	list []name
}

func (t *names) lookup(n name) (uint32, bool) { return t.ids.get(n.hash(), n) }

func (t *names) intern(edit uint64, n name) uint32 {
	hash := n.hash()
	if id, ok := t.ids.get(hash, n); ok {
		return id
	}
	id := uint32(len(t.list))
	t.list = append(t.list, n)
	t.ids.put(edit, hash, n, id, name.hash)
	return id
}
