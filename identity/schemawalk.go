package identity

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A walker finds the traits of a schema in the order in which they are written.
// Compiled schemas have lost it.
type walker struct {
	root     []byte
	siblings bool // what stands beside a $ref counts, as from draft 2019-09 on
	found    []field
}

// part is what of a schema object matters for a form.
type part struct {
	Ref        string `json:"$ref"`
	Title      string
	Type       any // a text or a list of texts
	Format     string
	Pattern    string
	Enum       []any
	MaxLength  int
	Required   []string
	Properties members
	Items      json.RawMessage
	AllOf      []json.RawMessage
	AnyOf      []json.RawMessage
	OneOf      []json.RawMessage
	Then       json.RawMessage
	Else       json.RawMessage
	Depends    members   `json:"dependentSchemas"`
	DependsOld members   `json:"dependencies"`
	Kratos     extension `json:"ory.sh/kratos"`

	// What says nothing of a trait that a form could ask for.
	If          json.RawMessage
	Not         json.RawMessage
	Contains    json.RawMessage
	PrefixItems json.RawMessage
	Additional  json.RawMessage `json:"additionalProperties"`
	Patterns    json.RawMessage `json:"patternProperties"`
}

// branches are the schemas of which not all need to hold.
func (p *part) branches() []json.RawMessage {
	out := slices.Concat(p.AnyOf, p.OneOf)
	for _, m := range slices.Concat(p.Depends, p.DependsOld) {
		out = append(out, m.value)
	}
	for _, one := range []json.RawMessage{p.Then, p.Else} {
		if one != nil {
			out = append(out, one)
		}
	}
	return out
}

// unread reports an extension that stands where none is looked for: it would do nothing.
func (p *part) unread() error {
	places := map[string]json.RawMessage{
		"if": p.If, "not": p.Not, "contains": p.Contains, "prefixItems": p.PrefixItems, "additionalProperties": p.Additional, "patternProperties": p.Patterns,
	}
	if len(p.Items) > 0 && p.Items[0] == '[' {
		places["items"] = p.Items
	}
	for _, name := range slices.Sorted(maps.Keys(places)) {
		if bytes.Contains(places[name], []byte(`"ory.sh/kratos"`)) {
			return fmt.Errorf("ory.sh/kratos means nothing below %s", name)
		}
	}
	return nil
}

// UnmarshalJSON refuses what is misspelt: nobody could log in, or recover an account.
func (e *extension) UnmarshalJSON(text []byte) error {
	type plain extension
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode((*plain)(e)); err != nil {
		return fmt.Errorf("ory.sh/kratos: %s", WhatIsWrong(err))
	}
	for name, via := range map[string]string{"credentials.code": e.Credentials.Code.Via, "verification": e.Verification.Via, "recovery": e.Recovery.Via} {
		if via != "" && via != viaEmail && via != viaSMS {
			return fmt.Errorf("ory.sh/kratos: %s.via is %.40q: expected email or sms", name, via)
		}
	}
	return nil
}

// and adds what another schema says of the same trait.
func (e *extension) and(o extension) {
	c, d := &e.Credentials, o.Credentials
	c.Password.Identifier = c.Password.Identifier || d.Password.Identifier
	c.WebAuthn.Identifier = c.WebAuthn.Identifier || d.WebAuthn.Identifier
	c.Code.Identifier = c.Code.Identifier || d.Code.Identifier
	c.Code.Via = cmp.Or(c.Code.Via, d.Code.Via)
	c.Passkey.DisplayName = c.Passkey.DisplayName || d.Passkey.DisplayName
	c.TOTP.AccountName = c.TOTP.AccountName || d.TOTP.AccountName
	e.Verification.Via = cmp.Or(e.Verification.Via, o.Verification.Via)
	e.Recovery.Via = cmp.Or(e.Recovery.Via, o.Recovery.Via)
}

// members are the members of an object, in order.
type members []member

type member struct {
	name  string
	value json.RawMessage
}

// UnmarshalJSON keeps the order, which a map loses.
func (m *members) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("expected an object of properties")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		*m = append(*m, member{name.(string), value})
	}
	return nil
}

