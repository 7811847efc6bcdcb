package opl

import (
	"fmt"
	"slices"
)

// permission reads a permission, from the colon on.
func (p *parser) permission(m *member) bool {
	if !p.expect(kColon, kLParen, kCtx) {
		return false
	}
	if p.accept(kColon) && !p.expect(kContext) {
		return false
	}
	if !p.closeParen() {
		return false
	}
	if p.accept(kColon) && !p.expect(kBoolean) {
		return false
	}
	if !p.expect(kArrow) {
		return false
	}
	m.body = p.end()
	p.depth = 0
	p.vars = p.vars[:0]
	if p.is(kComma) || p.is(kRBrace) {
		e := p.fail(`expected "this", got %q`, p.value(p.peek()))
		e.Hint = fmt.Sprintf("permission %q says nothing: write false if nobody is to have it", m.name.text)
		return false
	}
	x, ok := p.exprs()
	if !ok {
		return false
	}
	m.rewrite = x.node
	if p.accept(kComma) || p.is(kRBrace) {
		return true
	}
	p.failAfter(x.closed, `"||", "&&", "," or "}"`)
	return false
}

// closeParen reads ")" or ",)".
func (p *parser) closeParen() bool {
	if p.is(kComma) && p.peekAt(1).kind == kRParen {
		p.next()
	}
	return p.expect(kRParen)
}

// failAfter reports a token that cannot stand behind an operand. Keto's words
// depend on whether the operand was closed.
func (p *parser) failAfter(closed bool, expected string) {
	t := p.peek()
	var e *Error
	if closed {
		e = p.fail("did not expect another expression")
	} else {
		e = p.fail(`expected "this", got %q`, p.value(t))
	}
	if t.kind.isBad() {
		return
	}
	e.Found, e.Expected = p.describe(t), expected
	switch {
	case t.kind == kPipe:
		e.Hint = `did you mean "||"?`
	case t.kind == kSemicolon:
		e.Hint = "permissions are separated by commas"
	case t.kind.isName() && p.peekAt(1).kind == kColon:
		e.Hint = `a "," is missing before the next permission`
	}
}

// An operand is a part of a chain, with what Keto's reading of a sequence
// without operators depends on.
type operand struct {
	node   node
	inside kind // the operator in force in it, if it is in parentheses
	closed bool // in parentheses or negated: Keto wants an operator behind it
}

// exprs reads operands and operators as long as there are any.
func (p *parser) exprs() (operand, bool) {
	first, ok := p.operand()
	if !ok {
		return operand{}, false
	}
	l := list{operands: []node{first.node}, inForce: first.inside}
	last := first
	for {
		op, more, ok := p.operator(&l, last.closed)
		if !ok {
			return operand{}, false
		}
		if !more {
			break
		}
		if last, ok = p.operand(); !ok {
			return operand{}, false
		}
		l.ops = append(l.ops, op)
		l.operands = append(l.operands, last.node)
	}
	n, ok := p.join(l)
	return operand{n, l.inForce, last.closed}, ok
}

// An operator is || or &&, and where it ends.
type operator struct {
	kind kind
	end  int
}

// A list is operands with the operators between them.
type list struct {
	operands []node
	ops      []operator
	inForce  kind // the operator that joins what has none, as in Keto
}

// operator reads an operator. It reports whether an operand follows. With
// Compat an operator may be missing, doubled, or have nothing behind it.
func (p *parser) operator(l *list, closed bool) (operator, bool, bool) {
	switch k := p.peek().kind; {
	case k == kOr, k == kAnd:
		p.next()
		for p.opts.Compat && (p.is(kOr) || p.is(kAnd)) {
			k = p.next().kind
		}
		l.inForce = k
		return operator{k, p.end()}, !p.opts.Compat || !p.atListEnd(), true
	case !p.atOperand():
		return operator{}, false, true
	case p.opts.Compat && !(closed && k != kLParen && k != kNot):
		return operator{l.inForce, p.end()}, true, true
	}
	t := p.peek()
	e := p.fail("did not expect another expression")
	e.Found, e.Expected = p.describe(t), `"||" or "&&" before it`
	return operator{}, false, false
}

// atListEnd reports whether a sequence of operands ends here.
func (p *parser) atListEnd() bool {
	switch p.peek().kind {
	case kComma, kRParen, kRBrace:
		return true
	}
	return false
}

// atOperand reports whether an operand starts here.
func (p *parser) atOperand() bool {
	switch t := p.peek(); t.kind {
	case kLParen, kNot, kThis:
		return true
	case kTrue, kFalse:
		return p.peekAt(1).kind != kColon
	default:
		return t.kind.isWord() && p.peekAt(1).kind == kDot
	}
}

