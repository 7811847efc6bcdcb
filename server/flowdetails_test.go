package server_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/server"
)

// challenged begins at a client, and returns the challenge that a page for logins gets.
func (v *visitor) challenged(c rp) string {
	v.Helper()
	to, err := url.Parse(v.get(c.request()).is(303).header.Get("Location"))
	if err != nil || to.Query().Get("login_challenge") == "" {
		v.Fatalf("sent to %s: %v", to, err)
	}
	return to.Query().Get("login_challenge")
}

// TestLoginChallengeShown: a page for logins sees which client asks, and a challenge that is
// none opens no flow.
func TestLoginChallengeShown(t *testing.T) {
	n, _ := startWithMail(t, func(c *server.Config) { c.Dev = true })
	c := n.rp(`,"client_uri":"https://client.test/","contacts":["owner@client.test"]`)
	v := n.visitor(t, true)
	challenge := v.challenged(c)
	for _, kind := range []string{"login", "registration"} {
		flow := v.get("/self-service/"+kind+"/browser?login_challenge="+url.QueryEscape(challenge), asProgram...).is(200).
			has("oauth2_login_challenge", challenge).has("oauth2_login_request.client.client_name", "Demo").has("oauth2_login_request.client.client_uri", "https://client.test/").
			has("oauth2_login_request.requested_scope.0", "openid").has("oauth2_login_request.challenge", challenge)
		v.get("/self-service/"+kind+"/flows?id="+flow.str("id")).is(200).has("oauth2_login_request.client.client_id", c.id)
		if strings.Contains(flow.text, "owner@client.test") || strings.Contains(flow.text, "client_secret") {
			t.Errorf("%s", flow.text)
		}
		v.get("/self-service/"+kind+"/browser?login_challenge=nonsense", asProgram...).is(404)
		if to := v.get("/self-service/" + kind + "/browser?login_challenge=nonsense").is(303).header.Get("Location"); !strings.Contains(to, "/error?id=") {
			t.Errorf("sent to %q", to)
		}
	}
}

// TestTransientPayload reaches hooks, also those that wait for an address, and is in answers
// to what came with it alone.
func TestTransientPayload(t *testing.T) {
	h := newHooked(t)
	var box *postbox
	n := hookedUp(t, h, `{"registration":[{"hook":"web_hook","config":{"url":"URL","body":"{\"a\":\"${transient_payload.a}\",\"b\":\"${flow.transient_payload.b}\"}"}}]}`,
		withMail(t), func(c *server.Config) { box = newPostbox(t, *c) })
	v := n.visitor(t, false)
	flow := v.get("/self-service/registration/api").is(200).has("transient_payload", nil)
	form := map[string]any{"method": "password", "password": "short", "traits": map[string]any{"email": "ann@example.com"}, "transient_payload": map[string]any{"a": "x", "b": "y"}}
	v.do("POST", flow.str("ui.action"), form).is(400).has("transient_payload.a", "x")
	v.get("/self-service/registration/flows?id="+flow.str("id")).is(200).has("transient_payload", nil)
	form["password"] = goodPassword
	begun := v.do("POST", flow.str("ui.action"), form).is(200)
	v.enter(begun, box.take("ann@example.com").code).is(200)
	if got := h.calls(); len(got) != 1 || got[0]["a"] != "x" || got[0]["b"] != "y" {
		t.Errorf("called with %v", got)
	}
	flow = v.get("/self-service/registration/api").is(200)
	form["transient_payload"], form["password"] = "no object", "short"
	v.do("POST", flow.str("ui.action"), form).is(400).has("transient_payload", nil)
}

// TestLoginHints says how the account logs in that has an identifier, if that is wanted.
func TestLoginHints(t *testing.T) {
	for want, edit := range map[int]func(*server.Config){
		4000028: func(c *server.Config) { c.Identity.Mitigate, c.Identity.LoginHints = false, true },
		4000007: func(c *server.Config) { c.Identity.Mitigate = false },
	} {
		n, _ := startWithMail(t, edit)
		n.known(t, "ann@example.com")
		v := n.visitor(t, false)
		flow := v.get("/self-service/registration/api").is(200)
		got := v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"email": "ann@example.com"}}).is(400).says(want)
		if want == 4000028 {
			got.has("ui.messages.0.context.available_credential_types.0", "password").has("ui.messages.0.context.credential_identifier_hint", "ann@example.com")
		}
	}
	n, _ := startWithMail(t, func(c *server.Config) { c.Identity.LoginHints = true }) // which tells nothing
	n.known(t, "ann@example.com")
	n.visitor(t, false).begin("ann@example.com").has("continue_with.0.action", "show_verification_ui")
}

