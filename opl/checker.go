package opl

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A checker resolves the names of all files of a model.
type checker struct {
	opts    Options
	errs    ErrorList
	classes []*class // in the order of declaration
	byName  map[string]*class

	reached map[Type][]*class // what reach found
	steps   int               // taken so far, at most MaxSteps
}

// A class is a declared namespace.
type class struct {
	file   *File
	decl   *classDecl
	order  []*member // without duplicates
	byName map[string]*member
}

// newChecker collects the declarations of files and reports duplicates.
func newChecker(files []*File, o Options) *checker {
	c := &checker{opts: o, byName: make(map[string]*class), reached: make(map[Type][]*class)}
	for _, f := range files {
		for _, d := range f.decls {
			if d, ok := d.(*classDecl); ok {
				c.declare(f, d)
			}
		}
	}
	return c
}

// declare adds a class. Of two with one name in one file, Keto takes the last.
func (c *checker) declare(f *File, d *classDecl) {
	name := d.name.text
	if other, ok := c.byName[name]; ok {
		if !c.opts.Compat || other.file != f {
			c.failTwice(f, d.name, fmt.Sprintf("namespace %q", name), other.file, other.decl.name)
			return
		}
		c.classes = slices.DeleteFunc(c.classes, func(cl *class) bool { return cl == other })
	}
	if len(c.classes) == MaxNamespaces {
		c.fail(f, d.name.span, "namespace %q is one too many, the limit is %d", name, MaxNamespaces)
		return
	}
	cl := &class{file: f, decl: d, byName: make(map[string]*member)}
	for _, b := range d.blocks {
		for _, m := range b.members {
			c.declareMember(cl, m)
		}
	}
	c.byName[name] = cl
	c.classes = append(c.classes, cl)
}

// declareMember adds a member to its class. Of two with one name, Keto takes
// the first.
func (c *checker) declareMember(cl *class, m *member) {
	name := m.name.text
	if other, ok := cl.byName[name]; ok {
		if !c.opts.Compat {
			c.failTwice(cl.file, m.name, fmt.Sprintf("%q of namespace %q", name, cl.decl.name.text), cl.file, other.name)
		}
		return
	}
	if len(cl.order) == MaxRelations {
		c.fail(cl.file, m.name.span, "%q is one too many relations and permissions of namespace %q, the limit is %d", name, cl.decl.name.text, MaxRelations)
	}
	if len(cl.order) < MaxRelations {
		cl.byName[name] = m
		cl.order = append(cl.order, m)
	}
}

func (c *checker) fail(f *File, at span, format string, args ...any) *Error {
	e := newError(f.src, at.start, at.end, format, args...)
	c.errs.add(e)
	return e
}

// failTwice reports a second declaration of what.
func (c *checker) failTwice(f *File, at name, what string, first *File, firstAt name) {
	e := c.fail(f, at.span, "%s is declared twice", what)
	pos := position(first.src.Text, firstAt.start)
	e.Hint = fmt.Sprintf("the first declaration is at %s:%d:%d", first.src.Name, pos.Line, pos.Column+1)
}

// step counts one step of checking. It returns false if that was one too many.
func (c *checker) step() bool {
	c.steps++
	return c.steps <= MaxSteps
}

// exhausted reports, at a member, if there were too many steps.
func (c *checker) exhausted(cl *class, m *member) bool {
	if c.steps <= MaxSteps {
		return false
	}
	e := c.fail(cl.file, m.name.span, "the model takes more than %d steps to check", MaxSteps)
	e.Hint = "let the relations that are traversed lead to fewer namespaces"
	return true
}

// checkNames reports every name that is not declared where it is looked for.
func (c *checker) checkNames() {
	for _, cl := range c.classes {
		for _, b := range cl.decl.blocks {
			for _, m := range b.members {
				c.checkMemberNames(cl, m)
				if c.errs.full() || c.exhausted(cl, m) {
					return
				}
			}
		}
	}
}

func (c *checker) checkMemberNames(cl *class, m *member) {
	for _, t := range m.types {
		c.checkType(cl, t)
	}
	if m.rewrite != nil {
		c.checkExpr(cl, m.rewrite, scope{this: true, classes: []*class{cl}})
	}
}

// checkType checks a type of a relation of cl.
func (c *checker) checkType(cl *class, t typeRef) {
	target, ok := c.class(cl.file, t.namespace)
	if !ok || t.relation == nil {
		return
	}
	if _, ok := target.byName[t.relation.text]; !ok {
		c.failMember(cl.file, *t.relation, target)
	}
}

// class returns the class of that name, or reports that there is none.
func (c *checker) class(f *File, n name) (*class, bool) {
	cl, ok := c.byName[n.text]
	if !ok {
		e := c.fail(f, n.span, "namespace %q was not declared", n.text)
		e.Hint = didYouMean(n.text, slices.Sorted(maps.Keys(c.byName))...)
	}
	return cl, ok
}

