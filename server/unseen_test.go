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
