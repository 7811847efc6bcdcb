package graph

import "unsafe"

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
	lines  [nodeLen]*uint32 // nil: none
	shifts [nodeLen]uint8
	chunks [nodeLen]*chunk
}

const (
	nodeBits = 8
	nodeLen  = 1 << nodeBits
	nodeMask = nodeLen - 1
)

// get returns chunk i, nil if there is none.
func (v *vector) get(i uint32) *chunk {
	if n := i >> nodeBits; int(n) < len(v.root) && v.root[n] != nil {
		return v.root[n].chunks[i&nodeMask]
	}
	return nil
}

// lineAt returns where the line of an object is, and how long.
func (v *vector) lineAt(object uint32) (at unsafe.Pointer, shift uint8) {
	n := object >> (chunkBits + nodeBits)
	if int(n) >= len(v.root) || v.root[n] == nil {
		return nil, 0
	}
	node, i := v.root[n], object>>chunkBits&nodeMask
	lines, shift := node.lines[i], node.shifts[i]&7 // the compiler need not ask whether it is below 32
	if lines == nil {
		return nil, 0
	}
	return unsafe.Add(unsafe.Pointer(lines), (object&chunkMask)<<shift*4), shift
}

func (v *vector) set(edit uint64, i uint32, c *chunk) {
	n := int(i >> nodeBits)
	if v.edit != edit {
		root := make([]*vectorNode, max(len(v.root), n+1))
		copy(root, v.root)
		v.root, v.edit = root, edit
	}
	for len(v.root) <= n {
		v.root = append(v.root, nil)
	}
	switch node := v.root[n]; {
	case node == nil:
		v.root[n] = &vectorNode{edit: edit}
	case node.edit != edit:
		copied := *node
		copied.edit = edit
		v.root[n] = &copied
	}
	v.root[n].put(i&nodeMask, c)
}

func (n *vectorNode) put(i uint32, c *chunk) {
	n.lines[i], n.shifts[i], n.chunks[i] = unsafe.SliceData(c.words), c.shift, c
}

// all yields every chunk and its number.
func (v *vector) all(yield func(uint32, *chunk) bool) {
	for n, node := range v.root {
		if node == nil {
			continue
		}
		for i, c := range node.chunks {
			if c != nil && !yield(uint32(n<<nodeBits|i), c) {
				return
			}
		}
	}
}
