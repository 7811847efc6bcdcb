package server_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// register makes an account through the pages.
func (v *visitor) register(email string) *said {
	v.Helper()
	return v.send(v.page("/registration"), url.Values{"method": {"password"}, "traits.email": {email}, "password": {goodPassword}}).is(200)
}

// A gadget is a device that waits for its person.
type gadget struct {
	c              rp
	device, user   string
	link, withCode string
}

func (c rp) gadget() gadget {
	c.n.t.Helper()
	got := c.n.do("POST", c.n.public, "/oauth2/device/auth", "client_id="+c.id+"&scope=openid+profile", "Content-Type: application/x-www-form-urlencoded")
	var body map[string]any
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || got.status != 200 {
		c.n.t.Fatalf("%d %s", got.status, got.body)
	}
	text := func(name string) string { s, _ := body[name].(string); return s }
	return gadget{c, text("device_code"), text("user_code"), text("verification_uri"), text("verification_uri_complete")}
}

// asks returns what the device gets when it asks for its tokens.
func (g gadget) asks() string {
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {g.device}, "client_id": {g.c.id}}
	return g.c.n.do("POST", g.c.n.public, "/oauth2/token", form.Encode(), "Content-Type: application/x-www-form-urlencoded").body
}

func (n *node) tv() rp {
	return n.rp(`,"token_endpoint_auth_method":"none","grant_types":["urn:ietf:params:oauth:grant-type:device_code"]`)
}

// TestDevicePages connects a device: with a code that is wrong first, then with one that
// the link has, and then with a no.
func TestDevicePages(t *testing.T) {
	n := start(t, withIdentity)
	c := n.tv()
	v := n.visitor(t, true)
	v.register("ann@example.com")

	g := c.gadget()
	page := v.page(g.link).is(200).shows("<title>Connect a device", "Enter the code that your device shows")
	page = v.send(page, url.Values{"user_code": {"BBBBBBBB"}}).is(400).shows("<title>Error: Connect", "The code is wrong", `value="BBBBBBBB"`)
	page = v.send(page, url.Values{"user_code": {"nonsense"}}).is(400)
	page = v.send(page, url.Values{"user_code": {strings.ToLower(g.user[:4]) + "-" + g.user[4:]}}).is(200).
		shows("Demo wants access to your account", "You are about to connect a device", "Signed in as ann@example.com")
	v.send(page, url.Values{"answer": {"allow"}, "scope": {"profile"}}).is(200).shows("Your device is connected")
	if got := g.asks(); !strings.Contains(got, "access_token") {
		t.Errorf("the device gets %s", got)
	}

	g = c.gadget()
	page = v.page(g.withCode).is(200).shows("Does your device show this code?", `value="`+g.user+`"`)
	page = v.send(page, url.Values{"user_code": {g.user}}).is(200).shows("Demo wants access")
	v.send(page, url.Values{"answer": {"deny"}}).is(200).shows("<title>Something went wrong", "Access was denied")
	if got := g.asks(); !strings.Contains(got, "access_denied") {
		t.Errorf("the device gets %s", got)
	}
	form := url.Values{"device_challenge": {"x"}, "user_code": {g.user}, "consent_challenge": {"x"}, "logout_challenge": {"x"}}
	for _, path := range []string{"/oauth2/device", "/oauth2/consent", "/oauth2/logout"} {
		for name, value := range map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"} {
			v.do("POST", path, form, name, value, "Accept", "text/html").is(403).shows("The form is from a page of another site")
		}
		v.do("POST", path, form, "Sec-Fetch-Site", "same-origin").is(404)
		v.do("POST", path, form, "Origin", v.base).is(404)
	}
	v.page("/oauth2/device?device_challenge=x").is(404).shows("<title>Something went wrong")
}

// TestDeviceGuesses: whoever tries many codes has to begin again, and then to wait.
func TestDeviceGuesses(t *testing.T) {
	n := start(t, withIdentity)
	g := n.tv().gadget()
	v := n.visitor(t, true)
	page := v.page(g.link).is(200)
	for range 5 {
		v.send(page, url.Values{"user_code": {"BBBBBBBB"}}).is(400).shows("The code is wrong")
	}
	v.send(page, url.Values{"user_code": {g.user}}).is(429).shows("begin again")
	for range 25 {
		page = v.page(g.link).is(200)
		v.send(page, url.Values{"user_code": {"BBBBBBBB"}}).is(400)
	}
	v.send(page, url.Values{"user_code": {g.user}}).is(429).shows("Too many wrong secrets")
}

