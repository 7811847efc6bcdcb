package server_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/testdb"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
	"github.com/cardea-iam/cardea/server"
)

const groupModel = `
class User implements Namespace {}
class Group implements Namespace {
  related: { members: (User | SubjectSet<Group, "members">)[], owners: User[] }
}
class Organization implements Namespace {
  related: { members: (User | SubjectSet<Group, "members"> | SubjectSet<Organization, "members">)[] }
}
class Doc implements Namespace {
  related: { viewers: (User | SubjectSet<Group, "members"> | SubjectSet<Organization, "members">)[] }
  permits = { view: (ctx: Context): boolean => this.related.viewers.includes(ctx.subject) }
}
`

func startWithGroups(t *testing.T, edit ...func(*server.Config)) (*node, *visitor) {
	t.Helper()
	n := start(t, append([]func(*server.Config){withIdentity}, edit...)...)
	n.apply(groupModel)
	return n, n.admin(t)
}

// person makes an identity.
func (v *visitor) person(email string, more ...any) string {
	v.Helper()
	return v.do("POST", "/admin/identities", draftOf(email, more...)).is(201).str("id")
}

// token is what an answer says shows what it did.
func (s *said) token() string {
	s.Helper()
	token := s.header.Get("Cardea-Snaptoken")
	if token == "" {
		s.Fatalf("the answer has no snaptoken: %s", s.text)
	}
	return token
}

