package oauth_test

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// TestResource: resources are asked for with the request, and narrowed with each token.
func TestResource(t *testing.T) {
	w := start(t)
	k := key(t, jose.ES256, "k")
	c := w.client(map[string]any{"jwks": publicSet(k), "audience": []string{"https://api.test", "https://mail.test/v1", "robots"}})
	both := []string{"https://api.test", "https://mail.test/v1/inbox"}
	plain := codeRequest(c)
	plain["resource"] = both
	for name, request := range map[string]func() url.Values{
		"query":  func() url.Values { return plain },
		"pushed": func() url.Values { return w.push(c, plain, basic(c)) },
		"signed": func() url.Values {
			return inObject(c, signed(t, jose.ES256, k, "", with(w.object(c), "resource", both, "jti", rand.Text())))
		},
	} {
		t.Run(name, func(t *testing.T) {
			code := w.browser().authorize(request(), ann()).Get("code")
			form := codeExchange(code)
			form["resource"] = []string{"https://other.test"}
			if status, body := w.token(form, basic(c)); status != 400 || body["error"] != "invalid_target" {
				t.Errorf("another resource: %d %v", status, body)
			}
			form["resource"] = both[:1]
			status, body := w.token(form, basic(c))
			if status != 200 {
				t.Fatalf("got %d %v", status, body)
			}
			if got := fmt.Sprint(w.introspect(body["access_token"].(string), nil)["aud"]); got != "[https://api.test]" {
				t.Errorf("a narrow token is for %s", got)
			}
			refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {body["refresh_token"].(string)}}
			status, body = w.token(refresh, basic(c))
			if status != 200 {
				t.Fatalf("got %d %v", status, body)
			}
			if got := fmt.Sprint(w.introspect(body["access_token"].(string), nil)["aud"]); got != fmt.Sprint(both) {
				t.Errorf("the refresh token gives one for %s", got)
			}
			refresh = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {body["refresh_token"].(string)}, "resource": {"https://mail.test/v1/inbox/new"}}
			status, body = w.token(refresh, basic(c))
			if status != 200 {
				t.Fatalf("got %d %v", status, body)
			}
			if got := fmt.Sprint(w.introspect(body["access_token"].(string), nil)["aud"]); got != "[https://mail.test/v1/inbox/new]" {
				t.Errorf("a narrow refresh gives one for %s", got)
			}
		})
	}
}

func TestResourceRefused(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"audience": []string{"https://api.test", "robots"}})
	for _, tt := range []struct{ resource, want string }{
		{"https://api.test/v1", ""},
		{"robots", "invalid_target"}, // an audience, but no URI
		{"https://other.test", "invalid_target"},
		{"https://api.test.evil.test", "invalid_target"},
		{"http://api.test", "invalid_target"},
		{"https://api.test/#x", "invalid_target"},
		{"/v1", "invalid_target"},
		{"", "invalid_target"},
		{"https://api.test/" + strings.Repeat("x", 3000), "invalid_target"},
	} {
		request := codeRequest(c)
		request["resource"] = []string{tt.resource}
		at := w.browser().open(w.public + "/oauth2/auth?" + request.Encode())
		if at.Query().Get("error") != tt.want || tt.want != "" && at.Host != "client.test" {
			t.Errorf("%.50q ends at %v", tt.resource, at)
		}
		status, body := w.token(url.Values{"grant_type": {"client_credentials"}, "resource": {tt.resource}}, basic(c))
		if got, _ := body["error"].(string); got != tt.want {
			t.Errorf("%.50q with client credentials: %d %v", tt.resource, status, body)
		}
	}
	many := codeRequest(c)
	for i := range 51 {
		many.Add("resource", fmt.Sprintf("https://api.test/%d", i))
	}
	if at := w.browser().open(w.public + "/oauth2/auth?" + many.Encode()); at.Query().Get("error") != "invalid_target" {
		t.Errorf("51 resources end at %v", at)
	}
	status, body := w.token(url.Values{"grant_type": {"client_credentials"}, "resource": {"https://api.test/v1"}, "audience": {"robots"}}, basic(c))
	if status != 200 {
		t.Fatalf("got %d %v", status, body)
	}
	if got := fmt.Sprint(w.introspect(body["access_token"].(string), nil)["aud"]); got != "[robots https://api.test/v1]" {
		t.Errorf("a token is for %s", got)
	}
}

// TestConsentedResource: the person decides, and a resource that was not allowed cannot
// be asked for later.
func TestConsentedResource(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"audience": []string{"https://api.test", "https://mail.test"}})
	request := codeRequest(c)
	request["resource"] = []string{"https://api.test", "https://mail.test"}
	a := ann()
	a.consent["grant_access_token_audience"] = []string{"https://api.test"}
	form := codeExchange(w.browser().authorize(request, a).Get("code"))
	form["resource"] = []string{"https://mail.test"}
	if status, body := w.token(form, basic(c)); status != 400 || body["error"] != "invalid_target" {
		t.Errorf("got %d %v", status, body)
	}
	delete(form, "resource")
	if status, body := w.token(form, basic(c)); status != 200 {
		t.Errorf("got %d %v", status, body)
	}
}
