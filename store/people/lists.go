package people

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cardea-iam/cardea/identity"
)

// Lists are JSON that this package wrote, so nearly all have one plain form: objects of
// texts without escapes, and truths. Every request that shows a session reads four of
// them, and package json takes ten times as long as flat does, which knows that form only.

func methods(text string) ([]identity.Method, error) {
	list := []identity.Method{}
	return listed(text, &list, func(name, value string, quoted bool) bool {
		m := &list[len(list)-1]
		switch name {
		case "method":
			m.Method = value
		case "aal":
			m.AAL = identity.AAL(value)
		case "completed_at":
			return moment(value, &m.CompletedAt)
		case "provider":
			m.Provider = value
		case "organization":
			m.Organization = value
		case "mailbox":
			m.Mailbox = value
		default:
			return false
		}
		return quoted
	})
}

func devices(text string) ([]identity.Device, error) {
	list := []identity.Device{}
	return listed(text, &list, func(name, value string, quoted bool) bool {
		d := &list[len(list)-1]
		switch name {
		case "id":
			d.ID = value
		case "ip_address":
			d.Address = value
		case "user_agent":
			d.UserAgent = value
		case "location":
			d.Location = value
		default:
			return false
		}
		return quoted
	})
}

func verifiable(text string) ([]identity.VerifiableAddress, error) {
	list := []identity.VerifiableAddress{}
	return listed(text, &list, func(name, value string, quoted bool) bool {
		a := &list[len(list)-1]
		switch name {
		case "id":
			a.ID = value
		case "value":
			a.Value = value
		case "via":
			a.Via = value
		case "verified":
			a.Verified = value == "true"
			return !quoted
		case "status":
			a.Status = value
		case "verified_at":
			return moment(value, &a.VerifiedAt)
		case "created_at":
			return moment(value, &a.CreatedAt)
		case "updated_at":
			return moment(value, &a.UpdatedAt)
		default:
			return false
		}
		return quoted
	})
}

func recovery(text string) ([]identity.RecoveryAddress, error) {
	list := []identity.RecoveryAddress{}
	return listed(text, &list, func(name, value string, quoted bool) bool {
		a := &list[len(list)-1]
		switch name {
		case "id":
			a.ID = value
		case "value":
			a.Value = value
		case "via":
			a.Via = value
		case "created_at":
			return moment(value, &a.CreatedAt)
		case "updated_at":
			return moment(value, &a.UpdatedAt)
		default:
			return false
		}
		return quoted
	})
}

func identifiers(text string) (list []string, err error) {
	p, ok := plain{text}, true
	for open := "["; ok && p.eat(open); open = "," {
		var one string
		one, ok = p.quoted()
		list = append(list, one)
	}
	if ok && p.text == "]" && len(list) > 0 {
		return list, nil
	}
	list = nil
	return list, decode(text, &list)
}

// listed reads a list by set, which fills in a field of the last element and reports
// whether it knows it, or by package json.
func listed[T any](text string, list *[]T, set func(name, value string, quoted bool) bool) ([]T, error) {
	if flat(text, func() { *list = append(*list, *new(T)) }, set) {
		return *list, nil
	}
	var all []T
	err := decode(text, &all)
	return all, err
}

// moment reads a time as package json writes one of UTC.
func moment(text string, at *time.Time) bool {
	if !strings.HasSuffix(text, "Z") {
		return false
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	*at = t
	return err == nil
}

// flat reads a list of objects in the plain form. It reports false for all else.
func flat(text string, next func(), set func(name, value string, quoted bool) bool) bool {
	if !strings.HasPrefix(text, "[{") {
		return text == "[]"
	}
	p := plain{text}
	for open := "["; p.eat(open); open = "," {
		if !p.eat("{") {
			return false
		}
		next()
		for first := true; !p.eat("}"); first = false {
			if !first && !p.eat(",") {
				return false
			}
			name, ok := p.quoted()
			if !ok || !p.eat(":") {
				return false
			}
			value, quoted := p.quoted()
			if !quoted && p.eat("true") {
				value = "true"
			} else if !quoted && !p.eat("false") {
				return false
			}
			if !set(name, value, quoted) {
				return false
			}
		}
	}
	return p.text == "]"
}

// plain is what is left of a text.
type plain struct{ text string }

func (p *plain) eat(token string) bool {
	rest, ok := strings.CutPrefix(p.text, token)
	p.text = rest
	return ok
}

// quoted eats a text without escapes.
func (p *plain) quoted() (string, bool) {
	if p.text == "" || p.text[0] != '"' {
		return "", false
	}
	for i := 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '"':
			value := p.text[1:i]
			p.text = p.text[i+1:]
			return value, utf8.ValidString(value)
		case c == '\\' || c < ' ':
			return "", false
		}
	}
	return "", false
}
