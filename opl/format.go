package opl

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxWidth is the number of characters at which Format breaks a line that can
// be broken.
const maxWidth = 100

// Format prints f in the canonical layout: two spaces of indentation, T[]
// rather than Array<T>, no semicolons, a comma behind every permission, and one
// operand of a permission on a line. Comments stay with the line they were in
// or in front of, and up to one blank line between members stays. Parentheses
// that follow from Options.Precedence are written out.
//
// What Format returns means the same with any Options, and parsing and
// formatting it again gives the same bytes.
func Format(f *File) []byte {
	p := printer{src: f.src.Text, comments: f.comments, fresh: true}
	for i, d := range f.decls {
		gap := wide
		if i > 0 {
			if _, ok := d.(*importDecl); ok {
				_, ok = f.decls[i-1].(*importDecl)
				gap = map[bool]gapKind{true: keep, false: wide}[ok]
			}
		}
		switch d := d.(type) {
		case *importDecl:
			p.line(d.text, d.span, gap)
		case *classDecl:
			p.class(d, gap)
		}
	}
	p.flush(len(p.src)+1, keep)
	return p.out.Bytes()
}

// A gapKind says whether a blank line comes before a line.
type gapKind uint8

const (
	tight gapKind = iota // never
	keep                 // if there is one in the source
	wide                 // always
)

// A printer writes line by line. Each line knows which stretch of the source
// it came from, and that decides where the comments go: those inside the
// stretch or before it come out above the line, those that trail its last
// token at its end. A second run finds them in just these places, which makes
// the layout stable; it never depends on comments that may move out of what is
// laid out.
type printer struct {
	src      []byte
	comments []comment // not yet written
	out      bytes.Buffer
	indent   int
	fresh    bool // at the start of the source or behind a {
}

// line writes one line, which came from the bytes at of the source.
func (p *printer) line(text string, at span, gap gapKind) {
	if p.flush(at.end, gap) && gap == wide {
		gap = keep
	}
	p.write(text, gap == wide || gap == keep && p.blankBefore(at.start))
	var trailing []comment
	for len(p.comments) > 0 && p.comments[0].trailing && p.onlySpace(at.end, p.comments[0].start, trailing) {
		trailing = append(trailing, p.comments[0])
		p.comments = p.comments[1:]
	}
	for _, c := range trailing {
		p.out.Truncate(p.out.Len() - 1)
		p.out.WriteByte(' ')
		p.out.Write(p.text(c))
		p.out.WriteByte('\n')
	}
}

// onlySpace reports whether nothing but the comments between stands between
// the bytes start and end of the source.
func (p *printer) onlySpace(start, end int, between []comment) bool {
	for _, c := range between {
		if len(bytes.TrimSpace(p.src[start:c.start])) > 0 {
			return false
		}
		start = c.end
	}
	return len(bytes.TrimSpace(p.src[start:end])) == 0
}

// flush writes the comments that start before the byte end, each on a line of
// its own. It reports whether there were any.
func (p *printer) flush(end int, gap gapKind) bool {
	any := false
	for len(p.comments) > 0 && p.comments[0].start < end {
		c := p.comments[0]
		p.comments = p.comments[1:]
		p.write(string(p.text(c)), gap == wide || gap == keep && p.blankBefore(c.start))
		any, gap = true, keep
	}
	return any
}

// write writes a line, with a blank one before it if asked for and if it is
// not the first behind a {.
func (p *printer) write(text string, blank bool) {
	if blank && !p.fresh {
		p.out.WriteByte('\n')
	}
	p.fresh = false
	for range p.indent {
		p.out.WriteString("  ")
	}
	p.out.WriteString(text)
	p.out.WriteByte('\n')
}

// text returns a comment as it is written: without space at the end.
func (p *printer) text(c comment) []byte {
	return bytes.TrimRight(p.src[c.start:c.end], " \t\r\v\f")
}

