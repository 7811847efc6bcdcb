package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/server"
)

func draftOf(email string, more ...any) map[string]any {
	d := map[string]any{"schema_id": "default", "traits": map[string]any{"email": email}}
	for n := 0; n+1 < len(more); n += 2 {
		d[more[n].(string)] = more[n+1]
	}
	return d
}

func withPassword(key, value string) map[string]any {
	return map[string]any{"password": map[string]any{"config": map[string]any{key: value}}}
}

func (s *said) list() (out []map[string]any) {
	s.Helper()
	if err := json.Unmarshal([]byte(s.text), &out); err != nil {
		s.Fatal(err)
	}
	return out
}

func TestAdminBatch(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	id := func(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }
	done := a.do("PATCH", "/admin/identities", map[string]any{"identities": []any{
		map[string]any{"patch_id": id(1), "create": draftOf("ann@example.com", "credentials", withPassword("password", goodPassword))},
		map[string]any{"patch_id": id(2), "create": draftOf("ann@example.com")},
		map[string]any{"patch_id": id(3), "create": draftOf("no address")},
		map[string]any{"create": draftOf("bob@example.com", "state", "inactive")},
		map[string]any{"patch_id": id(5), "create": draftOf("carl@example.com", "credentials", map[string]any{"palm": map[string]any{}})},
	}}).is(200)
	for path, want := range map[string]any{
		"identities.0.action": "create", "identities.0.patch_id": id(1),
		"identities.1.action": "error", "identities.1.patch_id": id(2), "identities.1.error.code": 409.0,
		"identities.2.action": "error", "identities.2.error.code": 400.0,
		"identities.3.action": "create", "identities.3.patch_id": nil,
		"identities.4.action": "error", "identities.4.error.code": 501.0,
	} {
		done.has(path, want)
	}
	a.get("/admin/identities/"+done.str("identities.0.identity")).is(200).has("credentials.password.identifiers.0", "ann@example.com")
	a.get("/admin/identities/"+done.str("identities.3.identity")).is(200).has("state", "inactive")
	if got := a.get("/admin/identities").list(); len(got) != 2 {
		t.Errorf("%d identities, want 2", len(got))
	}

	a.do("POST", "/admin/identities", draftOf("dora@example.com", "id", id(7))).is(201).has("id", id(7))
	a.do("POST", "/admin/identities", draftOf("emil@example.com", "id", id(7))).is(409)
	a.do("POST", "/admin/identities", draftOf("emil@example.com", "id", "7")).is(400)

	many := make([]any, 201)
	for n := range many {
		many[n] = map[string]any{"create": draftOf(fmt.Sprint("p", n, "@example.com"), "credentials", withPassword("password", goodPassword))}
	}
	for _, bad := range []any{
		map[string]any{}, map[string]any{"identities": []any{map[string]any{}}}, []any{},
		map[string]any{"identities": []any{map[string]any{"patch_id": "x", "create": draftOf("d@example.com")}}},
		map[string]any{"identities": many}, map[string]any{"identities": slices.Repeat([]any{map[string]any{"create": draftOf("e@example.com")}}, 1001)},
	} {
		a.do("PATCH", "/admin/identities", bad).is(400)
	}
}

func TestAdminCredentials(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	accounts := []any{map[string]any{"provider": "github", "subject": "7"}, map[string]any{"provider": "google", "subject": "a:b"}}
	made := a.do("POST", "/admin/identities", draftOf("ann@example.com", "credentials", map[string]any{
		"password": map[string]any{"config": map[string]any{"password": goodPassword}},
		"oidc":     map[string]any{"config": map[string]any{"providers": accounts}},
	})).is(201).has("credentials.oidc.identifiers.1", "google:a:b")
	at := "/admin/identities/" + made.str("id")
	a.do("POST", "/admin/identities", draftOf("bob@example.com", "credentials", map[string]any{"oidc": map[string]any{"config": map[string]any{"providers": accounts}}})).is(409)
	if got := a.get("/admin/identities?credentials_identifier=github:7").list(); len(got) != 1 {
		t.Errorf("%d identities have the account", len(got))
	}

	a.do("DELETE", at+"/credentials/oidc?identifier=github:8", nil).is(404)
	a.do("DELETE", at+"/credentials/password?identifier=ann@example.com", nil).is(400)
	a.do("DELETE", at+"/credentials/oidc?identifier=github:7", nil).is(204)
	a.get(at+"?include_credential=oidc").is(200).has("credentials.oidc.identifiers.0", "google:a:b").has("credentials.oidc.config.providers.0.subject", "a:b").
		has("credentials.oidc.config.providers.1", nil)
	a.do("DELETE", at+"/credentials/password", nil).is(204)
	a.do("DELETE", at+"/credentials/password", nil).is(404)
	a.do("DELETE", at+"/credentials/oidc?identifier=google:a:b", nil).is(400)
	a.do("DELETE", at+"/credentials/oidc", nil).is(400)
	a.do("DELETE", at+"/credentials/totp", nil).is(404)
	a.do("DELETE", "/admin/identities/not-a-uuid/credentials/oidc", nil).is(404)

	for _, config := range []any{map[string]any{}, map[string]any{"providers": []any{}}, map[string]any{"providers": []any{map[string]any{"provider": "x"}}}, "x"} {
		a.do("POST", "/admin/identities", draftOf("new@example.com", "credentials", map[string]any{"oidc": map[string]any{"config": config}})).is(400)
	}
}

