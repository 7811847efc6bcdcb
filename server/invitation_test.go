package server_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/cardea-iam/cardea/internal/testdb"
	"github.com/cardea-iam/cardea/server"
)

// withClub starts a server that sends mail and has one group.
func withClub(t *testing.T, edit ...func(*server.Config)) (*node, *visitor, *postbox) {
	t.Helper()
	n, box := startWithMail(t, edit...)
	n.apply(groupModel)
	a := n.admin(t)
	a.do("POST", "/admin/groups", map[string]any{"id": "eng", "name": "eng", "label": "The Engineers"}).is(201)
	return n, a, box
}

// invite returns the link of an invitation.
func (v *visitor) invite(email string) string {
	v.Helper()
	return v.do("POST", "/admin/groups/eng/invitations", map[string]any{"email": email}).is(201).str("invitation_link")
}

// secretOf is what a link has in its query.
func secretOf(t *testing.T, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("invitation")
}

func (v *visitor) membersOfEng() string {
	v.Helper()
	return strings.TrimSpace(v.get("/admin/groups/eng/members").is(200).fields("identity"))
}

// verifiedPerson makes an identity that has verified its address, and has a password.
func (v *visitor) verifiedPerson(email string) string {
	v.Helper()
	return v.person(email, "credentials", withPassword("password", goodPassword),
		"verifiable_addresses", []any{map[string]any{"value": email, "via": "email", "verified": true}})
}

// loginNative logs in, by way of an invitation if there is one.
func (v *visitor) loginNative(email, invitation string) *said {
	v.Helper()
	f := v.get("/self-service/login/api?" + url.Values{"invitation": {invitation}}.Encode()).is(200)
	if strings.Contains(f.text, invitation) && invitation != "" {
		v.Fatalf("the flow tells the secret of the invitation: %s", f.text)
	}
	return v.do("POST", f.str("ui.action"), map[string]any{"method": "password", "identifier": email, "password": goodPassword}).is(200)
}

func TestInvitationOfANewcomer(t *testing.T) {
	for name, edit := range map[string]func(*server.Config){
		"SQLite":     func(*server.Config) {},
		"PostgreSQL": func(c *server.Config) { c.DSN, c.Dev = testdb.Postgres(t), true },
	} {
		t.Run(name, func(t *testing.T) {
			n, a, box := withClub(t, edit)
			made := a.do("POST", "/admin/groups/eng/invitations", map[string]any{"email": "Ann@Example.com", "locale": "de"}).is(201).
				has("email", "ann@example.com").has("mailed", true)
			link := made.str("invitation_link")
			l := box.take("ann@example.com")
			if l.link != link || l.subject != "Einladung zu The Engineers" {
				t.Fatalf("the message is %+v", l)
			}
			if text := a.get("/admin/courier/messages").text; name == "SQLite" && strings.Contains(text, secretOf(t, link)) { // elsewhere they may, with Dev
				t.Errorf("administrators see the link again: %s", text)
			}

			v := n.visitor(t, true)
			for range 2 { // programs look at links before people do
				if page := v.get(link).is(200); !strings.Contains(page.text, "The Engineers") || !strings.Contains(page.text, "ann@example.com") {
					t.Fatalf("the page is %s", page.text)
				}
			}
			v.get(link, asProgram...).is(200).has("label", "The Engineers").has("group", "eng")
			v.get("/self-service/login/browser").is(303) // there they see that they have no account
			f := v.get("/self-service/registration/browser", asProgram...).is(200)
			begun := v.do("POST", f.str("ui.action"), map[string]any{"csrf_token": f.csrf(), "method": "password", "password": goodPassword,
				"traits": map[string]any{"email": "ann@example.com"}}).is(200)
			if got := a.membersOfEng(); got != "" {
				t.Fatalf("before the address is verified %s is a member", got)
			}
			elsewhere := n.visitor(t, true) // the code may be entered in another browser
			flow := "/self-service/verification/flows?id=" + begun.str("continue_with.0.flow.id")
			elsewhere.get(flow).is(200) // which gives it its cookie
			form := elsewhere.get(flow).is(200)
			if strings.Contains(form.text, secretOf(t, link)) {
				t.Errorf("the flow has the secret: %s", form.text)
			}
			done := elsewhere.do("POST", form.str("ui.action"), map[string]any{"csrf_token": form.csrf(), "method": "code", "code": box.take("ann@example.com").code}).is(200)
			ann := begun.str("identity.id")
			if !n.may("Group:eng#members@"+ann, done.token()) || a.membersOfEng() != ann {
				t.Fatalf("ann is no member: %s", a.membersOfEng())
			}
			v.get(link, asProgram...).is(410)
			used := a.get("/admin/groups/eng/invitations").is(200)
			if used.fields("identity") != ann || used.fields("used_at") == "" || strings.Contains(used.text, "link") {
				t.Errorf("the list has %s", used.text)
			}
			if events := a.get("/admin/audit/events?identity=" + ann).text; !strings.Contains(events, "invitation.accepted") {
				t.Errorf("the audit log has %s", events)
			}
		})
	}
}

