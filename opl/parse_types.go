package opl

// relation reads the types of a relation, from the colon on.
func (p *parser) relation(m *member) bool {
	if !p.expect(kColon) {
		return false
	}
	start := p.at
	if !p.types(m) {
		return false
	}
	if len(m.types) > MaxTypes {
		p.failAt(m.name.span, "relation %q has %d types, the limit is %d", m.name.text, len(m.types), MaxTypes)
	}
	if p.is(kPipe) && p.tokens[start].kind != kLParen {
		e := p.fail("expected identifier or '}', got %q", "|")
		e.Hint = "a list of several types is written (A | B)[]"
		return false
	}
	if !p.accept(kComma) {
		p.accept(kSemicolon)
	}
	return true
}

// types reads T[], (T | U)[] or Array<T | U>.
func (p *parser) types(m *member) bool {
	switch {
	case p.is(kArray) && p.peekAt(1).kind == kLess:
		p.next()
		p.next()
		return p.union(m, kGreater)
	case p.accept(kLParen):
		return p.union(m, kRParen) && p.brackets()
	}
	t, ok := p.typeRef()
	if !ok {
		return false
	}
	m.types = append(m.types, t)
	return p.brackets()
}

// brackets reads the [] behind a type.
func (p *parser) brackets() bool {
	if p.is(kLBracket) {
		return p.expect(kLBracket, kRBracket)
	}
	e := p.fail("expected %q, got %q", "[", p.value(p.peek()))
	e.Hint = "a relation holds a list: write [] behind the type"
	if p.is(kPipe) {
		e.Hint = "a list of several types is written (A | B)[]"
	}
	return false
}

// union reads types up to the closing token and past it.
func (p *parser) union(m *member, closing kind) bool {
	p.accept(kPipe)
	for {
		t, ok := p.typeRef()
		if !ok {
			return false
		}
		m.types = append(m.types, t)
		switch {
		case p.accept(kPipe):
		case closing == kGreater && p.is(kComma) && p.peekAt(1).kind == closing:
			p.next()
			return p.expect(closing)
		case p.accept(closing):
			return true
		default:
			e := p.fail("expected '|', got %q", p.value(p.peek()))
			e.Expected = `"|" or "` + texts[closing] + `"`
			return false
		}
	}
}

// typeRef reads a name or SubjectSet<namespace, relation>.
func (p *parser) typeRef() (typeRef, bool) {
	if !p.is(kSubjectSet) || p.peekAt(1).kind != kLess {
		n, ok := p.name()
		return typeRef{namespace: n}, ok
	}
	p.next()
	p.next()
	namespace, ok := p.name()
	if !ok || !p.expect(kComma) {
		return typeRef{}, false
	}
	relation, ok := p.name()
	p.accept(kComma)
	return typeRef{namespace, &relation}, ok && p.expect(kGreater)
}
