package oauth_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/oauth"
)

// person is what the consent page knows of ann.
var person = map[string]any{
	"name": "Ann", "email": "ann@example.test", "email_verified": true, "phone_number": "1", "address": map[string]any{"country": "AT"},
	"groups": []any{"admins"}, "sub": "mallory", "iss": "mallory", "name#de": "Anna",
}

// annTells is an app where ann allows everything, and claims are given.
func annTells() app {
	a := ann()
	a.consent = map[string]any{"session": map[string]any{"id_token": person}}
	return a
}

// exchange is what a code gives.
func (w *world) exchange(c map[string]any, code string) map[string]any {
	w.t.Helper()
	status, body := w.token(codeExchange(code), basic(c))
	if status != 200 {
		w.t.Fatalf("the code gives %d %v", status, body)
	}
	return body
}

func bearer(token any) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token.(string)) }
}

const allScopes = "openid offline_access profile email phone address read write"

// TestUserinfoClaims: what belongs to a scope needs the scope, or to be asked for.
func TestUserinfoClaims(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"scope": allScopes})
	for _, tt := range []struct{ name, scope, claims, want string }{
		{"openid", "openid", "", "groups sub"},
		{"profile", "openid profile", "", "groups name name#de sub"},
		{"email and phone", "openid email phone", "", "email email_verified groups phone_number sub"},
		{"address", "openid address", "", "address groups sub"},
		{"asked for", "openid", `{"userinfo":{"email":null,"acr":null,"amr":{"essential":true},"auth_time":null,"nothing":null}}`, "acr amr auth_time email groups sub"},
		{"asked for elsewhere", "openid", `{"id_token":{"email":null,"acr":null}}`, "groups sub"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := w.tokens(c, annTells(), "scope", tt.scope, "claims", tt.claims)["access_token"]
			for _, ask := range []func() map[string]any{
				func() map[string]any { return w.must("GET", w.public+"/userinfo", nil, bearer(token)) },
				func() map[string]any {
					return w.must("POST", w.public+"/userinfo", url.Values{"access_token": {token.(string)}})
				},
			} {
				got := ask()
				if names := strings.Join(sorted(got), " "); names != tt.want {
					t.Errorf("got %s: expected %s", names, tt.want)
				}
				if got["sub"] != "ann" {
					t.Errorf("got sub %v: expected ann", got["sub"])
				}
			}
		})
	}
}

// TestClaimsNeedTheScopes: a name in the claims parameter is no way around the scopes
// that a client is registered with, and a consent that is remembered covers the names
// that it was given for.
func TestClaimsNeedTheScopes(t *testing.T) {
	w := start(t)
	poor, rich := w.client(map[string]any{"scope": "openid"}), w.client(map[string]any{"scope": "openid email"})
	byName := []string{"scope", "openid", "claims", `{"userinfo":{"email":null}}`}
	for _, tt := range []struct {
		client map[string]any
		want   any
	}{{poor, nil}, {rich, "ann@example.test"}} {
		token := w.tokens(tt.client, annTells(), byName...)["access_token"]
		if got := w.must("GET", w.public+"/userinfo", nil, bearer(token))["email"]; got != tt.want {
			t.Errorf("%v has email %v: expected %v", tt.client["scope"], got, tt.want)
		}
	}
	b := w.browser()
	b.logIn(rich, "scope", "openid")
	silent := append(byName, "prompt", "none")
	if got := b.trace(codeRequest(rich, silent...), ann()); got != "login+ consent_required" {
		t.Errorf("after a consent without the name: %s", got)
	}
	b.logIn(rich, byName...)
	if got := b.trace(codeRequest(rich, silent...), ann()); got != "login+ consent+ code" {
		t.Errorf("after a consent with the name: %s", got)
	}
}

