package bench

import (
	"iter"

	"github.com/cardea-iam/cardea/engine"
)

// Shaped is the Drive workload with questions of known shapes beside it, each in
// several instances: what a check costs depends on how far it walks.
type Shaped struct{ *Drive }

// Numbers of elements that are not of Drive.
const (
	firstShape = 1 << 40
	shapeRange = 1 << 24 // numbers for one shape

	shapeInstances = 16
	shapeChain     = 6
	shapeNested    = 4
	shapeGroups    = 10_000 // of one user
	shapeBranches  = 31     // groups in each of the upper groups of a tree of 993

	listFolders = 100 // of the user with many documents
	listDocs    = 100 // in each of them
)

// The shapes.
const (
	direct = iota
	nested
	chain
	wideShape
	many
	listing
	tree
)

// place is the number of element j of instance i of a shape.
func place(shape, i, j int) int {
	return firstShape + shape*shapeRange + i*shapeRange/shapeInstances + j
}

// A Shape is a kind of question and the most that a check of it may take.
type Shape struct {
	Name      string
	Micros    float64
	Questions []Question
}

// Shapes are the questions for which a bar is set.
func (Shaped) Shapes() []Shape {
	each := func(of func(i int) Question) []Question {
		var list []Question
		for i := range shapeInstances {
			list = append(list, of(i))
		}
		return list
	}
	view := func(shape int, want bool) []Question {
		return each(func(i int) Question {
			u := place(shape, i, 0)
			if !want {
				u++ // somebody who is in nothing
			}
			return ask(folder(place(shape, i, 0)), "view", u, want)
		})
	}
	return []Shape{
		{"direct", 0.3, each(func(i int) Question {
			return ask(folder(place(direct, i, 0)), "viewers", place(direct, i, 0), true)
		})},
		{"4 nested groups", 1, view(nested, true)},
		{"chain of 6 folders", 2, view(chain, true)},
		{"200 parents, in one", 10, view(wideShape, true)},
		{"200 parents, in none", 10, view(wideShape, false)},
		{"user in 10,000 groups, in one", 10, each(func(i int) Question {
			return ask(folder(place(many, i, 0)), "view", place(many, 0, 0), true)
		})},
		{"user in 10,000 groups, in none", 10, each(func(i int) Question {
			return ask(folder(place(many, i, 1)), "view", place(many, 0, 0), false)
		})},
		{"tree of 993 groups, in one", 10, each(func(i int) Question {
			return ask(folder(place(tree, 0, 0)), "view", place(tree, 0, i), true)
		})},
		{"tree of 993 groups, in none", 10, each(func(i int) Question {
			return ask(folder(place(tree, 0, 0)), "view", place(tree, 1, i), false)
		})},
	}
}

// Lister is a user with so many documents.
func (Shaped) Lister() (u engine.Subject, documents int) {
	return user(place(listing, 0, 0)), listFolders * listDocs
}

// Tuples implements Workload.
func (s Shaped) Tuples() iter.Seq[engine.Tuple] {
	return func(yield func(engine.Tuple) bool) {
		for t := range s.Drive.Tuples() {
			if !yield(t) {
				return
			}
		}
		for t := range written(part{shapeInstances, writeShapes}, part{shapeGroups, writeMany}, part{listFolders, writeListing}, part{shapeBranches, writeTree}) {
			if !yield(t) {
				return
			}
		}
	}
}

func writeShapes(w *writer, i int) {
	first := func(shape int) engine.Object { return folder(place(shape, i, 0)) }
	viewer := func(shape int) engine.Subject { return user(place(shape, i, 0)) }
	w.put(first(direct), "viewers", viewer(direct))

	w.put(first(nested), "viewers", members(group(place(nested, i, 0))))
	for j := range shapeNested - 1 {
		w.put(group(place(nested, i, j)), "members", members(group(place(nested, i, j+1))))
	}
	w.put(group(place(nested, i, shapeNested-1)), "members", viewer(nested))

	for j := range shapeChain {
		w.put(folder(place(chain, i, j)), "parents", itself(folder(place(chain, i, j+1))))
	}
	w.put(folder(place(chain, i, shapeChain)), "viewers", viewer(chain))

	for j := 1; j <= wideParents; j++ {
		parent := folder(place(wideShape, i, j))
		w.put(first(wideShape), "parents", itself(parent))
		w.put(parent, "viewers", user(place(wideShape, i, 1+j))) // each has somebody
	}
	w.put(folder(place(wideShape, i, wideParents*2/3)), "viewers", viewer(wideShape))

	w.put(first(many), "viewers", members(group(place(many, 0, i*shapeGroups/shapeInstances))))
	w.put(folder(place(many, i, 1)), "viewers", members(group(place(many, 0, shapeGroups+i))))
	w.put(group(place(many, 0, shapeGroups+i)), "members", user(place(many, i, 1)))

	w.put(leaf(i*shapeBranches), "members", user(place(tree, 0, i)))
	w.put(group(place(tree, 1, i)), "members", user(place(tree, 1, i))) // elsewhere
}

// leaf is a group in the lowest row of the tree, of which there are shapeBranches².
func leaf(j int) engine.Object { return group(place(tree, 0, 1+shapeBranches+j)) }

// writeTree writes one of the branches of the tree.
func writeTree(w *writer, b int) {
	root, branch := group(place(tree, 0, 0)), group(place(tree, 0, 1+b))
	if b == 0 {
		w.put(folder(place(tree, 0, 0)), "viewers", members(root))
	}
	w.put(root, "members", members(branch))
	for j := range shapeBranches {
		w.put(branch, "members", members(leaf(b*shapeBranches+j)))
	}
}

func writeMany(w *writer, g int) {
	w.put(group(place(many, 0, g)), "members", user(place(many, 0, 0)))
}

func writeListing(w *writer, f int) {
	at := folder(place(listing, 0, f))
	w.put(at, "viewers", user(place(listing, 0, 0)))
	for d := range listDocs {
		w.put(document(place(listing, 0, f*listDocs+d)), "parents", itself(at))
	}
}