func TestAdminPatchesAddresses(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	made := a.do("POST", "/admin/identities", draftOf("ann@example.com")).is(201).has("verifiable_addresses.0.status", "pending")
	at := "/admin/identities/" + made.str("id")
	patch := func(op, path string, value any) *said {
		return a.do("PATCH", at, []any{map[string]any{"op": op, "path": path, "value": value}})
	}
	done := patch("replace", "/verifiable_addresses/0/verified", true).is(200).has("verifiable_addresses.0.status", "completed").
		has("verifiable_addresses.0.id", made.str("verifiable_addresses.0.id"))
	if done.str("verifiable_addresses.0.verified_at") == "" {
		t.Error("the address was verified at no time")
	}
	patch("replace", "/verifiable_addresses/0/verified", false).is(200).has("verifiable_addresses.0.status", "pending").has("verifiable_addresses.0.verified_at", nil)
	patch("add", "/metadata_admin", map[string]any{"note": "x"}).is(200).has("metadata_admin.note", "x")
	patch("test", "/traits/email", "bob@example.com").is(400)
	patch("add", "/nothing/here", 1).is(400)
	a.do("PATCH", at, map[string]any{"op": "add"}).is(400)
}

func TestAdminManagesSessions(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	var who, sessions []string
	var people []*visitor
	for _, name := range []string{"ann", "bob", "carl"} {
		v := n.visitor(t, false)
		done := v.registerNative(name + "@example.com")
		who, sessions, people = append(who, done.str("identity.id")), append(sessions, done.str("session.id")), append(people, v)
	}
	manage := func(action string, what string, ids ...string) *said {
		return a.do("POST", "/admin/sessions", map[string]any{"action": action, what: ids})
	}
	manage("disable", "sessions", sessions[0]).is(200).has("processed", 1.0).has("more", false)
	people[0].get("/sessions/whoami").is(401)
	manage("disable", "sessions", sessions[0]).is(200).has("processed", 0.0)
	manage("disable", "identities", who[0], who[1]).is(200).has("processed", 1.0)
	people[1].get("/sessions/whoami").is(401)
	people[2].get("/sessions/whoami").is(200)
	manage("disable", "identities", "*").is(200).has("processed", 1.0)
	people[2].get("/sessions/whoami").is(401)
	a.get("/admin/sessions/" + sessions[2]).is(200)
	manage("delete", "sessions", "*").is(200).has("processed", 3.0).has("more", false)
	a.get("/admin/sessions/" + sessions[2]).is(404)
	manage("delete", "sessions", "*").is(200).has("processed", 0.0)

	manage("end", "sessions", "*").is(400)
	manage("delete", "sessions").is(400)
	manage("delete", "sessions", "*", sessions[0]).is(400)
	manage("delete", "sessions", slices.Repeat([]string{"x"}, 501)...).is(400)
	a.do("POST", "/admin/sessions", map[string]any{"action": "delete", "sessions": []string{"x"}, "identities": []string{"y"}}).is(400)
}

