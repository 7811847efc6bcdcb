package graph

// A vector is a persistent array of chunks: set leaves every older vector as it
// was, but for nodes that carry the same edit number, which it changes in place.
// An edit number belongs to one Builder, and nobody else sees its nodes before it
// is done.
type vector struct {
	root []*vectorNode
	edit uint64 // of root
}

type vectorNode struct {
	edit   uint64
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
		v.root[n] = &vectorNode{edit: edit, chunks: node.chunks}
	}
	v.root[n].chunks[i&nodeMask] = c
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
