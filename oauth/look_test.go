package oauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestChangedClient: what is changed about a client counts for the next request of a
// node that knows the client from before, also where the change was made by another.
func TestChangedClient(t *testing.T) {
	w := start(t)
	other := startOn(t, w.store)
	c := w.client(nil)
	at := other.admin + "/admin/clients/" + c["client_id"].(string)
	asks := func(want int) {
		t.Helper()
		if status, body := w.token(url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}, basic(c)); status != want {
			t.Errorf("the client gets %d %v, expected %d", status, body, want)
		}
	}
	asks(200)
	change := map[string]any{"scope": "write", "grant_types": []string{"client_credentials"}}
	other.must("PUT", at, change)
	asks(400)
	change["scope"] = "read"
	other.must("PUT", at, change)
	asks(200)
	change["grant_types"] = []string{"authorization_code"}
	change["redirect_uris"] = []string{callback}
	other.must("PUT", at, change)
	asks(400)
	change["grant_types"] = []string{"client_credentials"}
	other.must("PUT", at, change)
	asks(200)
	other.must("DELETE", at, nil)
	asks(401)
	change["client_id"], change["client_secret"] = c["client_id"], "another secret of the client"
	other.must("POST", other.admin+"/admin/clients", change)
	asks(401)
	c["client_secret"] = "another secret of the client"
	asks(200)
}

// TestTrustedClient: also what decides over the answer before anything is stored counts
// at once after a change elsewhere: secrets, methods, scopes and the form of tokens.
func TestTrustedClient(t *testing.T) {
	w := start(t)
	other := startOn(t, w.store)
	for name, secret := range map[string]string{"made": "", "chosen": "a secret that somebody chose"} {
		fields := map[string]any{"grant_types": []string{"client_credentials"}, "scope": "read"}
		if secret != "" {
			fields["client_secret"] = secret
		}
		c := w.client(fields)
		at := other.admin + "/admin/clients/" + text(c, "client_id")
		ask := func(scope string, as func(*http.Request)) (int, map[string]any) {
			return w.token(url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}, as)
		}
		asks := func(want int, scope string, as func(*http.Request)) map[string]any {
			t.Helper()
			status, body := ask(scope, as)
			if status != want {
				t.Errorf("%s: the scope %q gives %d %v, expected %d", name, scope, status, body, want)
			}
			return body
		}
		patch := func(field string, value any) {
			other.must("PATCH", at, []map[string]any{{"op": "add", "path": "/" + field, "value": value}})
		}
		wrong := map[string]any{"client_id": c["client_id"], "client_secret": "wrong"}
		for range 3 {
			asks(200, "read", basic(c))
			asks(401, "read", basic(wrong))
		}
		patch("scope", "read write")
		asks(200, "write", basic(c))
		patch("access_token_strategy", "jwt")
		if token := text(asks(200, "read", basic(c)), "access_token"); !strings.HasPrefix(token, "ey") {
			t.Errorf("%s: the token is %s", name, token)
		}
		old := map[string]any{"client_id": c["client_id"], "client_secret": c["client_secret"]}
		c["client_secret"] = other.must("POST", at+"/secrets/rotate", nil)["client_secret"]
		asks(200, "read", basic(old))
		asks(200, "read", basic(c))
		other.must("DELETE", at+"/secrets/rotate", nil)
		asks(401, "read", basic(old))
		asks(200, "read", basic(c))
		patch("token_endpoint_auth_method", "client_secret_post")
		asks(401, "read", basic(c))
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {text(c, "client_id")}, "client_secret": {text(c, "client_secret")}}
		for range 2 {
			if status, body := w.token(form); status != 200 {
				t.Errorf("%s: by the form: %d %v", name, status, body)
			}
		}
		other.must("DELETE", at, nil)
		if status, body := w.token(form); status != 401 {
			t.Errorf("%s: of a client that is gone: %d %v", name, status, body)
		}
	}
}
