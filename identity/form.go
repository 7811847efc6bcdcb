package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Form is what was submitted: a JSON object, whether it came as one or as a form of
// HTML, in which names with dots lead into objects.
type Form struct {
	values map[string]any
	html   bool // all values are texts
}

// maxDepth bounds how deep the objects of a form are in each other: what walks them costs
// more with each level, and everybody may send one.
const maxDepth = 32

var errDeep = errs.New(errs.Invalid, "the form has more than %d levels", maxDepth)

// readForm reads the body.
//
// Invalid: it is malformed, too deep, or has a number out of range. An *http.MaxBytesError passes through.
func readForm(r *http.Request) (Form, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && r.Header.Get("Content-Type") != "" {
		return Form{}, errs.New(errs.Invalid, "the content type is malformed")
	}
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return Form{}, large
	case err != nil:
		return Form{}, errs.Wrap(errs.Invalid, err, "the body ended early")
	}
	switch kind {
	case "application/json":
		f := Form{values: map[string]any{}}
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&f.values); err != nil || d.More() {
			return Form{}, errs.New(errs.Invalid, "the body is not a JSON object")
		}
		return f, within(f.values, maxDepth)
	case "application/x-www-form-urlencoded", "":
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return Form{}, errs.New(errs.Invalid, "the body is not a form")
		}
		for name := range values {
			if strings.Count(name, ".") >= maxDepth {
				return Form{}, errDeep
			}
		}
		return htmlForm(values), nil
	default:
		return Form{}, errs.New(errs.Invalid, "the content type is %.80q: expected application/json or application/x-www-form-urlencoded", kind)
	}
}

// within refuses a value that has more levels of objects and lists, or a number that no
// program can read.
func within(v any, levels int) error {
	switch v := v.(type) {
	case json.Number:
		if _, err := v.Float64(); err != nil {
			return errs.New(errs.Invalid, "the number %.40s is out of range", v)
		}
		return nil
	case map[string]any:
		return withinAll(maps.Values(v), levels)
	case []any:
		return withinAll(slices.Values(v), levels)
	default:
		return nil
	}
}

func withinAll(all iter.Seq[any], levels int) error {
	if levels == 0 {
		return errDeep
	}
	for v := range all {
		if err := within(v, levels-1); err != nil {
			return err
		}
	}
	return nil
}

// htmlForm takes the last value of each name: a checkbox has a hidden input in front
// of it, which says false.
func htmlForm(values url.Values) Form {
	f := Form{values: map[string]any{}, html: true}
	for name, all := range values {
		object, path := f.values, strings.Split(name, ".")
		for _, step := range path[:len(path)-1] {
			next, ok := object[step].(map[string]any)
			if !ok {
				next = map[string]any{}
				object[step] = next
			}
			object = next
		}
		if _, taken := object[path[len(path)-1]].(map[string]any); !taken {
			object[path[len(path)-1]] = all[len(all)-1]
		}
	}
	return f
}

// Text returns a value, "" if it is missing or no text.
func (f Form) Text(name string) string {
	text, _ := f.values[name].(string)
	return text
}

// True reports whether a value is true, as JSON, a checkbox or a button writes it.
func (f Form) True(name string) bool {
	switch v := f.values[name].(type) {
	case bool:
		return v
	case string:
		return v == "true" || v == "on" || v == "1"
	default:
		return false
	}
}

// Has reports whether there is a value that is not empty.
func (f Form) Has(name string) bool {
	v, ok := f.values[name]
	return ok && v != nil && v != ""
}

// JSON returns a value as it would be written, nil if it is missing.
func (f Form) JSON(name string) json.RawMessage {
	v, ok := f.values[name]
	if !ok {
		return nil
	}
	if text, isText := v.(string); isText && f.html { // a hidden input with an object in it
		if json.Valid([]byte(text)) {
			return json.RawMessage(text)
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return out
}

// Method is the strategy that is to answer.
func (f Form) Method() string { return f.Text("method") }

// traits returns the traits, with the types that the schema says. What an HTML form
// leaves empty is left out.
func (f Form) traits(s *Schema) json.RawMessage {
	traits, ok := f.values["traits"].(map[string]any)
	if !ok {
		return json.RawMessage("{}")
	}
	if f.html {
		traits, _ = retype(s, traits, nil).(map[string]any)
	}
	out, err := json.Marshal(traits)
	if err != nil || traits == nil {
		return json.RawMessage("{}")
	}
	return out
}

func retype(s *Schema, v any, path []string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, member := range v {
			if value := retype(s, member, append(path[:len(path):len(path)], name)); value != nil {
				out[name] = value
			}
		}
		if len(out) == 0 && len(path) > 0 {
			return nil
		}
		return out
	case string:
		return retypeText(s.kindOf(path), v)
	default:
		return v
	}
}

func retypeText(kind, text string) any {
	if text == "" && kind != "boolean" {
		return nil
	}
	switch kind {
	case "boolean":
		return text == "true" || text == "on" || text == "1"
	case "number", "integer":
		if _, err := strconv.ParseFloat(text, 64); err == nil && json.Valid([]byte(text)) {
			return json.Number(text)
		}
	}
	return text
}

// kindOf is the type of a trait, "" if the schema does not say.
func (s *Schema) kindOf(path []string) string {
	name := "traits." + strings.Join(path, ".")
	for i := range s.fields {
		if s.fields[i].name() == name {
			return s.fields[i].kind
		}
	}
	return ""
}

// shown flattens traits to the names of their nodes.
func shown(traits json.RawMessage) map[string]any {
	out := map[string]any{}
	var v any
	d := json.NewDecoder(bytes.NewReader(traits))
	d.UseNumber()
	if d.Decode(&v) == nil {
		flatten("traits", v, out)
	}
	return out
}

func flatten(prefix string, v any, out map[string]any) {
	object, ok := v.(map[string]any)
	if !ok {
		if v != nil {
			out[prefix] = v
		}
		return
	}
	for name, member := range object {
		flatten(prefix+"."+name, member, out)
	}
}
