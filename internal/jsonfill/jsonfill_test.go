package jsonfill_test

import (
	"testing"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/jsonfill"
)

func TestFill(t *testing.T) {
	values := map[string]any{
		"to": `ann","admin":true,"x":"`, "n": 7, "none": nil, "deep": map[string]any{"a": map[string]any{"b": []string{"x"}}}, "code": "${to}",
	}
	for template, want := range map[string]string{
		`{"to":"${to}"}`:                     `{"to":"ann\",\"admin\":true,\"x\":\""}`,
		`{"text":"for ${to}: ${n}${none}!"}`: `{"text":"for ann\",\"admin\":true,\"x\":\": 7!"}`,
		`["${n}",1.50,true,null,"${deep}"]`:  `[7,1.50,true,null,{"a":{"b":["x"]}}]`,
		`"${deep.a.b} and ${deep.a.b.c}"`:    `"[\"x\"] and "`,
		`["${nothing}","${none}","${}"]`:     `[null,null,null]`,
		`"${code}"`:                          `"${to}"`,
		`"costs $5, or $${to}, or $${n}"`:    `"costs $5, or ${to}, or ${n}"`,
		`{"${to}":1}`:                        `{"${to}":1}`,
	} {
		tpl, err := jsonfill.Parse([]byte(template))
		if err != nil {
			t.Errorf("%s: %v", template, err)
			continue
		}
		if got, err := tpl.Fill(values); err != nil || string(got) != want {
			t.Errorf("%s becomes %s, %v: want %s", template, got, err, want)
		}
	}
	for _, bad := range []string{"", "function(ctx) {}", `{"a":1} {}`, `{"a":"${to"}`, `["x ${"]`} {
		if _, err := jsonfill.Parse([]byte(bad)); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
