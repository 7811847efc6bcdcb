package server

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cardea-iam/cardea/engine"
)

// Bounds on a picture, in nodes: people can follow a part of it to see more.
const (
	maxDrawn    = 80
	maxBranches = 12 // of one node
	plainLevels = 3  // of what has nothing to do with who was asked for
)

// Measures of a picture, in pixels at its natural size.
const (
	drawnHeight = 30  // of a node
	drawnRow    = 38  // from the top of one to that of the next
	drawnIndent = 20  // from the edge of one to the line to those below
	drawnFull   = 620 // where a row has no room for one more
	drawnLetter = 7.3
	drawnLabel  = 34 // letters at most
)

// A picture is a tree of who has a relation, as an outline.
type picture struct {
	Root          *branch
	Width, Height int
	Nodes         []*branch
	Edges         []edge
	Left          bool // some of it is not drawn
}

// A branch is one node.
type branch struct {
	Text  string // in full
	Label string // what is drawn: the name of a person, or as much of Text as there is room for
	Join  string // how the branches below are joined, "" if it goes without saying
	URL   string // of its own picture, "" if it has none
	Look  string // "holds", "bars", or "" if who was asked for is not there
	More  int    // nodes that are not drawn: then it stands for them

	Branches     []*branch
	X, Y, W, Mid int
	marked       bool // who was asked for is there or below
}

// An edge is a line between two nodes.
type edge struct{ Path, Look string }

// Mark says in a letter what Look says in a colour.
func (b *branch) Mark() string { return map[string]string{"holds": "✓", "bars": "✗"}[b.Look] }

// draw makes a picture of a tree. who is marked where it is, nil is nobody; names are those
// of people by id; at is the page of a subject set.
func draw(t *engine.Tree, who *engine.Subject, names map[string]string, at func(engine.Subject) string) *picture {
	p := &picture{}
	p.Root, _ = (&planner{who, names, at}).plan(t, 1, false)
	if p.Root.marked {
		p.Root.plain(1)
	}
	p.trim()
	p.Root.order()
	p.Root.once(map[uint64]bool{})
	p.place()
	return p
}

// A planner makes branches of a tree.
type planner struct {
	who   *engine.Subject
	names map[string]string
	at    func(engine.Subject) string
}

// plan makes the branch of a tree at a level, and reports whether it contains who, as far
// as the tree shows. under is whether the branch takes away what it contains.
func (p *planner) plan(t *engine.Tree, level int, under bool) (b *branch, holds bool) {
	b = p.named(t)
	holds = t.Type == engine.Intersection && len(t.Children) > 0
	for _, child := range t.Children {
		c, has := p.plan(child, level+1, under != (t.Type == engine.Exclusion))
		b.Branches = append(b.Branches, c)
		if t.Type == engine.Intersection {
			holds = holds && has
		} else {
			holds = holds || has
		}
	}
	switch {
	case t.Type == engine.Exclusion:
		holds = !holds && p.who != nil
	case p.who != nil && t.Subject != nil && *t.Subject == *p.who:
		holds = true
	}
	if holds {
		b.Look = "holds"
		if under {
			b.Look = "bars"
		}
	}
	b.marked = holds && len(t.Children) == 0 || slices.ContainsFunc(b.Branches, func(one *branch) bool { return one.marked })
	if isEmpty(t, level) {
		b.Join = "nobody"
		if len(b.Branches) > 0 { // there are others, or objects that it leads to
			b.Branches, b.Join = nil, "leads to nobody"
		}
	}
	return b, holds
}

// named is a branch that says what a node is.
func (p *planner) named(t *engine.Tree) *branch {
	b := &branch{Join: map[engine.NodeType]string{engine.Intersection: "all of", engine.Exclusion: "not"}[t.Type]}
	switch {
	case t.Subject != nil:
		b.Text = t.Subject.String()
		b.Label = b.Text
		if t.Subject.Relation != "" {
			b.URL = p.at(*t.Subject)
		} else if name := p.names[t.Subject.ID]; name != "" && t.Subject.IsID() {
			b.Label, b.URL = name, "/people/"+t.Subject.ID
		}
	case t.Type == engine.Leaf:
		b.Text = "a constant"
	case b.Join == "":
		b.Text = "any of"
	default:
		b.Text, b.Join = b.Join, ""
	}
	return b
}

// isEmpty reports whether nobody can be in a node. What lies below the deepest level was
// not looked into.
func isEmpty(t *engine.Tree, level int) bool {
	below := func(child *engine.Tree) bool { return isEmpty(child, level+1) }
	switch t.Type {
	case engine.Leaf:
		return t.Subject != nil && t.Subject.Relation != "" && level < maxTreeLevels
	case engine.Union:
		return !slices.ContainsFunc(t.Children, func(child *engine.Tree) bool { return !below(child) })
	case engine.Intersection:
		return slices.ContainsFunc(t.Children, below)
	default:
		return false
	}
}

