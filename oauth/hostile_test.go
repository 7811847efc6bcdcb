package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/oauth"
)

// TestNoText: parameters that are no text are refused at every door, before anything
// is looked up or stored.
func TestNoText(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	for _, text := range []string{"a\x00b", "a\xffb", "\xed\xa0\x80"} {
		for _, name := range []string{"state", "nonce", "login_hint", "unknown"} {
			at := w.browser().open(w.public + "/oauth2/auth?" + codeRequest(c, name, text).Encode())
			if at.Query().Get("error") != "invalid_request" || at.Query().Get("state") == text {
				t.Errorf("%s %q leads to %v", name, text, at)
			}
		}
		for _, path := range []string{"token", "revoke", "introspect", "par", "device/auth"} {
			form := url.Values{"grant_type": {"client_credentials"}, "token": {"x"}, "unknown": {text}}
			if status, body := w.call("POST", w.public+"/oauth2/"+path, form, basic(c)); status != 400 || body["error"] != "invalid_request" {
				t.Errorf("%s with %q: %d %v", path, text, status, body)
			}
		}
	}
}

// TestWildcardIsNoLicence: a wildcard of the client allows scopes, and nothing that is
// none.
func TestWildcardIsNoLicence(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"scope": "a.*"})
	for scope, want := range map[string]string{
		"a.b":      "",
		"a.\u00e9": "invalid_scope",
		`a."`:      "invalid_scope",
		`a.\`:      "invalid_scope",
		"a.\x7f":   "invalid_scope",
	} {
		form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
		if _, body := w.token(form, basic(c)); body["error"] != nil && body["error"] != want || body["error"] == nil && want != "" {
			t.Errorf("%q gives %v", scope, body)
		}
	}
}

// TestRedirectTricks: none of these is the URI that the client is registered with.
func TestRedirectTricks(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"redirect_uris": []string{callback, "http://127.0.0.1/cb", "http://[::1]/cb", "com.app:/cb"}})
	for _, uri := range []string{
		callback + "/", callback + "?", callback + "?a=b", callback + "#", callback + "#a", callback + "/../callback",
		"https://CLIENT.test/callback", "HTTPS://client.test/callback", "https://client.test:443/callback",
		"https://client.test/%63allback", "https://client.test/./callback", "https://a@client.test/callback",
		"https://client.test@evil.test/callback", "https://client.test%2eevil.test/callback", `https://client.test\@evil.test/callback`,
		"//client.test/callback", "/callback", " " + callback, callback + " ", callback + "\n", callback + "\x00", "javascript:alert(1)",
		"http://127.0.0.1:5/cb#", "http://127.0.0.1:5/cb?", "http://127.0.0.1:5@evil.test/cb", "http://a@127.0.0.1:5/cb",
		"http://127.0.0.1:5/CB", "http://127.0.0.2:5/cb", "http://localhost:5/cb", "https://127.0.0.1:5/cb",
		"http://[::2]:5/cb", "http://[0:0:0:0:0:0:0:1]:5/cb", "com.app:///cb", "com.app:/cb?a", "com.app://cb",
	} {
		at := w.browser().open(w.public + "/oauth2/auth?" + codeRequest(c, "redirect_uri", uri).Encode())
		if at.Host != "app.test" || at.Path != "/error" {
			t.Errorf("%q leads to %v", uri, at)
		}
	}
	for _, uri := range []string{callback, "http://127.0.0.1/cb", "http://127.0.0.1:5/cb", "http://[::1]:5/cb", "com.app:/cb"} {
		at := w.browser().open(w.public + "/oauth2/auth?" + codeRequest(c, "redirect_uri", uri).Encode())
		if at.Path != "/login" {
			t.Errorf("%q leads to %v", uri, at)
		}
	}
}

