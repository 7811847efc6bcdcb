package identity_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/identity"
)

// cookies returns those that a browser has, by name.
func (g *guest) cookies() map[string]string {
	g.Helper()
	at, err := url.Parse(g.base())
	if err != nil {
		g.Fatal(err)
	}
	all := map[string]string{}
	for _, c := range g.client.Jar.Cookies(at) {
		all[c.Name] = c.Value
	}
	return all
}

// plant gives a browser a cookie that somebody else has chosen.
func (g *guest) plant(name, value string) {
	g.Helper()
	at, err := url.Parse(g.base())
	if err != nil {
		g.Fatal(err)
	}
	g.client.Jar.SetCookies(at, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

const sessionCookie = "ory_kratos_session"

// csrfCookie is the name and value of the cookie that forms belong to.
func (g *guest) csrfCookie() (name, value string) {
	g.Helper()
	for name, value := range g.cookies() {
		if len(name) > 20 && name[:11] == "csrf_token_" {
			return name, value
		}
	}
	g.Fatal("there is no CSRF cookie")
	return "", ""
}

// TestRotation: whatever gives a session more standing, or changes a way into the account,
// gives it a new token, and who has the old one is out.
func TestRotation(t *testing.T) {
	const email = "ann@example.com"
	for _, browser := range []bool{false, true} {
		h := newHouse(t)
		g := h.guest(browser)
		g.register(email)
		secret := ""
		for _, step := range []struct {
			name   string
			rotate bool
			do     func()
		}{
			{"a look at the settings", false, func() { g.open("settings", "").is(200) }},
			{"a name", false, func() {
				g.send(g.open("settings", "").is(200), object{"method": "profile", "traits": object{"email": email, "name": object{"first": "Ann"}}}).is(200)
			}},
			{"a wrong refresh", false, func() {
				g.send(g.open("login", "?refresh=true").is(200), object{"method": "password", "identifier": email, "password": "wrong"}).is(400)
			}},
			{"a refresh", true, func() { g.enter(email, "?refresh=true") }},
			{"a factor", true, func() { secret = g.link() }},
			{"a wrong factor", false, func() {
				g.send(g.open("login", "?aal=aal2&refresh=true").is(200), object{"method": "totp", "totp_code": "000000"}).is(400)
			}},
			{"a step up", true, func() {
				g.send(g.open("login", "?aal=aal2&refresh=true").is(200), object{"method": "totp", "totp_code": h.code(secret, 1)}).is(200)
			}},
			{"a password", true, func() {
				g.send(g.open("settings", "").is(200), object{"method": "password", "password": "another stone wall"}).is(200)
			}},
			{"backup codes", true, func() { g.backup() }},
			{"an identifier", true, func() {
				g.send(g.open("settings", "").is(200), object{"method": "profile", "traits": object{"email": "new@example.com"}}).is(200)
			}},
			{"a factor less", true, func() { g.send(g.open("settings", "").is(200), object{"totp_unlink": true}).is(200) }},
		} {
			before := g.ask("GET", "/sessions/whoami", nil).is(200)
			old := *g
			if browser { // the old cookie stays with somebody
				old = *h.guest(true)
				old.plant(sessionCookie, g.cookies()[sessionCookie])
			}
			step.do()
			g.ask("GET", "/sessions/whoami", nil).is(200).has("id", before.str("id"))
			want := 200
			if step.rotate {
				want = 401
			}
			if got := old.ask("GET", "/sessions/whoami", nil).status; got != want {
				t.Errorf("browser %t: after %s who has the old token is told %d, want %d", browser, step.name, got, want)
			}
		}
	}
}

// TestFixation: a browser whose cookies somebody else has chosen has others after it
// logged in, and theirs are worth nothing for it.
func TestFixation(t *testing.T) {
	h := newHouse(t)
	const ann = "ann@example.com"
	h.guest(false).register(ann)
	mallory := h.guest(true)
	mallory.register("mallory@example.com")
	planted := mallory.cookies()[sessionCookie]
	for name, token := range map[string]string{"a token of nobody": "ory_st_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "no token": "x", "a token that was": ""} {
		if token == "" {
			out := h.guest(false)
			out.login(ann)
			token = out.token
			out.ask("DELETE", "/self-service/logout/api", object{"session_token": token}).is(204)
		}
		v := h.guest(true)
		v.plant(sessionCookie, token)
		v.login(ann).is(200)
		if got := v.cookies()[sessionCookie]; got == token || len(got) < 40 {
			t.Errorf("%s: the cookie is %q", name, got)
		}
		spy := h.guest(false)
		spy.token = token
		spy.whoami(401, int64(len(token)/40)) // what is no token is not looked up
	}

	// The victim is in the session of somebody else, and logs in.
	v := h.guest(true)
	v.plant(sessionCookie, planted)
	before := v.ask("GET", "/sessions/whoami", nil).is(200)
	v.open("login", "").is(400).has("error.id", "session_already_available")
	v.enter(ann, "?refresh=true")
	after := v.ask("GET", "/sessions/whoami", nil).is(200).has("identity.traits.email", ann)
	if after.str("id") == before.str("id") {
		t.Error("the session of somebody else became the victim's")
	}
	mallory.ask("GET", "/sessions/whoami", nil).is(401)

	// The attacker knows the cookie that forms belong to.
	v = h.guest(true)
	v.open("login", "").is(200)
	name, value := v.csrfCookie()
	v.login(ann).is(200)
	if _, now := v.csrfCookie(); now == value {
		t.Error("the CSRF cookie survived the login")
	}
	spy := h.guest(true)
	spy.plant(name, value)
	flow := spy.open("login", "").is(200)
	v.ask("GET", "/self-service/login/flows?id="+flow.str("id"), nil).is(403).has("error.id", "security_csrf_violation")
	victim := h.guest(true)
	victim.ask("GET", "/self-service/login/flows?id="+flow.str("id"), nil).is(403).has("error.id", "security_csrf_violation")
	_, before2 := v.csrfCookie()
	v.logout()
	if _, now := v.csrfCookie(); now == before2 {
		t.Error("the CSRF cookie survived the logout")
	}
}

// TestDevices: a session knows where its proofs came from, each place once in a row.
func TestDevices(t *testing.T) {
	at := "192.0.2.1"
	h := newHouse(t, func(o *identity.Options) { o.Client = func(*http.Request) string { return at } })
	g := h.guest(false)
	g.register("ann@example.com").has("session.devices.0.ip_address", "192.0.2.1").has("session.devices.0.user_agent", "Go-http-client/1.1")
	g.enter("ann@example.com", "?refresh=true").has("session.devices.1", nil)
	for range 12 {
		at += "0"
		h.pass(time.Second)
		g.enter("ann@example.com", "?refresh=true")
	}
	devices, _ := g.ask("GET", "/sessions/whoami", nil).is(200).at("devices").([]any)
	if len(devices) != 10 || devices[9].(object)["ip_address"] != at {
		t.Errorf("devices %v", devices)
	}
}