func TestAuditLog(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	v := n.visitor(t, false)
	who := v.registerNative("ann@example.com").str("identity.id")
	a.do("PATCH", "/admin/identities/"+who, []any{map[string]any{"op": "replace", "path": "/traits/email", "value": "new@example.com"}}).is(200)
	a.do("POST", "/admin/identities", draftOf("bob@example.com")).is(201)
	types := func(path string) (out []string) {
		for path != "" {
			got := a.get(path).is(200)
			for _, e := range got.list() {
				out = append(out, e["type"].(string))
				if e["client_address"] != "127.0.0.1" {
					t.Errorf("event %v", e)
				}
			}
			path = ""
			for link := range strings.SplitSeq(got.header.Get("Link"), ",") {
				if to, ok := strings.CutSuffix(link, `; rel="next"`); ok {
					path = strings.Trim(to, "<>")
				}
			}
		}
		return out
	}
	of := []string{"admin.identity.changed", "registration.succeeded"}
	if got := types("/admin/audit/events?page_size=1&identity_id=" + who); !slices.Equal(got, of) {
		t.Errorf("events of one: %q, want %q", got, of)
	}
	if got := types("/admin/audit/events?page_size=2"); !slices.Equal(got, append([]string{"admin.identity.created"}, of...)) {
		t.Errorf("events of all: %q", got)
	}
	v.token = ""
	login := v.get("/self-service/login/api").is(200)
	for _, identifier := range []string{"new@example.com", "nobody@example.com", ""} {
		v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": identifier, "password": "a wrong one"}).is(400)
	}
	if got := types("/admin/audit/events?identity_id=" + who); !slices.Equal(got, append([]string{"login.failed"}, of...)) {
		t.Errorf("events after wrong passwords: %q", got)
	}
	if got := types("/admin/audit/events"); len(got) != 5 || got[0] != "login.failed" || got[1] != "login.failed" {
		t.Errorf("events of all: %q", got)
	}
	a.do("DELETE", "/admin/audit/events", nil).is(405)
	n.visitor(t, false).get("/admin/audit/events").is(404)
}

// TestImportedPassword logs in with a password whose hash is of another system, which
// replaces it by one of ours.
func TestImportedPassword(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	const hash = "$5$saltstring$Cv9ECf8nQG6rIc0Ba.YsCnhEjMYmbsoZSnYpGQ9kdmA"
	at := "/admin/identities/" + a.do("POST", "/admin/identities", draftOf("ann@example.com", "credentials", withPassword("hashed_password", hash))).is(201).str("id")
	stored := func() string {
		return a.get(at + "?include_credential=password").is(200).str("credentials.password.config.hashed_password")
	}
	login := func(password string) *said {
		v := n.visitor(t, false)
		flow := v.get("/self-service/login/api").is(200)
		return v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": password})
	}
	login("another password").is(400).says(4000006)
	if got := stored(); got != hash {
		t.Errorf("after a wrong password: %s", got)
	}
	login(goodPassword).is(200)
	if got := stored(); !strings.HasPrefix(got, "$argon2id$") {
		t.Errorf("after a login: %s", got)
	}
	login(goodPassword).is(200)
	for _, bad := range []string{"plain", "$2b$31$abcdefghijklmnopqrstuuHgorO0p1Ds6WjZxc7o3RvlQQtyXsxce"} {
		a.do("POST", "/admin/identities", draftOf("bob@example.com", "credentials", withPassword("hashed_password", bad))).is(400)
	}
	a.do("POST", "/admin/identities", draftOf("bob@example.com", "credentials", map[string]any{"password": map[string]any{"config": map[string]any{"use_password_migration_hook": true}}})).is(501)
}

