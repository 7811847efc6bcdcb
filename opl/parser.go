package opl

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A parser reads tokens by recursive descent. A method that reads a construct
// reports false if that is not there, after it has recorded the mistake; the
// caller then passes it on until someone knows where to go on reading.
type parser struct {
	src    Source
	opts   Options
	tokens []token
	at     int
	errs   ErrorList
	synced int // the token at which skipping ran out of the class, 0 for none

	depth int      // of the expression being read
	vars  []string // variables of the traversals around it, the innermost last
}

// Parse reads one source. The error is an ErrorList.
func Parse(src Source, o Options) (*File, error) {
	if len(src.Text) > MaxSource {
		e := newError(src, 0, 0, "source has %d bytes, the limit is %d", len(src.Text), MaxSource)
		return nil, ErrorList{e}
	}
	tokens, comments := scan(src.Text, o.Compat)
	p := parser{src: src, opts: o, tokens: tokens}
	f := &File{src: src, comments: comments, decls: p.file()}
	if err := p.errs.err(); err != nil {
		return nil, err
	}
	return f, nil
}

// peek returns the next token.
func (p *parser) peek() token { return p.tokens[p.at] }

// peekAt returns the n-th token after the next one.
func (p *parser) peekAt(n int) token {
	return p.tokens[min(p.at+n, len(p.tokens)-1)]
}

func (p *parser) is(k kind) bool { return p.peek().kind == k }

// next returns the next token and moves past it. It never moves past the end.
func (p *parser) next() token {
	t := p.peek()
	if t.kind != kEOF {
		p.at++
	}
	return t
}

// accept moves past the next token if it is a k.
func (p *parser) accept(k kind) bool {
	ok := p.is(k)
	if ok {
		p.at++
	}
	return ok
}

// expect moves past one token of each of the kinds, or reports the first that
// is something else.
func (p *parser) expect(kinds ...kind) bool {
	for _, k := range kinds {
		if !p.is(k) {
			e := p.fail("expected %q, got %q", texts[k], p.value(p.peek()))
			if k < kArrow {
				p.suggest(e, texts[k])
			}
			return false
		}
		p.at++
	}
	return true
}

// end returns where the last token that was read ends.
func (p *parser) end() int {
	if p.at == 0 {
		return 0
	}
	return int(p.tokens[p.at-1].end)
}

func (p *parser) start() int { return int(p.peek().start) }

// value returns the text of a token, that of a string without its quotes.
func (p *parser) value(t token) string {
	if t.kind == kString {
		return string(p.src.Text[t.start+1 : t.end-1])
	}
	return string(p.src.Text[t.start:t.end])
}

// describe returns what to call a token in a message to people.
func (p *parser) describe(t token) string {
	if t.kind == kEOF {
		return "the end of the source"
	}
	return fmt.Sprintf("%q", p.value(t))
}

// fail records a mistake at the next token. If that could not even be scanned,
// this is the mistake, whatever was expected. Where skipping ran out of the
// class it records nothing: that a } is missing there was known before.
func (p *parser) fail(format string, args ...any) *Error {
	t := p.peek()
	if p.synced == p.at && p.synced > 0 {
		return &Error{}
	}
	if t.kind.isBad() {
		return p.failBad(t)
	}
	return p.failAt(span{int(t.start), int(t.end)}, format, args...)
}

func (p *parser) failAt(at span, format string, args ...any) *Error {
	e := newError(p.src, at.start, at.end, format, args...)
	p.errs.add(e)
	return e
}

// failBad records a token that could not be scanned.
func (p *parser) failBad(t token) *Error {
	at := span{int(t.start), int(t.end)}
	switch t.kind {
	case kBadString:
		e := p.failAt(at, "unclosed string literal")
		e.Expected = "the same quote before the end of the line"
		if p.opts.Compat {
			e.Expected = "the same quote again"
		}
		return e
	case kBadComment:
		e := p.failAt(at, "unclosed comment")
		e.Expected = `"*/"`
		return e
	}
	r, size := utf8.DecodeRune(p.src.Text[t.start:])
	switch {
	case r == utf8.RuneError && size <= 1:
		return p.failAt(at, "unexpected byte 0x%02x", p.src.Text[t.start])
	case r == '\uFEFF':
		e := p.failAt(at, "unexpected byte order mark")
		e.Hint = "save the source as UTF-8 without it"
		return e
	case printable([]byte(string(r))) != string(r):
		return p.failAt(at, "unexpected character %U", r)
	}
	e := p.failAt(at, "unexpected token %c", r)
	switch {
	case r >= utf8.RuneSelf || isDigit(byte(r)):
		e.Hint = "a name starts with a letter from a to z or _, or stands in quotes"
	case r == '&':
		e.Hint = `did you mean "&&"?`
	}
	return e
}