// join makes one node of a list. Where both operators stand side by side, the
// precedence in force says what belongs together.
func (p *parser) join(l list) (node, bool) {
	if len(l.ops) == 0 {
		return l.operands[0], true
	}
	mixed := slices.IndexFunc(l.ops, func(op operator) bool { return op.kind != l.ops[0].kind })
	if mixed < 0 {
		return newChain(l.operands, l.ops), true
	}
	switch p.opts.precedence() {
	case TypeScript:
		return joinTypeScript(l), true
	case Keto:
		return joinKeto(l), true
	}
	end := l.ops[mixed].end
	e := p.failAt(span{end - len("||"), end}, `"||" and "&&" are mixed without parentheses`)
	e.Hint = fmt.Sprintf("write the parentheses: TypeScript reads %s, Keto reads %s", sketch(joinTypeScript(l)), sketch(joinKeto(l)))
	return nil, true
}

func newChain(operands []node, ops []operator) node {
	if len(ops) == 0 {
		return operands[0]
	}
	c := &chain{op: ops[0].kind, operands: operands}
	c.span = span{operands[0].pos().start, operands[len(operands)-1].pos().end}
	for _, op := range ops {
		c.ops = append(c.ops, op.end)
	}
	return c
}

// wrap puts a chain into the parentheses that it has by precedence.
func wrap(n node) node {
	if c, ok := n.(*chain); ok {
		return &parenNode{c.span, c.start, c.end, c}
	}
	return n
}

// joinKeto reads from left to right.
func joinKeto(l list) node {
	operands, ops := l.operands[:1:1], l.ops[:0:0]
	for i, op := range l.ops {
		if len(ops) > 0 && ops[0].kind != op.kind {
			operands, ops = []node{wrap(newChain(operands, ops))}, nil
		}
		operands, ops = append(operands, l.operands[i+1]), append(ops, op)
	}
	return newChain(operands, ops)
}

// joinTypeScript reads what && joins first.
func joinTypeScript(l list) node {
	var operands []node
	var ors []operator
	start := 0
	for i, op := range l.ops {
		if op.kind == kOr {
			operands = append(operands, wrap(newChain(l.operands[start:i+1], l.ops[start:i])))
			ors, start = append(ors, op), i+1
		}
	}
	operands = append(operands, wrap(newChain(l.operands[start:], l.ops[start:])))
	return newChain(operands, ors)
}

// operand reads one operand.
func (p *parser) operand() (operand, bool) {
	start := p.start()
	switch p.peek().kind {
	case kNot:
		p.next()
		if !p.enter() {
			return operand{}, false
		}
		x, ok := p.operand()
		p.depth--
		return operand{&notNode{span{start, p.end()}, x.node}, kOr, true}, ok
	case kLParen:
		return p.paren()
	case kTrue, kFalse:
		t := p.next()
		return operand{node: &literal{span{start, p.end()}, t.kind == kTrue}, inside: kOr}, true
	}
	n, ok := p.question()
	return operand{node: n, inside: kOr}, ok
}

// enter counts a level of nesting, and refuses one too many.
func (p *parser) enter() bool {
	limit := p.opts.nesting()
	if p.depth++; p.depth >= limit {
		p.fail("expression nested too deeply; maximal nesting depth is %d", limit)
		return false
	}
	return true
}

// paren reads an expression in parentheses.
func (p *parser) paren() (operand, bool) {
	n := &parenNode{span: span{start: p.start()}}
	p.next()
	n.open = p.end()
	if !p.enter() {
		return operand{}, false
	}
	x, ok := p.exprs()
	p.depth--
	if !ok {
		return operand{}, false
	}
	n.x, n.close = x.node, p.start()
	switch {
	case p.accept(kRParen):
	case p.is(kRBrace) && p.opts.Compat:
		n.close = p.end()
	case p.is(kRBrace) || p.is(kEOF):
		e := p.fail("expected %q, got %q", ")", p.value(p.peek()))
		e.Hint = fmt.Sprintf(`the "(" of line %d is not closed`, position(p.src.Text, n.start).Line)
		return operand{}, false
	default:
		p.failAfter(x.closed, `"||", "&&" or ")"`)
		return operand{}, false
	}
	n.end = p.end()
	return operand{n, x.inside, true}, true
}

