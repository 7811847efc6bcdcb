package oauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/oauth"
)

// tokens takes ann through a code flow.
func (w *world) tokens(c map[string]any, a app, more ...string) map[string]any {
	w.t.Helper()
	code := w.browser().authorize(codeRequest(c, more...), a).Get("code")
	status, body := w.token(codeExchange(code), basic(c))
	if status != 200 {
		w.t.Fatalf("the code gives %d %v", status, body)
	}
	return body
}

// introspect asks as an operator, or as a client if there is one.
func (w *world) introspect(token string, as map[string]any, more ...string) map[string]any {
	w.t.Helper()
	form := url.Values{"token": {token}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	if as == nil {
		return w.must("POST", w.admin+"/admin/oauth2/introspect", form)
	}
	return w.must("POST", w.public+"/oauth2/introspect", form, basic(as))
}

func text(body map[string]any, name string) string {
	s, _ := body[name].(string)
	return s
}

func TestIntrospect(t *testing.T) {
	for _, strategy := range []string{"opaque", "jwt"} {
		t.Run(strategy, func(t *testing.T) {
			w := start(t)
			api := w.client(nil)
			c := w.client(map[string]any{"audience": []any{api["client_id"]}, "access_token_strategy": strategy})
			a := ann()
			a.consent["session"] = map[string]any{"access_token": map[string]any{"tier": "gold"}}
			body := w.tokens(c, a, "audience", text(api, "client_id"), "scope", "openid offline_access read")
			at := w.now.Unix()
			want := map[string]any{
				"active": true, "scope": "openid offline_access read", "client_id": c["client_id"], "sub": "ann",
				"iat": float64(at), "nbf": float64(at), "exp": float64(at + 3600), "aud": []any{api["client_id"]}, "iss": w.public,
				"token_type": "Bearer", "token_use": "access_token", "ext": map[string]any{"tier": "gold"},
				"acr": "1", "amr": []any{"pwd"}, "auth_time": float64(at),
			}
			for name, as := range map[string]map[string]any{"operator": nil, "client": c, "audience": api} {
				got := w.introspect(text(body, "access_token"), as)
				if text(got, "sid") == "" {
					t.Errorf("%s: no sid", name)
				}
				delete(got, "sid")
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s gets %v\nwant %v", name, got, want)
				}
			}
			if got := w.introspect(text(body, "refresh_token"), nil, "token_type_hint", "access_token"); got["active"] != true || got["token_use"] != "refresh_token" || got["token_type"] != nil {
				t.Errorf("the refresh token: %v", got)
			}
			if got := w.introspect(text(body, "access_token"), nil, "scope", "read openid"); got["active"] != true {
				t.Errorf("with scopes that it has: %v", got)
			}
		})
	}
}