// suggest adds to e the candidate nearest to the next token.
func (p *parser) suggest(e *Error, candidates ...string) {
	if t := p.peek(); e.Hint == "" && (t.kind.isWord() || t.kind == kString) {
		e.Hint = didYouMean(p.value(t), candidates...)
	}
}

// name reads the name of a namespace or relation.
func (p *parser) name() (name, bool) {
	t := p.peek()
	if !t.kind.isName() {
		e := p.fail("expected identifier, got %s", t.kind.typeName())
		p.explainReserved(e, t)
		return name{}, false
	}
	p.next()
	n := name{span{int(t.start), int(t.end)}, p.value(t)}
	return n, p.checkName(n)
}

// checkName refuses names that no tuple could hold.
func (p *parser) checkName(n name) bool {
	switch {
	case n.text == "":
		p.failAt(n.span, "a name is empty")
	case !utf8.ValidString(n.text):
		p.failAt(n.span, "a name is not valid UTF-8")
	case strings.IndexByte(n.text, 0) >= 0:
		p.failAt(n.span, "a name holds a NUL byte")
	default:
		return true
	}
	return false
}

// checkLength reports a declared name that is too long.
func (p *parser) checkLength(what string, n name, limit int) {
	if len(n.text) > limit {
		p.failAt(n.span, "the name of a %s has %d bytes, the limit is %d", what, len(n.text), limit)
	}
}

// explainReserved adds to e that a keyword needs quotes to be a name.
func (p *parser) explainReserved(e *Error, t token) {
	if t.kind.reserved() {
		e.Hint = fmt.Sprintf("%s is a word of the language: write %q in quotes to use it as a name", texts[t.kind], texts[t.kind])
	}
}

// file reads declarations up to the end of the source.
func (p *parser) file() []decl {
	var decls []decl
	for !p.is(kEOF) && !p.errs.full() {
		if d := p.decl(); d != nil {
			decls = append(decls, d)
		}
	}
	return decls
}

// decl reads one declaration, or what is in the place of one.
func (p *parser) decl() decl {
	switch p.peek().kind {
	case kClass:
		return p.class()
	case kExport:
		if p.peekAt(1).kind == kClass {
			return p.class()
		}
		if p.isMisspeltClass(1) {
			p.next()
		}
	case kImport:
		if d := p.importLine(); d != nil {
			return d
		}
	case kSemicolon:
		p.next()
		return nil
	}
	if p.isMisspeltClass(0) {
		e := p.fail("expected %q, got %q", texts[kClass], p.value(p.peek()))
		p.suggest(e, texts[kClass])
		return p.class()
	}
	p.skipTopLevel()
	return nil
}

// isMisspeltClass reports whether a class with another word for class starts at
// the n-th token after the next one. To Keto that is nothing.
func (p *parser) isMisspeltClass(n int) bool {
	k := p.peekAt(n).kind
	return !p.opts.Compat && k.isWord() && k != kExport && p.peekAt(n+1).kind.isName() && p.peekAt(n+2).kind == kImplements
}

// skipTopLevel moves to the next declaration. What it skips is a mistake, but
// with Compat only if it could not be scanned.
func (p *parser) skipTopLevel() {
	if !p.opts.Compat {
		e := p.fail(`expected "class" or "import", got %q`, p.value(p.peek()))
		switch p.peek().kind {
		case kImport:
			e.Hint = "an import line ends with the name of a module in quotes"
		case kRBrace:
			e.Hint = `this "}" closes nothing`
		}
		p.suggest(e, "class", "import", "export")
		p.next()
	}
	for !p.atDecl() {
		if t := p.next(); p.opts.Compat && (t.kind.isBad() || t.kind == kStar) {
			p.failBad(t)
			return
		}
	}
}

