package server_test

import (
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

func TestRecoveryNative(t *testing.T) {
	n, box := startWithMail(t, func(c *server.Config) { c.Identity.Recovery.After.ReturnTo = "https://app.example.com/" })
	id := n.known(t, "ann@example.com")
	other := n.visitor(t, false)
	login := other.get("/self-service/login/api").is(200)
	other.token = other.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200).str("session_token")

	v := n.visitor(t, false)
	flow := v.get("/self-service/recovery/api").is(200).has("state", "choose_method").has("type", "api")
	action := flow.str("ui.action")
	if flow.nodes()["email"] == nil || flow.nodes()["method=code"] == nil {
		t.Fatalf("nodes: %s", flow.text)
	}
	v.do("POST", action, map[string]any{"method": "code"}).is(400).says(4000002)
	v.do("POST", action, map[string]any{"method": "code", "email": "not an address"}).is(400).says(4000040)
	v.do("POST", action, map[string]any{"method": "link", "email": "ann@example.com"}).is(400).says(4010005)
	sent := v.do("POST", action, map[string]any{"method": "code", "email": " Ann@Example.com "}).is(200).has("state", "sent_email").says(1060003)
	if sent.nodes()["code"] == nil || sent.nodes()["email= Ann@Example.com "] == nil || sent.nodes()["method"] == nil {
		t.Fatalf("nodes: %s", sent.text)
	}
	l := box.take("ann@example.com")
	if l.link != "" || l.subject != "Recover access to your account" {
		t.Errorf("letter %+v", l)
	}
	v.do("POST", action, map[string]any{"method": "code", "code": otherCode(l.code)}).is(200).has("state", "sent_email").says(4060006)
	v.do("POST", action, map[string]any{"method": "code", "email": "ann@example.com"}).is(200).says(1060003)
	again := box.take("ann@example.com")
	if again.code != l.code {
		v.do("POST", action, map[string]any{"method": "code", "code": l.code}).is(200).says(4060006) // replaced by the new one
	}
	done := v.do("POST", action, map[string]any{"method": "code", "code": again.code[:3] + " " + again.code[3:]}).is(200).has("state", "passed_challenge").
		has("continue_with.0.action", "set_ory_session_token").has("continue_with.1.action", "show_settings_ui")
	other.get("/sessions/whoami").is(401)
	v.token = done.str("continue_with.0.ory_session_token")
	v.get("/sessions/whoami").is(200).has("identity.id", id).has("authentication_methods.0.method", "code_recovery").
		has("authenticator_assurance_level", "aal1").has("identity.verifiable_addresses.0.verified", true)
	settings := v.get("/self-service/settings/flows?id="+done.str("continue_with.1.flow.id")).is(200).says(1060001).has("return_to", "https://app.example.com/")
	v.do("POST", settings.str("ui.action"), map[string]any{"method": "password", "password": "another stone wall"}).is(200).has("state", "success")

	v.token = ""
	v.do("POST", action, map[string]any{"method": "code", "code": again.code}).is(410).has("error.id", "self_service_flow_replaced")
	stored := v.get("/self-service/recovery/flows?id=" + flow.str("id")).is(200)
	if strings.Contains(stored.text, "ory_st_") {
		t.Error("the flow keeps the token of the session")
	}
	fresh := n.visitor(t, false)
	login = fresh.get("/self-service/login/api").is(200)
	fresh.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": "another stone wall"}).is(200)
}