// blankBefore reports whether an empty line comes before the byte at.
func (p *printer) blankBefore(at int) bool {
	breaks := 0
	for at--; at >= 0 && isSpace(p.src[at]); at-- {
		if p.src[at] == '\n' {
			breaks++
		}
	}
	return breaks > 1
}

// commented reports whether a comment starts between two bytes.
func (p *printer) commented(start, end int) bool {
	for _, c := range p.comments {
		if c.start >= end {
			break
		}
		if c.start >= start {
			return true
		}
	}
	return false
}

// open writes a line that ends with { or (, and indents what follows.
func (p *printer) open(text string, at span, gap gapKind) {
	p.line(text, at, gap)
	p.indent++
	p.fresh = true
}

// close writes the line that ends what open began. The comments before it are
// still inside.
func (p *printer) close(text string, at span) {
	p.flush(at.end, keep)
	p.indent--
	p.line(text, at, tight)
}

func (p *printer) class(c *classDecl, gap gapKind) {
	head := fmt.Sprintf("class %s implements Namespace {", word(c.name.text))
	if c.export {
		head = "export " + head
	}
	if len(c.blocks) == 0 && !p.commented(c.open, c.close) {
		p.line(head+"}", c.span, gap)
		return
	}
	p.open(head, span{c.start, c.open}, gap)
	for _, b := range c.blocks {
		p.block(b)
	}
	p.close("}", span{c.close, c.end})
}

func (p *printer) block(b *block) {
	head := "related: {"
	if b.permits {
		head = "permits = {"
	}
	if len(b.members) == 0 && !p.commented(b.open, b.close) {
		p.line(head+"}", b.span, wide)
		return
	}
	p.open(head, span{b.start, b.open}, wide)
	for _, m := range b.members {
		if b.permits {
			p.permission(m)
		} else {
			p.line(word(m.name.text)+": "+types(m.types), m.span, keep)
		}
	}
	p.close("}", span{b.close, b.end})
}

// permission writes a permission, in one line if it is one operand that fits.
func (p *printer) permission(m *member) {
	head := word(m.name.text) + ": (ctx: Context): boolean =>"
	body := m.rewrite.pos()
	_, isChain := m.rewrite.(*chain)
	text := head + " " + flat(m.rewrite) + ","
	if !isChain && p.fits(text) && !p.commented(m.body, body.end) {
		p.line(text, m.span, keep)
		return
	}
	p.line(head, span{m.start, m.body}, keep)
	p.indent++
	p.body(m.rewrite, ",", span{body.start, m.end})
	p.indent--
}

// body writes an expression, one operand on a line. suffix follows the last;
// at is all of it.
func (p *printer) body(n node, suffix string, at span) {
	c, ok := n.(*chain)
	if !ok {
		p.operand(n, "", suffix, at)
		return
	}
	for i, x := range c.operands {
		start := x.pos().start
		if i < len(c.ops) {
			p.operand(x, "", " "+texts[c.op], span{start, c.ops[i]})
		} else {
			p.operand(x, "", suffix, span{start, at.end})
		}
	}
}

// operand writes an operand between prefix and suffix, and breaks it if it
// does not fit or has comments inside.
func (p *printer) operand(n node, prefix, suffix string, at span) {
	text := prefix + flat(n) + suffix
	if p.fits(text) && !p.mustBreak(n) {
		p.line(text, at, tight)
		return
	}
	switch n := n.(type) {
	case *notNode:
		p.operand(n.x, prefix+"!", suffix, at)
	case *parenNode:
		p.open(prefix+"(", span{at.start, n.open}, tight)
		p.body(n.x, "", n.x.pos())
		p.close(")"+suffix, span{n.close, at.end})
	case *traversal:
		p.open(prefix+traverseHead(n), span{at.start, n.body}, tight)
		p.body(n.x, ",", span{n.x.pos().start, n.last})
		p.close(")"+suffix, span{n.close, at.end})
	default:
		p.line(text, at, tight)
	}
}

