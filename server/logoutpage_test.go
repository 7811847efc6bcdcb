package server_test

import (
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var logoutField = regexp.MustCompile(`name="logout_challenge" value="([^"]*)"`)

// TestOwnLogout: a client sends somebody to log out, who first stays and then leaves,
// and is then logged out of everything.
func TestOwnLogout(t *testing.T) {
	n := startWithModel(t, withIdentity)
	c := n.rp(`,"post_logout_redirect_uris":["https://client.test/bye"]`)
	v := n.visitor(t, true)
	answer := v.walk(c.request("prompt", "create", "scope", "openid"), "ann@example.com")
	body, _ := c.tokens(answer.Get("code"))
	begin := "/oauth2/sessions/logout?" + url.Values{
		"id_token_hint": {body["id_token"].(string)}, "post_logout_redirect_uri": {"https://client.test/bye"}, "state": {"s"},
	}.Encode()
	ask := func(from string) url.Values {
		t.Helper()
		page := v.get(v.get(from).is(303).header.Get("Location")).is(200)
		field := logoutField.FindStringSubmatch(page.text)
		if field == nil || !strings.Contains(page.text, "ann@example.com") || !strings.Contains(page.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
			t.Fatalf("the logout page is %s", page.text)
		}
		return url.Values{"logout_challenge": {html.UnescapeString(field[1])}}
	}
	form := ask(begin)
	form.Set("answer", "no")
	if page := v.do("POST", "/oauth2/logout", form).is(200); !strings.Contains(page.text, "not been logged out") {
		t.Errorf("who stays sees %s", page.text)
	}
	v.get("/sessions/whoami").is(200)
	form.Set("answer", "yes")
	v.do("POST", "/oauth2/logout", form).is(422)

	form = ask(begin)
	form.Set("answer", "yes")
	end := v.get(v.do("POST", "/oauth2/logout", form).is(303).header.Get("Location")).is(303).header.Get("Location")
	if end != "https://client.test/bye?state=s" {
		t.Errorf("the logout ends at %s", end)
	}
	v.get("/sessions/whoami").is(401)
	if got := v.walk(c.request("prompt", "none"), ""); got.Get("error") != "login_required" {
		t.Errorf("after the logout: %v", got)
	}

	v.walk(c.request("prompt", "login", "scope", "openid"), "ann@example.com")
	form = ask("/oauth2/sessions/logout")
	form.Set("answer", "yes")
	at := v.do("POST", "/oauth2/logout", form).is(303).header.Get("Location")
	if page := v.get(v.get(at).is(303).header.Get("Location")).is(200); !strings.Contains(page.text, "You are logged out") {
		t.Errorf("the last page is %s", page.text)
	}
	v.get("/oauth2/logout?logout_challenge=x").is(404)
}
