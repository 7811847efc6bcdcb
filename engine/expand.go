package engine

import (
	"context"
	"slices"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/opl"
)

// A NodeType says how the children of a Tree are joined.
type NodeType uint8

const (
	Leaf         NodeType = iota // a subject, or a set that is empty or was not looked into
	Union                        // in any child
	Intersection                 // in every child
	Exclusion                    // not in the only child
)

// A Tree shows whom a subject set contains, and why.
type Tree struct {
	Type     NodeType
	Subject  *Subject // nil for a part of a permission that has no name
	Children []*Tree
}

// maxExpandDepth bounds the levels of a tree, since those who read one recurse.
const maxExpandDepth = 1000

// Expand returns the tree of a subject set: its stored subjects and, where those
// are subject sets, theirs, down to depth levels; a depth of 0 or less means all
// of them. A set met again below itself is a leaf there. With
// Options.ExpandRewrites permissions are followed too, else they show only what
// is stored for them. Children are sorted, so equal states give equal trees.
//
// NotFound: the model lacks the namespace. Exhausted: the tree has more than
// Options.MaxExpand nodes or more than 1000 levels.
func (e *Engine) Expand(ctx context.Context, set Subject, depth int, at Consistency) (*Tree, Token, error) {
	return e.expandAt(ctx, set, depth, at, e.options.ExpandRewrites)
}

// ExpandPermissions is Expand that follows permissions, whatever Options.ExpandRewrites
// says.
func (e *Engine) ExpandPermissions(ctx context.Context, set Subject, depth int, at Consistency) (*Tree, Token, error) {
	return e.expandAt(ctx, set, depth, at, true)
}

func (e *Engine) expandAt(ctx context.Context, set Subject, depth int, at Consistency, rewrites bool) (*Tree, Token, error) {
	s, err := e.at(ctx, at)
	if err != nil {
		return nil, "", err
	}
	if err := set.Validate(); err != nil {
		return nil, "", err
	}
	if !set.IsID() && !s.declares(set.Namespace) {
		return nil, "", unknownNamespace(set.Namespace)
	}
	tree, s, err := e.expand(ctx, s, set, depth, rewrites)
	return tree, s.token, err
}

// expand makes the tree; in bounded mode again and again, until all it needs is
// in memory.
func (e *Engine) expand(ctx context.Context, s *state, set Subject, depth int, rewrites bool) (*Tree, *state, error) {
	q := inquiry{shelf: s.shelf}
	defer q.unpin()
	whole := depth <= 0
	if whole {
		depth = maxExpandDepth
	}
	for {
		x := &expansion{ctx: ctx, state: s, whole: whole, rewrites: rewrites, left: e.options.MaxExpand, path: map[Subject]bool{}}
		if s.shelf != nil {
			x.lacks = map[SetRead]bool{}
		}
		tree, err := x.set(set, min(depth, maxExpandDepth))
		if err != nil || len(x.lacks) == 0 {
			return tree, s, err
		}
		next, err := e.fetch(ctx, s, x.lacks, &q)
		if err != nil {
			return nil, s, err
		}
		s = next
	}
}

type expansion struct {
	ctx      context.Context
	state    *state
	rewrites bool
	whole    bool // nothing may be left out for its depth
	left     int  // nodes that may still be made
	path     map[Subject]bool
	lacks    map[SetRead]bool // in bounded mode: what is not in memory
}

func (x *expansion) node(of NodeType, subject *Subject) (*Tree, error) {
	x.left--
	if x.left < 0 {
		return nil, errs.New(errs.Exhausted, "the tree has more nodes than limits.expand allows: ask with a smaller max-depth, or for a part of it")
	}
	if x.left%1000 == 0 && x.ctx.Err() != nil {
		return nil, x.ctx.Err()
	}
	return &Tree{Type: of, Subject: subject}, nil
}

