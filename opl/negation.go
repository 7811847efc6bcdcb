package opl

import (
	"fmt"
	"slices"
	"strings"
)

// A dependency says that what holds for one relation or permission depends on
// another.
type dependency struct {
	on       Type
	negative bool
	at       node // where it is written, nil for the types of a relation
}

// A vertex is a relation or permission in the graph of dependencies.
type vertex struct {
	id        Type
	class     *class
	on        []dependency
	index     int // in the order of visits, from 1
	low       int
	component int // from 1, 0 while not known
}

// checkNegation reports every permission that depends on its own negation: such
// a one would hold for someone exactly if it did not. All other recursion has a
// least fixed point, which is the answer of a check.
func (c *checker) checkNegation() {
	g := graph{checker: c, vertices: make(map[Type]*vertex)}
	if !g.build() {
		return
	}
	for _, v := range g.order {
		if v.index == 0 {
			g.visit(v)
		}
	}
	for _, v := range g.order {
		g.report(v)
	}
}

type graph struct {
	*checker
	vertices map[Type]*vertex
	order    []*vertex
	negative bool // whether there is a negation at all

	visited    int
	stack      []*vertex
	components int
}

// build collects all dependencies. It returns false if there is no negation,
// or too much to look at.
func (g *graph) build() bool {
	for _, cl := range g.classes {
		for _, m := range cl.order {
			v := &vertex{id: Type{cl.decl.name.text, m.name.text}, class: cl}
			g.vertices[v.id] = v
			g.order = append(g.order, v)
			for _, t := range m.types {
				if t.relation != nil {
					g.add(v, t.typ(), false, nil)
				}
			}
			if m.rewrite != nil {
				g.expr(v, m.rewrite, []*class{cl}, false)
			}
			if g.exhausted(cl, m) {
				return false
			}
		}
	}
	return g.negative
}

func (g *graph) add(v *vertex, on Type, negative bool, at node) {
	if !g.step() {
		return
	}
	v.on = append(v.on, dependency{on, negative, at})
	g.negative = g.negative || negative
}

// expr adds the dependencies of an expression about objects of classes.
func (g *graph) expr(v *vertex, n node, classes []*class, negative bool) {
	switch n := n.(type) {
	case *chain:
		for _, x := range n.operands {
			g.expr(v, x, classes, negative)
		}
	case *parenNode:
		g.expr(v, n.x, classes, negative)
	case *notNode:
		if inner, ok := unwrap(n.x).(*notNode); ok {
			g.expr(v, inner.x, classes, negative)
		} else {
			g.expr(v, n.x, classes, true)
		}
	case *question:
		g.member(v, n, n.relation.text, classes, negative)
	case *traversal:
		g.member(v, n, n.relation.text, classes, negative)
		g.expr(v, n.x, g.targets(classes, n.relation.text), negative)
	}
}

// unwrap takes the parentheses off n.
func unwrap(n node) node {
	for {
		p, ok := n.(*parenNode)
		if !ok {
			return n
		}
		n = p.x
	}
}

func (g *graph) member(v *vertex, at node, relation string, classes []*class, negative bool) {
	for _, cl := range classes {
		if _, ok := cl.byName[relation]; ok {
			g.add(v, Type{cl.decl.name.text, relation}, negative, at)
		}
	}
}

// targets returns the classes that a traversal may ask: those of the members
// that the relation leads to, and those of the subject sets it names.
func (g *graph) targets(classes []*class, relation string) []*class {
	found := g.reachAll(classes, relation)
	found = found[:len(found):len(found)]
	seen := make(map[*class]bool)
	for _, cl := range found {
		seen[cl] = true
	}
	for _, cl := range classes {
		m := cl.byName[relation]
		if m == nil {
			continue
		}
		for _, t := range m.types {
			if !g.step() {
				return nil
			}
			if target := g.byName[t.namespace.text]; !seen[target] {
				seen[target] = true
				found = append(found, target)
			}
		}
	}
	return found
}

// visit numbers the strongly connected components that v leads to, by Tarjan's
// algorithm.
func (g *graph) visit(v *vertex) {
	g.visited++
	v.index, v.low = g.visited, g.visited
	g.stack = append(g.stack, v)
	for _, d := range v.on {
		w := g.vertices[d.on]
		switch {
		case w.index == 0:
			g.visit(w)
			v.low = min(v.low, w.low)
		case w.component == 0:
			v.low = min(v.low, w.index)
		}
	}
	if v.low < v.index {
		return
	}
	g.components++
	for {
		w := g.stack[len(g.stack)-1]
		g.stack = g.stack[:len(g.stack)-1]
		w.component = g.components
		if w == v {
			return
		}
	}
}

// report reports the first negation in v on which v itself depends.
func (g *graph) report(v *vertex) {
	for _, d := range v.on {
		if !d.negative || g.vertices[d.on].component != v.component {
			continue
		}
		e := g.fail(v.class.file, d.at.pos(), "permission %q of namespace %q depends on its own negation", v.id.Relation, v.id.Namespace)
		e.Hint = fmt.Sprintf("the cycle is %s: someone would have the permission exactly if they did not; break it at one of its negations",
			g.cycle(v, d))
		return
	}
}

// cycle prints the shortest way from v over d back to v.
func (g *graph) cycle(v *vertex, d dependency) string {
	type step struct {
		from *step
		dependency
	}
	seen := map[Type]bool{}
	for todo := []*step{{nil, d}}; len(todo) > 0; todo = todo[1:] {
		s := todo[0]
		if s.on == v.id {
			var names []string
			for ; s != nil; s = s.from {
				names = append(names, sign(s.dependency)+g.short(v, s.on))
			}
			names = append(names, g.short(v, v.id))
			slices.Reverse(names)
			return strings.Join(names, " -> ")
		}
		if seen[s.on] {
			continue
		}
		seen[s.on] = true
		for _, next := range g.vertices[s.on].on {
			if g.vertices[next.on].component == v.component {
				todo = append(todo, &step{s, next})
			}
		}
	}
	return g.short(v, v.id)
}

func sign(d dependency) string {
	if d.negative {
		return "!"
	}
	return ""
}

// short returns the name of t, without its namespace if that is the one of v.
func (g *graph) short(v *vertex, t Type) string {
	if t.Namespace == v.id.Namespace {
		return t.Relation
	}
	return t.Namespace + "." + t.Relation
}
