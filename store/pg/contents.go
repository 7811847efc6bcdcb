package pg

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/cardea-iam/cardea/engine"
)

// contents returns a hash of what w asks for. The model is not part of it: the
// caller who repeats a write may have met another one by then.
func contents(w engine.Write) [sha256.Size]byte {
	var e encoder
	e.number(len(w.If))
	for _, p := range w.If {
		if p.Exists {
			e.number(1)
		} else {
			e.number(0)
		}
		e.query(p.Query)
	}
	e.number(len(w.Delete))
	for _, q := range w.Delete {
		e.query(q)
	}
	e.number(len(w.Updates))
	for _, u := range w.Updates {
		e.number(int(u.Op))
		for _, part := range split(u.Tuple) {
			e.text(part)
		}
	}
	return sha256.Sum256(e)
}

// An encoder writes parts so that different lists of them give different bytes.
type encoder []byte

func (e *encoder) number(n int) { *e = binary.AppendUvarint(*e, uint64(n)) }

func (e *encoder) text(s string) {
	e.number(len(s))
	*e = append(*e, s...)
}

func (e *encoder) query(q engine.Query) {
	for _, p := range []*string{q.Namespace, q.Object, q.Relation} {
		if p == nil {
			e.number(0)
			continue
		}
		e.number(1)
		e.text(*p)
	}
	if q.Subject == nil {
		e.number(0)
		return
	}
	e.number(1)
	e.text(q.Subject.Namespace)
	e.text(q.Subject.ID)
	e.text(q.Subject.Relation)
}