// set expands a subject set, or makes a leaf of any other subject.
func (x *expansion) set(of Subject, depth int) (*Tree, error) {
	tree, err := x.node(Union, &of)
	if err != nil {
		return nil, err
	}
	if depth <= 1 && x.whole {
		return nil, errs.New(errs.Exhausted, "the tree has more than %d levels: ask with a max-depth", maxExpandDepth)
	}
	if of.IsID() || x.path[of] || depth <= 1 {
		tree.Type = Leaf
		return tree, nil
	}
	x.path[of] = true
	defer delete(x.path, of)
	if err := x.storedChildren(tree, of, depth); err != nil {
		return nil, err
	}
	if err := x.rewriteChildren(tree, of, depth); err != nil {
		return nil, err
	}
	return closed(tree), nil
}

// closed makes a node without children a leaf.
func closed(t *Tree) *Tree {
	if len(t.Children) == 0 {
		t.Type = Leaf
	}
	return t
}

func (x *expansion) storedChildren(tree *Tree, of Subject, depth int) error {
	for _, subject := range x.subjects(of) {
		if subject.Relation == "" {
			child, err := x.node(Leaf, &subject)
			if err != nil {
				return err
			}
			tree.Children = append(tree.Children, child)
			continue
		}
		child, err := x.set(subject, depth-1)
		if err != nil {
			return err
		}
		tree.Children = append(tree.Children, child)
	}
	return nil
}

func (x *expansion) rewriteChildren(tree *Tree, of Subject, depth int) error {
	ns, ok := x.state.model.compiled.Namespace(of.Namespace)
	if !ok || !x.rewrites {
		return nil
	}
	r, ok := ns.Relation(of.Relation)
	if !ok || r.Rewrite == nil {
		return nil
	}
	parts := []opl.Expr{r.Rewrite}
	switch e := r.Rewrite.(type) {
	case opl.Or:
		parts = e.Of
	case opl.And:
		parts = e.Of
		tree.Type = Intersection
	}
	return x.parts(tree, of.Object, parts, depth-1)
}

// parts adds an expanded expression about an object for each part.
func (x *expansion) parts(tree *Tree, about Object, parts []opl.Expr, depth int) error {
	for _, part := range parts {
		child, err := x.expr(about, part, depth)
		if err != nil {
			return err
		}
		tree.Children = append(tree.Children, child)
	}
	return nil
}

func (x *expansion) expr(about Object, e opl.Expr, depth int) (*Tree, error) {
	switch e := e.(type) {
	case opl.Computed:
		return x.set(Subject{about, e.Relation}, depth)
	case opl.Traverse:
		return x.traverse(about, e, depth)
	case opl.Or:
		return x.group(Union, about, e.Of, depth)
	case opl.And:
		return x.group(Intersection, about, e.Of, depth)
	case opl.Not:
		return x.group(Exclusion, about, []opl.Expr{e.Of}, depth)
	default: // true and false contain everybody and nobody, whom no subject names
		return x.node(Leaf, nil)
	}
}

func (x *expansion) group(of NodeType, about Object, parts []opl.Expr, depth int) (*Tree, error) {
	tree, err := x.node(of, nil)
	if err != nil {
		return nil, err
	}
	if err := x.parts(tree, about, parts, depth); err != nil {
		return nil, err
	}
	return closed(tree), nil
}

func (x *expansion) traverse(about Object, e opl.Traverse, depth int) (*Tree, error) {
	via := Subject{about, e.Relation}
	tree, err := x.node(Union, &via)
	if err != nil {
		return nil, err
	}
	if depth <= 1 && !x.whole {
		tree.Type = Leaf
		return tree, nil
	}
	for _, subject := range x.subjects(via) {
		if subject.IsID() {
			continue
		}
		if err := x.parts(tree, subject.Object, []opl.Expr{e.Of}, depth-1); err != nil {
			return nil, err
		}
	}
	return closed(tree), nil
}

// subjects returns what is stored for a subject set, sorted.
func (x *expansion) subjects(of Subject) []Subject {
	s := x.state
	ref := s.find(of.Object, of.Relation)
	if x.lacks != nil {
		if l := s.snap.Loaded(ref); l == nil || l.Part {
			x.lacks[SetRead{Object: of.Object, Relation: of.Relation, Whole: true}] = true
			return nil
		}
	}
	var list []Subject
	for r := range s.snap.Set(ref).All {
		list = append(list, s.name(r))
	}
	slices.SortFunc(list, func(a, b Subject) int { return Tuple{Subject: a}.Compare(Tuple{Subject: b}) })
	return list
}
