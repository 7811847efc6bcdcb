package opl

// A kind says what a token is. The words of the language have kinds of their
// own, so that the parser never compares text.
type kind uint8

const (
	kEOF kind = iota

	// What the scanner could not read.
	kBadChar    // a character that starts no token
	kBadString  // a string without its closing quote
	kBadComment // a comment without its closing */

	kIdent
	kString

	// Words that are names only in quotes.
	kClass
	kImplements
	kThis
	kCtx

	// Words that are ordinary names wherever a name may stand.
	kImport
	kExport
	kNamespace
	kContext
	kBoolean
	kRelated
	kPermits
	kSubjectSet
	kArray
	kIncludes
	kTraverse
	kSubject
	kTrue
	kFalse

	kArrow
	kOr
	kAnd
	kNot
	kColon
	kDot
	kLParen
	kRParen
	kLBracket
	kRBracket
	kLBrace
	kRBrace
	kLess
	kGreater
	kAssign
	kComma
	kSemicolon
	kPipe
	kStar
)

// texts holds the text of every kind that has only one.
var texts = [...]string{
	kClass: "class", kImplements: "implements", kThis: "this", kCtx: "ctx",
	kImport: "import", kExport: "export", kNamespace: "Namespace", kContext: "Context",
	kBoolean: "boolean", kRelated: "related", kPermits: "permits", kSubjectSet: "SubjectSet",
	kArray: "Array", kIncludes: "includes", kTraverse: "traverse", kSubject: "subject",
	kTrue: "true", kFalse: "false",
	kArrow: "=>", kOr: "||", kAnd: "&&", kNot: "!", kColon: ":", kDot: ".",
	kLParen: "(", kRParen: ")", kLBracket: "[", kRBracket: "]", kLBrace: "{", kRBrace: "}",
	kLess: "<", kGreater: ">", kAssign: "=", kComma: ",", kSemicolon: ";", kPipe: "|", kStar: "*",
}

// words maps the text of a word to its kind.
var words = func() map[string]kind {
	m := make(map[string]kind)
	for k := kClass; k <= kFalse; k++ {
		m[texts[k]] = k
	}
	return m
}()

func (k kind) isBad() bool    { return kBadChar <= k && k <= kBadComment }
func (k kind) isWord() bool   { return k == kIdent || kClass <= k && k <= kFalse }
func (k kind) reserved() bool { return kClass <= k && k <= kCtx }

// isName reports whether a token of kind k can be the name of something.
func (k kind) isName() bool { return k == kString || k.isWord() && !k.reserved() }

// typeName is what Keto's messages call a token of kind k.
func (k kind) typeName() string {
	switch k {
	case kEOF:
		return "EOF"
	case kString:
		return "StringLiteral"
	case kClass:
		return "KeywordClass"
	case kImplements:
		return "KeywordImplements"
	case kThis:
		return "KeywordThis"
	case kCtx:
		return "KeywordCtx"
	}
	if k.isWord() {
		return "Identifier"
	}
	return `"` + texts[k] + `"`
}

// A token is a piece of the source, named by its byte offsets.
type token struct {
	kind       kind
	start, end int32
}