func (p *printer) fits(text string) bool {
	return 2*p.indent+utf8.RuneCountInString(text) <= maxWidth
}

// mustBreak reports whether n has comments inside that only lines of their own
// can keep where they are.
func (p *printer) mustBreak(n node) bool {
	switch n := n.(type) {
	case *notNode:
		return p.mustBreak(n.x)
	case *parenNode:
		return p.commented(n.open, n.close)
	case *traversal:
		return p.commented(n.body, n.close)
	}
	return false
}

// flat returns n on one line.
func flat(n node) string {
	var b strings.Builder
	writeFlat(&b, n)
	return b.String()
}

func writeFlat(b *strings.Builder, n node) {
	switch n := n.(type) {
	case *chain:
		for i, x := range n.operands {
			if i > 0 {
				b.WriteString(" " + texts[n.op] + " ")
			}
			writeFlat(b, x)
		}
	case *notNode:
		b.WriteByte('!')
		writeFlat(b, n.x)
	case *parenNode:
		b.WriteByte('(')
		writeFlat(b, n.x)
		b.WriteByte(')')
	case *literal:
		fmt.Fprint(b, n.value)
	case *question:
		if n.permits {
			b.WriteString(n.variable + ".permits" + property(n.relation.text) + "(ctx)")
		} else {
			b.WriteString(n.variable + ".related" + property(n.relation.text) + ".includes(ctx.subject)")
		}
	case *traversal:
		b.WriteString(traverseHead(n) + " ")
		writeFlat(b, n.x)
		b.WriteByte(')')
	}
}

// traverseHead returns v.related.R.traverse((param) =>.
func traverseHead(n *traversal) string {
	param := n.param
	if len(n.types) > 0 {
		names := make([]string, len(n.types))
		for i, t := range n.types {
			names[i] = word(t.text)
		}
		param += ": " + strings.Join(names, " | ")
	}
	return fmt.Sprintf("%s.related%s.traverse((%s) =>", n.variable, property(n.relation.text), param)
}

// types returns the types of a relation.
func types(refs []typeRef) string {
	texts := make([]string, len(refs))
	for i, t := range refs {
		texts[i] = word(t.namespace.text)
		if t.relation != nil {
			texts[i] = fmt.Sprintf("SubjectSet<%s, %s>", texts[i], quote(t.relation.text))
		}
	}
	if len(texts) == 1 {
		return texts[0] + "[]"
	}
	return "(" + strings.Join(texts, " | ") + ")[]"
}

// word returns a name in quotes if it needs them.
func word(name string) string {
	if isIdentifier(name) {
		return name
	}
	return quote(name)
}

func property(name string) string {
	if isIdentifier(name) {
		return "." + name
	}
	return "[" + quote(name) + "]"
}

func isIdentifier(name string) bool {
	if name == "" || !isLetter(name[0]) || words[name].reserved() {
		return false
	}
	for i := range len(name) {
		if !isLetter(name[i]) && !isDigit(name[i]) {
			return false
		}
	}
	return true
}

// quote returns a string that holds s. There are no escapes, so one of the
// quotes does not occur in s.
func quote(s string) string {
	if strings.Contains(s, `"`) {
		return "'" + s + "'"
	}
	return `"` + s + `"`
}

// sketch returns an expression with nothing but the names in it, for messages.
func sketch(n node) string {
	switch n := n.(type) {
	case *chain:
		parts := make([]string, len(n.operands))
		for i, x := range n.operands {
			parts[i] = sketch(x)
		}
		return strings.Join(parts, " "+texts[n.op]+" ")
	case *notNode:
		return "!" + sketch(n.x)
	case *parenNode:
		if n.open > n.start {
			return "(...)"
		}
		return "(" + sketch(n.x) + ")"
	case *literal:
		return fmt.Sprint(n.value)
	case *question:
		return n.relation.text
	case *traversal:
		return n.relation.text + ".traverse(...)"
	}
	return "..."
}