// TestInvitationBeforeTheAddress: where accounts are made at once, the membership waits
// for the address.
func TestInvitationBeforeTheAddress(t *testing.T) {
	n, a, box := withClub(t, atOnce)
	link := a.invite("ann@example.com")
	box.take("ann@example.com")
	v := n.visitor(t, false)
	f := v.get("/self-service/registration/api?" + url.Values{"invitation": {secretOf(t, link)}}.Encode()).is(200)
	done := v.do("POST", f.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"email": "ann@example.com"}}).is(200)
	if got := a.membersOfEng(); got != "" {
		t.Fatalf("before the address is verified %s is a member", got)
	}
	v.enter(done, box.take("ann@example.com").code).is(200)
	if got := a.membersOfEng(); got != done.str("identity.id") {
		t.Fatalf("members are %q", got)
	}
}

func TestInvitationOfWhoIsThere(t *testing.T) {
	n, a, _ := withClub(t)
	ann, bob := a.verifiedPerson("ann@example.com"), a.verifiedPerson("bob@example.com")
	first, second := a.invite("ann@example.com"), a.invite("ann@example.com")

	v := n.visitor(t, false)
	in := v.loginNative("bob@example.com", secretOf(t, first)) // who has the link alone
	if got := a.membersOfEng(); got != "" {
		t.Fatalf("%s is a member, and %s has the link", got, bob)
	}
	v.token = in.str("session_token")
	v.do("POST", "/self-service/invitation", map[string]any{"invitation": secretOf(t, first)}).is(403)
	v.token = ""
	v.do("POST", "/self-service/invitation", map[string]any{"invitation": secretOf(t, first)}, asProgram...).is(401)
	in = v.loginNative("ann@example.com", secretOf(t, first))
	if !n.may("Group:eng#members@"+ann, in.token()) {
		t.Fatal("ann is no member")
	}
	v.get("/self-service/login/api?"+url.Values{"invitation": {secretOf(t, first)}}.Encode(), asProgram...).is(410)
	a.do("DELETE", "/admin/groups/eng/members?identity="+ann, nil).is(200)

	// In a browser that is logged in it takes a click.
	b := n.visitor(t, true)
	b.login("ann@example.com").is(200)
	page := b.get(second).is(200)
	token := regexp.MustCompile(`name="csrf_token" value="([^"]+)"`).FindStringSubmatch(page.text)
	if token == nil || !strings.Contains(page.text, "You are invited to join The Engineers") {
		t.Fatalf("the page is %s", page.text)
	}
	b.do("POST", "/self-service/invitation", url.Values{"invitation": {secretOf(t, second)}}, asProgram...).is(403)
	b.do("POST", "/self-service/invitation", url.Values{"invitation": {secretOf(t, second)}, "csrf_token": {html.UnescapeString(token[1])}}).is(303).token()
	if got := a.membersOfEng(); got != ann {
		t.Fatalf("members are %q", got)
	}
	b.do("POST", "/self-service/invitation", url.Values{"invitation": {secretOf(t, second)}, "csrf_token": {html.UnescapeString(token[1])}}, asProgram...).is(410)
	other := n.visitor(t, true)
	other.login("bob@example.com").is(200)
	if page := other.get(a.invite("ann@example.com")).is(200); !strings.Contains(page.text, "no verified address") || strings.Contains(page.text, `name="csrf_token"`) {
		t.Errorf("for another account the page is %s", page.text)
	}
}

