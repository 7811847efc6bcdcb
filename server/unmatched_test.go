package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestUnmatched: what is not there, or not for a method, is told at every door in the form
// of the API that is asked.
func TestUnmatched(t *testing.T) {
	n := start(t, withIdentity)
	oauthForm := func(status int, body map[string]any) bool {
		return body["error"] == map[int]string{404: "not_found", 405: "method_not_allowed"}[status] && body["error_description"] != nil
	}
	oryForm := func(status int, body map[string]any) bool {
		e, _ := body["error"].(map[string]any)
		return e["code"] == float64(status) && e["message"] != nil && e["status"] == http.StatusText(status)
	}
	googleForm := func(status int, body map[string]any) bool {
		e, _ := body["error"].(map[string]any)
		return e["code"] == float64(status) && e["status"] == map[int]string{404: "NOT_FOUND", 405: "UNIMPLEMENTED"}[status]
	}
	for _, tt := range []struct {
		method, address, path string
		form                  func(int, map[string]any) bool
		allow                 string // "": nothing is there
	}{
		{"GET", n.public, "/oauth2/nothing", oauthForm, ""},
		{"GET", n.public, "/nothing", oauthForm, ""},
		{"POST", n.public, "/", oauthForm, "GET, HEAD"},
		{"GET", n.public, "/oauth2/token", oauthForm, "POST, OPTIONS"},
		{"PUT", n.public, "/oauth2/auth", oauthForm, "GET, HEAD, POST"},
		{"DELETE", n.public, "/.well-known/openid-configuration", oauthForm, "GET, HEAD, OPTIONS"},
		{"PATCH", n.public, "/oauth2/register/x", oauthForm, "GET, HEAD, PUT, DELETE, OPTIONS"},
		{"DELETE", n.public, "/self-service/login/api", oryForm, "GET, HEAD"},
		{"GET", n.public, "/self-service/nothing", oryForm, ""},
		{"POST", n.public, "/health/ready", oryForm, "GET, HEAD"},
		{"GET", n.write, "/admin/oauth2/nothing", oauthForm, ""},
		{"POST", n.write, "/admin/clients/x", oauthForm, "GET, HEAD, PUT, PATCH, DELETE"},
		{"DELETE", n.write, "/admin/identities", oryForm, "GET, HEAD, POST, PATCH"},
		{"GET", n.write, "/admin/nothing", oryForm, ""},
		{"GET", n.write, "/v1/nothing", googleForm, ""},
		{"DELETE", n.read, "/v1/check", googleForm, "POST"},
		{"GET", n.read, "/nothing", oryForm, ""},
		{"GET", n.metrics, "/nothing", oryForm, ""},
		{"POST", n.metrics, "/metrics", oryForm, "GET, HEAD"},
		{"GET", n.opl, "/nothing", oryForm, ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+tt.address+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var body map[string]any
		err = json.NewDecoder(resp.Body).Decode(&body)
		resp.Body.Close()
		want := http.StatusNotFound
		if tt.allow != "" {
			want = http.StatusMethodNotAllowed
		}
		if err != nil || resp.StatusCode != want || resp.Header.Get("Allow") != tt.allow || !tt.form(want, body) ||
			!strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
			t.Errorf("%s %s: %d %v, Allow %q, %v", tt.method, tt.path, resp.StatusCode, body, resp.Header.Get("Allow"), err)
		}
	}
	n.visitor(t, true).get("/nothing", "Accept", "text/html").is(404).shows("<title>Something went wrong", "There is nothing at")
}
