package opl

import "slices"

// Compile reads the sources of a model. All of them together are the model: a
// class may name one of another source, and no name is declared twice. The
// error is an ErrorList. If it is about the grammar, names were not looked at.
func Compile(sources []Source, o Options) (*Model, error) {
	var files []*File
	var errs ErrorList
	size := 0
	for _, src := range sources {
		if size += len(src.Text); size > MaxModel {
			return nil, ErrorList{newError(src, 0, 0, "the sources of the model have %d bytes up to this one, the limit is %d", size, MaxModel)}
		}
		f, err := Parse(src, o)
		if err != nil {
			for _, e := range err.(ErrorList) {
				errs.add(e)
			}
			continue
		}
		files = append(files, f)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	c := newChecker(files, o)
	c.checkNames()
	if err := c.errs.err(); err != nil {
		return nil, err
	}
	m := c.model()
	c.checkNegation()
	if err := c.errs.err(); err != nil {
		return nil, err
	}
	return m, nil
}

// model builds the model of sources whose names were checked.
func (c *checker) model() *Model {
	namespaces := make([]*Namespace, 0, len(c.classes))
	for _, cl := range c.classes {
		n := &Namespace{Name: cl.decl.name.text}
		for _, m := range cl.order {
			n.Relations = append(n.Relations, newRelation(m))
		}
		namespaces = append(namespaces, n)
	}
	return newModel(namespaces)
}

func newRelation(m *member) *Relation {
	r := &Relation{Name: m.name.text, Permission: m.rewrite != nil}
	if r.Permission {
		r.Rewrite = newExpr(m.rewrite)
		return r
	}
	seen := make(map[Type]bool, len(m.types))
	for _, t := range m.types {
		typ := t.typ()
		if !seen[typ] {
			seen[typ] = true
			r.Types = append(r.Types, typ)
		}
	}
	return r
}

func (t typeRef) typ() Type {
	typ := Type{Namespace: t.namespace.text}
	if t.relation != nil {
		typ.Relation = t.relation.text
	}
	return typ
}

// newExpr turns what is written into what it means: without parentheses,
// without chains directly in chains of the same kind, without double negation.
func newExpr(n node) Expr {
	switch n := n.(type) {
	case *parenNode:
		return newExpr(n.x)
	case *literal:
		return Const(n.value)
	case *question:
		return Computed{n.relation.text}
	case *traversal:
		return Traverse{n.relation.text, newExpr(n.x)}
	case *notNode:
		x := newExpr(n.x)
		if inner, ok := x.(Not); ok {
			return inner.Of
		}
		return Not{x}
	case *chain:
		var of []Expr
		for _, x := range n.operands {
			of = append(of, newExpr(x))
		}
		if n.op == kOr {
			return Or{flatten(of, func(e Expr) ([]Expr, bool) { o, ok := e.(Or); return o.Of, ok })}
		}
		return And{flatten(of, func(e Expr) ([]Expr, bool) { a, ok := e.(And); return a.Of, ok })}
	}
	panic("opl: unknown node")
}

// flatten puts the parts of those expressions that same takes apart in their
// place.
func flatten(of []Expr, same func(Expr) ([]Expr, bool)) []Expr {
	var flat []Expr
	for _, e := range of {
		if parts, ok := same(e); ok {
			flat = slices.Concat(flat, parts)
		} else {
			flat = append(flat, e)
		}
	}
	return flat
}