// TestUserinfoRefused: each error has its challenge.
func TestUserinfoRefused(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"scope": allScopes})
	good := w.tokens(c, ann())["access_token"].(string)
	refresh := w.tokens(c, ann())["refresh_token"]
	poor := w.tokens(c, ann(), "scope", "read")["access_token"]
	_, own := w.token(url.Values{"grant_type": {"client_credentials"}, "scope": {"openid"}}, basic(c))
	weak := w.tokens(c, ann(), "claims", `{"userinfo":{"acr":{"essential":true,"values":["2","3"]}}}`)["access_token"]
	form := url.Values{"access_token": {good}}
	for _, tt := range []struct {
		name, method, at string
		form             url.Values
		edit             func(*http.Request)
		status           int
		challenge        string // how it goes on behind the realm
	}{
		{"no token", "GET", "", nil, nil, 401, ``},
		{"another scheme", "GET", "", nil, func(r *http.Request) { r.SetBasicAuth("a", "b") }, 401, ``},
		{"unknown", "GET", "", nil, bearer("ory_at_x"), 401, `, error="invalid_token", error_description="The access token is not known, has expired, or was revoked."`},
		{"refresh token", "GET", "", nil, bearer(refresh), 401, `, error="invalid_token"`},
		{"ID token", "GET", "", nil, bearer(w.tokens(c, ann())["id_token"]), 401, `, error="invalid_token"`},
		{"in the query", "GET", "?access_token=" + good, nil, nil, 400, `, error="invalid_request"`},
		{"in the form of a GET", "GET", "", form, nil, 401, ``},
		{"twice", "POST", "", form, bearer(good), 400, `, error="invalid_request"`},
		{"without openid", "GET", "", nil, bearer(poor), 403, `, error="insufficient_scope", error_description="The access token was not granted the scope openid by a person.", scope="openid"`},
		{"of nobody", "GET", "", nil, bearer(own["access_token"]), 403, `, error="insufficient_scope"`},
		{"weak login", "GET", "", nil, bearer(weak), 401, `, error="insufficient_user_authentication", error_description="The person must log in by stronger means.", acr_values="2 3"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			edit := tt.edit
			if edit == nil {
				edit = func(*http.Request) {}
			}
			status, h, body := w.raw(tt.method, w.public+"/userinfo"+tt.at, tt.form, edit)
			rest, ok := strings.CutPrefix(h.Get("WWW-Authenticate"), `Bearer realm="`+w.public+`"`)
			if status != tt.status || !ok || !strings.HasPrefix(rest, tt.challenge) || tt.challenge == "" && rest != "" {
				t.Errorf("got %d %q %s", status, h.Get("WWW-Authenticate"), body)
			}
		})
	}
	w.pass(time.Hour)
	if status, _ := w.call("GET", w.public+"/userinfo", nil, bearer(good)); status != 401 {
		t.Errorf("an expired token: %d", status)
	}
}

// TestUserinfoSigned: a client gets a JWT if it is registered so, by any algorithm.
func TestUserinfoSigned(t *testing.T) {
	w := start(t)
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		c := w.client(map[string]any{"userinfo_signed_response_alg": alg, "id_token_signed_response_alg": alg})
		tokens := w.tokens(c, annTells())
		_, h, body := w.raw("GET", w.public+"/userinfo", nil, bearer(tokens["access_token"]))
		if h.Get("Content-Type") != "application/jwt" {
			t.Fatalf("%s: got %s %s", alg, h.Get("Content-Type"), body)
		}
		claims := w.claims(alg, body)
		if claims["iss"] != w.public || claims["aud"] != c["client_id"] || claims["sub"] != "ann" {
			t.Errorf("%s: got %v", alg, claims)
		}
	}
}

// TestUserinfoPairwise: sub is as the client knows it, in both places.
func TestUserinfoPairwise(t *testing.T) {
	w := start(t, func(o *oauth.Options) {
		o.Subjects = oauth.Subjects{Types: []string{"public", "pairwise"}, Salt: "salt"}
	})
	c := w.client(map[string]any{"subject_type": "pairwise"})
	tokens := w.tokens(c, ann())
	sub := w.claims("RS256", tokens["id_token"].(string))["sub"]
	if got := w.must("GET", w.public+"/userinfo", nil, bearer(tokens["access_token"]))["sub"]; got != sub || sub == "ann" {
		t.Errorf("userinfo has sub %v, the ID token %v", got, sub)
	}
}

// TestForcedSubject: what the login page forces for one client holds there on, and only
// there.
func TestForcedSubject(t *testing.T) {
	w := start(t)
	c, other := w.client(nil), w.client(nil)
	b := w.browser()
	a := ann()
	a.login["remember"], a.login["force_subject_identifier"] = true, "forced"
	subject := func(c map[string]any, a app) any {
		code := b.authorize(codeRequest(c), a).Get("code")
		return w.claims("RS256", w.exchange(c, code)["id_token"].(string))["sub"]
	}
	for i, got := range []any{subject(c, a), subject(c, ann()), subject(other, ann())} {
		if want := []any{"forced", "forced", "ann"}[i]; got != want {
			t.Errorf("login %d: sub %v: expected %v", i, got, want)
		}
	}
}

func sorted(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
