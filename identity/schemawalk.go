package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A walker finds the traits of a schema in the order in which they are written.
// Compiled schemas have lost it.
type walker struct {
	root  []byte
	found []field
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
	Kratos     extension `json:"ory.sh/kratos"`
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
	var top part
	if err := json.Unmarshal(w.root, &top); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(top.Properties, func(m member) bool { return m.name == "traits" })
	if at < 0 {
		return nil, errors.New("expected properties.traits")
	}
	err := w.walk(top.Properties[at].value, nil, false, 0)
	return w.found, err
}

// walk adds the fields below a schema.
func (w *walker) walk(text json.RawMessage, path []string, required bool, depth int) error {
	if depth > maxSchemaDepth || len(w.found) > maxFields {
		return fmt.Errorf("at most %d levels and %d traits are allowed: traits.%s", maxSchemaDepth, maxFields, strings.Join(path, "."))
	}
	var p part
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("traits.%s: %w", strings.Join(path, "."), err)
	}
	if p.Ref != "" {
		target, err := w.resolve(p.Ref)
		if err != nil {
			return err
		}
		return w.walk(target, path, required, depth+1)
	}
	for _, part := range p.AllOf {
		if err := w.walk(part, path, required, depth+1); err != nil {
			return err
		}
	}
	for _, m := range p.Properties {
		if err := w.walk(m.value, append(slices.Clip(path), m.name), slices.Contains(p.Required, m.name), depth+1); err != nil {
			return err
		}
	}
	kind := firstType(p.Type)
	switch {
	case kind == "array" && len(p.Items) > 0 && p.Items[0] == '{':
		return w.walk(p.Items, append(slices.Clip(path), "*"), false, depth+1)
	case len(path) == 0 || kind == "object" || kind == "array" || len(p.Properties) > 0 || len(p.AllOf) > 0 && kind == "":
		return nil
	}
	w.found = append(w.found, field{
		path: path, title: p.Title, kind: kind, format: p.Format, pattern: p.Pattern, enum: p.Enum, maxLen: p.MaxLength,
		required: required, use: p.Kratos,
	})
	return nil
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