// TestSecretRemoved: what was encrypted with a system secret that is gone is as if it
// had expired, and stands in nobody's way.
func TestSecretRemoved(t *testing.T) {
	const older, newer = "the secret of the tests", "a newer secret of the tests"
	w := start(t, sealedBy(older))
	c := w.client(map[string]any{"grant_types": []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"}})
	code := w.browser().authorize(codeRequest(c), ann()).Get("code")
	login := ann()
	login.login["remember"], login.consent["remember"] = true, true
	b := w.browser()
	tokens := w.exchange(c, b.authorize(codeRequest(c), login).Get("code"))
	device := w.must("POST", w.public+"/oauth2/device/auth", url.Values{}, basic(c))
	pushed := w.must("POST", w.public+"/oauth2/par", codeRequest(c), basic(c))

	both := startOn(t, w.store, sealedBy(newer, older))
	both.must("POST", both.admin+"/admin/oauth2/reseal", nil)
	n := startOn(t, w.store, sealedBy(newer))
	for name, form := range map[string]url.Values{
		"a code":          codeExchange(code),
		"a refresh token": {"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}},
	} {
		if status, body := n.token(form, basic(c)); status != 400 || body["error"] != "invalid_grant" {
			t.Errorf("%s: %d %v", name, status, body)
		}
	}
	poll := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "device_code": {device["device_code"].(string)}}
	if status, body := n.token(poll, basic(c)); status != 400 {
		t.Errorf("a device code: %d %v", status, body)
	}
	if in := n.must("POST", n.admin+"/admin/oauth2/introspect", url.Values{"token": {tokens["access_token"].(string)}}); in["active"] != false {
		t.Errorf("introspection says %v", in)
	}
	bearer := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+tokens["access_token"].(string)) }
	if resp, _ := n.send("GET", n.public+"/userinfo", nil, bearer); resp.StatusCode != 401 {
		t.Errorf("userinfo: %d", resp.StatusCode)
	}
	if resp, body := n.send("POST", n.public+"/oauth2/revoke", url.Values{"token": {tokens["refresh_token"].(string)}}, basic(c)); resp.StatusCode != 200 {
		t.Errorf("revocation: %d %s", resp.StatusCode, body)
	}
	if resp, body := n.send("GET", n.admin+"/admin/oauth2/auth/sessions/consent?subject=ann", nil); resp.StatusCode != 200 || !strings.HasPrefix(string(body), "[{") {
		t.Errorf("consents: %d %s", resp.StatusCode, body)
	}
	at := n.browser().open(n.public + "/oauth2/auth?" + url.Values{"client_id": {c["client_id"].(string)}, "request_uri": {pushed["request_uri"].(string)}}.Encode())
	if at.Query().Get("error") != "invalid_request_uri" {
		t.Errorf("a pushed request leads to %v", at)
	}
	old, err := url.Parse(w.public)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := url.Parse(n.public)
	if err != nil {
		t.Fatal(err)
	}
	nb := n.browser()
	nb.Jar.SetCookies(fresh, b.Jar.Cookies(old))
	if answer := nb.authorize(codeRequest(c), ann()); answer.Get("code") == "" {
		t.Errorf("a browser with a cookie of that time gets %v", answer)
	}
}

// TestKeyLost: a key that is lost with its secret takes no other with it, and the list
// of keys shows which to delete. With --dev a set that is all lost is made anew.
func TestKeyLost(t *testing.T) {
	const older, newer = "the secret of the tests", "a newer secret of the tests"
	w := start(t, sealedBy(older))
	w.client(nil)
	w.must("GET", w.public+"/.well-known/jwks.json", nil)
	n := startOn(t, w.store, sealedBy(newer))
	if status, _ := n.call("GET", n.public+"/.well-known/jwks.json", nil); status != 500 {
		t.Errorf("with no key that can be read the JWKS answers %d", status)
	}
	lost := 0
	for _, k := range n.must("GET", n.admin+"/admin/keys", nil)["keys"].([]any) {
		if k := k.(map[string]any); k["lost"] == true && k["key"].(map[string]any)["kid"] != "" {
			lost++
		}
	}
	if lost != 10 {
		t.Errorf("%d keys are lost: expected 10", lost)
	}
	dev := startOn(t, w.store, sealedBy(newer), func(o *oauth.Options) { o.Dev = true })
	if keys := dev.must("GET", dev.public+"/.well-known/jwks.json", nil)["keys"].([]any); len(keys) != 10 {
		t.Errorf("with --dev there are %d keys", len(keys))
	}
	if keys := startOn(t, w.store, sealedBy(older)).must("GET", n.admin+"/admin/keys/hydra.openid.id-token", nil)["keys"].([]any); len(keys) != 4 {
		t.Errorf("beside lost ones there are %d keys", len(keys))
	}
}

// TestNoClient: none of these bodies is a client, and what they are is said without a
// word about what is inside.
func TestNoClient(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.Register.Enabled = true })
	id := w.client(nil)["client_id"].(string)
	named := func(name string) any {
		return map[string]any{"client_name": name, "redirect_uris": []string{callback}}
	}
	for _, body := range []any{nil, []int{1}, "text", 5, named("a\u202eb"), named("a\u0085b")} {
		for _, at := range []string{"POST " + w.admin + "/admin/clients", "PUT " + w.admin + "/admin/clients/" + id, "POST " + w.public + "/oauth2/register"} {
			method, address, _ := strings.Cut(at, " ")
			resp, text := w.send(method, address, &body) // of nil it makes null
			if resp.StatusCode != 400 || !strings.Contains(string(text), `"invalid_client_metadata"`) || strings.Contains(string(text), "oauth.") {
				t.Errorf("%s with %v: %d %s", at, body, resp.StatusCode, text)
			}
		}
	}
}

// TestOddSubjects: a login page learns of its mistake itself, not the client.
func TestOddSubjects(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	for subject, want := range map[string]int{"": 400, "a\x00b": 400, strings.Repeat("a", 513): 400, "\u00e4 <b>": 200} {
		at := w.browser().open(w.public + "/oauth2/auth?" + codeRequest(c).Encode())
		address := w.admin + "/admin/oauth2/auth/requests/login/accept?" + at.RawQuery
		if status, body := w.call("PUT", address, map[string]any{"subject": subject}); status != want {
			t.Errorf("the subject %.20q: %d %v: expected %d", subject, status, body, want)
		}
	}
}