func TestRecoveryBrowser(t *testing.T) {
	n, box := startWithMail(t)
	n.known(t, "ann@example.com")
	v := n.visitor(t, true)
	opened := v.get("/self-service/recovery/browser?return_to=/sessions/whoami").is(303).header.Get("Location")
	to, err := url.Parse(opened)
	if err != nil || to.Path != "/recovery" {
		t.Fatalf("sent to %q", opened)
	}
	page := v.get(opened, "Accept", "text/html").is(200)
	for _, part := range []string{"<h1>Recover your account</h1>", `name="email"`, "Sign in instead"} {
		if !strings.Contains(page.text, part) {
			t.Errorf("the page lacks %s: %s", part, page.text)
		}
	}
	flow := v.get("/self-service/recovery/flows?id=" + to.Query().Get("flow")).is(200)
	v.do("POST", flow.str("ui.action"), url.Values{"csrf_token": {flow.csrf()}, "method": {"code"}, "email": {"ann@example.com"}}).is(303)
	page = v.get(opened, "Accept", "text/html").is(200)
	if !strings.Contains(page.text, `autocomplete="one-time-code"`) || !strings.Contains(page.text, "Resend code") {
		t.Errorf("the page is %s", page.text)
	}
	code := box.take("ann@example.com").code
	n.visitor(t, true).do("POST", flow.str("ui.action"), url.Values{"csrf_token": {flow.csrf()}, "method": {"code"}, "code": {code}}).is(303) // another browser
	v.get("/sessions/whoami").is(401)
	done := v.do("POST", flow.str("ui.action"), url.Values{"csrf_token": {flow.csrf()}, "method": {"code"}, "code": {code}}).is(303).header.Get("Location")
	if !strings.Contains(done, "/settings?flow=") {
		t.Fatalf("sent to %q", done)
	}
	v.get("/sessions/whoami").is(200)
	if page := v.get(done, "Accept", "text/html").is(200); !strings.Contains(page.text, "You successfully recovered your account.") {
		t.Errorf("the page is %s", page.text)
	}
	v.get("/self-service/recovery/browser", asProgram...).is(400).has("error.id", "session_already_available")

	spa := n.visitor(t, true)
	flow = spa.get("/self-service/recovery/browser", asProgram...).is(200)
	spa.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": "code", "email": "ann@example.com"}).is(200).has("state", "sent_email")
	after := spa.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": "code", "code": box.take("ann@example.com").code}).
		is(200).has("state", "passed_challenge").has("continue_with.0.action", "show_settings_ui")
	if strings.Contains(after.text, "ory_st_") {
		t.Error("a browser got its token in the body")
	}
	spa.get("/self-service/settings/flows?id=" + after.str("continue_with.0.flow.id")).is(200)
}

// TestRecoveryByLink follows a link in another browser than the one that asked for it.
func TestRecoveryByLink(t *testing.T) {
	n, box := startWithMail(t, func(c *server.Config) { c.Identity.Recovery.Use = "link" })
	n.known(t, "ann@example.com")
	for _, native := range []bool{false, true} {
		v := n.visitor(t, !native)
		open, form := "/self-service/recovery/browser", map[string]any{"method": "link", "email": "ann@example.com"}
		if native {
			open = "/self-service/recovery/api"
		}
		flow := v.get(open, asProgram...).is(200)
		form["csrf_token"] = flow.csrf()
		v.do("POST", flow.str("ui.action"), form).is(200).has("state", "sent_email").says(1060002)
		l := box.take("ann@example.com")
		if l.code != "" && !strings.Contains(l.link, l.code) || !strings.Contains(l.link, "token=") {
			t.Fatalf("letter %+v", l)
		}
		phone := n.visitor(t, true)
		follow := func(link string) *said {
			page := phone.get(link, "Accept", "text/html").is(200)
			u, err := url.Parse(link)
			if err != nil {
				t.Fatal(err)
			}
			_, rest, _ := strings.Cut(page.text, `name="csrf_token" value="`)
			csrf, _, _ := strings.Cut(rest, `"`)
			return phone.do("POST", "/self-service/recovery?flow="+u.Query().Get("flow"),
				url.Values{"csrf_token": {strings.ReplaceAll(csrf, "&#43;", "+")}, "method": {"link"}, "token": {u.Query().Get("token")}}, "Accept", "text/html").is(303)
		}
		for range 3 { // to look at a link does not use it up
			phone.get(l.link, "Accept", "text/html").is(200)
		}
		wrong := follow(strings.Replace(l.link, "token=", "token=X", 1)).header.Get("Location")
		if !strings.Contains(wrong, "/recovery?flow=") || strings.Contains(wrong, flow.str("id")) {
			t.Errorf("a wrong token leads to %q", wrong)
		}
		if page := phone.get(wrong, "Accept", "text/html").is(200); !strings.Contains(page.text, "The recovery token is invalid") || strings.Contains(page.text, "ann@") {
			t.Errorf("the page is %s", page.text)
		}
		if to := follow(l.link).header.Get("Location"); !strings.Contains(to, "/settings?flow=") {
			t.Fatalf("sent to %q", to)
		}
		phone.get("/sessions/whoami").is(200)
		phone = n.visitor(t, true)
		if to := follow(l.link).header.Get("Location"); !strings.Contains(to, "/recovery?flow=") {
			t.Errorf("the second time sent to %q", to)
		}
		phone.get("/sessions/whoami").is(401)
	}
}

