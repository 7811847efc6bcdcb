package server_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

// endsWith starts a server with mail and a hook at the end of a flow.
func endsWith(t *testing.T, kind, method, hooks string, edit ...func(*server.Config)) (*node, *postbox) {
	return startWithMail(t, append(edit, func(c *server.Config) {
		if err := c.SetHooks(kind, method, hooks); err != nil {
			t.Fatal(err)
		}
	})...)
}

// loggedIn logs a native app in.
func (v *visitor) loggedIn(email string) *said {
	v.Helper()
	flow := v.get("/self-service/login/api").is(200)
	return v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "identifier": email, "password": goodPassword}).is(200)
}

// TestVerificationAfterLogin: a hook leads whoever logs in to where addresses are verified.
func TestVerificationAfterLogin(t *testing.T) {
	n, box := endsWith(t, "login", "", `[{"hook":"show_verification_ui"}]`)
	n.known(t, "ann@example.com")
	v := n.visitor(t, false)
	done := v.loggedIn("ann@example.com").has("continue_with.0.action", "show_verification_ui").has("continue_with.0.flow.verifiable_address", "ann@example.com")
	v.enter(done, box.take("ann@example.com").code).is(200).has("state", "passed_challenge")
	v.loggedIn("ann@example.com").has("continue_with", nil)

	n.known(t, "bob@example.com")
	b := n.visitor(t, true)
	form := b.get("/self-service/login/browser?return_to=/sessions/whoami", asProgram...).is(200)
	fields := url.Values{"csrf_token": {form.csrf()}, "method": {"password"}, "identifier": {"bob@example.com"}, "password": {goodPassword}}
	to := b.do("POST", form.str("ui.action"), fields).is(303).header.Get("Location")
	if !strings.Contains(to, "/verification?flow=") {
		t.Fatalf("sent to %q", to)
	}
	u, _ := url.Parse(to)
	b.get("/self-service/verification/flows?id="+u.Query().Get("flow")).is(200).has("return_to", b.base+"/sessions/whoami")
	b.get("/sessions/whoami").is(200)

	n, _ = endsWith(t, "login", "password", `[{"hook":"verification"}]`)
	n.known(t, "bob@example.com")
	b = n.visitor(t, true)
	form = b.get("/self-service/login/browser?return_to=/sessions/whoami", asProgram...).is(200)
	fields.Set("csrf_token", form.csrf())
	if to := b.do("POST", form.str("ui.action"), fields).is(303).header.Get("Location"); !strings.HasSuffix(to, "/sessions/whoami") {
		t.Errorf("sent to %q", to)
	}
	n.visitor(t, false).loggedIn("bob@example.com").has("continue_with.0.action", "show_verification_ui")
}

// TestVerifyNewAddress: one address waits by a hook, where they do not wait otherwise.
func TestVerifyNewAddress(t *testing.T) {
	n, box := endsWith(t, "settings", "profile", `[{"hook":"verify_new_address"}]`, atOnce)
	n.known(t, "taken@example.com")
	v := n.visitor(t, false)
	v.registerNative("ann@example.com")
	box.take("ann@example.com")
	flow := v.get("/self-service/settings/api").is(200)
	change := func(email string) *said {
		return v.do("POST", flow.str("ui.action"), map[string]any{"method": "profile", "traits": map[string]any{"email": email}})
	}
	change("taken@example.com").is(400).says(4000007)
	begun := change("new@example.com").is(200).has("identity.traits.email", "ann@example.com").has("continue_with.0.action", "show_verification_ui")
	v.get("/sessions/whoami").is(200).has("identity.traits.email", "ann@example.com")
	done := v.enter(begun, box.take("new@example.com").code).is(200).has("state", "passed_challenge")
	v.token = done.str("continue_with.0.ory_session_token")
	v.get("/sessions/whoami").is(200).has("identity.traits.email", "new@example.com")
}

