package engine

import (
	"sync"

	"github.com/cardea-iam/cardea/engine/graph"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/opl"
)

// A program is a model compiled to the numbers of one graph, so that a walk
// looks nothing up by name. It never changes.
type program struct {
	namespaces  []*namespaceRules // by namespace number; nil: the model has no such namespace
	expressions []*rule           // by number less isExpression; nil: of what is no rule
	compat      bool
	forms       forms

	backwards struct {
		once  sync.Once
		reach *reach
	}
}

// namespaceRules is what a namespace declares. One without rules is open: any
// relation may be stored there.
type namespaceRules struct {
	rules []*rule // by relation number; nil: not declared
	open  bool
}

// A rule says when the answer is yes for an object: if the subject is stored in
// the relation, directly or through subject sets, or if one of the alternatives
// says so.
type rule struct {
	stored bool
	alts   []alt
	flat   *flat  // nil: the rule has none
	arms   []arm  // of an intersection that is all there is to the rule, if each is flat
	probe  *probe // of flat or arms, nil if there are none
}

// openRule is the rule of every relation that needs no declaration.
var openRule = &rule{stored: true}

type op uint8

const (
	opAsk      op = iota // ask args[0] of the same object
	opTraverse           // ask args[0] of every object stored in via
	opAnd                // ask all args of the same object
	opNot                // ask args[0] of the same object, and turn the answer round
	opTrue
)

// An alt is one alternative of a rule.
type alt struct {
	op   op
	id   uint32 // of opAnd and opNot: stands for a relation in the Ref of this question
	via  uint32 // of opTraverse: a relation
	args []ask
}

// An ask is a question still without its object: a relation, or an expression
// that has a number as if it were one. The rule is nil where it depends on the
// namespace of the object.
type ask struct {
	relation uint32
	rule     *rule
}

// isExpression marks the numbers of expressions; the graph never counts so far.
const isExpression = 1 << 31

// compile numbers the names of m and flattens its rewrites. With compat, tuples
// stored on permissions count, and those on what the model does not declare do
// where they name the subject itself, as in Keto.
func compile(m *opl.Model, b *graph.Builder, compat bool) *program {
	c := compiler{b: b, p: &program{compat: compat}, next: isExpression}
	for _, ns := range m.Namespaces {
		c.declare(ns, compat)
	}
	for _, ns := range m.Namespaces {
		c.fill(ns)
	}
	for _, ns := range m.Namespaces {
		flatten(c.p.namespaces[b.Namespace(ns.Name)].rules)
	}
	return c.p
}

type compiler struct {
	b    *graph.Builder
	p    *program
	next uint32
}

func (c *compiler) declare(ns *opl.Namespace, compat bool) {
	rules := &namespaceRules{open: len(ns.Relations) == 0}
	for _, r := range ns.Relations {
		rules.rules = grow(rules.rules, c.b.Relation(r.Name))
		rules.rules[c.b.Relation(r.Name)] = &rule{stored: compat || !r.Permission}
	}
	number := c.b.Namespace(ns.Name)
	c.p.namespaces = grow(c.p.namespaces, number)
	c.p.namespaces[number] = rules
}

func (c *compiler) fill(ns *opl.Namespace) {
	own := c.p.namespaces[c.b.Namespace(ns.Name)].rules
	for _, r := range ns.Relations {
		if r.Rewrite != nil {
			into := own[c.b.Relation(r.Name)]
			into.alts = c.alts(into.alts, r.Rewrite, own)
		}
	}
}

// alts appends the alternatives of e. own has the rules of the namespace that e
// is about, nil if that is not known before the walk.
func (c *compiler) alts(list []alt, e opl.Expr, own []*rule) []alt {
	switch e := e.(type) {
	case opl.Or:
		for _, part := range e.Of {
			list = c.alts(list, part, own)
		}
		return list
	case opl.And:
		a := alt{op: opAnd, id: c.number()}
		for _, part := range e.Of {
			a.args = append(a.args, c.ask(part, own))
		}
		return append(list, a)
	case opl.Not:
		return append(list, alt{op: opNot, id: c.number(), args: []ask{c.ask(e.Of, own)}})
	case opl.Computed:
		return append(list, alt{op: opAsk, args: []ask{c.ask(e, own)}})
	case opl.Traverse:
		return append(list, alt{op: opTraverse, via: c.b.Relation(e.Relation), args: []ask{c.ask(e.Of, nil)}})
	case opl.Const:
		if e {
			return append(list, alt{op: opTrue})
		}
		return list
	default:
		panic("engine: opl has an expression that compile does not know")
	}
}

func (c *compiler) ask(e opl.Expr, own []*rule) ask {
	if e, ok := e.(opl.Computed); ok {
		relation := c.b.Relation(e.Relation)
		if own == nil {
			return ask{relation: relation}
		}
		return ask{relation, own[relation]}
	}
	number := c.number()
	r := &rule{alts: c.alts(nil, e, own)}
	c.p.expressions = grow(c.p.expressions, number-isExpression)
	c.p.expressions[number-isExpression] = r
	return ask{number, r}
}

func (c *compiler) number() uint32 {
	c.next++
	return c.next - 1
}

func grow[T any](list []T, to uint32) []T {
	if int(to) >= len(list) {
		list = append(list, make([]T, int(to)+1-len(list))...)
	}
	return list
}

// declared returns the rule that the model has of a relation in a namespace, nil if none.
func (p *program) declared(namespace, relation uint32) *rule {
	if int(namespace) < len(p.namespaces) {
		if ns := p.namespaces[namespace]; ns != nil && int(relation) < len(ns.rules) {
			return ns.rules[relation]
		}
	}
	return nil
}

// rule returns the rule of a relation in a namespace.
//
// NotFound: the model has no such namespace. Invalid: it has no such relation.
func (p *program) rule(namespace, relation uint32) (*rule, errs.Kind) {
	if r := p.declared(namespace, relation); r != nil {
		return r, errs.OK
	}
	switch {
	case int(namespace) >= len(p.namespaces) || p.namespaces[namespace] == nil:
		return nil, errs.NotFound
	case p.namespaces[namespace].open || relation == 0:
		return openRule, errs.OK
	default:
		return nil, errs.Invalid
	}
}
