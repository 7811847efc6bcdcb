package oauth_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestCORS: a script may read an answer if its client is registered with its origin.
func TestCORS(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"allowed_cors_origins": []string{"https://spa.test"}, "token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code", "refresh_token"}})
	code := w.browser().authorize(codeRequest(c), ann()).Get("code")
	_, tokens := w.token(func() url.Values { f := codeExchange(code); f.Set("client_id", c["client_id"].(string)); return f }())
	access, _ := tokens["access_token"].(string)
	if access == "" {
		t.Fatalf("got %v", tokens)
	}
	for _, tt := range []struct {
		name, method, path, origin, auth string
		form                             url.Values
		want                             string
	}{
		{"preflight", "OPTIONS", "/oauth2/token", "https://spa.test", "", nil, "https://spa.test"},
		{"token", "POST", "/oauth2/token", "https://spa.test", "", url.Values{"client_id": {c["client_id"].(string)}}, "https://spa.test"},
		{"another origin", "POST", "/oauth2/token", "https://evil.test", "", url.Values{"client_id": {c["client_id"].(string)}}, ""},
		{"nobody", "POST", "/oauth2/token", "https://spa.test", "", url.Values{"client_id": {"nobody"}}, ""},
		{"userinfo", "GET", "/userinfo", "https://spa.test", "Bearer " + access, nil, "https://spa.test"},
		{"userinfo elsewhere", "GET", "/userinfo", "https://evil.test", "Bearer " + access, nil, ""},
		{"userinfo without a token", "GET", "/userinfo", "https://spa.test", "", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(context.Background(), tt.method, w.public+tt.path, strings.NewReader(tt.form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Origin", tt.origin)
			if tt.form != nil {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if tt.auth != "" {
				r.Header.Set("Authorization", tt.auth)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			h := resp.Header
			if got := h.Get("Access-Control-Allow-Origin"); got != tt.want || !strings.Contains(h.Get("Vary"), "Origin") || h.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("allowed for %q: expected %q", got, tt.want)
			}
		})
	}
}