func (p *parser) atDecl() bool {
	switch p.peek().kind {
	case kEOF, kClass:
		return true
	case kExport:
		return p.peekAt(1).kind == kClass || p.isMisspeltClass(1)
	case kImport:
		return !p.opts.Compat || p.importEnd() > 0
	}
	return p.isMisspeltClass(0)
}

// importEnd returns the index of the token behind the import line that starts
// here, or 0 if none does. Nothing of such a line is looked at but where it
// ends: with the string that names the module, and what may follow that.
func (p *parser) importEnd() int {
	i := p.at + 1
	for ; p.tokens[i].kind != kString; i++ {
		switch k := p.tokens[i].kind; {
		case k.isWord() && !k.reserved() && k != kImport, k == kStar, k == kComma, k == kLBrace, k == kRBrace, k == kAssign, k == kLParen:
		default:
			return 0
		}
	}
	i++
	switch t := p.tokens[i]; {
	case t.kind == kRParen: // import x = require("y")
		i++
	case t.kind == kIdent && p.value(t) == "with" && p.tokens[i+1].kind == kLBrace:
		for ; p.tokens[i].kind != kRBrace; i++ {
			if k := p.tokens[i].kind; k == kEOF || k == kClass || k == kImport {
				return 0
			}
		}
		i++
	}
	return i
}

// importLine reads an import line, or returns nil if this is none.
func (p *parser) importLine() decl {
	end := p.importEnd()
	if end == 0 {
		return nil
	}
	d := &importDecl{span: span{start: p.start()}}
	var text strings.Builder
	glue := true
	for p.at < end {
		t := p.next()
		if t.kind == kComma && (p.is(kRBrace) || p.is(kComma)) {
			continue
		}
		opens := t.kind == kLParen
		if !glue && !opens && t.kind != kComma && t.kind != kColon && t.kind != kRParen {
			text.WriteByte(' ')
		}
		glue = opens
		if t.kind == kString {
			text.WriteString(quote(p.value(t)))
		} else {
			text.WriteString(p.value(t))
		}
	}
	p.accept(kSemicolon)
	d.end, d.text = p.end(), text.String()
	return d
}

// class reads a class from export or class on. A class without a name or body
// is nil.
func (p *parser) class() decl {
	c := &classDecl{span: span{start: p.start()}, export: p.accept(kExport)}
	p.next() // class
	if !p.classHead(c) {
		return nil
	}
	c.open = p.end()
	for !p.is(kRBrace) {
		if !p.classMember(c) {
			return nil
		}
	}
	c.close = p.start()
	p.next()
	p.accept(kSemicolon)
	c.end = p.end()
	return c
}

// classHead reads a class up to its {. After a mistake it goes on behind the {
// if there is one, so that the body is read too.
func (p *parser) classHead(c *classDecl) bool {
	var ok bool
	if c.name, ok = p.name(); ok {
		p.checkLength("class", c.name, MaxNamespaceLen)
		if p.expect(kImplements, kNamespace, kLBrace) {
			return true
		}
	}
	for !p.is(kLBrace) {
		if p.is(kEOF) || p.is(kClass) {
			return false
		}
		p.next()
	}
	p.next()
	return true
}

// classMember reads a block of a class. It returns false if the class ends
// without a }.
func (p *parser) classMember(c *classDecl) bool {
	if p.errs.full() {
		return false
	}
	switch t := p.peek(); t.kind {
	case kSemicolon:
		p.next()
		return true
	case kRelated, kPermits:
		b := p.block(t.kind == kPermits)
		c.blocks = append(c.blocks, b)
		return true
	case kString:
		if k := words[p.value(t)]; p.opts.Compat && (k == kRelated || k == kPermits) {
			c.blocks = append(c.blocks, p.block(k == kPermits))
			return true
		}
	}
	e := p.fail("expected 'permits' or 'related', got %q", p.value(p.peek()))
	p.suggest(e, texts[kPermits], texts[kRelated])
	if p.is(kEOF) || p.is(kClass) {
		e.Hint = fmt.Sprintf(`a "}" is missing: class %q is not closed`, c.name.text)
	}
	return p.skipToBlock()
}

