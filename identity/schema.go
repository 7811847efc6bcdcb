package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Bounds of a schema: it is written by the operator, but a cycle of references must
// not become an endless list.
const (
	maxSchemaDepth = 10
	maxFields      = 500
)

// DefaultSchema is the one that there is when none is configured: an e-mail address,
// which is the identifier, and a name.
const DefaultSchema = `{
	"$id": "https://cardea.invalid/schemas/default.json",
	"$schema": "http://json-schema.org/draft-07/schema#",
	"title": "Person",
	"type": "object",
	"properties": {
		"traits": {
			"type": "object",
			"properties": {
				"email": {
					"type": "string",
					"format": "email",
					"title": "E-Mail",
					"minLength": 3,
					"maxLength": 320,
					"ory.sh/kratos": {
						"credentials": {
							"password": {"identifier": true},
							"code": {"identifier": true, "via": "email"},
							"webauthn": {"identifier": true},
							"passkey": {"display_name": true},
							"totp": {"account_name": true}
						},
						"verification": {"via": "email"},
						"recovery": {"via": "email"}
					}
				},
				"name": {
					"type": "object",
					"properties": {
						"first": {"type": "string", "title": "First Name", "maxLength": 200},
						"last": {"type": "string", "title": "Last Name", "maxLength": 200}
					}
				}
			},
			"required": ["email"],
			"additionalProperties": false
		}
	}
}`

// A Schema says what the traits of an identity may be, and what they are used for. It
// is JSON Schema, draft 7 or 2020-12, with Kratos's extension.
type Schema struct {
	ID         string
	Text       json.RawMessage
	Selectable bool // by the flows of users

	compiled *jsonschema.Schema
	fields   []field // in the order of the text
}

// A field is a trait that is a scalar, or a list of them.
type field struct {
	path     []string // below traits; "*" is any element of a list
	title    string
	kind     string // JSON Schema's type
	format   string
	pattern  string
	enum     []any
	maxLen   int
	required bool
	use      extension
}

// name is what the field is called in forms.
func (f *field) name() string { return "traits." + strings.Join(f.path, ".") }

func (f *field) inList() bool { return slices.Contains(f.path, "*") }

// An extension is what Kratos reads beside JSON Schema.
type extension struct {
	Credentials struct {
		Password struct{ Identifier bool }
		WebAuthn struct{ Identifier bool }
		Code     struct {
			Identifier bool
			Via        string
		}
		Passkey struct {
			DisplayName bool `json:"display_name"`
		}
		TOTP struct {
			AccountName bool `json:"account_name"`
		}
	}
	Verification  struct{ Via string }
	Recovery      struct{ Via string }
	Organizations struct{ Matcher string } // Kratos's; domains are looked for in all addresses here
}

// NewSchema reads a schema.
//
// Invalid: it is no JSON Schema, or refers to another document.
func NewSchema(id string, text []byte) (*Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, errs.New(errs.Invalid, "identity schema %s is not JSON: %v", id, err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft7)
	c.AssertFormat()
	c.UseLoader(jsonschema.SchemeURLLoader{}) // other documents are not fetched
	c.RegisterFormat(&jsonschema.Format{Name: "tel", Validate: isTel})
	c.RegisterFormat(&jsonschema.Format{Name: "email", Validate: isEmail})
	const here = "identity.schema.json"
	if err := c.AddResource(here, doc); err != nil {
		return nil, errs.New(errs.Invalid, "identity schema %s: %v", id, err)
	}
	compiled, err := c.Compile(here)
	if err != nil {
		return nil, errs.New(errs.Invalid, "identity schema %s: %v", id, err)
	}
	s := &Schema{ID: id, Text: text, compiled: compiled}
	w := walker{root: text}
	if s.fields, err = w.fields(); err != nil {
		return nil, errs.New(errs.Invalid, "identity schema %s: %v", id, err)
	}
	return s, nil
}

func isTel(v any) error {
	text, ok := v.(string)
	if _, phone := normalizePhone(text); ok && text != "" && !phone {
		return errors.New("expected a telephone number such as +49 30 123456")
	}
	return nil
}

// isEmail accepts what mail can be sent to: an address without a name.
func isEmail(v any) error {
	text, ok := v.(string)
	if !ok || text == "" {
		return nil
	}
	a, err := mail.ParseAddress(text)
	if err != nil || a.Address != text || a.Name != "" || strings.ContainsAny(text, "<> \t\r\n\"") {
		return errors.New("expected an e-mail address")
	}
	return nil
}

// validate reports what is wrong with traits.
//
// A *FormError, of kind Invalid, names the nodes.
func (s *Schema) validate(traits json.RawMessage) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(traits))
	if err != nil {
		return errs.New(errs.Invalid, "the traits are not JSON: %v", err)
	}
	form := &FormError{Nodes: map[string][]Text{}}
	if numbers("traits", value, form); len(form.Nodes) > 0 {
		return form
	}
	var wrong *jsonschema.ValidationError
	if err := s.compiled.Validate(map[string]any{"traits": value}); errors.As(err, &wrong) {
		explain(wrong, form)
		return form
	}
	return s.usable(traits)
}

// usable reports identifiers and addresses that can be none: nobody could log in with
// them, and no message would arrive.
func (s *Schema) usable(traits json.RawMessage) error {
	var value any
	if err := json.Unmarshal(traits, &value); err != nil {
		return errs.New(errs.Invalid, "the traits are not JSON: %v", err)
	}
	form := &FormError{Nodes: map[string][]Text{}}
	for _, f := range s.fields {
		for _, text := range textsAt(value, f.path) {
			if wrong, bad := f.unusable(text); bad {
				form.Nodes[f.name()] = append(form.Nodes[f.name()], wrong)
			}
		}
	}
	if len(form.Nodes) > 0 {
		return form
	}
	return nil
}

