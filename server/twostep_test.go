package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

func twoSteps(c *server.Config) { c.Identity.Registration.Style = "profile_first" }

func TestTwoStepRegistration(t *testing.T) {
	n := start(t, withIdentity, twoSteps)
	v := n.visitor(t, false)
	flow := v.get("/self-service/registration/api").is(200)
	action := flow.str("ui.action")
	if flow.nodes()["traits.email"] == nil || flow.nodes()["method=profile"] == nil || flow.nodes()["password"] != nil {
		t.Fatalf("nodes: %s", flow.text)
	}
	traits := map[string]any{"email": "ann@example.com"}
	v.do("POST", action, map[string]any{"method": "profile", "traits": map[string]any{"email": "ann"}}).is(400).says(4000040)
	second := func() {
		t.Helper()
		at := v.do("POST", action, map[string]any{"method": "profile", "traits": traits}).is(400).has("state", "choose_method").says(1040009)
		for name, kind := range map[string]string{"traits.email": "hidden", "password": "password", "method=password": "submit", "screen=previous": "submit"} {
			if at.nodes()[name] == nil || at.nodes()[name]["attributes"].(map[string]any)["type"] != kind {
				t.Errorf("node %s is missing: %s", name, at.text)
			}
		}
		if at.nodes()["method=profile"] != nil || at.nodes()["traits.email"]["attributes"].(map[string]any)["value"] != "ann@example.com" {
			t.Errorf("nodes: %s", at.text)
		}
	}
	second()
	back := v.do("POST", action, map[string]any{"screen": "previous", "method": "profile", "traits": traits}).is(400)
	if at := back.nodes()["traits.email"]["attributes"].(map[string]any); at["type"] != "email" || at["value"] != "ann@example.com" || back.nodes()["password"] != nil {
		t.Errorf("nodes: %s", back.text)
	}
	second()
	again := v.do("POST", action, map[string]any{"method": "password", "password": "x", "traits": traits}).is(400).says(4000032)
	if again.nodes()["screen=previous"] == nil {
		t.Errorf("after a mistake it is the first step: %s", again.text)
	}
	v.do("POST", action, map[string]any{"method": "password", "password": goodPassword, "traits": traits}).is(200).has("session.active", true)

	at := n.visitor(t, false) // all at once
	flow = at.get("/self-service/registration/api").is(200)
	at.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"email": "bob@example.com"}}).is(200)
}

func TestTwoStepsInBrowser(t *testing.T) {
	n, box := startWithMail(t, twoSteps, passwordless)
	v := n.visitor(t, true)
	to := v.get("/self-service/registration/browser").is(303).header.Get("Location")
	u, _ := url.Parse(to)
	form := v.get("/self-service/registration/flows?id=" + u.Query().Get("flow")).is(200)
	send := func(values url.Values) string {
		values.Set("csrf_token", form.csrf())
		return v.do("POST", form.str("ui.action"), values).is(303).header.Get("Location")
	}
	send(url.Values{"method": {"profile"}, "traits.email": {"ann@example.com"}, "traits.name.first": {"Ann"}})
	if page := v.get(to, "Accept", "text/html").is(200); !strings.Contains(page.text, `name="screen"`) || !strings.Contains(page.text, `formnovalidate`) {
		t.Errorf("the page is %s", page.text)
	}
	send(url.Values{"method": {"code"}, "traits.email": {"ann@example.com"}, "traits.name.first": {"Ann"}, "password": {""}})
	send(url.Values{"method": {"code"}, "traits.email": {"ann@example.com"}, "traits.name.first": {"Ann"}, "code": {box.take("ann@example.com").code}})
	v.get("/sessions/whoami").is(200).has("identity.traits.name.first", "Ann")

	n = start(t, withIdentity) // where there is one form
	w := n.visitor(t, false)
	flow := w.get("/self-service/registration/api").is(200)
	w.do("POST", flow.str("ui.action"), map[string]any{"method": "profile", "traits": map[string]any{"email": "ann@example.com"}}).is(400).says(4010003)
}

func TestNeedsVerifiedAddress(t *testing.T) {
	n, box := startWithMail(t, func(c *server.Config) { c.Identity.Login.Verified = true })
	n.known(t, "ann@example.com")
	v := n.visitor(t, false)
	login := v.get("/self-service/login/api").is(200)
	form := map[string]any{"method": "password", "identifier": "ann@example.com", "password": "wrong"}
	v.do("POST", login.str("ui.action"), form).is(400).says(4000006)
	form["password"] = goodPassword
	refused := v.do("POST", login.str("ui.action"), form).is(403).has("error.id", "session_verified_address_required").has("error.details.continue_with.0.action", "show_verification_ui")
	v.do("POST", "/self-service/verification?flow="+refused.str("error.details.continue_with.0.flow.id"), map[string]any{"method": "code", "code": box.take("ann@example.com").code}).
		is(200).has("state", "passed_challenge")
	v.do("POST", login.str("ui.action"), form).is(200)

	b := n.visitor(t, true)
	n.known(t, "bob@example.com")
	login = b.get("/self-service/login/browser", asProgram...).is(200)
	to := b.do("POST", login.str("ui.action"), url.Values{"csrf_token": {login.csrf()}, "method": {"password"}, "identifier": {"bob@example.com"}, "password": {goodPassword}}).
		is(303).header.Get("Location")
	if !strings.Contains(to, "/verification?flow=") {
		t.Errorf("sent to %q", to)
	}
	b.get(to, "Accept", "text/html").is(200)
	b.get("/sessions/whoami").is(401)

	n = start(t, withIdentity, func(c *server.Config) { c.Identity.Login.Verified = true }) // without mail
	n.known(t, "ann@example.com")
	v = n.visitor(t, false)
	login = v.get("/self-service/login/api").is(200)
	v.do("POST", login.str("ui.action"), form).is(400).says(4000010)
}

func TestShowVerification(t *testing.T) {
	n, _ := startWithMail(t, atOnce, func(c *server.Config) { c.Identity.Registration.Show, c.Identity.Settings.Show = true, true })
	v := n.visitor(t, true)
	flow := v.get("/self-service/registration/browser", asProgram...).is(200)
	to := v.do("POST", flow.str("ui.action"), url.Values{"csrf_token": {flow.csrf()}, "method": {"password"}, "password": {goodPassword}, "traits.email": {"ann@example.com"}}).
		is(303).header.Get("Location")
	if !strings.Contains(to, "/verification?flow=") {
		t.Errorf("sent to %q", to)
	}
	v.get(to, "Accept", "text/html").is(200)
	flow = v.get("/self-service/settings/browser", asProgram...).is(200)
	to = v.do("POST", flow.str("ui.action"), url.Values{"csrf_token": {flow.csrf()}, "method": {"profile"}, "traits.email": {"new@example.com"}}).is(303).header.Get("Location")
	if !strings.Contains(to, "/verification?flow=") {
		t.Errorf("sent to %q", to)
	}
	v.get("/sessions/whoami").is(200).has("identity.traits.email", "new@example.com")
}
