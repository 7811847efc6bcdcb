package opl

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// A comment is a // or /* */ comment. A trailing one follows a token on the
// token's own line and belongs to it; any other belongs to what comes next.
type comment struct {
	start, end int
	trailing   bool
}

// A scanner cuts a source into tokens. It never fails: what it cannot read
// becomes a token of a bad kind, which the parser reports where it meets it.
type scanner struct {
	src       []byte
	at        int
	multiline bool // strings may hold line breaks, as in Keto
	tokens    []token
	comments  []comment
}

// scan returns the tokens of src, the last of which is kEOF, and its comments.
func scan(src []byte, multiline bool) ([]token, []comment) {
	s := scanner{src: src, multiline: multiline, tokens: make([]token, 0, len(src)/5+1)}
	for s.next() {
	}
	s.emit(kEOF, len(src))
	s.markTrailing()
	return s.tokens, s.comments
}

// next reads one token, comment or stretch of space. It returns false at the
// end of the source.
func (s *scanner) next() bool {
	if s.at == len(s.src) {
		return false
	}
	c := s.src[s.at]
	switch {
	case isSpace(c):
		s.at++
	case c == '\'' || c == '"':
		s.string(c)
	case isLetter(c):
		s.word()
	case c == '/' && s.follows('/'):
		s.lineComment()
	case c == '/' && s.follows('*'):
		s.blockComment()
	default:
		if k, size := s.operator(c); size > 0 {
			s.emit(k, s.at+size)
		} else {
			s.badChars()
		}
	}
	return true
}

func (s *scanner) emit(k kind, end int) {
	s.tokens = append(s.tokens, token{k, int32(s.at), int32(end)})
	s.at = end
}

func (s *scanner) follows(c byte) bool {
	return s.at+1 < len(s.src) && s.src[s.at+1] == c
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (s *scanner) word() {
	end := s.at
	for end < len(s.src) && (isLetter(s.src[end]) || isDigit(s.src[end])) {
		end++
	}
	if k, ok := words[string(s.src[s.at:end])]; ok {
		s.emit(k, end)
	} else {
		s.emit(kIdent, end)
	}
}

// string reads a string. One without a closing quote ends with its line, so
// that one mistake does not swallow the rest of the source.
func (s *scanner) string(quote byte) {
	line := -1 // where the first line ends
	for i := s.at + 1; i < len(s.src); i++ {
		switch s.src[i] {
		case quote:
			s.emit(kString, i+1)
			return
		case '\n':
			if line < 0 {
				line = i
			}
			if !s.multiline {
				s.emit(kBadString, line)
				return
			}
		}
	}
	if line < 0 {
		line = len(s.src)
	}
	s.emit(kBadString, line)
}

func (s *scanner) lineComment() {
	end := bytes.IndexByte(s.src[s.at:], '\n')
	if end < 0 {
		end = len(s.src) - s.at
	}
	s.addComment(s.at + end)
}

func (s *scanner) blockComment() {
	length := bytes.Index(s.src[s.at+2:], []byte("*/"))
	if length < 0 {
		s.emit(kBadComment, len(s.src))
		return
	}
	s.addComment(s.at + 2 + length + 2)
}

func (s *scanner) addComment(end int) {
	s.comments = append(s.comments, comment{start: s.at, end: end})
	s.at = end
}

// operator returns the operator that starts with c and its size, or size 0.
func (s *scanner) operator(c byte) (kind, int) {
	switch {
	case c == '=' && s.follows('>'):
		return kArrow, 2
	case c == '|' && s.follows('|'):
		return kOr, 2
	case c == '&' && s.follows('&'):
		return kAnd, 2
	}
	for k := kNot; k <= kStar; k++ {
		if texts[k][0] == c {
			return k, 1
		}
	}
	return kEOF, 0
}

// badChars takes a word that holds other letters than those of names, or else
// one character, as one bad token.
func (s *scanner) badChars() {
	end := s.at
	for end < len(s.src) {
		r, size := utf8.DecodeRune(s.src[end:])
		if !(r < utf8.RuneSelf && (isLetter(byte(r)) || isDigit(byte(r)))) &&
			!(r >= utf8.RuneSelf && r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsMark(r))) {
			if end == s.at {
				end += size
			}
			break
		}
		end += size
	}
	s.emit(kBadChar, end)
}

// markTrailing marks the comments that follow a token on its line and are
// followed by nothing else there.
func (s *scanner) markTrailing() {
	next := 0 // the token after the comment
	for i := range s.comments {
		c := &s.comments[i]
		for int(s.tokens[next].start) < c.end && next < len(s.tokens)-1 {
			next++
		}
		if next == 0 {
			continue
		}
		before := s.src[s.tokens[next-1].end:c.start]
		after := s.src[c.end:s.tokens[next].start]
		last := s.tokens[next].kind == kEOF
		c.trailing = bytes.IndexByte(before, '\n') < 0 && (last || bytes.IndexByte(after, '\n') >= 0)
	}
}
