package server_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/server"
)

func identifierFirst(c *server.Config) { c.Identity.Login.Style = "identifier_first" }

func withPasskeys(c *server.Config) {
	c.Identity.Factors.Passkey.Enabled, c.Identity.Factors.Passkey.ID = true, "id.example"
}

// names are the nodes that a form has, in their order, hidden ones in brackets.
func (s *said) names() (out []string) {
	list, _ := s.at("ui.nodes").([]any)
	for _, one := range list {
		a := one.(map[string]any)["attributes"].(map[string]any)
		name, _ := a["name"].(string)
		switch {
		case a["type"] == "submit" || a["type"] == "button":
			value, _ := a["value"].(string)
			name += "=" + value
		case a["type"] == "hidden":
			name = "(" + name + ")"
		case name == "":
			name = one.(map[string]any)["type"].(string)
		}
		out = append(out, name)
	}
	return out
}

// asks asserts what names returns.
func (s *said) asks(names ...string) *said {
	s.Helper()
	if got := s.names(); !slices.Equal(got, names) {
		s.Fatalf("the form has %v, want %v: %s", got, names, s.text)
	}
	return s
}

// TestIdentifierFirst is what a native app sees, who has an account or not.
func TestIdentifierFirst(t *testing.T) {
	n, _ := startWithMail(t, passwordless, identifierFirst)
	n.known(t, "ann@example.com")
	varies := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[0-9:.]+Z|(ann|bob)@example.com`)
	var forms [2]string
	for i, email := range []string{"ann@example.com", "bob@example.com"} {
		v := n.visitor(t, false)
		flow := v.get("/self-service/login/api").is(200).has("state", "choose_method").asks("(csrf_token)", "identifier", "method=identifier_first")
		if node := flow.nodes()["identifier"]; node["group"] != "identifier_first" || flow.nodes()["method=identifier_first"]["group"] != "identifier_first" {
			t.Errorf("the groups are wrong: %s", flow.text)
		}
		action := flow.str("ui.action")
		v.do("POST", action, map[string]any{"method": "identifier_first"}).is(400).says(4000002).asks("(csrf_token)", "identifier", "method=identifier_first")
		second := []string{"(csrf_token)", "(identifier)", "password", "method=password", "method=code"}
		form := v.do("POST", action, map[string]any{"method": "identifier_first", "identifier": email}).is(400).has("state", "choose_method").has("active", "identifier_first").asks(second...)
		if len(form.messages()) != 0 || form.nodes()["identifier"]["attributes"].(map[string]any)["value"] != email {
			t.Errorf("the second step is %s", form.text)
		}
		forms[i] = form.text + v.get("/self-service/login/flows?id="+flow.str("id")).is(200).asks(second...).text
		forms[i] += v.do("POST", action, map[string]any{"method": "password", "identifier": email, "password": "wrong"}).is(400).says(4000006).asks(second...).text
		forms[i] += v.do("POST", action, map[string]any{"method": "identifier_first", "identifier": "x" + email}).is(400).asks(second...).text
		forms[i] += v.do("POST", action, map[string]any{"method": "code", "identifier": email}).is(400).has("state", "sent_email").says(1010014).text
		forms[i] = varies.ReplaceAllString(forms[i], "X")
	}
	if forms[0] != forms[1] {
		t.Errorf("the answers differ:\n%s\n%s", forms[0], forms[1])
	}
	v := n.visitor(t, false)
	flow := v.get("/self-service/login/api").is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "identifier_first", "identifier": "ann@example.com"}).is(400)
	v.token = v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200).str("session_token")
	again := v.get("/self-service/login/api?refresh=true").is(200).asks("(csrf_token)", "(identifier)", "password", "method=password", "method=code")
	v.do("POST", again.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200)

	once := n.visitor(t, false) // who sends all of it needs no first step
	flow = once.get("/self-service/login/api").is(200)
	once.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": "wrong"}).is(400).says(4000006).
		asks("(csrf_token)", "identifier", "method=identifier_first")
	once.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200)
}

// TestIdentifierFirstTells offers what the account has, where that is no secret.
func TestIdentifierFirstTells(t *testing.T) {
	n, _ := startWithMail(t, passwordless, identifierFirst, atOnce, withPasskeys, func(c *server.Config) {
		c.Identity.OIDC.Providers = []identity.Provider{
			{ID: "one", Kind: "generic", Label: "One", ClientID: "rp", ClientSecret: "x", Issuer: "https://one.example"},
			{ID: "two", Kind: "generic", Label: "Two", ClientID: "rp", ClientSecret: "x", Issuer: "https://two.example"},
		}
	})
	add := func(email string, credentials map[string]any) {
		t.Helper()
		n.admin(t).do("POST", "/admin/identities", map[string]any{"schema_id": "default", "traits": map[string]any{"email": email}, "credentials": credentials}).is(201)
	}
	password := map[string]any{"config": map[string]any{"password": goodPassword}}
	social := map[string]any{"config": map[string]any{"providers": []any{map[string]any{"provider": "two", "subject": "s"}}}}
	add("both@example.com", map[string]any{"password": password, "oidc": social})
	add("code@example.com", nil)
	v := n.visitor(t, true)
	flow := v.get("/self-service/login/browser", asProgram...).is(200).
		asks("(csrf_token)", "identifier", "method=identifier_first", "script", "(passkey_challenge)", "(passkey_login)", "provider=one", "provider=two")
	send := func(email string) *said {
		t.Helper()
		return v.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": "identifier_first", "identifier": email}).is(400)
	}
	send("both@example.com").asks("(csrf_token)", "(identifier)", "password", "method=password", "method=code", "provider=two")
	send("nobody@example.com").says(4000037).
		asks("(csrf_token)", "identifier", "method=identifier_first", "script", "(passkey_challenge)", "(passkey_login)", "provider=one", "provider=two")
	send("Code@Example.com ").has("state", "sent_email").has("active", "code").says(1010014)
}

// TestIdentifierFirstHidesPasskeys: what is offered is the same for everybody.
func TestIdentifierFirstHidesPasskeys(t *testing.T) {
	n := start(t, withIdentity, identifierFirst, withPasskeys)
	n.known(t, "ann@example.com")
	for _, email := range []string{"ann@example.com", "bob@example.com"} {
		v := n.visitor(t, true)
		flow := v.get("/self-service/login/browser", asProgram...).is(200).asks("(csrf_token)", "identifier", "method=identifier_first", "script", "(passkey_challenge)", "(passkey_login)")
		v.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": "identifier_first", "identifier": email}).is(400).
			asks("(csrf_token)", "(identifier)", "password", "method=password", "script", "(passkey_challenge)", "(passkey_login)", "passkey_login_trigger=")
	}
}

// TestIdentifierFirstByCode sends a code at once where there is nothing to choose.
func TestIdentifierFirstByCode(t *testing.T) {
	n, box := startWithMail(t, passwordless, identifierFirst, func(c *server.Config) { c.Identity.Password = false })
	n.admin(t).do("POST", "/admin/identities", map[string]any{"schema_id": "default", "traits": map[string]any{"email": "ann@example.com"}}).is(201)
	for _, email := range []string{"bob@example.com", "ann@example.com"} {
		v := n.visitor(t, false)
		flow := v.get("/self-service/login/api").is(200)
		v.do("POST", flow.str("ui.action"), map[string]any{"method": "identifier_first", "identifier": email}).is(400).has("state", "sent_email").says(1010014)
		if email == "ann@example.com" {
			v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "identifier": email, "code": box.take(email).code}).is(200).has("session.active", true)
		}
	}
	if more := box.find("bob@example.com"); len(more) != 0 {
		t.Errorf("letters %+v", more)
	}
}

// TestIdentifierFirstInBrowser goes through the pages.
func TestIdentifierFirstInBrowser(t *testing.T) {
	n := start(t, withIdentity, identifierFirst)
	n.known(t, "ann@example.com")
	v := n.visitor(t, true)
	at := v.get("/self-service/login/browser?return_to=/sessions/whoami").is(303).header.Get("Location")
	page := v.page(at).shows("Create an account")
	if strings.Contains(page.text, `name="password"`) {
		t.Fatalf("the page is %s", page.text)
	}
	forged := url.Values{"method": {"identifier_first"}, "identifier": {"ann@example.com"}, "csrf_token": {"x"}}
	if to := v.do("POST", "/self-service/login?flow="+flowOf(at), forged).is(303).header.Get("Location"); !strings.Contains(to, "/error?id=") {
		t.Errorf("without a token sent to %q", to)
	}
	page = v.send(page, url.Values{"method": {"identifier_first"}, "identifier": {"ann@example.com"}}).is(200).
		shows(`name="password"`, "Sign in as somebody else", "Signing in as ann@example.com")
	v.page(page.link("Sign in as somebody else")).shows("Create an account", "return_to=")
	v.send(page, url.Values{"method": {"password"}, "password": {"wrong"}}).is(200).shows(`data-message="4000006"`, "Signing in as ann@example.com")
	v.send(page, url.Values{"method": {"password"}, "password": {goodPassword}}).is(200).has("identity.traits.email", "ann@example.com")
}

// TestIdentifierFirstAndOthers: people of organizations go to their provider, and who has to
// log in to link an account has one step.
func TestIdentifierFirstAndOthers(t *testing.T) {
	const org = "6d5a3c1e-0b6f-4c51-9f4e-0f3f5f3a7b11"
	s := startSocial(t, "ann@acme.test", true, identifierFirst, func(c *server.Config) {
		c.Identity.OIDC.Organizations = []identity.Organization{{ID: org, Label: "Acme", Domains: []string{"acme.test"}}}
		c.Identity.OIDC.Providers[0].Organization = org
	})
	v := s.rp.visitor(t, true)
	f := v.get("/self-service/login/browser", asProgram...).is(200).asks("(csrf_token)", "identifier", "method=identifier_first")
	v.do("POST", f.str("ui.action"), map[string]any{"csrf_token": f.csrf(), "method": "identifier_first", "identifier": "nobody@acme.test"}).is(422)

	s = startSocial(t, "ann@example.com", true, identifierFirst)
	s.rp.known(t, "ann@example.com")
	v = s.rp.visitor(t, true)
	f = v.get("/self-service/login/browser", asProgram...).is(200).asks("(csrf_token)", "identifier", "method=identifier_first", "provider=house")
	at := v.get(s.through(s.at, v.leave(f, "provider", "house"))).is(303).header.Get("Location")
	f = v.get("/self-service/login/flows?id="+flowOf(at)).is(200).says(1010016).asks("(csrf_token)", "identifier", "password", "method=password", "provider=house")
	v.do("POST", f.str("ui.action"), map[string]any{"csrf_token": f.csrf(), "method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200)
}