// TestNotifyPreviousAddresses tells those that the hook says.
func TestNotifyPreviousAddresses(t *testing.T) {
	for recipients, want := range map[string]bool{"removed": false, "all_verified": false, "all": true} {
		n, box := endsWith(t, "settings", "", `[{"hook":"notify_previous_addresses","config":{"recipients":"`+recipients+`"}}]`, atOnce)
		v := n.visitor(t, false)
		v.registerNative("ann@example.com") // who does not verify it
		box.take("ann@example.com")
		change := func(email string) {
			flow := v.get("/self-service/settings/api").is(200)
			done := v.do("POST", flow.str("ui.action"), map[string]any{"method": "profile", "traits": map[string]any{"email": email}}).is(200)
			v.token = done.str("continue_with.1.ory_session_token")
			v.enter(done, box.take(email).code).is(200)
		}
		change("new@example.com")
		change("newer@example.com") // whose message comes after those about the change before
		if l := box.take("new@example.com"); l.subject != "The address of your account was changed" {
			t.Errorf("%s: letter %+v", recipients, l)
		}
		if want {
			box.take("ann@example.com") // letters may come in another order
		} else if l := box.find("ann@example.com"); len(l) > 0 {
			t.Errorf("%s: an address that was not verified is told: %+v", recipients, l)
		}
	}
}

// TestLogoutEnds leads browsers on as the settings say.
func TestLogoutEnds(t *testing.T) {
	n, _ := startWithMail(t, atOnce, func(c *server.Config) {
		c.Identity.LogoutReturnTo, c.Identity.LogoutClears = "https://app.example.com/bye", true
	})
	for query, want := range map[string]string{"": "https://app.example.com/bye", "?return_to=/login": "/login"} {
		v := n.visitor(t, true)
		v.register(strings.Trim(query, "?/=") + "x@example.com")
		out := v.get("/self-service/logout/browser" + query).is(200)
		left := v.get(out.str("logout_url")).is(303)
		if to := left.header.Get("Location"); !strings.HasSuffix(to, want) || left.header.Get("Clear-Site-Data") == "" {
			t.Errorf("sent to %q with %v", to, left.header)
		}
		v.get("/sessions/whoami").is(401)
	}
}

// TestGetOfForm: a GET of where a form goes shows the form, and does nothing else.
func TestGetOfForm(t *testing.T) {
	n, _ := startWithMail(t, atOnce)
	v, b := n.visitor(t, false), n.visitor(t, true)
	in := n.visitor(t, true)
	in.register("ann@example.com")
	for kind, id := range map[string]int{"login": 4010002, "registration": 4010003, "recovery": 4010005, "verification": 4010006, "settings": 4010004} {
		b := b
		if kind == "settings" {
			b = in
		} else {
			flow := v.get("/self-service/" + kind + "/api").is(200)
			v.get(flow.str("ui.action")).is(400).says(id)
			v.get("/self-service/" + kind + "/flows?id=" + flow.str("id")).is(200)
			v.get("/self-service/"+kind, asProgram...).is(404)
			v.get("/self-service/"+kind+"?flow="+strings.Repeat("x", 9), asProgram...).is(404)
		}
		form := b.get("/self-service/"+kind+"/browser", asProgram...).is(200)
		b.get(form.str("ui.action")+"&method=password&identifier=x&password=y", asProgram...).is(400).says(id)
		if to := b.get(form.str("ui.action")).is(303).header.Get("Location"); !strings.HasSuffix(to, "/"+kind+"?flow="+form.str("id")) {
			t.Errorf("%s: sent to %q", kind, to)
		}
		n.visitor(t, true).get(form.str("ui.action"), asProgram...).is(map[bool]int{true: 401, false: 403}[kind == "settings"])
	}
}

// TestLoggedInMeanwhile: forms that were opened before a login in another window lead to where
// logins do.
func TestLoggedInMeanwhile(t *testing.T) {
	n, _ := startWithMail(t, atOnce)
	n.known(t, "ann@example.com")
	v := n.visitor(t, true)
	fields := url.Values{"method": {"password"}, "identifier": {"ann@example.com"}, "password": {goodPassword}, "traits.email": {"bob@example.com"}}
	var forms []*said
	for _, kind := range []string{"login", "login", "registration"} {
		forms = append(forms, v.get("/self-service/"+kind+"/browser", asProgram...).is(200))
	}
	fields.Set("csrf_token", forms[0].csrf())
	v.do("POST", forms[0].str("ui.action"), fields).is(303)
	for _, form := range forms[1:] {
		v.do("POST", form.str("ui.action"), fields, asProgram...).is(400).has("error.id", "session_already_available")
		if to := v.do("POST", form.str("ui.action"), fields).is(303).header.Get("Location"); !strings.HasSuffix(to, "/settings") {
			t.Errorf("sent to %q", to)
		}
	}
	app := n.visitor(t, false)
	app.token = app.loggedIn("ann@example.com").str("session_token")
	login := n.visitor(t, false).get("/self-service/login/api").is(200)
	app.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(400).has("error.id", "session_already_available")
	app.get("/sessions/whoami").is(200)
}