func TestAdminSaysWhatIsWrong(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	made := a.do("POST", "/admin/identities", draftOf("ann@example.com", "external_id", "x1")).is(201)
	id := made.str("id")
	if got := made.header.Get("Location"); got != "/admin/identities/"+id {
		t.Errorf("the identity is at %q", got)
	}
	a.get("/admin/identities/"+strings.ToUpper(id)).is(200).has("id", id)
	a.do("POST", "/admin/identities", draftOf("ann@example.com")).is(409).
		has("error.message", "The resource could not be created due to a conflict").has("error.reason", `the address "ann@example.com" is of another identity`)
	a.do("PATCH", "/admin/identities", map[string]any{"identities": []any{map[string]any{"create": draftOf("ann@example.com")}}}).is(200).
		has("identities.0.error.code", 409.0).has("identities.0.error.reason", `the address "ann@example.com" is of another identity`)
	a.do("POST", "/admin/identities", draftOf("bob@example.com", "id", id)).is(409).has("error.reason", fmt.Sprintf("the id %q is of another identity", id))
	a.do("POST", "/admin/identities", draftOf("bob@example.com", "external_id", "x1")).is(409).has("error.reason", `the external_id "x1" is of another identity`)
	a.do("POST", "/admin/sessions", map[string]any{"action": "disable", "sessions": []string{"x"}}).is(400)
	other := a.do("POST", "/admin/identities", draftOf("carl@example.com")).is(201).str("id")
	a.do("PUT", "/admin/identities/"+other, draftOf("ann@example.com")).is(409).has("error.reason", `the address "ann@example.com" is of another identity`)
	a.do("POST", "/admin/identities", draftOf("bob@example.com", "organization_id", strings.Repeat("x", 65))).is(400)
	a.do("POST", "/admin/identities", draftOf(strings.Repeat("b", 400)+"@example.com")).is(400)
	a.do("PATCH", "/admin/identities/"+id, []any{map[string]any{"op": "add", "path": "/organization_id", "value": strings.Repeat("x", 65)}}).is(400)
	for _, query := range []string{"ids=x", "ids=" + id + ",x", "page_token=enp6", "credentials_identifier=%E2%80%8B", "page=2", "page=x",
		"credentials_identifier=%ff", "organization_id=%00", "include_credential=nope", "include_credential=password,nope", "page_size=-1", "per_page=x"} {
		a.get("/admin/identities?" + query).is(400)
	}
	a.get("/admin/sessions?page=2").is(400)
	a.get("/admin/audit/events?page_token=enp6").is(400)
	a.do("POST", "/admin/recovery/link?return_to=https://evil.example/", map[string]any{"identity_id": id}).is(400).has("error.id", "self_service_flow_return_to_forbidden")
	a.get("/admin/identities?page=1&per_page=1").is(200)
}

// What is misspelt is not lost, what no database takes is refused, and no answer names
// the types of the program.
func TestAdminRefusesUnknown(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	id := a.do("POST", "/admin/identities", draftOf("ann@example.com", "region", "eu", "external_id", "x 1")).is(201).str("id")
	patch := func(op, path string, value any) map[string]any {
		return map[string]any{"op": op, "path": path, "value": value}
	}
	for _, body := range []map[string]any{
		draftOf("bob@example.com", "trait", 1), draftOf("bob@example.com", "external_id", "a\x00b"), draftOf("bob@example.com", "organization_id", "\n"),
	} {
		a.do("POST", "/admin/identities", body).is(400)
		a.do("PUT", "/admin/identities/"+id, body).is(400)
		a.do("PATCH", "/admin/identities", map[string]any{"identities": []any{map[string]any{"create": body}}}).is(map[bool]int{true: 400, false: 200}[body["trait"] != nil])
	}
	for _, one := range []map[string]any{
		patch("add", "/foo", 1), patch("add", "/Traits", map[string]any{"email": "x@example.com"}), patch("add", "/id", id), patch("add", "/ID", id),
		patch("add", "/credential\u017f", map[string]any{}), patch("add", "/credentials", map[string]any{}), patch("add", "/credentials/password", map[string]any{}),
		patch("replace", "/state", 5), patch("replace", "/state", "gone"), patch("remove", "/traits", nil), patch("replace", "/traits", 5), patch("replace", "", map[string]any{}),
		patch("add", "/verifiable_addresses/-", 5), patch("replace", "/verifiable_addresses/0/verified", "yes"), patch("replace", "/verifiable_addresses/9/verified", true),
		patch("replace", "/verifiable_addresses/-1/verified", true), patch("add", "/recovery_addresses", "x"), patch("replace", "/external_id", "a\x00"),
		patch("test", "/traits/email", "x"), patch("remove", "/traits/none", nil), patch("nope", "/traits/email", "x"), patch("add", "traits/email", "x"),
		{"op": "move", "from": "/id", "path": "/traits/email"}, {"op": "copy", "from": "/credentials", "path": "/metadata_admin"}, {"op": "copy", "path": "/metadata_admin"},
		{"op": "add", "path": "/traits/email"}, {"op": 5, "path": "/traits/email"}, {"op": "add", "path": 5, "value": 1}, {"path": "/traits/email", "value": 1},
	} {
		said := a.do("PATCH", "/admin/identities/"+id, []any{one}).is(400)
		for _, internal := range []string{"struct", "Go ", "json:", "identity.", "draft"} {
			if strings.Contains(said.text, internal) {
				t.Errorf("the answer to %v says %s", one, said.text)
			}
		}
	}
	a.get("/admin/identities/"+id).is(200).has("traits.email", "ann@example.com").has("external_id", "x 1").has("state", "active")
	a.get("/admin/identities/by/external/x%201").is(200).has("id", id)
	for _, none := range []string{"a%00b", "%ff", "y"} {
		a.get("/admin/identities/by/external/" + none).is(404)
	}
	a.get("/admin/identities/" + id + "?include_credential=nope").is(400)
	a.get("/admin/identities/by/external/x%201?include_credential=nope").is(400)
	a.get("/admin/identities/" + id + "?include_credential=profile&include_credential=password").is(200)
}