// TestLogoutPages logs out for a client, and ends the session here with it.
func TestLogoutPages(t *testing.T) {
	n := startWithModel(t, withIdentity)
	c := n.rp(`,"post_logout_redirect_uris":["https://client.test/bye"]`)
	v := n.visitor(t, true)
	answer := v.walk(c.request("prompt", "create"), "ann@example.com")
	body, _ := c.tokens(answer.Get("code"))
	hint, _ := body["id_token"].(string)
	request := "/oauth2/sessions/logout?" + url.Values{"id_token_hint": {hint}, "state": {"bye"}, "post_logout_redirect_uri": {"https://client.test/bye"}}.Encode()

	page := v.page(request).is(200).shows("Sign out?", "Demo asks to sign you out", "Signed in as ann@example.com")
	v.send(page, url.Values{"answer": {"stay"}}).is(200).shows("You are signed in as")
	v.get("/sessions/whoami").is(200)
	v.send(page, url.Values{"answer": {"leave"}}).is(200).shows("One more step") // that page was answered
	v.get("/sessions/whoami").is(200)

	page = v.page(request).is(200)
	leave := url.Values{"answer": {"leave"}, "logout_challenge": {page.part(`name="logout_challenge" value="`, `"`)}}
	to := v.do("POST", page.part(`action="`, `"`), leave).is(303)
	to = v.get(to.header.Get("Location")).is(303)
	if got := to.header.Get("Location"); got != "https://client.test/bye?state=bye" {
		t.Fatalf("the logout leads to %s", got)
	}
	v.get("/sessions/whoami").is(401)
	v.page("/oauth2/sessions/logout").is(200).shows("You are signed out", "Sign in again")

	v.send(v.page("/login"), url.Values{"method": {"password"}, "identifier": {"ann@example.com"}, "password": {goodPassword}}).is(200)
	page = v.page("/oauth2/sessions/logout").is(200).shows("One more step", "still signed in")
	v.page(page.link("Sign out here, too")).is(200).shows("You are signed out")
	v.get("/sessions/whoami").is(401)
	v.page("/oauth2/logout?logout_challenge=x").is(404)
}

// TestErrorPages: what an address says is no word of this server's.
func TestErrorPages(t *testing.T) {
	n := start(t, withIdentity)
	v := n.visitor(t, true)
	page := v.page("/oauth2/auth?client_id=nobody&response_type=code").is(200).shows("<title>Something went wrong", "The application has sent a request", "invalid_client", "For the developer")
	if page.header.Get("Content-Security-Policy") == "" {
		t.Error("the page has no policy")
	}
	page = v.page("/oauth2/error?error=Call+0900-123&error_description=%3Cb%3Enow").is(200)
	if strings.Contains(page.text, "0900") || strings.Contains(page.text, "<b>") {
		t.Errorf("the page says %s", page.text)
	}
	v.page("/oauth2/consent?consent_challenge=x").is(404).shows("<title>Something went wrong")
	v.get("/oauth2/consent?consent_challenge=x").is(404).has("error.code", 404.0)

	n = start(t)
	v = n.visitor(t, true)
	v.page("/").is(200).shows("Welcome")
	v.page("/oauth2/auth?client_id=nobody&response_type=code").is(200).shows("<title>Something went wrong")
	for _, page := range []string{"login", "registration", "consent", "logout", "post_logout_redirect", "device.verification"} {
		v.page("/oauth2/fallbacks/"+page).is(200).shows("No page for this", "oauth.urls."+page)
	}
	v.page("/oauth2/fallbacks/magic").is(404).shows("<title>Something went wrong", "There is nothing at")
	v.get("/oauth2/fallbacks/magic").is(404).has("error", "not_found")
	v.get("/login").is(404)
}

// TestConsentShowsTargets: people see for which servers the tokens are.
func TestConsentShowsTargets(t *testing.T) {
	n := start(t, withIdentity)
	c := n.rp(`,"audience":["https://api.test/","urn:<b>"]`)
	v := n.visitor(t, true)
	v.register("ann@example.com")
	page := v.page(c.request("resource", "https://api.test/a", "audience", "urn:<b>")).is(200)
	page.shows("Demo will be able to", "With that it can go to", "<li>https://api.test/a</li>", "<li>urn:&lt;b&gt;</li>")
	if page = v.page(c.request()).is(200); strings.Contains(page.text, "With that it can go to") {
		t.Errorf("without any the page is %s", page.text)
	}
}