// TestIntrospectInactive: nothing is said of a token but that it is not active.
func TestIntrospectInactive(t *testing.T) {
	w := start(t)
	api, other := w.client(nil), w.client(nil)
	c := w.client(map[string]any{"audience": []any{api["client_id"]}})
	jwt := w.client(map[string]any{"access_token_strategy": "jwt"})
	body := w.tokens(c, ann(), "audience", text(api, "client_id"))
	signed := text(w.tokens(jwt, ann()), "access_token")
	forged := strings.Split(signed, ".")
	forged[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"eve"}`))
	revoked := w.tokens(c, ann())
	w.must("POST", w.public+"/oauth2/revoke", url.Values{"token": {text(revoked, "refresh_token")}}, basic(c))
	for _, tt := range []struct {
		name, token string
		as          map[string]any
		more        []string
	}{
		{"unknown", "ory_at_x", nil, nil},
		{"no token of ours", "x.y.z", nil, nil},
		{"forged", strings.Join(forged, "."), nil, nil},
		{"ID token", text(body, "id_token"), nil, nil},
		{"other scope", text(body, "access_token"), nil, []string{"scope", "openid write"}},
		{"another client", text(body, "access_token"), other, nil},
		{"another's refresh token", text(body, "refresh_token"), api, nil},
		{"revoked", text(revoked, "access_token"), nil, nil},
		{"revoked refresh", text(revoked, "refresh_token"), c, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := w.introspect(tt.token, tt.as, tt.more...); !reflect.DeepEqual(got, map[string]any{"active": false}) {
				t.Errorf("got %v", got)
			}
		})
	}
	w.pass(time.Hour)
	for _, token := range []string{text(body, "access_token"), signed} {
		if got := w.introspect(token, nil); got["active"] != false {
			t.Errorf("an expired token: %v", got)
		}
	}
}

func TestIntrospectRefused(t *testing.T) {
	w := start(t)
	c, public := w.client(nil), w.client(map[string]any{"token_endpoint_auth_method": "none"})
	for _, tt := range []struct {
		name, address string
		form          url.Values
		edit          []func(*http.Request)
		status        int
		want          string
	}{
		{"no token", w.public + "/oauth2/introspect", url.Values{"x": {"y"}}, []func(*http.Request){basic(c)}, 400, "invalid_request"},
		{"no token, operator", w.admin + "/admin/oauth2/introspect", url.Values{}, nil, 400, "invalid_request"},
		{"two tokens", w.public + "/oauth2/introspect", url.Values{"token": {"a", "b"}}, []func(*http.Request){basic(c)}, 400, "invalid_request"},
		{"huge token", w.public + "/oauth2/introspect", url.Values{"token": {strings.Repeat("a", 40<<10)}}, []func(*http.Request){basic(c)}, 400, "invalid_request"},
		{"no client", w.public + "/oauth2/introspect", url.Values{"token": {"a"}}, nil, 401, "invalid_client"},
		{"public client", w.public + "/oauth2/introspect", url.Values{"token": {"a"}, "client_id": {text(public, "client_id")}}, nil, 401, "invalid_client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, body := w.call("POST", tt.address, tt.form, tt.edit...); status != tt.status || body["error"] != tt.want {
				t.Errorf("got %d %v", status, body)
			}
		})
	}
}

// TestIntrospectSubjects: a client learns of a person what it knows already.
func TestIntrospectSubjects(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.Subjects.Types, o.Subjects.Salt = []string{"public", "pairwise"}, "salt" })
	c := w.client(map[string]any{"subject_type": "pairwise"})
	token := text(w.tokens(c, ann()), "access_token")
	mine, theirs := w.introspect(token, c), w.introspect(token, nil)
	if mine["sub"] == "ann" || mine["obfuscated_subject"] != nil {
		t.Errorf("the client gets %v", mine)
	}
	if theirs["sub"] != "ann" || theirs["obfuscated_subject"] != mine["sub"] {
		t.Errorf("the operator gets %v", theirs)
	}
}

// TestIntrospectJWT reads the answer of RFC 9701.
func TestIntrospectJWT(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"introspection_signed_response_alg": "ES256"})
	token := text(w.tokens(c, ann()), "access_token")
	for _, tt := range []struct {
		token  string
		active bool
	}{{token, true}, {"ory_at_x", false}} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", w.public+"/oauth2/introspect", strings.NewReader(url.Values{"token": {tt.token}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "application/json;q=0.5, application/token-introspection+jwt")
		basic(c)(r)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.Header.Get("Content-Type") != "application/token-introspection+jwt" {
			t.Fatalf("got %v %q %v", resp.Header, body, err)
		}
		header, claims := w.verify(string(body))
		in, _ := claims["token_introspection"].(map[string]any)
		if header["typ"] != "token-introspection+jwt" || header["alg"] != "ES256" || claims["aud"] != c["client_id"] || claims["iss"] != w.public || in["active"] != tt.active {
			t.Errorf("got %v %v", header, claims)
		}
		if !tt.active && len(in) != 1 {
			t.Errorf("of an inactive token: %v", in)
		}
	}
}

// verify checks a JWT with the published keys, and returns its header and claims.
func (w *world) verify(token string) (header, claims map[string]any) {
	w.t.Helper()
	set := jose.JSONWebKeySet{}
	resp, err := http.Get(w.public + "/.well-known/jwks.json")
	if err == nil {
		defer resp.Body.Close()
		err = json.NewDecoder(resp.Body).Decode(&set)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA})
	if err != nil {
		w.t.Fatalf("%q: %v", token, err)
	}
	payload, err := signed.Verify(set)
	if err != nil {
		w.t.Fatalf("%q: %v", token, err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	if err == nil {
		err = json.Unmarshal(raw, &header)
	}
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return header, claims
}

// A counter counts what is asked of a store.
type counter struct {
	oauth.Store
	calls atomic.Int64
}

func (c *counter) Token(ctx context.Context, kind oauth.Kind, hash oauth.Hash) (oauth.Token, error) {
	c.calls.Add(1)
	return c.Store.Token(ctx, kind, hash)
}

func (c *counter) Client(ctx context.Context, id string) (oauth.ClientRow, error) {
	c.calls.Add(1)
	return c.Store.Client(ctx, id)
}

func (c *counter) Grant(ctx context.Context, id string) (oauth.Grant, error) {
	c.calls.Add(1)
	return c.Store.Grant(ctx, id)
}

func (c *counter) Look(ctx context.Context, l oauth.Look) (oauth.Seen, error) {
	c.calls.Add(1)
	return c.Store.Look(ctx, l)
}

// TestIntrospectTrips: an operator's question is one round trip.
func TestIntrospectTrips(t *testing.T) {
	count := &counter{Store: start(t).store}
	w := startOn(t, count)
	c := w.client(nil)
	body := w.tokens(c, ann())
	for _, token := range []string{text(body, "access_token"), text(body, "refresh_token"), "ory_at_x"} {
		count.calls.Store(0)
		w.introspect(token, nil)
		if n := count.calls.Load(); n != 1 {
			t.Errorf("%d round trips", n)
		}
	}
}

// TestIntrospectKeyGone: a JWT dies with the key that signed it.
func TestIntrospectKeyGone(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"access_token_strategy": "jwt"})
	token := text(w.tokens(c, ann()), "access_token")
	header, _ := w.verify(token)
	w.must("DELETE", w.admin+"/admin/keys/hydra.jwt.access-token/"+text(header, "kid"), nil)
	w.pass(time.Minute)
	for name, as := range map[string]map[string]any{"operator": nil, "client": c} {
		if got := w.introspect(token, as); got["active"] != false {
			t.Errorf("%s gets %v", name, got)
		}
	}
}