func (w *walker) fields() ([]field, error) {
	var top struct {
		part
		Schema string `json:"$schema"`
	}
	if err := json.Unmarshal(w.root, &top); err != nil {
		return nil, err
	}
	w.siblings = strings.Contains(top.Schema, "2019-09") || strings.Contains(top.Schema, "2020-12")
	at := slices.IndexFunc(top.Properties, func(m member) bool { return m.name == "traits" })
	if at < 0 {
		return nil, errors.New("expected properties.traits")
	}
	err := w.walk(top.Properties[at].value, nil, place{sure: true}, 0)
	return w.found, err
}

// A place is where a schema stands.
type place struct {
	required bool // the trait must be there
	sure     bool // the schema holds whatever else is there
}

// walk adds the fields below a schema.
func (w *walker) walk(text json.RawMessage, path []string, at place, depth int) error {
	if depth > maxSchemaDepth || len(w.found) > maxFields {
		return fmt.Errorf("at most %d levels and %d traits are allowed: traits.%s", maxSchemaDepth, maxFields, strings.Join(path, "."))
	}
	if len(text) == 0 || text[0] != '{' { // true, false, and the lists of dependencies
		return nil
	}
	var p part
	err := json.Unmarshal(text, &p)
	if err == nil {
		err = p.unread()
	}
	if err != nil {
		return fmt.Errorf("traits.%s: %s", strings.Join(path, "."), WhatIsWrong(err))
	}
	if p.Ref != "" {
		target, err := w.resolve(p.Ref)
		if err != nil {
			return err
		}
		if err := w.walk(target, path, at, depth+1); err != nil || !w.siblings {
			return err
		}
	}
	if err := w.walkParts(&p, path, at, depth); err != nil {
		return err
	}
	kind := firstType(p.Type)
	switch {
	case kind == "array":
		return w.walk(p.Items, append(slices.Clip(path), "*"), place{}, depth+1)
	case len(path) > 0 && kind != "object" && kind != "null" && len(p.Properties) == 0:
		elsewhere := kind == "" && (p.Ref != "" || len(p.AllOf)+len(p.branches()) > 0)
		w.add(field{
			path: path, title: p.Title, kind: kind, format: p.Format, pattern: p.Pattern, enum: p.Enum, maxLen: p.MaxLength,
			required: at.required, use: p.Kratos,
		}, elsewhere)
	}
	return nil
}

// walkParts walks what a schema consists of.
func (w *walker) walkParts(p *part, path []string, at place, depth int) error {
	for _, one := range p.AllOf {
		if err := w.walk(one, path, at, depth+1); err != nil {
			return err
		}
	}
	for _, m := range p.Properties {
		below := place{at.sure && slices.Contains(p.Required, m.name), at.sure}
		if err := w.walk(m.value, append(slices.Clip(path), m.name), below, depth+1); err != nil {
			return err
		}
	}
	for _, one := range p.branches() {
		if err := w.walk(one, path, place{required: at.required}, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// add adds a field, or what is new about it if it is there. If only other schemas say
// what it is, it may be none.
func (w *walker) add(f field, elsewhere bool) {
	n := slices.IndexFunc(w.found, func(have field) bool { return slices.Equal(have.path, f.path) })
	if n < 0 {
		if !elsewhere {
			w.found = append(w.found, f)
		}
		return
	}
	have := &w.found[n]
	if elsewhere { // it is about this trait, and they are about many
		have.title = cmp.Or(f.title, have.title)
	}
	have.title, have.kind, have.format = cmp.Or(have.title, f.title), cmp.Or(have.kind, f.kind), cmp.Or(have.format, f.format)
	have.pattern, have.maxLen = cmp.Or(have.pattern, f.pattern), cmp.Or(have.maxLen, f.maxLen)
	if have.enum == nil {
		have.enum = f.enum
	}
	have.required = have.required || f.required
	have.use.and(f.use)
}

// firstType is the type of a schema that may also allow null.
func firstType(t any) string {
	switch t := t.(type) {
	case string:
		return t
	case []any:
		for _, one := range t {
			if text, ok := one.(string); ok && text != "null" {
				return text
			}
		}
	}
	return ""
}

// resolve finds a reference within the document.
func (w *walker) resolve(ref string) (json.RawMessage, error) {
	pointer, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil, fmt.Errorf("reference %q: expected one within the schema", ref)
	}
	text := json.RawMessage(w.root)
	for _, name := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		if name == "" {
			continue
		}
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		var object map[string]json.RawMessage
		if err := json.Unmarshal(text, &object); err != nil || object[name] == nil {
			return nil, fmt.Errorf("reference %q leads nowhere", ref)
		}
		text = object[name]
	}
	return text, nil
}
