package opl

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
	"strings"
)

// A Model says which namespaces there are and what holds in them. It does not
// change once it is compiled.
type Model struct {
	Namespaces []*Namespace // in the order of declaration

	byName map[string]*Namespace
	hash   [sha256.Size]byte
}

// Namespace returns the namespace of that name.
func (m *Model) Namespace(name string) (*Namespace, bool) {
	n, ok := m.byName[name]
	return n, ok
}

// Hash returns a digest of what the model means: the names, types and
// permissions. Layout, comments, the order of declarations and the way the
// sources are split do not change it.
func (m *Model) Hash() [32]byte { return m.hash }

// A Namespace is a class of the model. One without relations accepts every
// relation and every subject.
type Namespace struct {
	Name      string
	Relations []*Relation // relations and permissions, in the order of declaration

	byName map[string]*Relation
}

// Relation returns the relation or permission of that name.
func (n *Namespace) Relation(name string) (*Relation, bool) {
	r, ok := n.byName[name]
	return r, ok
}

// A Relation is either a relation, which tuples state, or a permission, which
// follows from relations.
type Relation struct {
	Name       string
	Permission bool   // declared under permits: Rewrite is set and Types is nil
	Types      []Type // what tuples may state, without duplicates
	Rewrite    Expr   // when the permission holds
}

// A Type is a kind of subject: with a Relation, the subject sets of that
// relation; without, the objects of the namespace themselves, and plain ids.
type Type struct{ Namespace, Relation string }

func (t Type) String() string {
	if t.Relation == "" {
		return t.Namespace
	}
	return t.Namespace + "#" + t.Relation
}

// An Expr is one of Or, And, Not, Computed, Traverse and Const. It is about one
// object and one subject, and the relations it names are those of the object's
// namespace.
type Expr interface {
	expr()
	String() string // for messages and tests
}

// Or holds if one of at least two expressions does. None of them is an Or.
type Or struct{ Of []Expr }

// And holds if all of at least two expressions do. None of them is an And.
type And struct{ Of []Expr }

// Not holds if an expression, which is not a Not, does not.
type Not struct{ Of Expr }

// Computed holds if the subject has the relation or permission to the object.
// It stands for this.related.R.includes(ctx.subject) and this.permits.R(ctx).
type Computed struct{ Relation string }

// Traverse holds if Of does for one of the objects that the relation of the
// object at hand leads to. It stands for this.related.R.traverse(x => Of).
type Traverse struct {
	Relation string
	Of       Expr
}

// Const holds always or never.
type Const bool

func (Or) expr()       {}
func (And) expr()      {}
func (Not) expr()      {}
func (Computed) expr() {}
func (Traverse) expr() {}
func (Const) expr()    {}

func (e Or) String() string       { return joinExprs(e.Of, " || ") }
func (e And) String() string      { return joinExprs(e.Of, " && ") }
func (e Not) String() string      { return "!" + e.Of.String() }
func (e Computed) String() string { return e.Relation }
func (e Traverse) String() string { return e.Relation + "->" + e.Of.String() }
func (e Const) String() string    { return fmt.Sprint(bool(e)) }

func joinExprs(of []Expr, op string) string {
	parts := make([]string, len(of))
	for i, e := range of {
		parts[i] = e.String()
	}
	return "(" + strings.Join(parts, op) + ")"
}

// newModel indexes and hashes namespaces, which it keeps.
func newModel(namespaces []*Namespace) *Model {
	m := &Model{Namespaces: namespaces, byName: make(map[string]*Namespace, len(namespaces))}
	for _, n := range namespaces {
		m.byName[n.Name] = n
		n.byName = make(map[string]*Relation, len(n.Relations))
		for _, r := range n.Relations {
			n.byName[r.Name] = r
		}
	}
	m.hash = digest(namespaces)
	return m
}

// digest hashes the namespaces in an unambiguous form: every list by its
// length, every string by its length, every expression by a letter. What is
// declared in no order that matters is sorted.
func digest(namespaces []*Namespace) [sha256.Size]byte {
	h := hasher{sha256.New()}
	sorted := slices.SortedFunc(slices.Values(namespaces), func(a, b *Namespace) int {
		return strings.Compare(a.Name, b.Name)
	})
	h.number(len(sorted))
	for _, n := range sorted {
		h.text(n.Name)
		relations := slices.SortedFunc(slices.Values(n.Relations), func(a, b *Relation) int {
			return strings.Compare(a.Name, b.Name)
		})
		h.number(len(relations))
		for _, r := range relations {
			h.relation(r)
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}

type hasher struct{ hash.Hash }

func (h hasher) number(n int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n))
	h.Write(b[:])
}

func (h hasher) text(s string) {
	h.number(len(s))
	h.Write([]byte(s))
}

func (h hasher) relation(r *Relation) {
	h.text(r.Name)
	if r.Permission {
		h.text("permission")
		h.expr(r.Rewrite)
		return
	}
	types := slices.SortedFunc(slices.Values(r.Types), func(a, b Type) int {
		if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
			return c
		}
		return strings.Compare(a.Relation, b.Relation)
	})
	h.text("relation")
	h.number(len(types))
	for _, t := range types {
		h.text(t.Namespace)
		h.text(t.Relation)
	}
}

func (h hasher) expr(e Expr) {
	switch e := e.(type) {
	case Or:
		h.list("|", e.Of)
	case And:
		h.list("&", e.Of)
	case Not:
		h.text("!")
		h.expr(e.Of)
	case Computed:
		h.text("=")
		h.text(e.Relation)
	case Traverse:
		h.text(">")
		h.text(e.Relation)
		h.expr(e.Of)
	case Const:
		h.text(e.String())
	}
}

func (h hasher) list(op string, of []Expr) {
	h.text(op)
	h.number(len(of))
	for _, e := range of {
		h.expr(e)
	}
}
