package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

func choosing(c *server.Config) { c.Identity.ChooseAddress = true }

// TestRecoveryAddress recovers by Kratos's newer form.
func TestRecoveryAddress(t *testing.T) {
	n, box := startWithMail(t, choosing)
	n.known(t, "ann@example.com")
	v := n.visitor(t, false)
	flow := v.get("/self-service/recovery/api").is(200).has("state", "recovery_awaiting_address")
	if flow.nodes()["recovery_address"] == nil || flow.nodes()["method=code"] == nil || flow.nodes()["email"] != nil {
		t.Fatalf("nodes: %s", flow.text)
	}
	send := func(fields map[string]any) *said {
		fields["method"] = "code"
		return v.do("POST", flow.str("ui.action"), fields)
	}
	send(map[string]any{}).is(400).says(4000002)
	send(map[string]any{"recovery_address": "ann"}).is(400).says(4000040)
	for _, email := range []string{"nobody@example.com", "ann@example.com"} {
		sent := send(map[string]any{"recovery_address": email}).is(200).has("state", "recovery_awaiting_code").says(1060004)
		if sent.nodes()["code"] == nil || sent.nodes()["screen=recovery_address"] == nil || sent.nodes()["recovery_confirm_address="+email] == nil {
			t.Fatalf("nodes: %s", sent.text)
		}
		if email == "nobody@example.com" {
			send(map[string]any{"screen": "recovery_address"}).is(200).has("state", "recovery_awaiting_address")
		}
	}
	first := box.take("ann@example.com").code
	send(map[string]any{"code": otherCode(first), "recovery_address": "ann@example.com"}).is(200).says(4060006)
	send(map[string]any{"recovery_confirm_address": "ann@example.com"}).is(200).says(1060004)
	second := box.take("ann@example.com").code
	send(map[string]any{"code": second, "recovery_address": "ann@example.com"}).is(200).has("state", "passed_challenge").has("continue_with.1.action", "show_settings_ui")

	b := n.visitor(t, true)
	form := b.get("/self-service/recovery/browser", asProgram...).is(200)
	post := func(fields url.Values) string {
		fields.Set("csrf_token", form.csrf())
		return b.do("POST", form.str("ui.action"), fields).is(303).header.Get("Location")
	}
	page := post(url.Values{"method": {"code"}, "recovery_address": {"ann@example.com"}})
	if text := b.get(page, "Accept", "text/html").is(200).text; !strings.Contains(text, `name="code"`) || !strings.Contains(text, "an****@example.com") {
		t.Errorf("the page is %s", text)
	}
	box.take("ann@example.com")
	post(url.Values{"method": {"code"}, "code": {""}, "recovery_address": {"ann@example.com"}, "recovery_confirm_address": {"ann@example.com"}})
	if to := post(url.Values{"method": {"code"}, "code": {box.take("ann@example.com").code}, "recovery_address": {"ann@example.com"}}); !strings.Contains(to, "/settings?flow=") {
		t.Errorf("sent to %q", to)
	}
}

// TestRecoveryChoice asks who has several addresses for the whole of one of them, where it may
// be told that there is an account.
func TestRecoveryChoice(t *testing.T) {
	const schema = `{"type":"object","properties":{"traits":{"type":"object","properties":{
		"email":{"type":"string","format":"email","ory.sh/kratos":{"credentials":{"password":{"identifier":true}},"recovery":{"via":"email"}}},
		"other":{"type":"string","format":"email","ory.sh/kratos":{"recovery":{"via":"email"}}}},"additionalProperties":false}}}`
	for _, tells := range []bool{false, true} {
		n, box := startWithMail(t, choosing, func(c *server.Config) {
			c.Identity.Mitigate = !tells
			if err := c.Identity.Schemas.Add("default", schema); err != nil {
				t.Fatal(err)
			}
		})
		n.admin(t).do("POST", "/admin/identities", map[string]any{"schema_id": "default", "traits": map[string]any{"email": "ann@example.com", "other": "home@example.com"}}).is(201)
		v := n.visitor(t, false)
		flow := v.get("/self-service/recovery/api").is(200)
		send := func(fields map[string]any) *said {
			fields["method"] = "code"
			return v.do("POST", flow.str("ui.action"), fields)
		}
		got := send(map[string]any{"recovery_address": "ann@example.com"}).is(200)
		if !tells {
			got.has("state", "recovery_awaiting_code").says(1060004)
			continue
		}
		got.has("state", "recovery_awaiting_address_choice").says(1060006)
		home := ""
		for name, node := range got.nodes() {
			if label, _ := node["meta"].(map[string]any)["label"].(map[string]any); label != nil && strings.Contains(label["text"].(string), "ho****@example.com") {
				home = strings.TrimPrefix(name, "recovery_select_address=")
			}
		}
		if home == "" || strings.Contains(got.text, "home@example.com") {
			t.Fatalf("nodes: %s", got.text)
		}
		send(map[string]any{"recovery_select_address": "x"}).is(400).says(4010010)
		send(map[string]any{"recovery_select_address": home}).is(200).has("state", "recovery_confirming_address").says(1060005)
		send(map[string]any{}).is(400).says(4000002)
		send(map[string]any{"recovery_confirm_address": "ann@example.com"}).is(400).says(4010010)
		send(map[string]any{"recovery_confirm_address": " Home@example.com"}).is(200).has("state", "recovery_awaiting_code").says(1060004)
		send(map[string]any{"code": box.take("home@example.com").code}).is(200).has("state", "passed_challenge")
	}
}
