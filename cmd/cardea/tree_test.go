package main

import (
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// node makes a node of a tree; subject may be empty.
func node(kind cardeav1.SubjectTree_NodeType, subject string, children ...*cardeav1.SubjectTree) *cardeav1.SubjectTree {
	n := &cardeav1.SubjectTree{NodeType: kind, Children: children}
	if subject != "" {
		s, err := engine.ParseSubject(subject)
		if err != nil {
			panic(err)
		}
		n.Subject = subjectProto(s)
	}
	return n
}

func TestTree(t *testing.T) {
	const (
		leaf         = cardeav1.SubjectTree_NODE_TYPE_LEAF
		union        = cardeav1.SubjectTree_NODE_TYPE_UNION
		intersection = cardeav1.SubjectTree_NODE_TYPE_INTERSECTION
		exclusion    = cardeav1.SubjectTree_NODE_TYPE_EXCLUSION
	)
	root := treeFrom(node(union, "Document:plan#edit",
		node(leaf, "User:ann"),
		node(intersection, "",
			node(union, "Group:eng#members", node(leaf, `"bob"`), node(leaf, "User:cat")),
			node(exclusion, "", node(leaf, "Document:plan#banned"))),
		node(leaf, "robot")))

	var text strings.Builder
	if err := root.writeText(&text); err != nil {
		t.Fatal(err)
	}
	const wantText = `Document:plan#edit
├── User:ann
├── all of
│   ├── Group:eng#members
│   │   ├── "bob"
│   │   └── User:cat
│   └── all but
│       └── Document:plan#banned
└── robot
`
	if text.String() != wantText {
		t.Errorf("text:\n%swant\n%s", &text, wantText)
	}

	var dot strings.Builder
	if err := root.writeDot(&dot); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`n0 [label="Document:plan#edit"];`, `n4 [label="\"bob\""];`, "n0 -> n1;", "n3 -> n5;", "n0 -> n8;"} {
		if !strings.Contains(dot.String(), want) {
			t.Errorf("no %s in\n%s", want, &dot)
		}
	}
}
