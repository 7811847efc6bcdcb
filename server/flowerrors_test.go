package server_test

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

// TestErrorsElsewhere: a page that is not ours reads an error without the browser's
// cookies, and with those of that browser, but not with those of another one.
func TestErrorsElsewhere(t *testing.T) {
	n := start(t, withIdentity, func(c *server.Config) { c.Identity.ErrorUI = "http://ui.example/error" })
	v, other, ui := n.visitor(t, true), n.visitor(t, true), n.visitor(t, false)
	for _, each := range []*visitor{v, other} {
		each.get("/self-service/login/browser").is(303)
	}
	met := func(query string) string {
		t.Helper()
		to, err := url.Parse(v.get("/self-service/registration/browser?" + query).is(303).header.Get("Location"))
		if err != nil || to.Host != "ui.example" || to.Path != "/error" || len(to.String()) > 4096 {
			t.Fatalf("sent to %s", to)
		}
		return to.Query().Get("id")
	}
	id := met("return_to=https://evil.example/")
	for _, each := range []*visitor{v, ui, ui} {
		each.get("/self-service/errors?id="+id).is(200).has("error.code", 400.0).has("error.id", "self_service_flow_return_to_forbidden").has("id", id)
	}
	other.get("/self-service/errors?id=" + id).is(404)
	ui.get("/self-service/errors?id=" + strings.ToUpper(id)).is(404)
	ui.get("/self-service/errors?id=6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11").is(404)
	ui.get("/self-service/errors?id=" + met("return_to=https://evil.example/"+strings.Repeat("x", 8000))).is(200)
}

// TestMistakesWithoutNode: what is wrong with something that the form does not show is
// said all the same.
func TestMistakesWithoutNode(t *testing.T) {
	n := start(t, withIdentity, func(c *server.Config) {
		c.Identity.Schemas = slices.Grow(c.Identity.Schemas, 1)[:1]
		c.Identity.Schemas[0].ID = "default"
		c.Identity.Schemas[0].URL = "base64://" + base64.StdEncoding.EncodeToString([]byte(`{
			"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"traits": {"type": "object", "properties": {
				"email": {"type": "string", "format": "email", "ory.sh/kratos": {"credentials": {"password": {"identifier": true}}}},
				"pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]}
			}, "unevaluatedProperties": false}}}`))
	})
	for _, traits := range []map[string]any{
		{"email": "ann@example.com", "other": 1}, {"email": "ann@example.com", "pair": []any{"x", "y"}},
	} {
		v := n.visitor(t, false)
		f := v.get("/self-service/registration/api").is(200)
		said := v.do("POST", f.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": traits}).is(400)
		if len(said.messages()) != 1 || said.at("ui.messages.0.context.property") == nil {
			t.Errorf("%v: messages %v: %s", traits, said.messages(), said.text)
		}
	}
}
