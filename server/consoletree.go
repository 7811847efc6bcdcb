package server

import (
	"fmt"
	"unicode/utf8"
)

// A treePicture is a tree of subjects, drawn from the top to the bottom, each node in a
// line of its own behind the one that it is below: that fits on a phone.
type treePicture struct {
	Width, Height int // pixels
	Nodes         []treeNode
	Left          int // nodes that are not drawn
}

// A treeNode is a box with a text.
type treeNode struct {
	X, Y, Wide   int
	Label, Title string // as drawn, and in full
	Note         string // behind the box: how those below it count
	NoteX        int
	Class, At    string // of the style sheet; path in the console, "" for none
	Edge         string // path of the line from the node above, "" at the root
}

// TextX is where the text of a node begins.
func (n treeNode) TextX() int { return n.X + 12 }

// TextY is the line that the text stands on.
func (n treeNode) TextY() int { return n.Y + 20 }

// Sizes of a picture, in pixels.
const (
	treeLine   = 42 // from one node to the next
	treeBox    = 30
	treeIndent = 28
	treeMargin = 4 // room for the outline of a box that has the focus
	treeLetter = 8 // a letter of the font, and a little more
	maxTree    = 300
	maxLabel   = 60 // letters
)

// treeNotes say how the nodes below one count.
var treeNotes = map[string]string{"intersection": "in all of these", "exclusion": "not in this"}

// drawTree draws a tree. names are those of people by id; asked is the subject that somebody
// asks about, as text.
func drawTree(root *ketoTree, names map[string]string, asked string) *treePicture {
	p := &treePicture{}
	var add func(t *ketoTree, depth, above int)
	add = func(t *ketoTree, depth, above int) {
		if len(p.Nodes) == maxTree {
			p.Left++
		} else {
			at := len(p.Nodes)
			p.Nodes = append(p.Nodes, nodeOf(t, names, asked))
			p.place(at, depth, above)
			above = at
		}
		for _, child := range t.Children {
			add(child, depth+1, above)
		}
	}
	add(root, 0, -1)
	p.Height = len(p.Nodes)*treeLine - (treeLine - treeBox) + 2*treeMargin
	return p
}

// place says where the node at an index is, and how the line to it goes.
func (p *treePicture) place(at, depth, above int) {
	n := &p.Nodes[at]
	n.X, n.Y = treeMargin+depth*treeIndent, treeMargin+at*treeLine
	n.Wide = 24 + letters(n.Label)*treeLetter
	right := n.X + n.Wide
	if n.Note != "" {
		n.NoteX = right + 10
		right = n.NoteX + letters(n.Note)*treeLetter
	}
	p.Width = max(p.Width, right+treeMargin)
	if above >= 0 {
		from := p.Nodes[above]
		x, y := from.X+treeIndent/2, n.Y+treeBox/2
		n.Edge = fmt.Sprintf("M%d %dV%dq0 6 6 6H%d", x, from.Y+treeBox, y-6, n.X)
	}
}

// nodeOf is a node without its place.
func nodeOf(t *ketoTree, names map[string]string, asked string) treeNode {
	n := treeNode{Note: treeNotes[t.Type], Class: "part"}
	if t.Tuple == nil {
		n.Label = map[string]string{"union": "any of these", "intersection": "all of these", "exclusion": "everybody but"}[t.Type]
		n.Title, n.Note = n.Label, ""
		return n
	}
	s := t.Tuple.subject()
	n.Label, n.Title, n.Class = s.String(), s.String(), "set"
	if s.IsID() || s.Relation == "" {
		n.Class = "someone"
		if name, known := names[s.ID]; known && s.IsID() {
			n.Label, n.At = name, "/people/"+s.ID
		}
	} else {
		n.At = "/permissions" + setQuery(s)
	}
	if n.Title == asked {
		n.Class += " asked"
	}
	n.Label = shortened(n.Label)
	return n
}

// shortened cuts a text that is too long to be drawn.
func shortened(text string) string {
	if utf8.RuneCountInString(text) <= maxLabel {
		return text
	}
	return string([]rune(text)[:maxLabel-1]) + "…"
}

// letters is how wide a text is; those of East Asia are as wide as two.
func letters(text string) (n int) {
	for _, r := range text {
		n++
		if r >= 0x1100 {
			n++
		}
	}
	return n
}

// plainIDs appends the subjects of a tree that are ids.
func plainIDs(t *ketoTree, ids []string) []string {
	if t.Tuple != nil && t.Tuple.SubjectID != nil {
		ids = append(ids, *t.Tuple.SubjectID)
	}
	for _, child := range t.Children {
		ids = plainIDs(child, ids)
	}
	return ids
}