func TestAdminRecovery(t *testing.T) {
	n := start(t, withIdentity) // without mail
	id := n.known(t, "ann@example.com")
	a := n.admin(t)
	for path, bodies := range map[string][]map[string]any{
		"/admin/recovery/code": {{}, {"identity_id": "x"}, {"identity_id": id, "expires_in": "-1h"}, {"identity_id": id, "expires_in": "1000h"}, {"identity_id": id, "expires_in": "soon"}, {"identity_id": id, "flow_type": "x"}},
		"/admin/recovery/link": {{}, {"identity_id": id, "expires_in": "0s"}},
	} {
		for _, body := range bodies {
			a.do("POST", path, body).is(400)
		}
		a.do("POST", path, map[string]any{"identity_id": "00000000-0000-4000-8000-000000000000"}).is(404)
		a.do("POST", path+"?return_to=https://evil.example/", map[string]any{"identity_id": id}).is(400)
	}
	n.visitor(t, false).get("/self-service/recovery/api").is(400).has("error.id", "self_service_flow_disabled")

	made := a.do("POST", "/admin/recovery/code", map[string]any{"identity_id": id, "expires_in": "2h", "flow_type": "browser"}).is(201)
	u, err := url.Parse(made.str("recovery_link"))
	if err != nil {
		t.Fatal(err)
	}
	v := n.visitor(t, true)
	flow := v.get("/self-service/recovery/flows?id="+u.Query().Get("flow")).is(200).has("state", "sent_email")
	v.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": "code", "code": otherCode(made.str("recovery_code"))}).is(200).says(4060006)
	v.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": "code", "email": "ann@example.com"}).is(400) // nothing can be sent
	v.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": "code", "code": made.str("recovery_code")}).is(200).has("state", "passed_challenge")
	v.get("/sessions/whoami").is(200).has("identity.id", id).has("identity.verifiable_addresses.0.verified", false)

	native := a.do("POST", "/admin/recovery/code", map[string]any{"identity_id": id, "flow_type": "api"}).is(201)
	u, _ = url.Parse(native.str("recovery_link"))
	app := n.visitor(t, false)
	app.do("POST", "/self-service/recovery?flow="+u.Query().Get("flow"), map[string]any{"method": "code", "code": native.str("recovery_code")}).
		is(200).has("continue_with.0.action", "set_ory_session_token")

	link := a.do("POST", "/admin/recovery/link", map[string]any{"identity_id": id}).is(200).str("recovery_link")
	u, _ = url.Parse(link)
	b := n.visitor(t, true)
	page := b.get(link, "Accept", "text/html").is(200)
	if !strings.Contains(page.text, `name="token"`) || !strings.Contains(page.text, "Continue") {
		t.Fatalf("the page is %s", page.text)
	}
	spa := b.get("/self-service/login/browser", asProgram...).is(200)
	b.do("POST", "/self-service/recovery?flow="+u.Query().Get("flow")+"&token="+u.Query().Get("token"), map[string]any{"csrf_token": spa.csrf(), "method": "link"}).
		is(200).has("state", "passed_challenge")
	b.get("/sessions/whoami").is(200).has("authentication_methods.0.method", "link_recovery")
}

// recovering begins a recovery of ann's by an app, and returns the code that she was sent.
func (n *node) recovering(t *testing.T, box *postbox) (v *visitor, flow *said, code string) {
	t.Helper()
	v = n.visitor(t, false)
	flow = v.get("/self-service/recovery/api").is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "email": "ann@example.com"}).is(200)
	return v, flow, box.take("ann@example.com").code
}

// TestCodeTries gives a code no more tries than it has, however many come at once.
func TestCodeTries(t *testing.T) {
	n, box := startWithMail(t)
	n.known(t, "ann@example.com")
	v, flow, code := n.recovering(t, box)
	var answered atomic.Int64
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "code": otherCode(code)}).status == 200 {
				answered.Add(1)
			}
		})
	}
	wait.Wait()
	if got := answered.Load(); got > 5 {
		t.Errorf("%d of 50 guesses were looked at", got)
	}
	over := v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "code": code}).is(410).has("error.id", "self_service_flow_replaced")
	v.get("/self-service/recovery/flows?id="+over.str("use_flow_id")).is(200).has("state", "choose_method").says(4000001)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "email": "ann@example.com"}).is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "code": box.take("ann@example.com").code}).is(200).has("state", "passed_challenge")
}

