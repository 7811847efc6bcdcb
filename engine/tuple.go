package engine

import (
	"cmp"
	"strings"
	"unicode/utf8"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Limits on the parts of a tuple, in bytes. They keep a whole tuple inside one
// index entry of every database that Cardea runs on.
const (
	MaxNamespace = 200
	MaxRelation  = 128
	MaxID        = 1000
)

// An Object is a thing that a namespace of the model describes.
type Object struct {
	Namespace string
	ID        string
}

func (o Object) String() string { return o.Namespace + ":" + o.ID }

// A Subject is either a plain subject id, which has no namespace and no
// relation, or a subject set: everyone who has Relation to the object. A
// subject set with an empty relation names the object itself, as in User:ann.
type Subject struct {
	Object
	Relation string
}

// SubjectID returns the subject that is a plain id.
func SubjectID(id string) Subject { return Subject{Object: Object{ID: id}} }

// SubjectSet returns the subject set of a relation to an object.
func SubjectSet(namespace, id, relation string) Subject {
	return Subject{Object{namespace, id}, relation}
}

// IsID reports whether s is a plain subject id.
func (s Subject) IsID() bool { return s.Namespace == "" }

func (s Subject) String() string {
	switch {
	case s.IsID():
		return s.ID
	case s.Relation == "":
		return s.Object.String()
	default:
		return s.Object.String() + "#" + s.Relation
	}
}

// A Tuple says that a subject has a relation to an object. As a question it
// asks whether that is so.
type Tuple struct {
	Object   Object
	Relation string
	Subject  Subject
}

// String prints t as ns:object#relation@subject.
func (t Tuple) String() string {
	return t.Object.String() + "#" + t.Relation + "@" + t.Subject.String()
}

// ParseTuple reads ns:object#relation@subject, where the subject is an id, or
// ns:object, or ns:object#relation, and may stand in parentheses. Each
// separator is the first of its kind, and a subject with a colon is a subject
// set; what cannot be written that way can be written as JSON.
//
// Invalid: the text has another form, or a part breaks its limit.
func ParseTuple(text string) (Tuple, error) {
	object, rest, ok1 := strings.Cut(text, "#")
	relation, subject, ok2 := strings.Cut(rest, "@")
	if !ok1 || !ok2 {
		return Tuple{}, errs.New(errs.Invalid, "tuple %q: expected ns:object#relation@subject", shorten(text))
	}
	o, err := ParseObject(object)
	if err != nil {
		return Tuple{}, err
	}
	s, err := ParseSubject(subject)
	if err != nil {
		return Tuple{}, err
	}
	t := Tuple{o, relation, s}
	return t, t.Validate()
}

// ParseObject reads ns:object.
func ParseObject(text string) (Object, error) {
	namespace, id, ok := strings.Cut(text, ":")
	if !ok || namespace == "" {
		return Object{}, errs.New(errs.Invalid, "object %q: expected ns:object", shorten(text))
	}
	return Object{namespace, id}, nil
}

// ParseSubject reads an id, ns:object or ns:object#relation, perhaps in
// parentheses.
func ParseSubject(text string) (Subject, error) {
	if inner, ok := strings.CutPrefix(text, "("); ok && strings.HasSuffix(inner, ")") {
		text = strings.TrimSuffix(inner, ")")
	}
	if text == "" {
		return Subject{}, errs.New(errs.Invalid, "subject is empty: expected an id, ns:object or ns:object#relation")
	}
	if !strings.Contains(text, ":") {
		return SubjectID(text), nil
	}
	object, relation, found := strings.Cut(text, "#")
	if found && relation == "" {
		return Subject{}, errs.New(errs.Invalid, "subject %q: expected a relation after #", shorten(text))
	}
	o, err := ParseObject(object)
	if err != nil {
		return Subject{}, errs.New(errs.Invalid, "subject %q: expected an id, ns:object or ns:object#relation", shorten(text))
	}
	return Subject{o, relation}, nil
}

// Validate reports the first part of t that breaks a limit, is not UTF-8 or
// holds a NUL byte, by name. Empty parts are legal, but for the namespace.
//
// Invalid: as said.
func (t Tuple) Validate() error {
	if t.Object.Namespace == "" {
		return errs.New(errs.Invalid, "namespace is empty: expected the name of a namespace")
	}
	return cmp.Or(
		validName("namespace", t.Object.Namespace, MaxNamespace),
		validName("object", t.Object.ID, MaxID),
		validName("relation", t.Relation, MaxRelation),
		t.Subject.Validate(),
	)
}

// Validate is Tuple.Validate for a subject alone.
func (s Subject) Validate() error {
	if s.IsID() {
		if s.Relation != "" {
			return errs.New(errs.Invalid, "subject_set.namespace is empty: expected the name of a namespace")
		}
		return validName("subject_id", s.ID, MaxID)
	}
	return cmp.Or(
		validName("subject_set.namespace", s.Namespace, MaxNamespace),
		validName("subject_set.object", s.ID, MaxID),
		validName("subject_set.relation", s.Relation, MaxRelation),
	)
}

// like reports whether t and u differ in ids at most.
func (t *Tuple) like(u *Tuple) bool {
	return t.Object.Namespace == u.Object.Namespace && t.Relation == u.Relation &&
		t.Subject.Namespace == u.Subject.Namespace && t.Subject.Relation == u.Subject.Relation
}

// validIDs is Validate for a tuple that is like a valid one.
func (t *Tuple) validIDs() error {
	if t.plainIDs() {
		return nil
	}
	field := "subject_set.object"
	if t.Subject.IsID() {
		field = "subject_id"
	}
	return cmp.Or(validName("object", t.Object.ID, MaxID), validName(field, t.Subject.ID, MaxID))
}

// plainIDs reports whether the ids of t are short enough and of ASCII, as most are: they
// are valid then, and others may be.
func (t *Tuple) plainIDs() bool {
	return len(t.Object.ID) <= MaxID && len(t.Subject.ID) <= MaxID && isPlain(t.Object.ID) && isPlain(t.Subject.ID)
}

func validName(field, text string, limit int) error {
	if len(text) <= limit && isPlain(text) {
		return nil
	}
	switch {
	case len(text) > limit:
		return errs.New(errs.Invalid, "%s has %d bytes: expected at most %d", field, len(text), limit)
	case !utf8.ValidString(text):
		return errs.New(errs.Invalid, "%s is not valid UTF-8", field)
	case strings.IndexByte(text, 0) >= 0:
		return errs.New(errs.Invalid, "%s holds a NUL byte", field)
	}
	return nil
}

// isPlain reports whether text is of ASCII without NUL bytes, as most are: eight bytes
// at a time, none of which has its highest bit, nor gets one when 1 is taken away.
func isPlain(text string) bool {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; len(text) >= 8; text = text[8:] {
		x := uint64(text[0]) | uint64(text[1])<<8 | uint64(text[2])<<16 | uint64(text[3])<<24 |
			uint64(text[4])<<32 | uint64(text[5])<<40 | uint64(text[6])<<48 | uint64(text[7])<<56
		if (x|(x-ones))&tops != 0 {
			return false
		}
	}
	for i := range len(text) {
		if text[i]-1 >= 0x7f {
			return false
		}
	}
	return true
}

// shorten keeps a message readable when the input is not.
func shorten(text string) string {
	if len(text) > 80 {
		return text[:80] + "..."
	}
	return text
}

// Compare orders tuples by namespace, object, relation, then subject
// namespace, subject id and subject relation, each by bytes. Plain subject ids
// come first, since their namespace is empty.
func (t Tuple) Compare(u Tuple) int {
	return cmp.Or(
		strings.Compare(t.Object.Namespace, u.Object.Namespace),
		strings.Compare(t.Object.ID, u.Object.ID),
		strings.Compare(t.Relation, u.Relation),
		strings.Compare(t.Subject.Namespace, u.Subject.Namespace),
		strings.Compare(t.Subject.ID, u.Subject.ID),
		strings.Compare(t.Subject.Relation, u.Subject.Relation),
	)
}
