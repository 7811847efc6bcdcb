package server_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

// TestConsoleGroups does with groups and organizations what administrators do.
func TestConsoleGroups(t *testing.T) {
	n, a := startWithGroups(t)
	o := n.operator(t)
	ann := a.person("ann@example.com")
	o.reads("/console/groups", "There are none yet", "Add a group")
	o.reads("/console/organizations", "There are none yet", "Add an organization")
	if page := o.sends("/console/groups/new", "/console/groups", "name", " ", "id", "eng").is(200); !strings.Contains(page.text, "Name is empty") {
		t.Errorf("no name: %s", page.text)
	}
	made := o.sends("/console/groups/new", "/console/groups", "name", "eng", "label", "<b>Engineers", "id", "eng").is(303).header.Get("Location")
	if made != "/console/groups/eng?said=created" {
		t.Errorf("a new group leads to %s", made)
	}
	o.reads(made, "It was created.", "&lt;b&gt;Engineers", "There are none.")
	if page := o.sends("/console/groups/new", "/console/groups", "name", "eng").is(200); !strings.Contains(page.text, "Error: ") {
		t.Errorf("the same name again: %s", page.text)
	}
	o.sends("/console/groups/new", "/console/groups", "name", "ops", "id", "ops", "parent", "eng").is(303)
	o.reads("/console/groups/ops", "Is in", "/console/groups/eng", "Engineers")
	o.reads("/console/groups/eng", "/console/groups/ops", "group ops")
	o.reads("/console/groups?search=ops", "/console/groups/ops")
	o.reads("/console/groups?search=none", "None has this name")

	const at = "/console/groups/ops"
	for _, wrong := range [][2]string{{"person", "bob@example.com"}, {"person", "00000000-0000-4000-8000-000000000000"}, {"group", "none"}, {"group", "ops"}, {"organization", "none"}, {"person", ""}} {
		if page := o.sends(at, at, "do", "add", "is", wrong[0], "someone", wrong[1]).is(200); !strings.Contains(page.text, `role="alert"`) || !strings.Contains(page.text, `value="`+wrong[1]+`"`) {
			t.Errorf("adding %q: %s", wrong, page.text)
		}
	}
	o.sends(at, at, "do", "add", "is", "person", "someone", "ann@example.com").is(303)
	o.reads(at+"?said=member", "The member was added.", "ann@example.com", ann)
	o.reads("/console/people/"+ann, at, "<strong>ops</strong>")
	if page := o.reads("/console/groups/eng"); strings.Contains(page.text, "ann@example.com</strong>") {
		t.Errorf("a member of a member is a member of its own: %s", page.text)
	}
	o.reads("/console/groups/eng?effective=true", "ann@example.com</strong>")
	o.sends(at, at, "do", "remove", "member", "identity "+ann).is(303)
	if page := o.reads("/console/groups/eng?effective=true"); strings.Contains(page.text, "ann@example.com</strong>") {
		t.Errorf("who was removed is a member: %s", page.text)
	}
	o.sends(at, at, "do", "add", "is", "group", "someone", "eng").is(303) // each is in the other: nothing hangs
	o.reads(at+"?effective=true", "There are none.")

	page := o.sends(at, at, "do", "invite", "email", "bob@example.com").is(200)
	link := regexp.MustCompile(`<code>(http[^<]*)</code>`).FindStringSubmatch(page.text)
	if link == nil || !strings.Contains(page.text, "on its way to bob@example.com") {
		t.Fatalf("there is no invitation: %s", page.text)
	}
	invitation := regexp.MustCompile(`name="invitation" value="([^"]*)"`).FindStringSubmatch(o.reads(at, "bob@example.com").text)
	o.sends(at, at, "do", "withdraw", "invitation", invitation[1]).is(303)
	if page := o.reads(at); strings.Contains(page.text, "bob@example.com") {
		t.Errorf("the invitation is there: %s", page.text)
	}
	if page := o.sends(at, at, "do", "invite", "email", "no address").is(200); !strings.Contains(page.text, "no address") || !strings.Contains(page.text, `role="alert"`) {
		t.Errorf("a wrong address: %s", page.text)
	}

	o.sends(at, at, "do", "rename", "name", "operators", "label", "").is(303)
	o.reads(at, "operators")
	o.sends(at, at, "do", "nothing").is(400)
	o.sends(at, at, "do", "delete").is(200)
	o.sends(at, at, "do", "delete", "sure", "yes").is(303)
	o.get(at).is(404)
}

// TestConsoleGroupsWithoutModel: a group that the model has no place for has no members.
func TestConsoleGroupsWithoutModel(t *testing.T) {
	n := start(t, withIdentity)
	n.apply("class User implements Namespace {}")
	o := n.operator(t)
	if page := o.sends("/console/organizations/new", "/console/organizations", "name", "acme").is(200); !strings.Contains(page.text, "The model has no place for the members") {
		t.Errorf("%s", page.text)
	}
}

