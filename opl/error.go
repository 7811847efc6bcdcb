package opl

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxErrors is the number of mistakes after which Parse and Compile stop.
const MaxErrors = 100

// A Pos is a place in a source.
type Pos struct {
	Offset int // in bytes, from 0
	Line   int // from 1
	Column int // in characters, from 0, as Keto's wire has it; people are shown Column+1
}

// An Error is one mistake in a source.
type Error struct {
	Name       string // the source's
	Start, End Pos
	Msg        string // in Keto's words where Keto knows the mistake
	Found      string // what stands there, "" if Msg says it
	Expected   string // what may stand there, "" if Msg says it
	Hint       string // what to do about it, or ""
	Line       string // the source line of Start, shortened around it if it is long

	before string // the part of Line in front of Start
}

// Error prints the place and the message, the line with a caret below it, and
// what else is known, each on a line of its own.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", e.Name, e.Start.Line, e.Start.Column+1, e.Msg)
	fmt.Fprintf(&b, "\n    %s\n    %s^", e.Line, blank(e.before))
	if e.Found != "" || e.Expected != "" {
		b.WriteString("\n  ")
		b.WriteString(strings.Join(nonEmpty(prefixed("found ", e.Found), prefixed("expected ", e.Expected)), ", "))
	}
	if e.Hint != "" {
		b.WriteString("\n  ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

func nonEmpty(ss ...string) []string {
	var out []string
	for _, s := range ss {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// blank replaces all but tabs by spaces, so that a caret behind it stands
// where the text behind s does.
func blank(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return '\t'
		}
		return ' '
	}, s)
}

// An ErrorList is all that is wrong with the sources of a model, at most
// MaxErrors.
type ErrorList []*Error

func (l ErrorList) Error() string {
	texts := make([]string, len(l))
	for i, e := range l {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "\n")
}

// Unwrap lets errors.As find an *Error.
func (l ErrorList) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}

// err returns l as an error, which is nil if l is empty.
func (l ErrorList) err() error {
	if len(l) == 0 {
		return nil
	}
	return l
}

// add appends e, unless that would be one too many.
func (l *ErrorList) add(e *Error) {
	if len(*l) < MaxErrors {
		*l = append(*l, e)
	}
}

func (l ErrorList) full() bool { return len(l) >= MaxErrors }

// position returns the place of a byte offset in text.
func position(text []byte, offset int) Pos {
	before := text[:offset]
	line := bytes.LastIndexByte(before, '\n') + 1
	return Pos{offset, bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[line:])}
}

// newError returns an Error about the bytes from start to end of src.
func newError(src Source, start, end int, format string, args ...any) *Error {
	e := &Error{
		Name:  src.Name,
		Start: position(src.Text, start),
		End:   position(src.Text, end),
		Msg:   fmt.Sprintf(format, args...),
	}
	e.before, e.Line = excerpt(src.Text, start)
	return e
}

// excerpt returns the line around offset, and the part of it in front of
// offset. Of a long line it keeps about 100 bytes on either side.
func excerpt(text []byte, offset int) (before, line string) {
	const most = 100
	start := bytes.LastIndexByte(text[:offset], '\n') + 1
	end := len(text)
	if i := bytes.IndexByte(text[offset:], '\n'); i >= 0 {
		end = offset + i
	}
	head, tail := "", ""
	if offset-start > most {
		start, head = runeStart(text, offset-most), "..."
	}
	if end-offset > most {
		end, tail = runeStart(text, offset+most), "..."
	}
	before = head + printable(text[start:offset])
	return before, before + printable(bytes.TrimRight(text[offset:end], " \t\r")) + tail
}

// runeStart returns the largest offset up to i at which a character starts.
func runeStart(text []byte, i int) int {
	for i > 0 && !utf8.RuneStart(text[i]) {
		i--
	}
	return i
}

// printable returns b with a mark for each character that would not show, or
// would show somewhere else.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, string(b))
}
