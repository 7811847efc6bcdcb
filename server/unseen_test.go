package server_test

import (
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/internal/testdb"
	"github.com/cardea-iam/cardea/server"
)

// TestTextsThatDatabasesRefuse: PostgreSQL stores no text with a zero byte or that is not
// UTF-8, and fails where it is asked for one. No door lets one through.
func TestTextsThatDatabasesRefuse(t *testing.T) {
	n := start(t, withMail(t), func(c *server.Config) { c.DSN, c.Dev = testdb.Postgres(t), true })
	n.apply(groupModel)
	a := n.admin(t)
	a.do("POST", "/admin/groups", map[string]any{"id": "eng", "name": "eng"}).is(201)
	ann := a.person("ann@example.com")
	for _, bad := range []string{"%00", "%ff", "a%00b"} {
		for _, path := range []string{
			"/admin/identities/BAD", "/admin/identities/BAD/groups", "/admin/identities/BAD/sessions", "/admin/identities/by/external/BAD",
			"/admin/identities?ids=BAD", "/admin/identities?credentials_identifier=BAD", "/admin/identities?organization_id=BAD",
			"/admin/sessions/BAD", "/admin/courier/messages/BAD", "/admin/courier/messages?recipient=BAD", "/admin/audit/events?identity_id=BAD",
			"/admin/groups/BAD", "/admin/groups/BAD/members", "/admin/groups?name=BAD", "/schemas/BAD",
		} {
			if got := a.get(strings.ReplaceAll(path, "BAD", bad)); got.status != 400 && got.status != 404 {
				t.Errorf("%s with %s answers %d", path, bad, got.status)
			}
		}
	}
	for _, token := range []string{"AA", "_w", "MSAA", "MSD_"} { // of a zero, and the like
		for _, path := range []string{
			"/admin/identities", "/admin/identities/" + ann + "/sessions", "/admin/identities/" + ann + "/groups", "/admin/sessions", "/admin/courier/messages", "/admin/audit/events",
			"/admin/groups", "/admin/organizations", "/admin/groups/eng/members", "/admin/groups/eng/invitations",
		} {
			a.get(path + "?page_token=" + token).is(400)
		}
	}
	const bad = "a\x00b"
	for _, tt := range []struct {
		path string
		body map[string]any
	}{
		{"/admin/groups", map[string]any{"name": bad}},
		{"/admin/groups", map[string]any{"name": "x", "id": bad}},
		{"/admin/groups", map[string]any{"name": "x", "parent": bad}},
		{"/admin/groups/eng/members", map[string]any{"identities": []string{bad}}},
		{"/admin/groups/eng/members", map[string]any{"groups": []string{bad}}},
		{"/admin/groups/eng/invitations", map[string]any{"email": bad + "@example.com"}},
		{"/admin/groups/eng/invitations", map[string]any{"email": "b@example.com", "locale": bad}},
		{"/admin/sessions", map[string]any{"action": "disable", "sessions": []string{bad}}},
		{"/admin/recovery/code", map[string]any{"identity_id": bad}},
		{"/admin/identities", draftOf("b@example.com", "groups", []string{bad})},
		{"/admin/identities", draftOf("b@example.com", "organization_id", bad)},
		{"/admin/identities", draftOf("b@example.com", "external_id", bad)},
		{"/admin/identities", draftOf("b@example.com", "metadata_public", map[string]any{"x": bad})},
		{"/admin/identities", draftOf(bad + "@example.com")},
	} {
		if got := a.do("POST", tt.path, tt.body); got.status >= 500 {
			t.Errorf("%s %q answers %d %s", tt.path, tt.body, got.status, got.text)
		}
	}
}

// TestTextsAtPublicDoors is the same where everybody may come.
func TestTextsAtPublicDoors(t *testing.T) {
	n := start(t, withMail(t), func(c *server.Config) {
		c.DSN, c.Dev, c.Identity.Passwordless = testdb.Postgres(t), true, true
		c.Identity.Limits.Open, c.Identity.Limits.Fail = 0, 0
	})
	v := n.visitor(t, false)
	for _, bad := range []string{"%00", "%ff", "a%00b"} {
		for _, p := range []string{
			"/self-service/KIND/flows?id=BAD", "/self-service/KIND/api?return_to=BAD", "/self-service/KIND/api?via=BAD",
			"/self-service/KIND/api?organization=BAD", "/self-service/KIND/api?identity_schema=BAD",
			"/self-service/KIND/api?login_challenge=BAD", "/self-service/KIND?flow=BAD&token=BAD", "/self-service/KIND?flow=BAD",
		} {
			for _, k := range []string{"login", "registration", "settings", "recovery", "verification"} {
				path := strings.NewReplacer("KIND", k, "BAD", bad).Replace(p)
				if got := v.get(path); got.status >= 500 {
					t.Errorf("%s answers %d", path, got.status)
				}
			}
		}
		for _, path := range []string{
			"/self-service/errors?id=BAD", "/self-service/logout?token=BAD",
			"/sessions/token-exchange?init_code=BAD&return_to_code=BAD",
			"/self-service/methods/oidc/callback/BAD?state=BAD&code=BAD", "/schemas/BAD", "/sessions?page_token=BAD",
			"/login?flow=BAD", "/error?id=BAD",
		} {
			if got := v.get(strings.ReplaceAll(path, "BAD", bad)); got.status >= 500 {
				t.Errorf("%s with %s answers %d", path, bad, got.status)
			}
		}
	}
	const bad = "a\x00b"
	for _, k := range []string{"login", "registration", "recovery", "verification"} {
		for _, body := range []map[string]any{
			{"method": "password", "identifier": bad, "password": bad}, {"method": "password", "identifier": "ann@example.com", "password": bad, "traits": map[string]any{"email": "ann@example.com"}},
			{"method": "code", "identifier": bad, "code": bad}, {"method": "code", "identifier": "ann@example.com", "code": bad}, {"method": "code", "email": bad}, {"method": "code", "email": "ann@example.com"}, {"method": "code", "code": bad},
			{"method": "link", "email": bad}, {"method": bad}, {"method": "code", "traits": map[string]any{"email": bad}}, {"method": "password", "password": goodPassword, "traits": map[string]any{"email": "x@example.com", "name": map[string]any{"first": bad}}},
			{"method": "password", "password": goodPassword, "traits": map[string]any{"email": "y@example.com"}, "transient_payload": map[string]any{"a": bad}},
			{"method": "identifier_first", "identifier": bad}, {"method": "totp", "totp_code": bad}, {"method": "oidc", "provider": bad}, {"method": "passkey", "passkey_login": bad},
		} {
			f := v.get("/self-service/" + k + "/api").is(200)
			if got := v.do("POST", f.str("ui.action"), body); got.status >= 500 {
				t.Errorf("%s %q answers %d %s", k, body, got.status, got.text)
			}
		}
	}
	f := v.get("/self-service/registration/api").is(200)
	v.do("POST", f.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"email": "z@example.com"}},
		"User-Agent", "\xff", "Accept-Language", "\xff", "X-Forwarded-For", "\xff").is(200)
}
