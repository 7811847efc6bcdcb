package opl

// A Source is one OPL text and the name it goes by in messages.
type Source struct {
	Name string
	Text []byte
}

// A File is a parsed source.
type File struct {
	src      Source
	decls    []decl
	comments []comment
}

// A span is a stretch of the source, in bytes. That of a node includes the
// comma or semicolon behind it.
type span struct{ start, end int }

func (s span) pos() span { return s }

// A decl is an importDecl or a classDecl.
type decl interface{ pos() span }

// An importDecl is an import line. It means nothing and is kept for Format.
type importDecl struct {
	span
	text string // in canonical form
}

type classDecl struct {
	span
	export bool
	name   name
	open   int // where the { ends
	close  int // where the } starts
	blocks []*block
}

// A block is a related or a permits block.
type block struct {
	span
	permits bool
	open    int // where the { ends
	close   int // where the } starts
	members []*member
}

// A member is a relation, with types, or a permission, with a rewrite.
type member struct {
	span
	name    name
	types   []typeRef
	rewrite node
	body    int // where the => ends
}

// A name is an identifier or the content of a string.
type name struct {
	span
	text string
}

// A typeRef is a name, or SubjectSet<namespace, relation>.
type typeRef struct {
	namespace name
	relation  *name
}

// A node is an expression as it is written.
type node interface{ pos() span }

type (
	// A chain is two or more operands joined by one operator.
	chain struct {
		span
		op       kind // kOr or kAnd
		operands []node
		ops      []int // where the operator behind each operand but the last ends
	}

	notNode struct {
		span
		x node
	}

	// A parenNode is (x). One that was not written but follows from a
	// precedence has an empty ( and ).
	parenNode struct {
		span
		open, close int // where the ( ends and the ) starts
		x           node
	}

	literal struct {
		span
		value bool
	}

	// A question is v.related.R.includes(ctx.subject), or, if permits is set,
	// v.permits.R(ctx). Both ask the same.
	question struct {
		span
		variable string
		permits  bool
		relation name
	}

	// A traversal is v.related.R.traverse((param: Types) => x).
	traversal struct {
		span
		variable string
		relation name
		param    string
		types    []name
		body     int // where the => ends
		last     int // where x, or the comma behind it, ends
		close    int // where the ) starts
		x        node
	}
)