// unusable says why a text cannot be what the field is used for.
func (f *field) unusable(text string) (Text, bool) {
	c, vias := f.use.Credentials, []string{f.use.Verification.Via, f.use.Recovery.Via}
	if c.Code.Identifier {
		vias = append(vias, c.Code.Via)
	}
	if !c.Password.Identifier && !c.WebAuthn.Identifier && !c.Code.Identifier && vias[0] == "" && vias[1] == "" {
		return Text{}, false
	}
	id, ok := normalize(text)
	switch {
	case len(id) > maxIdentifier:
		return textMaxLength(maxIdentifier, len(id)), true
	case !ok:
		return textGeneric("has characters that cannot be seen, or none"), true
	case slices.Contains(vias, viaEmail) && isEmail(id) != nil:
		return textFormat("email"), true
	}
	if _, phone := normalizePhone(id); slices.Contains(vias, viaSMS) && !phone {
		return textFormat("tel"), true
	}
	return Text{}, false
}

// maxMistakes is how many are explained: a list may have any number.
const maxMistakes = 100

// explain adds the leaves of what is wrong.
func explain(e *jsonschema.ValidationError, form *FormError) {
	if len(form.Nodes)+len(form.Texts) >= maxMistakes {
		return
	}
	if len(e.Causes) > 0 {
		for _, cause := range e.Causes {
			explain(cause, form)
		}
		return
	}
	at := strings.Join(e.InstanceLocation, ".")
	add := func(node string, t Text) {
		if node == "traits" || node == "" {
			form.Texts = append(form.Texts, t)
			return
		}
		form.Nodes[node] = append(form.Nodes[node], t)
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			add(strings.TrimPrefix(at+"."+name, "."), textMissing(name))
		}
	case *kind.FalseSchema:
		add(at, textGeneric(fmt.Sprintf("%s is not allowed", strings.TrimPrefix(at, "traits."))))
	default:
		add(at, schemaText(e.ErrorKind))
	}
}

// A use is what traits are used for.
type use struct {
	identifiers map[CredentialType][]string
	verifiable  []VerifiableAddress // with Via and Value only
	recovery    []RecoveryAddress
	passkeyName string // what a passkey shows
	totpName    string
}

// read finds what traits are used for. What is not a usable identifier is left out.
func (s *Schema) read(traits json.RawMessage) use {
	var value any
	u := use{identifiers: map[CredentialType][]string{}}
	if json.Unmarshal(traits, &value) != nil {
		return u
	}
	for _, f := range s.fields {
		for _, text := range textsAt(value, f.path) {
			id, ok := normalize(text)
			if !ok {
				continue
			}
			c := f.use.Credentials
			for t, is := range map[CredentialType]bool{Password: c.Password.Identifier, WebAuthn: c.WebAuthn.Identifier, CodeAuth: c.Code.Identifier} {
				if is && !slices.Contains(u.identifiers[t], id) {
					u.identifiers[t] = append(u.identifiers[t], id)
				}
			}
			if via := f.use.Verification.Via; via != "" {
				u.verifiable = append(u.verifiable, VerifiableAddress{Via: via, Value: id})
			}
			if via := f.use.Recovery.Via; via != "" {
				u.recovery = append(u.recovery, RecoveryAddress{Via: via, Value: id})
			}
			if c.Passkey.DisplayName && u.passkeyName == "" {
				u.passkeyName = text
			}
			if c.TOTP.AccountName && u.totpName == "" {
				u.totpName = text
			}
		}
	}
	return u
}

// textsAt returns the texts at a path.
func textsAt(value any, path []string) []string {
	if len(path) == 0 {
		if text, ok := value.(string); ok && text != "" {
			return []string{text}
		}
		return nil
	}
	switch v := value.(type) {
	case map[string]any:
		return textsAt(v[path[0]], path[1:])
	case []any:
		var all []string
		if path[0] == "*" {
			for _, element := range v {
				all = append(all, textsAt(element, path[1:])...)
			}
		}
		return all
	default:
		return nil
	}
}

// nodes returns an input for each trait, in the order of the schema.
func (s *Schema) nodes(group string) []Node {
	var nodes []Node
	for _, f := range s.fields {
		if !f.inList() {
			nodes = append(nodes, f.node(group))
		}
	}
	return nodes
}

func (f *field) node(group string) Node {
	title := f.title
	if title == "" {
		title = f.name()
	}
	label := labelOf(title, f.name())
	kind := "text"
	switch {
	case f.kind == "boolean":
		kind = "checkbox"
	case f.kind == "number" || f.kind == "integer":
		kind = "number"
	case f.format == "email" || f.format == "tel" || f.format == "date":
		kind = f.format
	case f.format == "uri":
		kind = "url"
	case f.format == "date-time":
		kind = "datetime-local"
	}
	n := Input(group, f.name(), kind, &label)
	n.Attributes.Pattern, n.Attributes.MaxLength, n.Attributes.Required = f.pattern, f.maxLen, f.required
	if kind == "email" || kind == "tel" || kind == "url" {
		n.Attributes.Autocomplete = kind
	}
	for _, v := range f.enum {
		n.Attributes.Options = append(n.Attributes.Options, NodeOption{Value: v})
	}
	return n
}
