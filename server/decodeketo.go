//lint:file-ignore SA1019 Clients of Keto may use the deprecated fields, so they are served.

package server

import (
	"unicode/utf8"

	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
)

// A ketoParts is a tuple of Keto's with all its parts, allocated together.
type ketoParts struct {
	tuple   keto.RelationTuple
	subject ketoSubjectParts
}

type ketoSubjectParts struct {
	subject keto.Subject
	set     keto.SubjectSet
	ref     keto.Subject_Set
}

func (k *ketoParts) read(s string) bool {
	var q quickTuple
	if !q.read(s) {
		return false
	}
	k.tuple.Namespace, k.tuple.Object, k.tuple.Relation = q.namespace, q.object, q.relation
	k.tuple.Subject = k.subject.fill(&q.subject)
	return true
}

// fill makes a subject of what was read, nil of nothing.
func (k *ketoSubjectParts) fill(q *quickSubject) *keto.Subject {
	switch {
	case !q.given:
		return nil
	case q.ref == tag1:
		k.subject.Ref = &keto.Subject_Id{Id: q.id}
	case q.ref == tag2:
		k.set.Namespace, k.set.Object, k.set.Relation = q.namespace, q.object, q.relation
		k.ref.Set, k.subject.Ref = &k.set, &k.ref
	}
	return &k.subject
}

func quickKetoCheck(s string, m *keto.CheckRequest) bool {
	var old quickTuple // the tuple as older clients send it, without a message of its own
	for s != "" {
		tag, body, rest, ok := nextField(s)
		switch {
		case !ok:
			return false
		case tag == tag8 && m.Tuple == nil:
			k := &ketoParts{}
			if m.Tuple = &k.tuple; !k.read(body) {
				return false
			}
		case tag == number5:
			m.Latest = body[0] != 0
		case tag == tag6 && utf8.ValidString(body):
			m.Snaptoken = body
		case tag == number7:
			m.MaxDepth = int32(body[0])
		case !old.field(tag, body):
			return false
		}
		s = rest
	}
	m.Namespace, m.Object, m.Relation = old.namespace, old.object, old.relation
	if old.subject.given {
		m.Subject = (&ketoSubjectParts{}).fill(&old.subject)
	}
	return true
}

func quickKetoBatch(s string, m *keto.BatchCheckRequest) bool {
	n, ok := countFields(s, tag1)
	if !ok {
		return false
	}
	all := make([]ketoParts, n)
	m.Tuples = make([]*keto.RelationTuple, 0, n)
	for s != "" {
		tag, body, rest, _ := nextField(s)
		switch {
		case tag == tag1:
			k := &all[len(m.Tuples)]
			m.Tuples = append(m.Tuples, &k.tuple)
			if !k.read(body) {
				return false
			}
		case tag == number2:
			m.Latest = body[0] != 0
		case tag == tag3 && utf8.ValidString(body):
			m.Snaptoken = body
		case tag == number4:
			m.MaxDepth = int32(body[0])
		default:
			return false
		}
		s = rest
	}
	return true
}
