package opl

// Limits on what one model may hold. Texts come from users, so nothing here
// grows or recurses without a bound.
const (
	MaxSource       = 1 << 20 // bytes of one source
	MaxNamespaces   = 2000    // classes of one model
	MaxRelations    = 1000    // relations and permissions of one class
	MaxTypes        = 200     // types of one relation
	MaxNesting      = 64      // (, ! and traverse within one another, plus one
	MaxNestingKeto  = 10      // the same with Options.Compat
	MaxNamespaceLen = 200     // bytes of the name of a class
	MaxRelationLen  = 128     // bytes of the name of a relation or permission
	MaxSteps        = 2 << 20 // of checking the names of one model, a second at most
	MaxModel        = 8 << 20 // bytes of all sources of one model
)

// Options say how a source is read. The zero value is Cardea's own, strict
// reading.
type Options struct {
	// Compat accepts what Ory Keto accepts by accident, where it has a meaning
	// there: missing and trailing operators, parentheses that are not closed,
	// duplicate names, and other text between the classes.
	Compat bool

	// Precedence says how || and && without parentheses between them are read.
	Precedence Precedence
}

// A Precedence is a reading of a || b && c.
type Precedence uint8

const (
	// Refuse makes it an error, or with Options.Compat means Keto.
	Refuse Precedence = iota
	// TypeScript reads a || (b && c).
	TypeScript
	// Keto reads strictly from left to right, (a || b) && c.
	Keto
)

// precedence returns the reading in force.
func (o Options) precedence() Precedence {
	if o.Compat && o.Precedence == Refuse {
		return Keto
	}
	return o.Precedence
}

func (o Options) nesting() int {
	if o.Compat {
		return MaxNestingKeto
	}
	return MaxNesting
}
