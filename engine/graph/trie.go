package graph

import "math/bits"

const (
	levelBits = 5
	levelMask = 1<<levelBits - 1
	hashBits  = 64
)

// A trie is a persistent map: put leaves every older trie as it was, but for
// nodes that carry the same edit number, which it changes in place. An edit
// number belongs to one Builder, and nobody else sees its nodes before it is
// done.
type trie[K comparable, V any] struct {
	root *trieNode[K, V]
	len  int
}

// A trieNode has one item for every set bit of bitmap, in the order of bits.
// Below the last level of the hash, where bitmap is 0, items is a list that is
// searched from end to end.
type trieNode[K comparable, V any] struct {
	edit   uint64
	bitmap uint32
	items  []trieItem[K, V]
}

// A trieItem is an inner node or, if child is nil, an entry.
type trieItem[K comparable, V any] struct {
	child *trieNode[K, V]
	key   K
	value V
}

func (t *trie[K, V]) get(hash uint64, key K) (value V, ok bool) {
	n := t.root
	for shift := 0; n != nil && shift < hashBits; shift += levelBits {
		bit := uint32(1) << (hash >> shift & levelMask)
		if n.bitmap&bit == 0 {
			return value, false
		}
		item := &n.items[bits.OnesCount32(n.bitmap&(bit-1))]
		if item.child == nil {
			if item.key == key {
				return item.value, true
			}
			return value, false
		}
		n = item.child
	}
	if n != nil {
		for i := range n.items {
			if n.items[i].key == key {
				return n.items[i].value, true
			}
		}
	}
	return value, false
}

// put sets key to value. hashOf gives the hash of a key that is there already,
// for when two keys must be told apart further down.
func (t *trie[K, V]) put(edit, hash uint64, key K, value V, hashOf func(K) uint64) {
	root, added := t.root.put(edit, 0, hash, key, value, hashOf)
	t.root = root
	if added {
		t.len++
	}
}

func (n *trieNode[K, V]) put(edit uint64, shift int, hash uint64, key K, value V, hashOf func(K) uint64) (*trieNode[K, V], bool) {
	n = n.own(edit)
	if shift >= hashBits {
		return n, n.putLast(key, value)
	}
	bit := uint32(1) << (hash >> shift & levelMask)
	at := bits.OnesCount32(n.bitmap & (bit - 1))
	if n.bitmap&bit == 0 {
		n.bitmap |= bit
		n.items = append(n.items, trieItem[K, V]{})
		copy(n.items[at+1:], n.items[at:])
		n.items[at] = trieItem[K, V]{key: key, value: value}
		return n, true
	}
	item := &n.items[at]
	if item.child == nil {
		if item.key == key {
			item.value = value
			return n, false
		}
		child, _ := (*trieNode[K, V])(nil).put(edit, shift+levelBits, hashOf(item.key), item.key, item.value, hashOf)
		*item = trieItem[K, V]{child: child}
	}
	child, added := item.child.put(edit, shift+levelBits, hash, key, value, hashOf)
	item.child = child
	return n, added
}

func (n *trieNode[K, V]) putLast(key K, value V) bool {
	for i := range n.items {
		if n.items[i].key == key {
			n.items[i].value = value
			return false
		}
	}
	n.items = append(n.items, trieItem[K, V]{key: key, value: value})
	return true
}

// own returns n if it belongs to the edit, else a copy that does.
func (n *trieNode[K, V]) own(edit uint64) *trieNode[K, V] {
	switch {
	case n == nil:
		return &trieNode[K, V]{edit: edit}
	case n.edit == edit:
		return n
	}
	items := make([]trieItem[K, V], len(n.items), len(n.items)+1)
	copy(items, n.items)
	return &trieNode[K, V]{edit: edit, bitmap: n.bitmap, items: items}
}

// remove takes key out. A node that becomes empty stays; the few bytes are won
// back when the key, or one beside it, comes again.
func (t *trie[K, V]) remove(edit, hash uint64, key K) {
	root, removed := t.root.remove(edit, 0, hash, key)
	t.root = root
	if removed {
		t.len--
	}
}

func (n *trieNode[K, V]) remove(edit uint64, shift int, hash uint64, key K) (*trieNode[K, V], bool) {
	if n == nil {
		return nil, false
	}
	if shift >= hashBits {
		for i := range n.items {
			if n.items[i].key == key {
				n = n.own(edit)
				n.items = append(n.items[:i], n.items[i+1:]...)
				return n, true
			}
		}
		return n, false
	}
	bit := uint32(1) << (hash >> shift & levelMask)
	if n.bitmap&bit == 0 {
		return n, false
	}
	at := bits.OnesCount32(n.bitmap & (bit - 1))
	if child := n.items[at].child; child != nil {
		child, removed := child.remove(edit, shift+levelBits, hash, key)
		if removed {
			n = n.own(edit)
			n.items[at].child = child
		}
		return n, removed
	}
	if n.items[at].key != key {
		return n, false
	}
	n = n.own(edit)
	n.bitmap &^= bit
	n.items = append(n.items[:at], n.items[at+1:]...)
	return n, true
}

// all yields every entry, in no particular order.
func (t *trie[K, V]) all(yield func(K, V) bool) { t.root.all(yield) }

func (n *trieNode[K, V]) all(yield func(K, V) bool) bool {
	if n == nil {
		return true
	}
	for i := range n.items {
		item := &n.items[i]
		if item.child != nil {
			if !item.child.all(yield) {
				return false
			}
		} else if !yield(item.key, item.value) {
			return false
		}
	}
	return true
}