// TestRecoverySkipsSettings leads on at once who wants no other password.
func TestRecoverySkipsSettings(t *testing.T) {
	n, box := startWithMail(t)
	n.known(t, "ann@example.com")
	v := n.visitor(t, true)
	flow := v.get("/self-service/recovery/browser?skip_settings=true&return_to=/sessions/whoami", asProgram...).is(200)
	form := map[string]any{"csrf_token": flow.csrf(), "method": "code", "email": "ann@example.com"}
	v.do("POST", flow.str("ui.action"), form).is(200)
	delete(form, "email")
	form["code"] = box.take("ann@example.com").code
	v.do("POST", flow.str("ui.action"), form).is(200).has("continue_with.0.redirect_browser_to", v.base+"/sessions/whoami").has("continue_with.1", nil)
	v.get("/sessions/whoami").is(200)
}

// TestFlowDetails are small things that clients of Kratos could notice.
func TestFlowDetails(t *testing.T) {
	n, _ := startWithMail(t, atOnce)
	v, b := n.visitor(t, false), n.visitor(t, true)
	v.registerNative("ann@example.com")
	for kind, there := range map[string]bool{"login": true, "registration": true, "recovery": false, "verification": false} {
		flow := n.visitor(t, false).get("/self-service/" + kind + "/api").is(200)
		if _, ok := flow.body["organization_id"]; ok != there || flow.at("organization_id") != nil {
			t.Errorf("%s: organization_id is there: %t", kind, ok)
		}
		if got := v.get("/self-service/" + kind + "/api"); kind != "verification" && !strings.Contains(got.is(400).str("error.reason"), "thus "+kind+" is") {
			t.Errorf("%s: %s", kind, got.text)
		}
	}
	if to := b.get("/self-service/login/browser?aal=aal2").is(303).header.Get("Location"); !strings.Contains(to, "/self-service/login/browser?return_to=") {
		t.Errorf("who is to step up, and has not logged in, is sent to %q", to)
	}
	v.get("/self-service/login/api?aal=aal2").is(200).says(5000002)

	flow := v.get("/self-service/settings/api").is(200)
	change := func(email string) *said {
		return v.do("POST", flow.str("ui.action"), map[string]any{"method": "profile", "traits": map[string]any{"email": email}})
	}
	change("ann@example.com").is(200).has("state", "success")
	change("no address").is(400).has("state", "show_form")
	n.visitor(t, false).get("/self-service/login/api?return_to=/settings&x=1").is(200).has("request_url", v.base+"/self-service/login/api?return_to=/settings&x=1")
	reg := n.visitor(t, false).get("/self-service/registration/api").is(200)
	if got := n.visitor(t, false).do("POST", reg.str("ui.action"), map[string]any{"method": "nonsense"}).is(400).messages(); !slices.Equal(got, []int{4010003}) {
		t.Errorf("messages %v", got)
	}
}

// TestFormsThatWaited: a form of which the browser has forgotten what it was for leads to
// another one, and it remembers longer than forms are good.
func TestFormsThatWaited(t *testing.T) {
	n, _ := startWithMail(t, atOnce)
	v := n.visitor(t, true)
	open := func() *said {
		return v.get("/self-service/login/browser?return_to=/sessions/whoami", asProgram...).is(200)
	}
	first := open()
	for _, c := range (&http.Response{Header: first.header}).Cookies() {
		if c.Name == "cardea_flows" && c.MaxAge <= 3600 {
			t.Errorf("the cookie lasts for %d s", c.MaxAge)
		}
	}
	for range 4 {
		open()
	}
	form := url.Values{"csrf_token": {first.csrf()}, "method": {"password"}, "identifier": {"ann@example.com"}, "password": {"x"}}
	gone := v.do("POST", first.str("ui.action"), form, asProgram...).is(410).has("error.id", "self_service_flow_expired")
	v.get("/self-service/login/flows?id=" + gone.str("use_flow_id")).is(200).says(4010001)
	if to := v.do("POST", first.str("ui.action"), form).is(303).header.Get("Location"); !strings.Contains(to, "/login?flow=") {
		t.Errorf("sent to %q", to)
	}
}

// TestRefreshKeepsForm: who has to log in again before a change finds what they wrote.
func TestRefreshKeepsForm(t *testing.T) {
	n, _ := startWithMail(t, atOnce, func(c *server.Config) { c.Identity.PrivilegedAge = time.Nanosecond })
	v := n.visitor(t, true)
	v.register("ann@example.com")
	form := v.get("/self-service/settings/browser", asProgram...).is(200)
	fields := url.Values{"csrf_token": {form.csrf()}, "method": {"profile"}, "traits.email": {"new@example.com"}, "password": {"not to be kept"}}
	to := v.do("POST", form.str("ui.action"), fields).is(303).header.Get("Location")
	if !strings.Contains(to, "refresh=true") || !strings.Contains(to, form.str("id")) {
		t.Fatalf("sent to %q", to)
	}
	again := v.get("/self-service/settings/flows?id="+form.str("id")).is(200).has("identity.traits.email", "ann@example.com")
	if got := again.nodes()["traits.email"]["attributes"].(map[string]any)["value"]; got != "new@example.com" || strings.Contains(again.text, "not to be kept") {
		t.Errorf("the form has %v: %s", got, again.text)
	}
}

