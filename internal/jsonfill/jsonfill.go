// Package jsonfill fills values into a JSON document that an operator wrote, such as
// the body of a request to somebody else's server.
//
// In the document's texts ${a.b} stands for a value by its path. A text that is nothing
// else becomes the value, of whatever type; within other words a value is written out.
// The document is parsed before anything is filled in, so that a value cannot become a
// part of its structure; and nothing in it is executed. $${ stands for ${.
package jsonfill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Template is such a document. It may be used from many goroutines at once.
type Template struct{ root any }

// Parse reads a document.
//
// Invalid: it is not JSON, or a ${ has no end.
func Parse(text []byte) (*Template, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var root any
	if err := d.Decode(&root); err != nil || d.More() {
		return nil, errs.New(errs.Invalid, "the template is not one JSON value")
	}
	if _, err := fill(root, nil); err != nil {
		return nil, err
	}
	return &Template{root}, nil
}

// Fill returns the document with values in it. What a path does not lead to is null,
// or nothing within other words.
//
// Internal: a value cannot be encoded.
func (t *Template) Fill(values map[string]any) ([]byte, error) {
	plain, err := json.Marshal(values) // structs become what paths can lead through
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the values of a template cannot be encoded")
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(plain))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the values of a template cannot be encoded")
	}
	filled, err := fill(t.root, tree)
	if err != nil {
		return nil, err
	}
	out, err := json.Marshal(filled)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "a template cannot be encoded")
	}
	return out, nil
}

func fill(node, values any) (any, error) {
	switch node := node.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, member := range node {
			filled, err := fill(member, values)
			if err != nil {
				return nil, err
			}
			out[name] = filled
		}
		return out, nil
	case []any:
		out := make([]any, len(node))
		for i, element := range node {
			filled, err := fill(element, values)
			if err != nil {
				return nil, err
			}
			out[i] = filled
		}
		return out, nil
	case string:
		return fillText(node, values)
	default:
		return node, nil
	}
}

func fillText(text string, values any) (any, error) {
	var b strings.Builder
	for rest := text; ; {
		at := strings.Index(rest, "${")
		if at < 0 {
			b.WriteString(rest)
			return b.String(), nil
		}
		if at > 0 && rest[at-1] == '$' {
			b.WriteString(rest[:at-1] + "${")
			rest = rest[at+2:]
			continue
		}
		path, after, ok := strings.Cut(rest[at+2:], "}")
		if !ok {
			return nil, errs.New(errs.Invalid, "the template has ${ without } in %.80q", text)
		}
		v := lookUp(values, path)
		if len(path)+3 == len(text) {
			return v, nil
		}
		b.WriteString(rest[:at] + written(v))
		rest = after
	}
}

func lookUp(values any, path string) any {
	for name := range strings.SplitSeq(path, ".") {
		object, ok := values.(map[string]any)
		if !ok {
			return nil
		}
		values = object[name]
	}
	return values
}

// written is a value within other words.
func written(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case map[string]any, []any:
		text, _ := json.Marshal(v) // it was decoded from JSON
		return string(text)
	default:
		return fmt.Sprint(v)
	}
}
