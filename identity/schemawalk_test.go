package identity

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/internal/errs"
)

// withTraits is a schema whose traits are the text.
func withTraits(draft, traits string) []byte {
	return fmt.Appendf(nil, `{"$schema":%q,"$defs":{"mail":{"type":"string","format":"email","title":"Mail"}},"properties":{"traits":%s}}`, draft, traits)
}

const (
	draft7    = "http://json-schema.org/draft-07/schema#"
	draft2020 = "https://json-schema.org/draft/2020-12/schema"
	isLogin   = `"ory.sh/kratos":{"credentials":{"password":{"identifier":true}}}`
)

// TestSchemaPlaces looks for what traits are used for wherever a schema can say it.
func TestSchemaPlaces(t *testing.T) {
	const mail = `{"type":"string",` + isLogin + `}`
	for name, c := range map[string]struct{ draft, schema, traits, identifiers, fields string }{
		"plain":        {draft7, `{"properties":{"m":` + mail + `}}`, `{"m":"A@x.test"}`, "a@x.test", "m:string"},
		"list":         {draft7, `{"properties":{"m":{"type":"array","items":` + mail + `}}}`, `{"m":["b@x.test","a@x.test"]}`, "b@x.test a@x.test", "m.*:string"},
		"deep list":    {draft7, `{"properties":{"m":{"type":"array","items":{"type":"object","properties":{"v":` + mail + `}}}}}`, `{"m":[{"v":"b"},{},{"v":"a"}]}`, "b a", "m.*.v:string"},
		"all of":       {draft7, `{"properties":{"m":{"type":"string","title":"T"}},"allOf":[{"properties":{"m":{` + isLogin + `}}}]}`, `{"m":"a"}`, "a", "m:string"},
		"one of":       {draft7, `{"oneOf":[{"required":["m"],"properties":{"m":` + mail + `}},{"required":["n"],"properties":{"n":` + mail + `}}]}`, `{"n":"a"}`, "a", "m:string n:string"},
		"any of":       {draft7, `{"properties":{"m":{"anyOf":[` + mail + `,{"type":"null"}]}}}`, `{"m":"a"}`, "a", "m:string"},
		"then":         {draft7, `{"properties":{"k":{"type":"string"}},"if":{"required":["k"]},"then":{"properties":{"m":` + mail + `}}}`, `{"k":"x","m":"a"}`, "a", "k:string m:string"},
		"dependencies": {draft7, `{"dependencies":{"k":{"properties":{"m":` + mail + `}},"l":["m"]}}`, `{"k":1,"m":"a"}`, "a", "m:string"},
		"dependent":    {draft2020, `{"dependentSchemas":{"k":{"properties":{"m":` + mail + `}}}}`, `{"k":1,"m":"a"}`, "a", "m:string"},
		"reference":    {draft2020, `{"properties":{"m":{"$ref":"#/$defs/mail",` + isLogin + `}}}`, `{"m":"a@x.test"}`, "a@x.test", "m:string"},
		"draft 7 reads nothing beside a reference": {draft7, `{"properties":{"m":{"$ref":"#/$defs/mail",` + isLogin + `}}}`, `{"m":"a@x.test"}`, "", "m:string"},
		"truths":   {draft7, `{"properties":{"m":` + mail + `,"any":true,"none":false}}`, `{"m":"a","any":5}`, "a", "m:string"},
		"nullable": {draft2020, `{"properties":{"m":{"type":["null","string"],` + isLogin + `}}}`, `{"m":null}`, "", "m:string"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := NewSchema("s", withTraits(c.draft, c.schema))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.validate(json.RawMessage(c.traits)); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(s.read(json.RawMessage(c.traits)).identifiers[Password], " "); got != c.identifiers {
				t.Errorf("identifiers %q, want %q", got, c.identifiers)
			}
			var fields []string
			for _, f := range s.fields {
				fields = append(fields, strings.Join(f.path, ".")+":"+f.kind)
			}
			if got := strings.Join(fields, " "); got != c.fields {
				t.Errorf("fields %q, want %q", got, c.fields)
			}
		})
	}
	s, err := NewSchema("s", withTraits(draft2020, `{"required":["m"],"properties":{"m":{"$ref":"#/$defs/mail","title":"Work"}},"oneOf":[{"required":["n"],"properties":{"n":{"type":"string"}}},true]}`))
	if err != nil {
		t.Fatal(err)
	}
	nodes := s.nodes("default")
	if len(nodes) != 2 || nodes[0].Meta.Label.Text != "Work" || nodes[0].Attributes.Type != "email" || !nodes[0].Attributes.Required || nodes[1].Attributes.Required {
		t.Errorf("nodes %+v", nodes)
	}
}

// TestSchemaExtensionMistakes starts with extensions that would do nothing.
func TestSchemaExtensionMistakes(t *testing.T) {
	for _, extension := range []string{
		`{"credentials":{"pasword":{"identifier":true}}}`, `{"credentials":{"password":{"identifer":true}}}`, `{"credentials":{"password":{"identifier":"yes"}}}`,
		`{"verification":{"via":"mail"}}`, `{"recovery":{"via":"phone"}}`, `{"credentials":{"code":{"identifier":true,"via":"x"}}}`, `{"verificaton":{}}`, `[]`,
	} {
		_, err := NewSchema("s", withTraits(draft7, `{"properties":{"m":{"type":"string","ory.sh/kratos":`+extension+`}}}`))
		if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "traits.m: ") {
			t.Errorf("%s: %v", extension, err)
		}
		if err != nil && slices.ContainsFunc([]string{"struct", "identity.", "json:"}, func(s string) bool { return strings.Contains(err.Error(), s) }) {
			t.Errorf("%s: the error names types: %v", extension, err)
		}
	}
	const used = `{"type":"string",` + isLogin + `}`
	for _, place := range []string{
		`{"patternProperties":{"^m":` + used + `}}`, `{"additionalProperties":` + used + `}`, `{"not":{"properties":{"m":` + used + `}}}`,
		`{"if":{"properties":{"m":` + used + `}}}`, `{"properties":{"m":{"type":"array","items":[` + used + `]}}}`, `{"properties":{"m":{"type":"array","contains":` + used + `}}}`,
	} {
		if _, err := NewSchema("s", withTraits(draft7, place)); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "means nothing below") {
			t.Errorf("%s: %v", place, err)
		}
	}
	if _, err := NewSchema("s", withTraits(draft7, `{"properties":{"m":{"type":"string","ory.sh/kratos":{"organizations":{"matcher":"email_domain"},"verification":{"via":"sms"}}}}}`)); err != nil {
		t.Error(err)
	}
}
