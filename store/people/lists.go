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

// fields say where an element of a list keeps what has a name: a pointer to a text, a truth
// or a time.
type fields[T any] []struct {
	name string
	at   func(*T) any
}

var (
	methods = fields[identity.Method]{
		{"method", func(m *identity.Method) any { return &m.Method }},
		{"aal", func(m *identity.Method) any { return (*string)(&m.AAL) }},
		{"completed_at", func(m *identity.Method) any { return &m.CompletedAt }},
		{"provider", func(m *identity.Method) any { return &m.Provider }},
		{"organization", func(m *identity.Method) any { return &m.Organization }},
		{"upstream_acr", func(m *identity.Method) any { return &m.UpstreamACR }},
		{"mailbox", func(m *identity.Method) any { return &m.Mailbox }},
	}.list

	devices = fields[identity.Device]{
		{"id", func(d *identity.Device) any { return &d.ID }},
		{"ip_address", func(d *identity.Device) any { return &d.Address }},
		{"user_agent", func(d *identity.Device) any { return &d.UserAgent }},
		{"location", func(d *identity.Device) any { return &d.Location }},
	}.list

	verifiable = fields[identity.VerifiableAddress]{
		{"id", func(a *identity.VerifiableAddress) any { return &a.ID }},
		{"value", func(a *identity.VerifiableAddress) any { return &a.Value }},
		{"via", func(a *identity.VerifiableAddress) any { return &a.Via }},
		{"verified", func(a *identity.VerifiableAddress) any { return &a.Verified }},
		{"status", func(a *identity.VerifiableAddress) any { return &a.Status }},
		{"verified_at", func(a *identity.VerifiableAddress) any { return &a.VerifiedAt }},
		{"created_at", func(a *identity.VerifiableAddress) any { return &a.CreatedAt }},
		{"updated_at", func(a *identity.VerifiableAddress) any { return &a.UpdatedAt }},
	}.list

	recovery = fields[identity.RecoveryAddress]{
		{"id", func(a *identity.RecoveryAddress) any { return &a.ID }},
		{"value", func(a *identity.RecoveryAddress) any { return &a.Value }},
		{"via", func(a *identity.RecoveryAddress) any { return &a.Via }},
		{"created_at", func(a *identity.RecoveryAddress) any { return &a.CreatedAt }},
		{"updated_at", func(a *identity.RecoveryAddress) any { return &a.UpdatedAt }},
	}.list
)

// list reads a list in the plain form, and any other by package json.
func (f fields[T]) list(text string) ([]T, error) {
	if list, ok := f.plain(text); ok {
		return list, nil
	}
	var list []T
	err := decode(text, &list)
	return list, err
}

// plain reads a list of objects in the plain form. It reports false for all else.
func (f fields[T]) plain(text string) ([]T, bool) {
	list := []T{}
	if !strings.HasPrefix(text, "[{") {
		return list, text == "[]"
	}
	p := plain{text}
	for open := "["; p.eat(open); open = "," {
		if !p.eat("{") {
			return nil, false
		}
		list = append(list, *new(T))
		for first := true; !p.eat("}"); first = false {
			if !first && !p.eat(",") || !f.field(&p, &list[len(list)-1]) {
				return nil, false
			}
		}
	}
	return list, p.text == "]"
}

// field reads a name and what it has into an element.
func (f fields[T]) field(p *plain, one *T) bool {
	name, ok := p.quoted()
	if !ok || !p.eat(":") {
		return false
	}
	for _, field := range f {
		if field.name == name {
			return p.value(field.at(one))
		}
	}
	return false
}

// value eats what belongs at a place.
func (p *plain) value(at any) (ok bool) {
	switch at := at.(type) {
	case *string:
		*at, ok = p.quoted()
	case *time.Time:
		var text string
		if text, ok = p.quoted(); ok {
			ok = moment(text, at)
		}
	case *bool:
		*at = p.eat("true")
		ok = *at || p.eat("false")
	}
	return ok
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

// moment reads a time as package json writes one of UTC.
func moment(text string, at *time.Time) bool {
	if !strings.HasSuffix(text, "Z") {
		return false
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	*at = t
	return err == nil
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