// skipToBlock moves to the next block or to the end of the class, and returns
// false if there is neither.
func (p *parser) skipToBlock() bool {
	for depth := 0; ; {
		switch k := p.peek().kind; {
		case k == kEOF, k == kClass:
			return p.lost()
		case k == kLBrace:
			depth++
		case k == kRBrace && depth == 0:
			return true
		case k == kRBrace:
			depth--
		}
		p.next()
		if depth == 0 && p.peek().kind.isName() && p.atBlock() {
			return true
		}
	}
}

// lost notes that skipping found no place to go on in the class.
func (p *parser) lost() bool {
	p.synced = p.at
	return false
}

// atBlock reports whether a block starts here, by whatever name.
func (p *parser) atBlock() bool {
	k := p.peekAt(1).kind
	return (k == kColon || k == kAssign) && p.peekAt(2).kind == kLBrace
}

// block reads a related or permits block.
func (p *parser) block(permits bool) *block {
	b := &block{span: span{start: p.start()}, permits: permits}
	p.next()
	between := kColon
	if permits {
		between = kAssign
	}
	if !p.blockHead(between) {
		p.skipToBlock()
		return b
	}
	b.open = p.end()
	for !p.is(kRBrace) {
		if !p.blockMember(b) {
			return b
		}
	}
	b.close = p.start()
	p.next()
	for p.accept(kSemicolon) {
	}
	b.end = p.end()
	return b
}

// blockHead reads what is between the word that starts a block and its
// members. It puts up with a wrong or missing token in front of the {.
func (p *parser) blockHead(between kind) bool {
	if p.expect(between) {
		return p.expect(kLBrace)
	}
	if p.peekAt(1).kind == kLBrace {
		p.next()
	}
	return p.accept(kLBrace)
}

// blockMember reads one relation or permission. It returns false if the block
// ends without a }.
func (p *parser) blockMember(b *block) bool {
	if !b.permits && p.accept(kSemicolon) {
		return true
	}
	m := &member{span: span{start: p.start()}}
	if t := p.peek(); !t.kind.isName() {
		e := p.fail("expected identifier or '}', got %s %q", t.kind.typeName(), p.value(t))
		p.explainReserved(e, t)
		if t.kind == kEOF || t.kind == kClass && p.peekAt(1).kind != kColon {
			e.Hint = `is a "}" missing?`
			return p.lost()
		}
		p.next()
		return p.skipToMember(b.permits)
	}
	ok := false
	if m.name, ok = p.name(); ok {
		p.checkLength("relation or permission", m.name, MaxRelationLen)
		if b.permits {
			ok = p.permission(m)
		} else {
			ok = p.relation(m)
		}
	}
	if !ok {
		return p.skipToMember(b.permits)
	}
	m.end = p.end()
	b.members = append(b.members, m)
	return !p.errs.full()
}

// skipToMember moves to the next member of the block or to the block's end. It
// returns false if the block has no end, or after too many mistakes.
func (p *parser) skipToMember(permits bool) bool {
	for depth := 0; !p.errs.full(); p.next() {
		switch k := p.peek().kind; {
		case k == kEOF, k == kClass && p.peekAt(1).kind.isName(), (k == kRelated || k == kPermits) && p.atBlock():
			return p.lost()
		case k == kLBrace:
			depth++
		case k == kRBrace && depth == 0:
			return true
		case k == kRBrace:
			depth--
		case depth == 0 && p.atMember(permits):
			return true
		}
	}
	return false
}

// atMember reports whether a relation or permission seems to start here.
func (p *parser) atMember(permits bool) bool {
	k, next := p.peek().kind, p.peekAt(1).kind
	switch {
	case k.isName() && next == kColon && (!permits || p.peekAt(2).kind == kLParen):
		return true
	case !p.firstOnLine():
		return false
	}
	return k.isWord() && next == kColon || permits && k == kIdent && next == kLParen
}

// firstOnLine reports whether the next token is the first of its line.
func (p *parser) firstOnLine() bool {
	return bytes.IndexByte(p.src.Text[p.end():p.start()], '\n') >= 0
}
