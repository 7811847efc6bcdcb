package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// A tree is what expand prints, in the form of its JSON.
type tree struct {
	Type string `json:"type"` // union, intersection, exclusion or leaf
	subjectJSON
	Children []*tree `json:"children,omitempty"`

	label string // the subject in text, or what the node does to its children
}

// groupLabels name nodes that stand for no subject and only group others.
var groupLabels = map[string]string{
	"union": "any of", "intersection": "all of", "exclusion": "all but", "leaf": "nobody",
}

func treeFrom(p *cardeav1.SubjectTree) *tree {
	t := &tree{Type: strings.ToLower(strings.TrimPrefix(p.GetNodeType().String(), "NODE_TYPE_"))}
	if s := p.GetSubject(); s != nil {
		subject := subjectFrom(s)
		t.subjectJSON, t.label = subjectToJSON(subject), subject.String()
	}
	switch {
	case t.label == "":
		t.label = groupLabels[t.Type]
	case t.Type == "intersection" || t.Type == "exclusion":
		t.label += " = " + groupLabels[t.Type]
	}
	for _, c := range p.GetChildren() {
		t.Children = append(t.Children, treeFrom(c))
	}
	return t
}

// writeText draws the tree with lines.
func (t *tree) writeText(w io.Writer) error {
	buf := bufio.NewWriter(w)
	fmt.Fprintln(buf, t.label)
	t.writeChildren(buf, "")
	return buf.Flush()
}

func (t *tree) writeChildren(w io.Writer, indent string) {
	for i, c := range t.Children {
		branch, below := "├── ", "│   "
		if i == len(t.Children)-1 {
			branch, below = "└── ", "    "
		}
		fmt.Fprintf(w, "%s%s%s\n", indent, branch, c.label)
		c.writeChildren(w, indent+below)
	}
}

// writeDot writes the tree as a graph for Graphviz.
func (t *tree) writeDot(w io.Writer) error {
	buf := bufio.NewWriter(w)
	fmt.Fprint(buf, "digraph expand {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n")
	next := 0
	t.writeNode(buf, &next)
	fmt.Fprintln(buf, "}")
	return buf.Flush()
}

// writeNode writes a node and all below it, and returns its number.
func (t *tree) writeNode(w io.Writer, next *int) int {
	id := *next
	*next++
	fmt.Fprintf(w, "  n%d [label=\"%s\"];\n", id, dotEscape.Replace(t.label))
	for _, c := range t.Children {
		fmt.Fprintf(w, "  n%d -> n%d;\n", id, c.writeNode(w, next))
	}
	return id
}

var dotEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