// TestInvitationOnce has many use one invitation at the same time.
func TestInvitationOnce(t *testing.T) {
	n, a, _ := withClub(t)
	ann := a.verifiedPerson("ann@example.com")
	link := a.invite("ann@example.com")
	v := n.visitor(t, false)
	token := v.loginNative("ann@example.com", "").str("session_token")
	statuses := make([]int, 8)
	var wg sync.WaitGroup
	for i := range statuses {
		each := n.visitor(t, false)
		each.token = token
		wg.Go(func() {
			statuses[i] = each.do("POST", "/self-service/invitation", map[string]any{"invitation": secretOf(t, link)}, asProgram...).status
		})
	}
	wg.Wait()
	won := 0
	for _, s := range statuses {
		if s == 200 {
			won++
		} else if s != 410 {
			t.Errorf("status %d", s)
		}
	}
	if won != 1 || a.membersOfEng() != ann {
		t.Errorf("%d have used it: %v", won, statuses)
	}
}

func TestInvitationInput(t *testing.T) {
	n, a, _ := withClub(t)
	for _, tt := range []struct {
		body   map[string]any
		status int
	}{
		{map[string]any{}, 400},
		{map[string]any{"email": "ann"}, 400},
		{map[string]any{"email": "+491701234567"}, 400},
		{map[string]any{"email": "ann@example.com\r\nBcc: all@example.com"}, 400},
		{map[string]any{"email": "ann@example.com", "expires_in": "soon"}, 400},
		{map[string]any{"email": "ann@example.com", "expires_in": "-1h"}, 400},
		{map[string]any{"email": "ann@example.com", "expires_in": "721h"}, 400},
		{map[string]any{"email": "ann@example.com", "more": 1}, 400},
	} {
		if got := a.do("POST", "/admin/groups/eng/invitations", tt.body); got.status != tt.status {
			t.Errorf("%v: %d %s", tt.body, got.status, got.text)
		}
	}
	a.do("POST", "/admin/groups/none/invitations", map[string]any{"email": "ann@example.com"}).is(404)

	v := n.visitor(t, false)
	good := secretOf(t, a.invite("ann@example.com"))
	id, _, _ := strings.Cut(good, ".")
	expired := secretOf(t, a.do("POST", "/admin/groups/eng/invitations", map[string]any{"email": "ann@example.com", "expires_in": "1us"}).is(201).str("invitation_link"))
	bad := []string{"x", "", id, id + ".", id + ".x", "." + good, good + "x", expired, "\x00"}
	for _, text := range bad {
		v.get("/self-service/invitation?"+url.Values{"invitation": {text}}.Encode(), asProgram...).is(410)
		if text != "" {
			v.get("/self-service/registration/api?" + url.Values{"invitation": {text}}.Encode()).is(410)
		}
	}
	v.get("/self-service/invitation?invitation="+good, asProgram...).is(200)
	a.do("DELETE", "/admin/organizations/eng/invitations/"+id, nil).is(404)
	a.do("DELETE", "/admin/groups/eng/invitations/"+id, nil).is(204)
	a.do("DELETE", "/admin/groups/eng/invitations/"+id, nil).is(404)
	a.do("DELETE", "/admin/groups/eng/invitations/%00", nil).is(404)
	v.get("/self-service/invitation?invitation="+good, asProgram...).is(410)

	// Without the group there is nothing to join; a flow that began by then goes on.
	ann := a.verifiedPerson("ann@example.com")
	good = secretOf(t, a.invite("ann@example.com"))
	f := v.get("/self-service/login/api?invitation=" + good).is(200)
	a.do("DELETE", "/admin/groups/eng", nil).is(204)
	v.do("POST", f.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200).has("session.identity.id", ann)
	v.get("/self-service/invitation?invitation="+good, asProgram...).is(410)
	if n.count() != 0 {
		t.Error("there are tuples")
	}
}

// TestInvitationWithoutMail gives the link to who asks for it.
func TestInvitationWithoutMail(t *testing.T) {
	_, a := startWithGroups(t)
	a.do("POST", "/admin/organizations", map[string]any{"id": "acme", "name": "acme"}).is(201)
	made := a.do("POST", "/admin/organizations/acme/invitations", map[string]any{"email": "ann@example.com"}).is(201).has("mailed", false)
	if !strings.Contains(made.str("invitation_link"), "/self-service/invitation?invitation=") {
		t.Errorf("the answer is %s", made.text)
	}
}
