package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// push pushes a request and returns what goes to the authorization endpoint.
func (w *world) push(c map[string]any, request url.Values, edit ...func(*http.Request)) url.Values {
	w.t.Helper()
	status, body := w.call("POST", w.public+"/oauth2/par", request, edit...)
	uri, _ := body["request_uri"].(string)
	if status != 201 || !strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") || body["expires_in"] != 60.0 {
		w.t.Fatalf("the push gives %d %v", status, body)
	}
	return url.Values{"client_id": {c["client_id"].(string)}, "request_uri": {uri}}
}

// TestPushed: what was pushed counts, the query does not, and it is used once.
func TestPushed(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"require_pushed_authorization_requests": true})
	pushed := w.push(c, codeRequest(c), basic(c))
	pushed.Set("scope", "read")
	pushed.Set("state", "another")
	answer := w.browser().authorize(pushed, ann())
	if answer.Get("code") == "" || answer.Get("state") != "st" {
		t.Fatalf("got %v", answer)
	}
	status, body := w.token(codeExchange(answer.Get("code")), basic(c))
	if status != 200 || body["scope"] != "openid offline_access" {
		t.Errorf("got %d %v", status, body)
	}
	if at := w.browser().open(w.public + "/oauth2/auth?" + pushed.Encode()); at.Query().Get("error") != "invalid_request_uri" || at.Host != "app.test" {
		t.Errorf("a second use ends at %v", at)
	}
	if at := w.browser().open(w.public + "/oauth2/auth?" + codeRequest(c).Encode()); at.Query().Get("error") != "invalid_request" || at.Host != "client.test" {
		t.Errorf("a request that was not pushed ends at %v", at)
	}
}

func TestPushedRefused(t *testing.T) {
	w := start(t)
	c, other, public := w.client(nil), w.client(nil), w.client(map[string]any{"token_endpoint_auth_method": "none"})
	for _, tt := range []struct {
		name    string
		request url.Values
		client  map[string]any
		status  int
		want    string
	}{
		{"no client", codeRequest(c), nil, 401, "invalid_client"},
		{"wrong secret", codeRequest(c), with(c, "client_secret", "x"), 401, "invalid_client"},
		{"another client", codeRequest(c), other, 400, "invalid_request"},
		{"nested", codeRequest(c, "request_uri", "urn:ietf:params:oauth:request_uri:x"), c, 400, "invalid_request"},
		{"foreign redirect", codeRequest(c, "redirect_uri", "https://evil.test/"), c, 400, "invalid_request"},
		{"foreign scope", codeRequest(c, "scope", "admin"), c, 400, "invalid_scope"},
		{"no challenge", codeRequest(c, "code_challenge", ""), c, 400, "invalid_request"},
		{"too long", codeRequest(c, "nonce", strings.Repeat("n", 32<<10)), c, 400, "invalid_request"},
		{"response type", codeRequest(c, "response_type", "magic"), c, 400, "unsupported_response_type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			edit := func(*http.Request) {}
			if tt.client != nil {
				edit = basic(tt.client)
			}
			if status, body := w.call("POST", w.public+"/oauth2/par", tt.request, edit); status != tt.status || body["error"] != tt.want {
				t.Errorf("got %d %v: expected %d %s", status, body, tt.status, tt.want)
			}
		})
	}
	pushed := w.push(public, codeRequest(public))
	for name, q := range map[string]url.Values{
		"of another client": {"client_id": {c["client_id"].(string)}, "request_uri": pushed["request_uri"]},
		"unknown":           {"client_id": {c["client_id"].(string)}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}},
		"of nobody":         {"request_uri": pushed["request_uri"]},
	} {
		if at := w.browser().open(w.public + "/oauth2/auth?" + q.Encode()); at.Query().Get("error") == "" || at.Host != "app.test" {
			t.Errorf("%s: ends at %v", name, at)
		}
	}
	w.pass(time.Minute)
	if at := w.browser().open(w.public + "/oauth2/auth?" + pushed.Encode()); at.Query().Get("error") != "invalid_request_uri" {
		t.Errorf("an old one ends at %v", at)
	}
}
