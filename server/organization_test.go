package server_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/server"
)

// lasts is how long a session lasts.
func lasts(t *testing.T, session *said) time.Duration {
	t.Helper()
	from, bad := time.Parse(time.RFC3339, session.str("issued_at"))
	to, worse := time.Parse(time.RFC3339, session.str("expires_at"))
	if bad != nil || worse != nil {
		t.Fatal(bad, worse)
	}
	return to.Sub(from)
}

// TestOrganization: people of a domain log in at the provider of their organization.
func TestOrganization(t *testing.T) {
	const org = "6d5a3c1e-0b6f-4c51-9f4e-0f3f5f3a7b11"
	s := startSocial(t, "ann@acme.test", true, func(c *server.Config) {
		c.Identity.OIDC.Organizations = []identity.Organization{{ID: org, Label: "Acme", Domains: []string{"acme.test"}, SessionLifespan: identity.Lifespan(90 * time.Minute)}}
		c.Identity.OIDC.Providers[0].Organization = org
	})
	s.rp.apply(groupModel)
	v := s.rp.visitor(t, true)
	f := v.get("/self-service/login/browser", asProgram...).is(200)
	if f.nodes()["provider=house"] != nil || f.nodes()["method=identifier_first"] == nil || f.nodes()["identifier"] == nil {
		t.Fatalf("the form is %s", f.text)
	}
	v.do("POST", f.str("ui.action"), map[string]any{"csrf_token": f.csrf(), "method": "oidc", "provider": "house"}).is(400).says(4010002)
	v.do("POST", f.str("ui.action"), map[string]any{"csrf_token": f.csrf(), "method": "identifier_first"}).is(400).says(4000002)
	next := v.do("POST", f.str("ui.action"), map[string]any{"csrf_token": f.csrf(), "method": "identifier_first", "identifier": "eve@example.com"}).is(400)
	if next.nodes()["password"] == nil {
		t.Errorf("for others the form is %s", next.text)
	}
	to := v.do("POST", f.str("ui.action"), map[string]any{"csrf_token": f.csrf(), "method": "identifier_first", "identifier": "Nobody@ACME.test"}).is(422).str("redirect_browser_to")
	shown := v.get("/self-service/login/flows?id="+f.str("id")).is(200).has("organization_id", org)
	if shown.nodes()["password"] != nil || shown.nodes()["provider=house"] == nil {
		t.Errorf("the form of the organization is %s", shown.text)
	}
	v.get(s.through(s.at, to)).is(303)
	who := v.get("/sessions/whoami").is(200).has("identity.organization_id", org).has("authentication_methods.0.organization", org)
	if got := lasts(t, who); got != 90*time.Minute {
		t.Errorf("a session lasts %v", got)
	}
	if got := lasts(t, s.rp.admin(t).do("PATCH", "/admin/sessions/"+who.str("id")+"/extend", nil).is(200)); got < 90*time.Minute || got > 2*time.Hour {
		t.Errorf("a session that was extended lasts %v", got)
	}
	if got := s.rp.admin(t).get("/admin/identities/" + who.str("identity.id") + "/organizations").is(200); got.fields("label") != "Acme" {
		t.Errorf("who came from the organization is a member of %s", got.text)
	}
	if f := v.get("/self-service/settings/browser", asProgram...).is(200); f.nodes()["unlink=house"] != nil || f.nodes()["link=house"] != nil {
		t.Errorf("the settings have %s", f.text)
	}

	// With a password, which they may have been given, nobody gets in.
	old := s.rp.visitor(t, false)
	f = old.get("/self-service/login/api").is(200)
	old.do("POST", f.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@acme.test", "password": goodPassword}).is(400).has("organization_id", org)
	f = old.get("/self-service/registration/api").is(200)
	old.do("POST", f.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"email": "bob@acme.test"}}).is(400).has("organization_id", org)
	s.rp.known(t, "eve@example.com")
	outside := s.rp.visitor(t, true)
	outside.login("eve@example.com").is(200)
	eve := outside.get("/sessions/whoami").is(200).str("identity.id")
	s.rp.admin(t).do("PATCH", "/admin/identities/"+eve, []any{map[string]any{"op": "add", "path": "/organization_id", "value": org}}).is(200)
	outside = s.rp.visitor(t, true)
	outside.login("eve@example.com").is(400).says(4000001)

	// What an administrator gives out works all the same, as when the provider is broken.
	link := s.rp.admin(t).do("POST", "/admin/recovery/link", map[string]any{"identity_id": who.str("identity.id")}).is(200).str("recovery_link")
	again := s.rp.visitor(t, true)
	spa := again.get("/self-service/login/browser", asProgram...).is(200)
	again.do("POST", link, map[string]any{"csrf_token": spa.csrf(), "method": "link"}).is(200).has("state", "passed_challenge")
	again.get("/sessions/whoami").is(200).has("identity.id", who.str("identity.id"))
	code := s.rp.admin(t).do("POST", "/admin/recovery/code", map[string]any{"identity_id": who.str("identity.id"), "flow_type": "api"}).is(201)
	native := s.rp.visitor(t, false)
	native.do("POST", "/self-service/recovery?flow="+flowOf(code.str("recovery_link")), map[string]any{"method": "code", "code": code.str("recovery_code")}).
		is(200).has("state", "passed_challenge").has("continue_with.0.action", "set_ory_session_token")

	// The provider speaks for its own domains only.
	bob := s.person("bob@example.com", true)
	stranger := s.rp.visitor(t, true)
	f = stranger.get("/self-service/login/browser?"+url.Values{"organization": {org}}.Encode(), asProgram...).is(200).has("organization_id", org)
	stranger.get(s.through(bob, stranger.leave(f, "provider", "house")), asProgram...).is(400).says(4000001)
	if list := s.rp.admin(t).get("/admin/identities?organization_id=" + org).is(200).text; !strings.Contains(list, who.str("identity.id")) || strings.Contains(list, "bob@") {
		t.Errorf("the organization has %s", list)
	}
	stranger.get("/self-service/login/browser?organization=other", asProgram...).is(200).has("organization_id", nil)
}
