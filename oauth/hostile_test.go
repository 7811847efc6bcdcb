package oauth_test

import (
	"net/url"
	"testing"
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