// TestCodeRace sends the right code many times at once.
func TestCodeRace(t *testing.T) {
	n, box := startWithMail(t)
	id := n.known(t, "ann@example.com")
	v := n.visitor(t, false)
	flow := v.get("/self-service/recovery/api").is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "email": "ann@example.com"}).is(200)
	code := box.take("ann@example.com").code
	var won atomic.Int64
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if s := v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "code": code}); s.status == 200 && s.str("state") == "passed_challenge" {
				won.Add(1)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Errorf("the code was good %d times", won.Load())
	}
	if got := n.admin(t).get("/admin/identities/" + id + "/sessions").is(200).text; strings.Count(got, `"issued_at"`) != 1 {
		t.Errorf("sessions %s", got)
	}
}

// TestRecoveryOfNobody answers as for somebody, and sends nothing, or says so.
func TestRecoveryOfNobody(t *testing.T) {
	n, box := startWithMail(t, func(c *server.Config) { c.Identity.Recovery.Notify = true })
	n.known(t, "ann@example.com")
	forms := map[string]string{}
	for _, email := range []string{"ann@example.com", "bob@example.com"} {
		v := n.visitor(t, false)
		flow := v.get("/self-service/recovery/api").is(200)
		sent := v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "email": email}).is(200)
		text := strings.NewReplacer(flow.str("id"), "ID", email, "EMAIL", flow.str("issued_at"), "T", flow.str("expires_at"), "T").Replace(sent.text)
		forms[email] = text
		l := box.take(email)
		if (l.code == "") != (email == "bob@example.com") {
			t.Errorf("letter %+v", l)
		}
		for range 3 {
			v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "code": "000000"}).is(200).says(4060006)
		}
	}
	if forms["ann@example.com"] != forms["bob@example.com"] {
		t.Errorf("the answers differ:\n%s\n%s", forms["ann@example.com"], forms["bob@example.com"])
	}
}

// TestMessageBudget asks for more messages than an address gets.
func TestMessageBudget(t *testing.T) {
	n, box := startWithMail(t)
	n.known(t, "ann@example.com")
	for range 14 {
		v := n.visitor(t, false)
		flow := v.get("/self-service/recovery/api").is(200)
		v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "email": "ann@example.com"}).is(200).says(1060003)
	}
	for range 10 {
		box.take("ann@example.com")
	}
	v := n.visitor(t, false)
	n.known(t, "bob@example.com")
	flow := v.get("/self-service/recovery/api").is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "email": "bob@example.com"}).is(200)
	box.take("bob@example.com") // came after all of the others
	if more := box.find("ann@example.com"); len(more) != 0 {
		t.Errorf("%d more messages", len(more))
	}
	list := n.admin(t).get("/admin/courier/messages?recipient=ann%40example.com&status=sent&page_size=4").is(200)
	if strings.Count(list.text, `"template_type":"recovery_code_valid"`) != 4 || !strings.Contains(list.header.Get("Link"), "next") || codeInText.MatchString(list.text) {
		t.Errorf("messages %s", list.text)
	}
	if !strings.Contains(list.text, "******") {
		t.Errorf("the code is shown: %s", list.text)
	}
}

// TestMessageBudgetOfClient has one client ask for the addresses of many.
func TestMessageBudgetOfClient(t *testing.T) {
	n, box := startWithMail(t, func(c *server.Config) { c.Identity.Courier.PerClient, c.Identity.Recovery.Notify = 3, true })
	for _, who := range []string{"a", "b", "c", "d"} {
		v := n.visitor(t, false)
		flow := v.get("/self-service/recovery/api").is(200)
		v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "email": who + "@example.com"}).is(200).says(1060003)
	}
	for _, who := range []string{"a", "b", "c"} {
		box.take(who + "@example.com")
	}
	if got := n.admin(t).get("/admin/courier/messages").is(200).text; strings.Contains(got, "d@example.com") || strings.Count(got, `"recipient"`) != 3 {
		t.Errorf("messages %s", got)
	}
}
