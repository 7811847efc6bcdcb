package graph

import (
	"math"
	"slices"
	"unsafe"
)

// A vector is a persistent array of chunks: set leaves every older vector as it
// was, but for nodes that carry the same edit number, which it changes in place.
// An edit number belongs to one Builder, and nobody else sees its nodes before it
// is done.
type vector struct {
	root []*vectorNode
	edit uint64 // of root
}

// A vectorNode has its chunks, and where the lines of each are: what a question looks at
// of an object is then one wait away, and not two.
type vectorNode struct {
	edit   uint64
	lines  [nodeLen]*uint32
	sizes  [nodeLen]uint8 // of a line, in words
	chunks [nodeLen]*chunk
}

const (
	nodeBits = 8
	nodeLen  = 1 << nodeBits
	nodeMask = nodeLen - 1
)

// empty is a node without chunks, and noLines are the lines of such: so who looks for a
// line finds one, and need not ask whether there is any.
var (
	noLines [chunkLen]uint32
	empty   = func() *vectorNode {
		n := &vectorNode{edit: math.MaxUint64} // which is nobody's
		for i := range n.lines {
			n.lines[i], n.sizes[i] = &noLines[0], 1
		}
		return n
	}()
)

// get returns chunk i, nil if there is none.
func (v *vector) get(i uint32) *chunk {
	if n := i >> nodeBits; int(n) < len(v.root) {
		return v.root[n].chunks[i&nodeMask]
	}
	return nil
}

// lineAt returns where the line of an object is, and how many words it has.
func (v *vector) lineAt(object uint32) (at unsafe.Pointer, words uint32) {
	node := empty
	if n := object >> (chunkBits + nodeBits); int(n) < len(v.root) {
		node = v.root[n]
	}
	i := object >> chunkBits & nodeMask
	words = uint32(node.sizes[i])
	return unsafe.Add(unsafe.Pointer(node.lines[i]), (object&chunkMask)*words*4), words
}

func (v *vector) set(edit uint64, i uint32, c *chunk) {
	n := int(i >> nodeBits)
	if v.edit != edit {
		v.root, v.edit = slices.Clone(v.root), edit
	}
	for len(v.root) <= n {
		v.root = append(v.root, empty)
	}
	if v.root[n].edit != edit {
		copied := *v.root[n]
		copied.edit = edit
		v.root[n] = &copied
	}
	v.root[n].put(i&nodeMask, c)
}

func (n *vectorNode) put(i uint32, c *chunk) {
	n.lines[i], n.sizes[i], n.chunks[i] = &noLines[0], 1, c
	if len(c.words) > 0 {
		n.lines[i], n.sizes[i] = &c.words[0], 1<<c.shift
	}
}

// all yields every chunk and its number.
func (v *vector) all(yield func(uint32, *chunk) bool) {
	for n, node := range v.root {
		for i, c := range node.chunks {
			if c != nil && !yield(uint32(n<<nodeBits|i), c) {
				return
			}
		}
	}
}