// TestLongInput bounds what is stored of what anybody may send.
func TestLongInput(t *testing.T) {
	n, _ := startWithMail(t)
	v := n.visitor(t, false)
	long := strings.Repeat("x", 100_000)
	v.get("/self-service/login/api?return_to=/"+long).is(400).has("error.id", "self_service_flow_return_to_forbidden")
	flow := n.visitor(t, true).get("/self-service/login/browser?more="+long, asProgram...).is(200)
	if len(flow.str("request_url")) > 1000 {
		t.Errorf("request_url has %d bytes", len(flow.str("request_url")))
	}
	flow = v.get("/self-service/registration/api").is(200)
	send := func(traits, payload any) *said {
		return v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": "x", "traits": traits, "transient_payload": payload}).is(400)
	}
	send(nil, map[string]any{"a": long})
	if got := send(map[string]any{"email": "ann@example.com", long: 1}, nil); len(got.text) > 20_000 {
		t.Errorf("the answer has %d bytes", len(got.text))
	}
}

// TestSecondClick leads on to where the first one did, and so does going back.
func TestSecondClick(t *testing.T) {
	n, box := startWithMail(t)
	v := n.visitor(t, true)
	form := v.get("/self-service/registration/browser", asProgram...).is(200)
	fields := url.Values{"csrf_token": {form.csrf()}, "method": {"password"}, "password": {goodPassword}, "traits.email": {"ann@example.com"}}
	first := v.do("POST", form.str("ui.action"), fields).is(303).header.Get("Location")
	if second := v.do("POST", form.str("ui.action"), fields).is(303).header.Get("Location"); second != first || !strings.Contains(first, "/verification?flow=") {
		t.Errorf("sent to %q, and then to %q", first, second)
	}
	if back := v.get("/registration?flow="+form.str("id"), "Accept", "text/html").is(303).header.Get("Location"); back != first {
		t.Errorf("going back leads to %q", back)
	}
	v.do("POST", form.str("ui.action"), fields, asProgram...).is(400).says(4040002).has("continue_with.0.action", "show_verification_ui")
	to, _ := url.Parse(first)
	w := n.visitor(t, true) // who does not log in by it, and keeps the token of the form
	form = w.get("/self-service/verification/flows?id=" + to.Query().Get("flow")).is(200)
	code := url.Values{"csrf_token": {form.csrf()}, "method": {"code"}, "code": {box.take("ann@example.com").code}}
	for range 2 {
		if at := w.do("POST", form.str("ui.action"), code).is(303).header.Get("Location"); at != first {
			t.Errorf("sent to %q", at)
		}
	}
	w.do("POST", form.str("ui.action"), code, asProgram...).is(410).has("error.id", "self_service_flow_replaced")

	n.known(t, "bob@example.com")
	form = v.get("/self-service/login/browser?return_to=/sessions/whoami", asProgram...).is(200)
	fields = url.Values{"csrf_token": {form.csrf()}, "method": {"password"}, "password": {goodPassword}, "identifier": {"bob@example.com"}}
	base, err := url.Parse(v.base)
	if err != nil {
		t.Fatal(err)
	}
	before := v.client.Jar.Cookies(base)
	first = v.do("POST", form.str("ui.action"), fields).is(303).header.Get("Location")
	early := n.visitor(t, true) // the click came before the answer
	early.client.Jar.SetCookies(base, before)
	if second := early.do("POST", form.str("ui.action"), fields).is(303).header.Get("Location"); second != first {
		t.Errorf("sent to %q, and then to %q", first, second)
	}
	if back := v.get("/login?flow="+form.str("id"), "Accept", "text/html").is(303).header.Get("Location"); !strings.HasSuffix(back, "/self-service/login/browser") {
		t.Errorf("going back leads to %q", back)
	}
	if to := n.visitor(t, true).get("/login?flow="+form.str("id"), "Accept", "text/html"); to.status == 303 && strings.HasSuffix(to.header.Get("Location"), "/browser") {
		t.Error("a browser without cookies is sent around for ever")
	}
}

// TestPendingTwice: of two accounts that wait for one address the second one is not made, and
// nothing says that it was.
func TestPendingTwice(t *testing.T) {
	n, box := startWithMail(t)
	v := n.visitor(t, false)
	first := v.begin("ann@example.com")
	one := box.take("ann@example.com").code
	second := v.begin("ann@example.com")
	v.enter(second, box.take("ann@example.com").code).is(200).has("state", "passed_challenge")
	if got := v.enter(first, one).is(400).messages(); !slices.Equal(got, []int{4000007}) {
		t.Errorf("messages %v", got)
	}
}