// fields are those of a list, each object's in one text.
func (s *said) fields(name string) string {
	s.Helper()
	out := []string{}
	for _, one := range s.list() {
		text, _ := one[name].(string)
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

// may asks at a token, by gRPC in both dialects and by REST, which have to agree.
func (n *node) may(tuple, token string) bool {
	n.t.Helper()
	x := ketoTuple(n.t, tuple)
	byKeto, err := keto.NewCheckServiceClient(n.dial(n.read)).Check(n.t.Context(), &keto.CheckRequest{Tuple: x, Snaptoken: token})
	if err != nil {
		n.t.Fatal(err)
	}
	byCardea, err := cardeav1.NewCheckServiceClient(n.dial(n.read)).Check(n.t.Context(), &cardeav1.CheckRequest{
		Tuple: cardeaTuple(n.t, tuple), Consistency: &cardeav1.Consistency{Mode: &cardeav1.Consistency_AtLeastAsFresh{AtLeastAsFresh: token}}})
	if err != nil {
		n.t.Fatal(err)
	}
	byREST := n.do("GET", n.read, "/relation-tuples/check/openapi?"+url.Values{"namespace": {x.Namespace}, "object": {x.Object}, "relation": {x.Relation},
		"subject_id": {x.Subject.GetId()}, "snaptoken": {token}}.Encode(), "")
	if got := strings.Contains(byREST.body, `"allowed":true`); byREST.status != 200 || got != byKeto.Allowed || got != byCardea.Allowed {
		n.t.Fatalf("%s: Keto's gRPC says %t, ours %t, REST %s", tuple, byKeto.Allowed, byCardea.Allowed, byREST.body)
	}
	return byKeto.Allowed
}

func TestGroups(t *testing.T) { groupsJourney(t) }

func TestGroupsOnPostgreSQL(t *testing.T) {
	groupsJourney(t, func(c *server.Config) { c.DSN, c.Dev = testdb.Postgres(t), true })
}

func groupsJourney(t *testing.T, edit ...func(*server.Config)) {
	n, a := startWithGroups(t, edit...)
	n.insert("Doc:plan#viewers@Group:eng#members")
	made := a.do("POST", "/admin/groups", map[string]any{"id": "eng", "name": "engineering", "label": "Engineering"}).is(201).has("id", "eng").has("label", "Engineering")
	made.token()
	backend := a.do("POST", "/admin/groups", map[string]any{"name": "backend", "parent": "eng"}).is(201).has("parents.0", "eng").str("id")
	a.do("POST", "/admin/groups", map[string]any{"id": "eng", "name": "other"}).is(409)
	a.do("POST", "/admin/groups", map[string]any{"name": "engineering"}).is(409)
	a.get("/admin/groups?name=engineering").is(200)
	if got := a.get("/admin/groups").fields("name"); len(strings.Fields(got)) != 2 {
		t.Fatalf("there are %q", got)
	}

	ann, bob := a.person("ann@example.com"), a.person("bob@example.com")
	added := a.do("POST", "/admin/groups/"+backend+"/members", map[string]any{"identities": []string{ann}}).is(200).has("added", 1.0)
	if !n.may("Doc:plan#view@"+ann, added.token()) || n.may("Doc:plan#view@"+bob, added.token()) {
		t.Fatal("a member of a group in the group may not, or somebody else may")
	}
	a.do("POST", "/admin/groups/"+backend+"/members", map[string]any{"identities": []string{ann}}).is(200).has("added", 0.0)
	if direct, all := a.get("/admin/groups/eng/members").is(200), a.get("/admin/groups/eng/members?effective=true").is(200); direct.fields("group") != backend || all.fields("identity") != ann {
		t.Fatalf("members of eng are %s, in effect %s", direct.text, all.text)
	}
	direct, all := a.get("/admin/identities/"+ann+"/groups").is(200), a.get("/admin/identities/"+ann+"/groups?effective=true").is(200)
	if direct.fields("name") != "backend" || len(all.list()) != 2 || !strings.Contains(all.text, "Engineering") {
		t.Fatalf("ann is in %s, in effect %s", direct.text, all.text)
	}

	a.do("PATCH", "/admin/groups/"+backend, map[string]any{"name": "platform"}).is(200).has("name", "platform").has("parents.0", "eng")
	a.do("PATCH", "/admin/groups/"+backend, map[string]any{"name": "engineering"}).is(409)
	a.do("PATCH", "/admin/groups/"+backend, map[string]any{"label": " The Platform "}).is(200).has("name", "platform").has("label", "The Platform")

	removed := a.do("DELETE", "/admin/groups/"+backend+"/members?identity="+ann, nil).is(200).has("removed", 1.0)
	if n.may("Doc:plan#view@"+ann, removed.token()) {
		t.Fatal("who left may still")
	}
	back := a.do("POST", "/admin/groups/eng/members", map[string]any{"identities": []string{ann, bob}}).is(200)
	if !n.may("Doc:plan#view@"+bob, back.token()) {
		t.Fatal("who came may not")
	}

	gone := a.do("DELETE", "/admin/identities/"+ann, nil).is(204)
	if n.may("Doc:plan#view@"+ann, gone.token()) {
		t.Fatal("who was deleted may still")
	}
	if left := a.get("/admin/groups/eng/members").fields("identity"); strings.TrimSpace(left) != bob {
		t.Fatalf("members of eng are %q", left)
	}
	gone = a.do("DELETE", "/admin/groups/eng", nil).is(204)
	if n.may("Doc:plan#view@"+bob, gone.token()) || n.count() != 0 {
		t.Fatalf("of the group %d tuples are left", n.count())
	}
	a.get("/admin/groups/eng").is(404)
	a.get("/admin/groups/"+backend).is(200).has("parents", nil)
	a.get("/admin/audit/events?identity=" + ann).is(200)
	if events := a.get("/admin/audit/events").text; !strings.Contains(events, "admin.group.member_added") || !strings.Contains(events, "admin.group.deleted") || !strings.Contains(events, `"detail":{"group":"eng"}`) {
		t.Errorf("the audit log has %s", events)
	}
}

func TestGroupsInput(t *testing.T) {
	n, a := startWithGroups(t)
	a.do("POST", "/admin/groups", map[string]any{"id": "eng", "name": "eng"}).is(201)
	a.do("POST", "/admin/organizations", map[string]any{"id": "acme", "name": "acme"}).is(201)
	ann := a.person("ann@example.com")
	one := func(field, id string) map[string]any { return map[string]any{field: []string{id}} }
	for _, tt := range []struct {
		method, path string
		body         any
		status       int
		want         string
	}{
		{"POST", "/admin/groups", map[string]any{}, 400, "name is empty"},
		{"POST", "/admin/groups", map[string]any{"name": "  "}, 400, "name is empty"},
		{"POST", "/admin/groups", map[string]any{"name": "a\x00b"}, 400, "control"},
		{"POST", "/admin/groups", map[string]any{"name": strings.Repeat("a", 201)}, 400, "at most 200"},
		{"POST", "/admin/groups", map[string]any{"name": "a", "id": "a b"}, 400, "id"},
		{"POST", "/admin/groups", map[string]any{"name": "a", "id": "a#b"}, 400, "id"},
		{"POST", "/admin/groups", map[string]any{"name": "a", "more": 1}, 400, "more"},
		{"POST", "/admin/groups", map[string]any{"name": "a", "id": "a", "parent": "a"}, 400, "itself"},
		{"POST", "/admin/groups", map[string]any{"name": "a", "parent": "none"}, 400, "there is no group"},
		{"POST", "/admin/groups", []int{1}, 400, "body"},
		{"GET", "/admin/groups/none", nil, 404, "there is no group"},
		{"GET", "/admin/groups/acme", nil, 404, "there is no group"},
		{"GET", "/admin/groups/%00", nil, 404, "there is no group"},
		{"GET", "/admin/groups?name=%00", nil, 400, "control"},
		{"POST", "/admin/groups", map[string]any{"name": 5}, 400, "expected: name is of the type number"},
		{"POST", "/admin/groups/eng/invitations", map[string]any{"email": "a@b.cd", "locale": strings.Repeat("x", 36)}, 400, "locale"},
		{"PATCH", "/admin/groups/none", map[string]any{"name": "a"}, 404, "there is no group"},
		{"PATCH", "/admin/groups/eng", map[string]any{"name": ""}, 400, "name is empty"},
		{"PATCH", "/admin/groups/eng", map[string]any{"id": "b"}, 400, "for ever"},
		{"DELETE", "/admin/groups/none", nil, 404, "there is no group"},
		{"GET", "/admin/groups/none/members", nil, 404, "there is no group"},
		{"GET", "/admin/groups/eng/members?effective=yes", nil, 400, "true or false"},
		{"GET", "/admin/groups/eng/members?page_token=!", nil, 400, "page_token"},
		{"POST", "/admin/groups/none/members", one("identities", ann), 404, "there is no group"},
		{"POST", "/admin/groups/eng/members", map[string]any{}, 400, "1 to 500"},
		{"POST", "/admin/groups/eng/members", one("identities", identity.NewID()), 400, "there is no identity"},
		{"POST", "/admin/groups/eng/members", one("identities", "a\x00"), 400, "NUL"},
		{"POST", "/admin/groups/eng/members", one("groups", "none"), 400, "there is no group"},
		{"POST", "/admin/groups/eng/members", one("groups", "eng"), 400, "itself"},
		{"POST", "/admin/groups/eng/members", one("organizations", "acme"), 400, "does not take the subject"},
		{"POST", "/admin/organizations/acme/members", one("groups", "eng"), 200, "added"},
		{"POST", "/admin/organizations/acme/members", one("organizations", "acme"), 400, "itself"},
		{"DELETE", "/admin/groups/eng/members", nil, 400, "1 to 500"},
		{"DELETE", "/admin/groups/eng/members?identity=" + ann, nil, 200, `"removed":0`},
		{"GET", "/admin/identities/" + identity.NewID() + "/groups", nil, 404, "there is no such identity"},

		{"POST", "/admin/identities", draftOf("b@example.com", "groups", []string{"none"}), 400, "there is no group"},
		{"POST", "/admin/identities", draftOf("b@example.com", "organizations", []string{"none"}), 400, "there is no organization"},
		{"POST", "/admin/identities", draftOf("b@example.com", "relations", []any{map[string]any{"namespace": "Nope", "object": "a", "relation": "b"}}), 404, "Nope"},
		{"POST", "/admin/identities", draftOf("b@example.com", "relations", []any{map[string]any{"namespace": "Doc", "object": "a", "relation": "view"}}), 400, "permission"},
		{"POST", "/admin/identities", draftOf("ann@example.com", "groups", []string{"eng"}), 409, ""},
		{"PUT", "/admin/identities/" + ann, draftOf("ann@example.com", "groups", []string{"eng"}), 400, "at its creation"},
		{"PATCH", "/admin/identities/" + ann, []any{map[string]any{"op": "add", "path": "/groups", "value": []string{"eng"}}}, 400, "at its creation"},
	} {
		if got := a.do(tt.method, tt.path, tt.body).is(tt.status); !strings.Contains(got.text, tt.want) {
			t.Errorf("%s %s: %s: expected %q", tt.method, tt.path, got.text, tt.want)
		}
	}
	if n.count() != 1 {
		t.Errorf("there are %d tuples: expected that of the group in the organization", n.count())
	}
	if got := a.get("/admin/identities").list(); len(got) != 1 {
		t.Errorf("there are %d identities: expected one", len(got))
	}
}

// TestGroupsWithoutAPlace: the answer says what the model lacks.
func TestGroupsWithoutAPlace(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	n.apply("class User implements Namespace {}")
	for _, path := range []string{"/admin/groups", "/admin/organizations"} {
		got := a.do("POST", path, map[string]any{"name": "eng"}).is(422)
		if !strings.Contains(got.text, "implements Namespace { related: { members:") || !strings.Contains(got.text, "identity."+strings.TrimPrefix(path, "/admin/")) {
			t.Errorf("%s: %s", path, got.text)
		}
	}
	// What needs no groups goes on: an organization_id is one without its members.
	who := a.person("ann@example.com", "organization_id", "acme")
	a.do("DELETE", "/admin/identities/"+who, nil).is(204)
}

// TestIdentityBegins has an identity begin with what it is to have, in one write.
func TestIdentityBegins(t *testing.T) {
	n, a := startWithGroups(t)
	a.do("POST", "/admin/groups", map[string]any{"id": "eng", "name": "eng"}).is(201)
	a.do("POST", "/admin/organizations", map[string]any{"id": "acme", "name": "acme"}).is(201)
	a.do("POST", "/admin/organizations", map[string]any{"id": "home", "name": "home"}).is(201)
	made := a.do("POST", "/admin/identities", draftOf("ann@example.com", "groups", []string{"eng"}, "organizations", []string{"acme"}, "organization_id", "home",
		"relations", []any{map[string]any{"namespace": "Doc", "object": "own", "relation": "viewers"}})).is(201)
	ann := made.str("id")
	for _, tuple := range []string{"Group:eng#members@", "Organization:acme#members@", "Organization:home#members@", "Doc:own#view@"} {
		if !n.may(tuple+ann, made.token()) {
			t.Errorf("%s is missing", tuple)
		}
	}
	moved := a.do("PATCH", "/admin/identities/"+ann, []any{map[string]any{"op": "replace", "path": "/organization_id", "value": "acme"}}).is(200)
	if n.may("Organization:home#members@"+ann, moved.token()) || !n.may("Organization:acme#members@"+ann, moved.token()) {
		t.Error("a changed organization_id does not change the organization")
	}
	a.do("DELETE", "/admin/organizations/acme/members?identity="+ann, nil).is(422)
	a.do("DELETE", "/admin/organizations/acme", nil).is(422)
	a.do("PATCH", "/admin/identities/"+ann, []any{map[string]any{"op": "replace", "path": "/organization_id", "value": ""}}).is(200)
	a.do("DELETE", "/admin/organizations/acme", nil).is(204)

	before := n.count()
	batch := a.do("PATCH", "/admin/identities", map[string]any{"identities": []any{
		map[string]any{"create": draftOf("bob@example.com", "groups", []string{"eng"})},
		map[string]any{"create": draftOf("ann@example.com", "groups", []string{"eng"})}, // taken
		map[string]any{"create": draftOf("carl@example.com", "groups", []string{"none"})},
		map[string]any{"create": draftOf("dora@example.com", "relations", []any{map[string]any{"namespace": "Doc", "object": "a", "relation": "view"}})},
		map[string]any{"create": draftOf("emil@example.com")},
	}}).is(200).has("identities.1.action", "error").has("identities.2.action", "error").has("identities.3.action", "error").has("identities.4.action", "create")
	if !n.may("Group:eng#members@"+batch.str("identities.0.identity"), batch.token()) || n.count() != before+1 {
		t.Errorf("%d tuples came with the batch: expected one", n.count()-before)
	}
	a.do("DELETE", "/admin/identities/"+ann, nil).is(204)
	a.do("DELETE", "/admin/identities/"+ann, nil).is(404)
	if n.count() != 1 {
		t.Errorf("%d tuples are left: expected bob's", n.count())
	}
}

// TestDeletedIdentity: no tuple names an identity that is deleted, however it names it.
func TestDeletedIdentity(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	n.apply(`
class User implements Namespace {
  related: { manager: User[] }
}
class Home implements Namespace { related: { guests: User[] } }
class Group implements Namespace {
  related: { members: (User | SubjectSet<Group, "members"> | SubjectSet<User, "manager">)[] }
}`)
	ann, bob := a.person("ann@example.com"), a.person("bob@example.com")
	a.do("POST", "/admin/groups", map[string]any{"id": "eng", "name": "eng"}).is(201)
	a.do("POST", "/admin/groups/eng/members", map[string]any{"identities": []string{ann, bob}}).is(200)
	n.insert("Group:all#members@User:"+ann, "Group:all#members@User:"+bob, "Group:all#members@User:"+ann+"#manager", "User:"+ann+"#manager@"+bob,
		"User:"+bob+"#manager@User:"+ann, "User:"+bob+"#manager@"+ann, "Home:"+ann+"#guests@"+bob)
	if n.count() != 9 {
		t.Fatalf("%d tuples", n.count())
	}
	gone := a.do("DELETE", "/admin/identities/"+ann, nil).is(204)
	if n.may("Group:eng#members@"+ann, gone.token()) {
		t.Error("who is deleted is a member")
	}
	for _, tuple := range []string{"Group:eng#members@" + bob, "Home:" + ann + "#guests@" + bob} { // and Group:all#members@User:bob
		if !n.may(tuple, gone.token()) {
			t.Errorf("%s is gone", tuple)
		}
	}
	if n.count() != 3 {
		t.Errorf("%d tuples are left: expected three", n.count())
	}
}

// TestGroupPages lists more than fits on a page, and organizations of the settings among
// the others.
func TestGroupPages(t *testing.T) {
	const org = "5d5a3c1e-0b6f-4c51-9f4e-0f3f5f3a7b11"
	_, a := startWithGroups(t, func(c *server.Config) {
		c.Identity.OIDC.Organizations = []identity.Organization{{ID: org, Label: "Acme", Domains: []string{"acme.test"}}}
		c.Identity.OIDC.Providers = []identity.Provider{{ID: "house", Kind: "generic", ClientID: "c", ClientSecret: "s", Issuer: "https://house.test", Organization: org}}
	})
	for n := range 5 {
		a.do("POST", "/admin/organizations", map[string]any{"id": fmt.Sprint(2*n, "x"), "name": fmt.Sprint("o", n)}).is(201)
	}
	var ids []string
	next := "/admin/organizations?page_size=2"
	for pages := 1; next != ""; pages++ {
		page := a.get(next).is(200)
		ids = append(ids, strings.Fields(page.fields("id"))...)
		_, rest, _ := strings.Cut(page.header.Get("Link"), ",<")
		if next, _, _ = strings.Cut(rest, ">"); pages > 9 {
			t.Fatal("the pages do not end")
		}
	}
	if got := strings.Join(ids, " "); got != "0x 2x 4x "+org+" 6x 8x" {
		t.Fatalf("the pages have %s", got)
	}
	a.get("/admin/organizations/"+org).is(200).has("label", "Acme").has("configured", true).has("domains.0", "acme.test")
	a.do("PATCH", "/admin/organizations/"+org, map[string]any{"name": "x"}).is(422)
	a.do("DELETE", "/admin/organizations/"+org, nil).is(422)
	ann := a.person("ann@example.com")
	a.do("POST", "/admin/organizations/"+org+"/members", map[string]any{"identities": []string{ann}}).is(200).has("added", 1.0)
	a.get("/admin/identities/" + ann + "/organizations").is(200)
	a.do("POST", "/admin/organizations", map[string]any{"id": org, "name": "acme"}).is(201) // a name for it
	a.get("/admin/organizations/"+org).is(200).has("label", "Acme").has("name", "acme")
}
