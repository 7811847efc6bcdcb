package server

import (
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// decodeQuick decodes the requests that a server gets most, CheckRequest and
// BatchCheckRequest, with a few allocations instead of ten for each tuple: the parts of
// a message are allocated together, and its texts are pieces of one. It reads what
// encoders usually write. Whatever else there is, from an unknown field to a text that
// is not UTF-8, it leaves to package proto, and reports false; v may then hold parts of
// the message, and is to be reset.
//
// A batch of 100 takes 7 allocations and a third of the time that way, instead of 909, a
// single question 3 instead of 10.
func decodeQuick(data []byte, v any) bool {
	switch m := v.(type) {
	case *cardeav1.CheckRequest:
		return quickCheck(string(data), m)
	case *cardeav1.BatchCheckRequest:
		return quickBatch(string(data), m)
	default:
		return false
	}
}

// Tags of fields that have a length: the number of the field, and type 2.
const (
	tag1 = 1<<3 | 2
	tag2 = 2<<3 | 2
	tag3 = 3<<3 | 2
	tag4 = 4<<3 | 2
)

// nextField cuts the first field off a message. It knows fields with a length and
// numbers up to 15, and reports false for others.
func nextField(s string) (tag byte, body, rest string, ok bool) {
	if len(s) < 2 || s[0] >= 0x80 || s[0]&7 != 2 {
		return 0, "", "", false
	}
	tag = s[0]
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

// parts are what tuples are made of, allocated together.
type parts struct {
	subjects []cardeav1.Subject
	sets     []cardeav1.SubjectSet
	refs     []cardeav1.Subject_Set
}

func quickCheck(s string, m *cardeav1.CheckRequest) bool {
	one := &struct {
		tuple   cardeav1.Tuple
		subject [1]cardeav1.Subject
		set     [1]cardeav1.SubjectSet
		ref     [1]cardeav1.Subject_Set
	}{}
	p := parts{one.subject[:], one.set[:], one.ref[:]}
	for s != "" {
		tag, body, rest, ok := nextField(s)
		switch {
		case !ok:
			return false
		case tag == tag1 && m.Tuple == nil:
			if m.Tuple = &one.tuple; !p.tuple(body, m.Tuple) {
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
	n := 0
	for rest := s; rest != ""; {
		tag, _, after, ok := nextField(rest)
		if !ok {
			return false
		}
		if tag == tag1 {
			n++
		}
		rest = after
	}
	tuples := make([]cardeav1.Tuple, n)
	p := parts{make([]cardeav1.Subject, n), make([]cardeav1.SubjectSet, n), make([]cardeav1.Subject_Set, n)}
	m.Tuples = make([]*cardeav1.Tuple, 0, n)
	for s != "" {
		tag, body, rest, _ := nextField(s)
		switch {
		case tag == tag1:
			t := &tuples[len(m.Tuples)]
			m.Tuples = append(m.Tuples, t)
			if !p.tuple(body, t) {
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

func (p *parts) tuple(s string, t *cardeav1.Tuple) bool {
	for s != "" {
		tag, body, rest, ok := nextField(s)
		switch {
		case !ok:
			return false
		case tag == tag4 && t.Subject == nil:
			t.Subject = &p.subjects[0]
			p.subjects = p.subjects[1:]
			if !p.subject(body, t.Subject) {
				return false
			}
		case !utf8.ValidString(body):
			return false
		case tag == tag1:
			t.Namespace = body
		case tag == tag2:
			t.Object = body
		case tag == tag3:
			t.Relation = body
		default:
			return false
		}
		s = rest
	}
	return true
}

func (p *parts) subject(s string, to *cardeav1.Subject) bool {
	for s != "" {
		tag, body, rest, ok := nextField(s)
		switch {
		case !ok || to.Ref != nil: // a second one may have to be merged with the first
			return false
		case tag == tag1 && utf8.ValidString(body):
			to.Ref = &cardeav1.Subject_Id{Id: body}
		case tag == tag2:
			ref, set := &p.refs[0], &p.sets[0]
			p.refs, p.sets = p.refs[1:], p.sets[1:]
			ref.Set, to.Ref = set, ref
			if !quickSet(body, set) {
				return false
			}
		default:
			return false
		}
		s = rest
	}
	return true
}

func quickSet(s string, to *cardeav1.SubjectSet) bool {
	for s != "" {
		tag, body, rest, ok := nextField(s)
		switch {
		case !ok || !utf8.ValidString(body):
			return false
		case tag == tag1:
			to.Namespace = body
		case tag == tag2:
			to.Object = body
		case tag == tag3:
			to.Relation = body
		default:
			return false
		}
		s = rest
	}
	return true
}
