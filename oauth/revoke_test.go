package oauth_test

import (
	"net/http"
	"net/url"
	"testing"
)

// TestRevoke: whichever token of a consent a client revokes, all of them end.
func TestRevoke(t *testing.T) {
	for _, strategy := range []string{"opaque", "jwt"} {
		for _, name := range []string{"access_token", "refresh_token"} {
			t.Run(strategy+" "+name, func(t *testing.T) {
				w := start(t)
				c, other := w.client(map[string]any{"access_token_strategy": strategy}), w.client(nil)
				body, rest := w.tokens(c, ann()), w.tokens(c, ann())
				revoke := func(token string, as map[string]any) {
					t.Helper()
					if status, body := w.call("POST", w.public+"/oauth2/revoke", url.Values{"token": {token}}, basic(as)); status != 200 || len(body) > 0 {
						t.Errorf("got %d %v", status, body)
					}
				}
				revoke(text(body, name), other)
				if w.introspect(text(body, name), nil)["active"] != true {
					t.Fatal("another client revoked it")
				}
				revoke(text(body, name), c)
				revoke(text(body, name), c)
				revoke("unknown", c)
				for _, dead := range []string{"access_token", "refresh_token"} {
					if w.introspect(text(body, dead), nil)["active"] != false {
						t.Errorf("the %s lives on", dead)
					}
					if w.introspect(text(rest, dead), nil)["active"] != true {
						t.Errorf("the %s of another consent is dead", dead)
					}
				}
				form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(body, "refresh_token")}}
				if status, body := w.token(form, basic(c)); status != 400 || body["error"] != "invalid_grant" {
					t.Errorf("a refresh: %d %v", status, body)
				}
			})
		}
	}
}

// TestRevokeOwn: a token that a client has for itself ends alone.
func TestRevokeOwn(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	get := func() string {
		_, body := w.token(url.Values{"grant_type": {"client_credentials"}}, basic(c))
		return text(body, "access_token")
	}
	first, second := get(), get()
	w.must("POST", w.public+"/oauth2/revoke", url.Values{"token": {first}}, basic(c))
	if w.introspect(first, nil)["active"] != false || w.introspect(second, nil)["active"] != true {
		t.Error("the wrong token is dead")
	}
}

func TestRevokeRefused(t *testing.T) {
	w := start(t)
	c, public := w.client(nil), w.client(map[string]any{"token_endpoint_auth_method": "none"})
	id := text(public, "client_id")
	for _, tt := range []struct {
		name   string
		form   url.Values
		edit   []func(*http.Request)
		status int
		want   any
	}{
		{"no token", url.Values{"x": {"y"}}, []func(*http.Request){basic(c)}, 400, "invalid_request"},
		{"no client", url.Values{"token": {"a"}}, nil, 401, "invalid_client"},
		{"confidential without secret", url.Values{"token": {"a"}, "client_id": {text(c, "client_id")}}, nil, 401, "invalid_client"},
		{"public client", url.Values{"token": {"a"}, "client_id": {id}}, nil, 200, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, body := w.call("POST", w.public+"/oauth2/revoke", tt.form, tt.edit...); status != tt.status || body["error"] != tt.want {
				t.Errorf("got %d %v", status, body)
			}
		})
	}
}

func TestDeleteTokens(t *testing.T) {
	w := start(t)
	c, other := w.client(nil), w.client(nil)
	mine, theirs := w.tokens(c, ann()), w.tokens(other, ann())
	w.must("DELETE", w.admin+"/admin/oauth2/tokens?client_id="+text(c, "client_id"), nil)
	for _, tt := range []struct {
		body map[string]any
		name string
		want bool
	}{
		{mine, "access_token", false}, {mine, "refresh_token", true}, {theirs, "access_token", true},
	} {
		if got := w.introspect(text(tt.body, tt.name), nil)["active"]; got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if status, _ := w.call("DELETE", w.admin+"/admin/oauth2/tokens", nil); status != 400 {
		t.Errorf("without a client: %d", status)
	}
}