// plain leaves out what has nothing to do with who was asked for, from some level on.
func (b *branch) plain(level int) {
	if !b.marked && level >= plainLevels && len(b.Branches) > 0 {
		b.Branches, b.Join = nil, strings.TrimSpace(b.Join+" …")
	}
	for _, one := range b.Branches {
		one.plain(level + 1)
	}
}

// trim leaves out what is too much, and never a branch that who is in before another.
func (p *picture) trim() {
	left := maxDrawn
	for level := []*branch{p.Root}; len(level) > 0; {
		var next []*branch
		for _, b := range level {
			slices.SortStableFunc(b.Branches, func(x, y *branch) int { return bools(y.marked) - bools(x.marked) })
			keep := min(len(b.Branches), maxBranches, max(left, 0))
			if over := len(b.Branches) - keep; over > 0 {
				p.Left = true
				b.Branches = append(b.Branches[:keep:keep], &branch{Text: fmt.Sprintf("and %d more", over), More: over, URL: b.URL})
			}
			left -= keep
			next = append(next, b.Branches[:keep]...)
		}
		level = next
	}
}

// order puts small branches before large ones, which keeps lines short, and returns how
// many nodes there are.
func (b *branch) order() int {
	sizes, n := map[*branch]int{}, 1
	for _, one := range b.Branches {
		sizes[one] = one.order()
		n += sizes[one]
	}
	slices.SortStableFunc(b.Branches, func(x, y *branch) int { return sizes[x] - sizes[y] })
	return n
}

// once leaves out what is below a branch that is there already, and returns what tells
// branches apart.
func (b *branch) once(had map[uint64]bool) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, b.Text, "\x00", b.Join)
	for _, one := range b.Branches {
		fmt.Fprint(h, "\x00", one.once(had))
	}
	key := h.Sum64()
	if len(b.Branches) > 0 && had[key] {
		b.Branches, b.Join = nil, "as above"
	}
	had[key] = true
	return key
}

// shortened is a text of at most n letters.
func shortened(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	letters := []rune(text)
	return string(letters[:n/2]) + "…" + string(letters[len(letters)-n/2+1:])
}

// width is that of a label. Letters of Chinese, Japanese and Korean are twice as wide.
func (b *branch) width() int {
	n := 0
	for _, r := range b.Label + b.Join + b.Mark() {
		n++
		if r >= 0x1100 && r < 0x20000 && (r < 0x2000 || r >= 0x2e80) {
			n++
		}
	}
	if b.Join != "" || b.Look != "" {
		n += 2
	}
	return int(float64(n)*drawnLetter) + 24
}

// place gives nodes their places: a row for each, indented below the one that it belongs
// to; what is alone there stands beside it.
func (p *picture) place() {
	rows := 0
	var put func(b *branch, x int)
	put = func(b *branch, x int) {
		b.Label = shortened(cmp.Or(b.Label, b.Text), drawnLabel)
		b.X, b.W = x, b.width()
		b.Y = rows*drawnRow + 1
		b.Mid = b.Y + drawnHeight/2
		p.Nodes = append(p.Nodes, b)
		p.Width = max(p.Width, b.X+b.W+1)
		alone := len(b.Branches) == 1 && x+b.W < drawnFull
		for _, one := range b.Branches {
			if alone {
				put(one, x+b.W+drawnIndent)
				p.Edges = append(p.Edges, edge{fmt.Sprintf("M%d %dH%d", b.X+b.W, b.Mid, one.X), one.Look})
				continue
			}
			rows++
			put(one, x+2*drawnIndent)
			p.Edges = append(p.Edges, edge{fmt.Sprintf("M%d %dV%dq0 8 8 8H%d", b.X+drawnIndent, b.Y+drawnHeight, one.Mid-8, one.X), one.Look})
		}
	}
	put(p.Root, 1)
	p.Height = rows*drawnRow + drawnHeight + 2
	slices.SortStableFunc(p.Edges, func(x, y edge) int { return bools(x.Look != "") - bools(y.Look != "") }) // marked ones on top
}

func bools(b bool) int {
	if b {
		return 1
	}
	return 0
}

// plainIDs appends the subjects of a tree that are ids.
func plainIDs(t *engine.Tree, ids []string) []string {
	if t.Subject != nil && t.Subject.IsID() {
		ids = append(ids, t.Subject.ID)
	}
	for _, child := range t.Children {
		ids = plainIDs(child, ids)
	}
	return ids
}