func TestSchemasHavePages(t *testing.T) {
	n := start(t, withIdentity, func(c *server.Config) {
		for _, id := range []string{"default", "b", "c"} {
			if err := c.Identity.Schemas.Add(id, identity.DefaultSchema); err != nil {
				t.Fatal(err)
			}
		}
	})
	a := n.admin(t)
	var ids []string
	for at := "/schemas?page_size=2"; at != ""; {
		said := a.get(at).is(200)
		if got := said.header.Get("X-Total-Count"); got != "3" {
			t.Errorf("there are %q schemas, want 3", got)
		}
		for _, one := range said.list() {
			ids = append(ids, one["id"].(string))
		}
		at = ""
		for _, link := range strings.Split(said.header.Get("Link"), ",") {
			if to, ok := strings.CutSuffix(link, `>; rel="next"`); ok {
				at = strings.TrimPrefix(to, "<")
			}
		}
	}
	if strings.Join(ids, " ") != "default b c" {
		t.Errorf("the pages have %v", ids)
	}
	for query, want := range map[string]int{"": 3, "per_page=1": 1, "per_page=2&page=2": 1, "per_page=2&page=0": 2, "page=9": 0, "page=9223372036854775807&per_page=500": 0} {
		if got := a.get("/schemas?" + query).is(200).list(); len(got) != want {
			t.Errorf("%q: %d schemas, want %d", query, len(got), want)
		}
	}
	for _, query := range []string{"page_size=0", "page_size=x", "page=x", "page_token=x", "page_token=LTE"} {
		a.get("/schemas?" + query).is(400)
	}
}

// An update that says nothing of the state does not let in who was locked out.
func TestAdminUpdateKeepsStateAndSchema(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	id := a.do("POST", "/admin/identities", draftOf("ann@example.com", "state", "inactive")).is(201).str("id")
	a.do("PUT", "/admin/identities/"+id, map[string]any{"traits": map[string]any{"email": "ann2@example.com"}}).is(200).
		has("state", "inactive").has("schema_id", "default").has("traits.email", "ann2@example.com")
	a.do("PUT", "/admin/identities/"+id, draftOf("ann2@example.com", "state", "active")).is(200).has("state", "active")
}

// TestAdminSetsPassword: who knew the password before is out; who has it as it was stays.
func TestAdminSetsPassword(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	id := a.do("POST", "/admin/identities", draftOf("ann@example.com", "credentials", withPassword("password", goodPassword))).is(201).str("id")
	v := n.visitor(t, false)
	login := v.get("/self-service/login/api").is(200)
	v.token = v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200).str("session_token")
	hash := a.get("/admin/identities/" + id + "?include_credential=password").is(200).str("credentials.password.config.hashed_password")
	a.do("PUT", "/admin/identities/"+id, draftOf("ann@example.com", "metadata_admin", 1)).is(200)
	a.do("PUT", "/admin/identities/"+id, draftOf("ann@example.com", "credentials", withPassword("hashed_password", hash))).is(200)
	v.get("/sessions/whoami").is(200)
	a.do("PUT", "/admin/identities/"+id, draftOf("ann@example.com", "credentials", withPassword("password", goodPassword+" anew"))).is(200)
	v.get("/sessions/whoami").is(401)
}

// TestAdminCannotDeleteCodes: the credential follows from the traits.
func TestAdminCannotDeleteCodes(t *testing.T) {
	n := start(t, withIdentity, passwordless)
	a := n.admin(t)
	id := a.do("POST", "/admin/identities", draftOf("ann@example.com", "credentials", withPassword("password", goodPassword))).is(201).str("id")
	a.do("DELETE", "/admin/identities/"+id+"/credentials/code", nil).is(400)
	a.do("DELETE", "/admin/identities/"+id+"/credentials/password", nil).is(204)
	a.do("DELETE", "/admin/identities/"+id+"/credentials/code", nil).is(400)
}
