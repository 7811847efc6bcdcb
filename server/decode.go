package server

import (
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
)

// decodeQuick decodes the requests that a server gets most, CheckRequest and
// BatchCheckRequest of both APIs, with a few allocations instead of ten for each tuple:
// the parts of a message are allocated together, and its texts are pieces of one. It
// reads what encoders usually write. Whatever else there is, from an unknown field to a
// text that is not UTF-8, it leaves to package proto, and reports false; v may then hold
// parts of the message, and is to be reset.
//
// A batch of 100 takes 4 allocations and a third of the time that way, instead of 909, a
// single question 3 instead of 10.
func decodeQuick(data []byte, v any) bool {
	switch m := v.(type) {
	case *cardeav1.CheckRequest:
		return quickCheck(string(data), m)
	case *cardeav1.BatchCheckRequest:
		return quickBatch(string(data), m)
	case *keto.CheckRequest:
		return quickKetoCheck(string(data), m)
	case *keto.BatchCheckRequest:
		return quickKetoBatch(string(data), m)
	default:
		return false
	}
}

// Tags of fields that have a length, type 2, and of numbers, type 0.
const (
	tag1 = 1<<3 | 2
	tag2 = 2<<3 | 2
	tag3 = 3<<3 | 2
	tag4 = 4<<3 | 2
	tag6 = 6<<3 | 2
	tag8 = 8<<3 | 2

	number1 = 1 << 3
	number2 = 2 << 3
	number4 = 4 << 3
	number5 = 5 << 3
	number7 = 7 << 3
)

// nextField cuts the first field off a message. It knows fields up to 15 with a length,
// and such with a number below 128, whose body is that byte, and reports false for
// others.
func nextField(s string) (tag byte, body, rest string, ok bool) {
	if len(s) < 2 || s[0] >= 0x80 || s[0] < 1<<3 {
		return 0, "", "", false
	}
	tag = s[0]
	switch {
	case tag&7 == 0 && s[1] < 0x80:
		return tag, s[1:2], s[2:], true
	case tag&7 != 2:
		return 0, "", "", false
	}
	n, i := uint64(s[1]), 2
	if n >= 0x80 {
		n &= 0x7f
		for shift := 7; ; shift += 7 {
			if i == len(s) || shift > 28 {
				return 0, "", "", false
			}
			c := s[i]
			i++
			n |= uint64(c&0x7f) << shift
			if c < 0x80 {
				break
			}
		}
	}
	if n > uint64(len(s)-i) {
		return 0, "", "", false
	}
	end := i + int(n)
	return tag, s[i:end], s[end:], true
}

// A quickTuple is a tuple as both APIs write it on the wire, where they agree.
type quickTuple struct {
	namespace, object, relation string
	subject                     quickSubject
}

type quickSubject struct {
	given                       bool
	ref                         byte // the tag of the reference, 0: none
	id                          string
	namespace, object, relation string // of a set
}

func (t *quickTuple) read(s string) bool {
	for s != "" {
		tag, body, rest, ok := nextField(s)
		if !ok || !t.field(tag, body) {
			return false
		}
		s = rest
	}
	return true
}

func (t *quickTuple) field(tag byte, body string) bool {
	switch {
	case tag == tag4 && !t.subject.given:
		t.subject.given = true
		return t.subject.read(body)
	case !utf8.ValidString(body):
		return false
	case tag == tag1:
		t.namespace = body
	case tag == tag2:
		t.object = body
	case tag == tag3:
		t.relation = body
	default:
		return false
	}
	return true
}

func (t *quickSubject) read(s string) bool {
	for s != "" {
		tag, body, rest, ok := nextField(s)
		switch {
		case !ok || t.ref != 0: // a second one may have to be merged with the first
			return false
		case tag == tag1 && utf8.ValidString(body):
			t.ref, t.id = tag, body
		case tag == tag2:
			if t.ref = tag; !t.set(body) {
				return false
			}
		default:
			return false
		}
		s = rest
	}
	return true
}

func (t *quickSubject) set(s string) bool {
	for s != "" {
		tag, body, rest, ok := nextField(s)
		switch {
		case !ok || !utf8.ValidString(body):
			return false
		case tag == tag1:
			t.namespace = body
		case tag == tag2:
			t.object = body
		case tag == tag3:
			t.relation = body
		default:
			return false
		}
		s = rest
	}
	return true
}

// countFields returns how many fields of a message have a tag.
func countFields(s string, of byte) (n int, ok bool) {
	for s != "" {
		tag, _, rest, ok := nextField(s)
		if !ok {
			return 0, false
		}
		if tag == of {
			n++
		}
		s = rest
	}
	return n, true
}

// A cardeaParts is a tuple with all its parts, allocated together.
type cardeaParts struct {
	tuple   cardeav1.Tuple
	subject cardeav1.Subject
	set     cardeav1.SubjectSet
	ref     cardeav1.Subject_Set
}

func (c *cardeaParts) read(s string) bool {
	var q quickTuple
	if !q.read(s) {
		return false
	}
	c.tuple.Namespace, c.tuple.Object, c.tuple.Relation = q.namespace, q.object, q.relation
	if !q.subject.given {
		return true
	}
	c.tuple.Subject = &c.subject
	switch q.subject.ref {
	case tag1:
		c.subject.Ref = &cardeav1.Subject_Id{Id: q.subject.id}
	case tag2:
		c.set.Namespace, c.set.Object, c.set.Relation = q.subject.namespace, q.subject.object, q.subject.relation
		c.ref.Set, c.subject.Ref = &c.set, &c.ref
	}
	return true
}

func quickCheck(s string, m *cardeav1.CheckRequest) bool {
	for s != "" {
		tag, body, rest, ok := nextField(s)
		switch {
		case !ok:
			return false
		case tag == tag1 && m.Tuple == nil:
			c := &cardeaParts{}
			if m.Tuple = &c.tuple; !c.read(body) {
				return false
			}
		case tag == tag2 && m.Consistency == nil:
			m.Consistency = &cardeav1.Consistency{}
			if proto.Unmarshal([]byte(body), m.Consistency) != nil {
				return false
			}
		default:
			return false
		}
		s = rest
	}
	return true
}

func quickBatch(s string, m *cardeav1.BatchCheckRequest) bool {
	n, ok := countFields(s, tag1)
	if !ok {
		return false
	}
	all := make([]cardeaParts, n)
	m.Tuples = make([]*cardeav1.Tuple, 0, n)
	for s != "" {
		tag, body, rest, _ := nextField(s)
		switch {
		case tag == tag1:
			c := &all[len(m.Tuples)]
			m.Tuples = append(m.Tuples, &c.tuple)
			if !c.read(body) {
				return false
			}
		case tag == tag2 && m.Consistency == nil:
			m.Consistency = &cardeav1.Consistency{}
			if proto.Unmarshal([]byte(body), m.Consistency) != nil {
				return false
			}
		default:
			return false
		}
		s = rest
	}
	return true
}