// question reads what is asked about this or the variable of a traversal.
func (p *parser) question() (node, bool) {
	start := p.start()
	variable, ok := p.variable()
	if !ok || !p.expect(kDot) {
		return nil, false
	}
	switch k := p.wordOrString(); k {
	case kPermits:
		p.next()
		q := &question{span: span{start: start}, variable: variable, permits: true}
		if q.relation, ok = p.property(); !ok || !p.expect(kLParen, kCtx) || !p.closeParen() {
			return nil, false
		}
		q.end = p.end()
		return q, true
	case kRelated:
		p.next()
		return p.related(start, variable)
	}
	e := p.fail("expected 'related' or 'permits', got %q", p.value(p.peek()))
	p.suggest(e, texts[kRelated], texts[kPermits])
	return nil, false
}

// wordOrString returns the kind of the next token. With Compat a string counts
// as the word it holds, as in Keto.
func (p *parser) wordOrString() kind {
	t := p.peek()
	if t.kind == kString && p.opts.Compat {
		return words[p.value(t)]
	}
	return t.kind
}

// variable reads this, or within a traversal its variable.
func (p *parser) variable() (string, bool) {
	want := texts[kThis]
	if len(p.vars) > 0 {
		want = p.vars[len(p.vars)-1]
	}
	t := p.peek()
	if got := p.value(t); t.kind.isWord() && got == want {
		p.next()
		return want, true
	}
	e := p.fail("expected %q, got %q", want, p.value(t))
	if t.kind.isBad() {
		return "", false
	}
	p.explainVariable(e, t, want)
	return "", false
}

// explainVariable adds to e why t is not the variable that can stand here.
func (p *parser) explainVariable(e *Error, t token, want string) {
	got := p.value(t)
	switch {
	case len(p.vars) > 0 && (t.kind == kThis || slices.Contains(p.vars, got)):
		e.Hint = fmt.Sprintf("inside this traverse only %q can be asked about: what holds for %q does not depend on %q, so ask it outside", want, got, want)
	case t.kind == kLBrace:
		e.Expected = "an expression"
		e.Hint = "a permission is one expression, without { return }"
	default:
		e.Found = p.describe(t)
		e.Expected = fmt.Sprintf(`%q, "(", "!", "true" or "false"`, want)
		p.suggest(e, want, "true", "false")
	}
}

// property reads .name or ["name"].
func (p *parser) property() (name, bool) {
	if p.accept(kLBracket) {
		n, ok := p.name()
		return n, ok && p.expect(kRBracket)
	}
	if !p.expect(kDot) {
		return name{}, false
	}
	return p.name()
}

// related reads what is asked about a relation, from its name on.
func (p *parser) related(start int, variable string) (node, bool) {
	relation, ok := p.property()
	if !ok || !p.expect(kDot) {
		return nil, false
	}
	switch p.wordOrString() {
	case kIncludes:
		p.next()
		ok := p.expect(kLParen, kCtx, kDot, kSubject) && p.closeParen()
		return &question{span{start, p.end()}, variable, false, relation}, ok
	case kTraverse:
		p.next()
		return p.traverse(&traversal{span: span{start: start}, variable: variable, relation: relation})
	}
	e := p.fail("expected 'traverse' or 'includes', got %q", p.value(p.peek()))
	p.suggest(e, texts[kTraverse], texts[kIncludes])
	return nil, false
}

// traverse reads a traversal from its ( on.
func (p *parser) traverse(n *traversal) (node, bool) {
	if !p.expect(kLParen) || !p.param(n) || !p.expect(kArrow) {
		return nil, false
	}
	n.body = p.end()
	if !p.enter() {
		return nil, false
	}
	p.vars = append(p.vars, n.param)
	x, ok := p.exprs()
	p.vars = p.vars[:len(p.vars)-1]
	p.depth--
	if !ok {
		return nil, false
	}
	if p.is(kComma) && p.peekAt(1).kind == kRParen {
		p.next()
	}
	n.x, n.last, n.close = x.node, p.end(), p.start()
	if !p.expect(kRParen) {
		return nil, false
	}
	n.end = p.end()
	return n, true
}

// param reads v, (v) or (v: A | B).
func (p *parser) param(n *traversal) bool {
	paren := p.accept(kLParen)
	t := p.peek()
	if !t.kind.isWord() || t.kind.reserved() || t.kind == kTrue || t.kind == kFalse {
		e := p.fail("expected identifier, got %s", t.kind.typeName())
		e.Expected = "a name for the objects that the relation leads to"
		return false
	}
	p.next()
	n.param = p.value(t)
	if !paren {
		return true
	}
	if p.accept(kColon) {
		p.accept(kPipe)
		for more := true; more; more = p.accept(kPipe) {
			typ, ok := p.name()
			if !ok {
				return false
			}
			n.types = append(n.types, typ)
		}
	}
	return p.closeParen()
}