// failMember reports that target declares no relation n.
func (c *checker) failMember(f *File, n name, target *class) {
	e := c.fail(f, n.span, "namespace %q did not declare relation %q", target.decl.name.text, n.text)
	suggestMember(e, n.text, target)
}

// suggestMember adds to e the nearest of the names that target declares.
func suggestMember(e *Error, text string, target *class) {
	if e.Hint = didYouMean(text, slices.Sorted(maps.Keys(target.byName))...); e.Hint == "" && len(target.byName) == 0 {
		e.Hint = fmt.Sprintf("namespace %q declares nothing", target.decl.name.text)
	}
}

// A scope is what an expression is about: this, or the variable of a traversal
// and the classes that its objects can be of.
type scope struct {
	this    bool
	via     name // the relation that was traversed
	classes []*class
}

// checkExpr checks the names of an expression that stands in cl.
func (c *checker) checkExpr(cl *class, n node, s scope) {
	switch n := n.(type) {
	case *chain:
		for _, x := range n.operands {
			c.checkExpr(cl, x, s)
		}
	case *notNode:
		c.checkExpr(cl, n.x, s)
	case *parenNode:
		c.checkExpr(cl, n.x, s)
	case *question:
		c.checkMember(cl, n.relation, s)
	case *traversal:
		if c.checkMember(cl, n.relation, s) {
			inner := scope{via: n.relation, classes: c.reachAll(s.classes, n.relation.text)}
			c.checkParam(cl, n, inner)
			c.checkExpr(cl, n.x, inner)
		}
	}
}

// checkMember reports if one of the classes in scope does not declare n.
func (c *checker) checkMember(cl *class, n name, s scope) bool {
	for _, target := range s.classes {
		if _, ok := target.byName[n.text]; ok && c.step() {
			continue
		} else if ok {
			return false
		}
		if s.this {
			c.failMember(cl.file, n, target)
			return false
		}
		e := c.fail(cl.file, n.span, "relation %q was not declared in namespace %q", n.text, target.decl.name.text)
		suggestMember(e, n.text, target)
		why := fmt.Sprintf("%q leads to objects of namespace %q", s.via.text, target.decl.name.text)
		if e.Hint != "" {
			why += "; " + e.Hint
		}
		e.Hint = why
		return false
	}
	return true
}

// checkParam checks the types that are given to the variable of a traversal:
// they must be declared, and be all that it can stand for.
func (c *checker) checkParam(cl *class, n *traversal, s scope) {
	if len(n.types) == 0 {
		return
	}
	given := make(map[*class]bool)
	for _, t := range n.types {
		target, ok := c.class(cl.file, t)
		if !ok {
			return
		}
		given[target] = true
	}
	for _, target := range s.classes {
		if !given[target] {
			e := c.fail(cl.file, n.types[0].span, "the type of %q leaves out namespace %q", n.param, target.decl.name.text)
			e.Hint = fmt.Sprintf("%q leads to objects of %s", n.relation.text, classNames(s.classes))
			return
		}
	}
}

func classNames(classes []*class) string {
	names := make([]string, len(classes))
	for i, cl := range classes {
		names[i] = cl.decl.name.text
	}
	return strings.Join(names, " | ")
}

// reachAll returns the classes of the objects that a relation leads to from
// any of classes.
func (c *checker) reachAll(classes []*class, relation string) []*class {
	if len(classes) == 1 {
		return c.reach(classes[0], relation)
	}
	var all []*class
	seen := make(map[*class]bool)
	for _, cl := range classes {
		for _, target := range c.reach(cl, relation) {
			if !c.step() {
				return nil
			}
			if !seen[target] {
				seen[target] = true
				all = append(all, target)
			}
		}
	}
	return all
}

// reach returns the classes of the objects that a relation of cl leads to. A
// subject set leads to its members, and these may be subject sets in turn, even
// of the same relation. Like in Keto a permission leads to nothing that could
// be checked.
func (c *checker) reach(cl *class, relation string) []*class {
	first := Type{cl.decl.name.text, relation}
	if found, ok := c.reached[first]; ok {
		return found
	}
	var found []*class
	seen := map[Type]bool{first: true}
	for todo := []Type{first}; len(todo) > 0; {
		m := c.byName[todo[0].Namespace].byName[todo[0].Relation]
		todo = todo[1:]
		if m == nil {
			continue
		}
		for _, ref := range m.types {
			t := ref.typ()
			target, ok := c.byName[t.Namespace]
			if seen[t] || !ok || !c.step() {
				continue
			}
			seen[t] = true
			if t.Relation == "" {
				found = append(found, target)
			} else {
				todo = append(todo, t)
			}
		}
	}
	c.reached[first] = found
	return found
}
