package oauth_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// object are the claims of a good request object.
func (w *world) object(c map[string]any, more ...string) map[string]any {
	claims := map[string]any{
		"iss": c["client_id"], "aud": w.public, "jti": rand.Text(), "nbf": w.clock().Unix(), "exp": w.clock().Add(time.Minute).Unix(), "max_age": 600,
	}
	for name, values := range codeRequest(c, more...) {
		claims[name] = values[0]
	}
	return claims
}

// inObject is a request whose parameters are in an object.
func inObject(c map[string]any, object string) url.Values {
	return url.Values{"client_id": {c["client_id"].(string)}, "request": {object}, "redirect_uri": {callback}}
}

// TestRequestObject by value, by reference, and pushed: what is inside counts, and
// nothing else.
func TestRequestObject(t *testing.T) {
	w := start(t)
	k := key(t, jose.ES256, "k")
	var served string
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(served + "\n")) }))
	t.Cleanup(server.Close)
	c := w.client(map[string]any{"jwks": publicSet(k), "require_signed_request_object": true, "request_uris": []string{server.URL + "/object"}})
	object := func() string { return signed(t, jose.ES256, k, "oauth-authz-req+jwt", w.object(c)) }
	for name, request := range map[string]func() url.Values{
		"value": func() url.Values { return inObject(c, object()) },
		"reference": func() url.Values {
			served = object()
			return url.Values{"client_id": {c["client_id"].(string)}, "request_uri": {server.URL + "/object"}}
		},
		"pushed": func() url.Values {
			form := inObject(c, object())
			form.Set("scope", "read")
			return w.push(c, form, basic(c))
		},
	} {
		q := request()
		q.Set("scope", "read")
		q.Set("state", "outside")
		answer := w.browser().authorize(q, ann())
		status, body := w.token(codeExchange(answer.Get("code")), basic(c))
		if answer.Get("state") != "st" || status != 200 || body["scope"] != "openid offline_access" {
			t.Errorf("by %s: %v, then %d %v", name, answer, status, body)
		}
	}
	if at := w.browser().open(w.public + "/oauth2/auth?" + codeRequest(c).Encode()); at.Query().Get("error") != "invalid_request" {
		t.Errorf("a request that is not signed ends at %v", at)
	}
	if status, body := w.call("POST", w.public+"/oauth2/par", codeRequest(c), basic(c)); status != 400 || body["error"] != "invalid_request" {
		t.Errorf("one that is pushed: %d %v", status, body)
	}
}

func TestRequestObjectRefused(t *testing.T) {
	w := start(t)
	k, stranger := key(t, jose.ES256, "k"), key(t, jose.ES256, "k")
	c := w.client(map[string]any{"jwks": publicSet(k)})
	good := w.object(c)
	sign := func(more ...any) string { return signed(t, jose.ES256, k, "", with(good, more...)) }
	now := w.clock()
	for _, tt := range []struct{ name, object, want string }{
		{"no JWT", "x", "invalid_request_object"},
		{"unsigned", "eyJhbGciOiJub25lIn0." + strings.Split(sign(), ".")[1] + ".", "invalid_request_object"},
		{"a stranger's", signed(t, jose.ES256, stranger, "", good), "invalid_request_object"},
		{"by the secret", signed(t, jose.HS256, []byte(c["client_secret"].(string)), "", good), "invalid_request_object"},
		{"other typ", signed(t, jose.ES256, k, "dpop+jwt", good), "invalid_request_object"},
		{"other issuer", sign("iss", "other"), "invalid_request_object"},
		{"other audience", sign("aud", "https://other.test"), "invalid_request_object"},
		{"other client", sign("client_id", "other"), "invalid_request_object"},
		{"an assertion", sign("sub", c["client_id"]), "invalid_request_object"},
		{"expired", sign("exp", now.Add(-time.Minute).Unix()), "invalid_request_object"},
		{"far exp", sign("exp", now.Add(48*time.Hour).Unix()), "invalid_request_object"},
		{"jti without exp", sign("exp", nil), "invalid_request_object"},
		{"later", sign("nbf", now.Add(time.Minute).Unix()), "invalid_request_object"},
		{"nested", sign("request", "x"), "invalid_request_object"},
		{"reference inside", sign("request_uri", "https://client.test/x"), "invalid_request_object"},
		{"foreign scope", sign("scope", "admin", "jti", "1"), "invalid_scope"},
		{"no challenge", sign("code_challenge", nil, "jti", "2"), "invalid_request"},
		{"odd max_age", sign("max_age", map[string]any{}, "jti", "3"), "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := w.browser().open(w.public + "/oauth2/auth?" + inObject(c, tt.object).Encode())
			if at.Query().Get("error") != tt.want || at.Host != "client.test" {
				t.Errorf("ends at %v", at)
			}
		})
	}
	foreign := inObject(c, sign())
	foreign.Set("redirect_uri", "https://evil.test/")
	foreign.Set("request", "x")
	for name, q := range map[string]url.Values{
		"told to a stranger": foreign,
		"unregistered uri":   {"client_id": {c["client_id"].(string)}, "request_uri": {"https://client.test/object"}},
	} {
		if at := w.browser().open(w.public + "/oauth2/auth?" + q.Encode()); at.Host != "app.test" || at.Query().Get("error") == "" {
			t.Errorf("%s: ends at %v", name, at)
		}
	}
	both := inObject(c, sign())
	both.Set("request_uri", "https://client.test/object")
	if at := w.browser().open(w.public + "/oauth2/auth?" + both.Encode()); at.Query().Get("error") != "invalid_request" {
		t.Errorf("by value and by reference: ends at %v", at)
	}
	for _, want := range []string{"", "invalid_request_object"} {
		if at := w.browser().open(w.public + "/oauth2/auth?" + inObject(c, sign()).Encode()); at.Query().Get("error") != want {
			t.Errorf("ends at %v: expected %q", at, want)
		}
	}
}

// TestRequestAlg: the algorithm that is registered, and no other.
func TestRequestAlg(t *testing.T) {
	w := start(t)
	k, other := key(t, jose.ES256, "k"), key(t, jose.RS256, "r")
	c := w.client(map[string]any{"jwks": publicSet(k, other), "request_object_signing_alg": "ES256"})
	if at := w.browser().open(w.public + "/oauth2/auth?" + inObject(c, signed(t, jose.ES256, k, "", w.object(c))).Encode()); at.Query().Get("login_challenge") == "" {
		t.Errorf("ES256 ends at %v", at)
	}
	if at := w.browser().open(w.public + "/oauth2/auth?" + inObject(c, signed(t, jose.RS256, other, "", w.object(c))).Encode()); at.Query().Get("error") != "invalid_request_object" {
		t.Errorf("RS256 ends at %v", at)
	}
}