// TestConsolePermissions asks, looks at the tree, and browses tuples.
func TestConsolePermissions(t *testing.T) {
	n, a := startWithGroups(t, func(c *server.Config) { c.Expand.Rewrites = true })
	o := n.operator(t)
	ann := a.person("ann@example.com", "groups", []string{})
	for _, group := range []string{"eng", "ops"} {
		a.do("POST", "/admin/groups", map[string]any{"id": group, "name": group}).is(201)
	}
	a.do("POST", "/admin/groups/eng/members", map[string]any{"groups": []string{"ops"}}).is(200)
	a.do("POST", "/admin/groups/ops/members", map[string]any{"identities": []string{ann}}).is(200)
	for _, subject := range []map[string]any{{"subject_set": map[string]any{"namespace": "Group", "object": "eng", "relation": "members"}}, {"subject_id": `<script>"eve`}} {
		subject["namespace"], subject["object"], subject["relation"] = "Doc", "readme", "viewers"
		a.do("PUT", "/admin/relation-tuples", subject).is(201)
	}
	o.reads("/console/people/"+ann, "/console/tuples?subject="+ann)
	ask := func(object, relation, subject string) string {
		return "/console/permissions?" + url.Values{"object": {object}, "relation": {relation}, "subject": {subject}}.Encode()
	}
	o.reads("/console/permissions", `value="Doc:"`)
	page := o.reads(ask("Doc:readme", "view", ann), "<strong>Yes.</strong>", "<svg", "Group:eng#members", "Group:ops#members", "ann@example.com</tspan>", "/console/people/"+ann,
		`<g class="node holds"><title>`+ann, `<g class="node "><title>&lt;script&gt;`)
	if strings.Contains(page.text, "<script") || strings.Contains(page.text, "style=") {
		t.Errorf("the picture has what the policy forbids: %s", page.text)
	}
	o.reads(ask("Doc:readme", "view", "nobody"), "<strong>No.</strong>", "<svg", "Group:ops#members")
	if page := o.reads(ask("Doc:readme", "view", ""), "<svg"); strings.Contains(page.text, "<strong>") || strings.Contains(page.text, "node holds") {
		t.Errorf("an answer to no question: %s", page.text)
	}
	o.reads(ask("Doc:other", "viewers", ann), "<strong>No.</strong>", "nobody</tspan>")
	for _, wrong := range [][3]string{{"readme", "view", "x"}, {"Nothing:readme", "view", "x"}, {"Doc:readme", "nothing", "x"}, {"Doc:readme", "view", "Nothing:x#y"}, {"", "", "x"}, {"Doc:" + strings.Repeat("x", 2000), "view", ""}, {"Doc:a\x00", "view", "\xff"}} {
		if page := o.get(ask(wrong[0], wrong[1], wrong[2])).is(200); !strings.Contains(page.text, `role="alert"`) {
			t.Errorf("%q: %s", wrong, page.text)
		}
	}

	o.reads("/console/tuples", "Doc:readme#viewers", "Group:eng#members", "ann@example.com</a>")
	for query, has := range map[string]int{"namespace=Doc": 2, "namespace=Group": 2, "namespace=Doc&object=readme&relation=viewers": 2, "subject=Group:eng%23members": 1, "subject=" + ann: 1, "object=none": 0} {
		if got := strings.Count(o.reads("/console/tuples?"+query).text, "<li>"); got != has {
			t.Errorf("%s: %d tuples, want %d", query, got, has)
		}
	}
	for _, wrong := range []string{"namespace=Nothing", "subject=:", "page_token=x", "object=%00"} {
		o.reads("/console/tuples?"+wrong, `role="alert"`)
	}
	const tuples = "/console/tuples"
	for _, wrong := range []string{"", "Doc:plan", "No:plan#viewers@User:ann", "Doc:plan#view@User:ann", "Doc:plan#viewers@Doc:plan"} {
		if page := o.sends(tuples, tuples, "do", "add", "tuple", wrong).is(200); !strings.Contains(page.text, "Error: ") || !strings.Contains(page.text, `value="`+wrong+`"`) {
			t.Errorf("%q is added: %s", wrong, page.text)
		}
	}
	o.sends(tuples, tuples, "do", "add", "tuple", "Doc:readme#viewers@User:eve").is(303)
	found := regexp.MustCompile(`name="remove" value="([^"]+)"`).FindStringSubmatch(o.reads(tuples + "?subject=User:eve").text)
	o.reads(ask("Doc:readme", "view", "User:eve"), "<strong>Yes.</strong>")
	o.sends(tuples, tuples, "remove", html.UnescapeString(found[1])).is(303)
	o.reads(ask("Doc:readme", "view", "User:eve"), "<strong>No.</strong>")
	for _, wrong := range []string{"", "{}", "7", "{", "null"} {
		if page := o.sends(tuples, tuples, "remove", wrong).is(200); !strings.Contains(page.text, "Error: ") {
			t.Errorf("%q is removed: %s", wrong, page.text)
		}
	}
}

