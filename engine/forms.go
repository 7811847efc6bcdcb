package engine

import "sync/atomic"

// about is what a question is about, in numbers, but for its two objects.
type about struct {
	namespace, relation uint32
	from, as            uint32 // namespace and relation of the subject
	rule                *rule
}

// A form is what questions say that differ in nothing but their objects: whether a user may view
// a document. An application asks in a few forms, so what one is about is remembered
// with its names, all in two lines of a processor's cache. To find the names one by one
// took a dozen lines, each somewhere else.
type form struct {
	ends  [4]uint8 // where the names end in text
	text  [formText]byte
	about about
	_     [40]byte // so that it begins where a line does
}

// formText is how long the names of a form may be, all together.
const formText = 60

// forms are those that were met. They are never forgotten, so what comes when there is no
// room is found by its names each time.
type forms [64]atomic.Pointer[form]

// formTries is in how many places a form may be.
const formTries = 4

// place returns the first place where the form of t may be.
func (f *forms) place(t *Tuple) uint {
	h := uint(len(t.Object.Namespace)) + 5*uint(len(t.Relation)) + 17*uint(len(t.Subject.Namespace)) + 29*uint(len(t.Subject.Relation))
	if t.Relation != "" {
		h += 3 * uint(t.Relation[0])
	}
	return h
}

// of returns what a question is about, nil if its form was not met or kept.
func (f *forms) of(t *Tuple) *about {
	for i, at := 0, f.place(t); i < formTries; i, at = i+1, at+1 {
		switch kept := f[at%uint(len(f))].Load(); {
		case kept == nil:
			return nil
		case kept.is(t):
			return &kept.about
		}
	}
	return nil
}

// keep remembers what questions of the form of t are about. All names are valid.
func (f *forms) keep(t *Tuple, a about) {
	made, ok := newForm(t, a)
	if !ok || a.relation == never || a.as == never { // which may get a number
		return
	}
	for i, at := 0, f.place(t); i < formTries; i, at = i+1, at+1 {
		if f[at%uint(len(f))].CompareAndSwap(nil, made) {
			return
		}
	}
}

func newForm(t *Tuple, a about) (f *form, ok bool) {
	f = &form{about: a}
	at := 0
	for i, name := range []string{t.Object.Namespace, t.Relation, t.Subject.Namespace, t.Subject.Relation} {
		if at+len(name) > len(f.text) {
			return nil, false
		}
		at += copy(f.text[at:], name)
		f.ends[i] = uint8(at)
	}
	return f, true
}

// is reports whether f is the form of t.
func (f *form) is(t *Tuple) bool {
	a, b, c, d := f.ends[0], f.ends[1], f.ends[2], f.ends[3]
	return string(f.text[:a]) == t.Object.Namespace && string(f.text[a:b]) == t.Relation &&
		string(f.text[b:c]) == t.Subject.Namespace && string(f.text[c:d]) == t.Subject.Relation
}