// TestConsolePicture: a tree says who keeps somebody out, and leaves out what is too much.
func TestConsolePicture(t *testing.T) {
	n := start(t, withIdentity)
	o := n.operator(t)
	n.apply(`class User implements Namespace {}
class Doc implements Namespace { related: { viewers: User[], banned: User[], parents: Doc[] }
  permits = { view: (ctx: Context): boolean => this.related.viewers.includes(ctx.subject) && !this.related.banned.includes(ctx.subject),
    peek: (ctx: Context): boolean => this.permits.view(ctx) || this.related.parents.traverse((p) => p.permits.view(ctx)) } }`)
	n.insert("Doc:a#viewers@User:ann", "Doc:a#viewers@User:bob", "Doc:a#banned@User:ann", "Doc:b#parents@Doc:a", "Doc:c#parents@Doc:c")
	const ask = "/console/permissions?relation=view&object=Doc:a&subject="
	o.reads(ask+"User:ann", "<strong>No.</strong>", `<g class="node holds"><title>User:ann`, `<g class="node bars"><title>User:ann`, "keeps out", `<g class="node "><title>Doc:a#view`)
	if page := o.reads(ask+"User:bob", "<strong>Yes.</strong>", `<g class="node holds"><title>Doc:a#view<`); strings.Contains(page.text, "node bars") {
		t.Errorf("something keeps bob out: %s", page.text)
	}
	o.reads("/console/permissions?relation=peek&object=Doc:b&subject=User:bob", "<strong>Yes.</strong>", `<g class="node holds"><title>Doc:b#parents`, "Doc:b#view")
	o.reads("/console/permissions?relation=peek&object=Doc:c&subject=User:bob", "<strong>No.</strong>", "nobody</tspan>")
	for i := range 40 {
		n.insert("Doc:a#viewers@User:" + strings.Repeat("a", i+1))
	}
	o.reads(ask+"User:"+strings.Repeat("a", 39), "<strong>Yes.</strong>", "and 30 more", "Not all is drawn", `<g class="node holds"><title>User:aaa`)
}

// TestConsolePermissionsPages: many tuples are on several pages, and all of them are shown once.
func TestConsolePermissionsPages(t *testing.T) {
	n, a := startWithGroups(t)
	o := n.operator(t)
	ups := []any{}
	for i := range 120 {
		ups = append(ups, map[string]any{"action": "insert", "relation_tuple": map[string]any{"namespace": "Doc", "object": "many", "relation": "viewers", "subject_id": strings.Repeat("s", i+1)}})
	}
	a.do("PATCH", "/admin/relation-tuples", ups).is(204)
	next := regexp.MustCompile(`href="(/console/tuples\?[^"]*page_token[^"]*)"`)
	at, seen := "/console/tuples?namespace=Doc&relation=viewers", 0
	for pages := 1; ; pages++ {
		page := o.reads(at)
		seen += strings.Count(page.text, "<li>")
		more := next.FindStringSubmatch(page.text)
		if more == nil {
			if seen != 120 || pages != 3 {
				t.Errorf("%d tuples on %d pages", seen, pages)
			}
			return
		}
		at = strings.ReplaceAll(more[1], "&amp;", "&")
	}
}

// TestConsolePermissionsKeys: a key that may not read sees no permissions.
func TestConsolePermissionsKeys(t *testing.T) {
	writer, writerKey := key("writer", "*", "write")
	both, bothKey := key("both", "*", "read", "write")
	n := start(t, withIdentity, func(c *server.Config) { c.Auth.Keys = []server.Key{writerKey, bothKey} })
	o := n.operator(t)
	if to := o.get("/console/tuples").is(303).header.Get("Location"); to != "/console/login" {
		t.Errorf("without a key it goes to %s", to)
	}
	o.sends("/console/login", "/console/login", "key", writer).is(303)
	if page := o.reads("/console/people", "Groups"); strings.Contains(page.text, "Permissions") {
		t.Errorf("a key that may not read is shown the way: %s", page.text)
	}
	for _, path := range []string{"/console/permissions", "/console/tuples", "/console/permissions?object=Doc:a&relation=view"} {
		o.get(path).is(403)
	}
	o.sends("/console/login", "/console/login", "key", both).is(303)
	o.reads("/console/permissions", "Question")
}
