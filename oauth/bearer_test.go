package oauth_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/oauth"
)

const (
	bearerType = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	issuersAt  = "/admin/trust/grants/jwt-bearer/issuers"
	partner    = "https://partner.test"
)

// trust makes an issuer trusted. A nil value removes a field.
func (w *world) trust(k jose.JSONWebKey, more ...any) map[string]any {
	w.t.Helper()
	return w.must("POST", w.admin+issuersAt, w.trustBody(k, more...))
}

func (w *world) trustBody(k jose.JSONWebKey, more ...any) map[string]any {
	return with(map[string]any{
		"issuer": partner, "allow_any_subject": true, "scope": []string{"read", "write"},
		"jwk": k.Public(), "expires_at": w.clock().Add(24 * time.Hour),
	}, more...)
}

// voucher are the claims of a good assertion with a new jti.
func (w *world) voucher(more ...any) map[string]any {
	return with(map[string]any{
		"iss": partner, "sub": "bob", "aud": w.public + "/oauth2/token", "iat": w.clock().Unix(),
		"exp": w.clock().Add(time.Minute).Unix(), "jti": rand.Text(),
	}, more...)
}

func vouch(assertion string, more ...string) url.Values {
	form := url.Values{"grant_type": {bearerType}, "assertion": {assertion}, "scope": {"read"}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

func TestBearer(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"grant_types": []string{bearerType}, "response_types": []string{}, "audience": []string{"https://api.test"}})
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA} {
		k := key(t, alg, string(alg))
		w.trust(k)
		assertion := signed(t, alg, k, "JWT", w.voucher())
		status, body := w.token(vouch(assertion, "audience", "https://api.test/v1"), basic(c))
		if status != 200 || body["scope"] != "read" || body["refresh_token"] != nil || body["id_token"] != nil {
			t.Fatalf("%s: %d %v", alg, status, body)
		}
		in := w.introspect(text(body, "access_token"), nil)
		if in["sub"] != "bob" || in["client_id"] != c["client_id"] || fmt.Sprint(in["aud"]) != "[https://api.test/v1]" {
			t.Errorf("%s: the token is %v", alg, in)
		}
		if status, body := w.token(vouch(assertion), basic(c)); status != 400 || body["error"] != "invalid_grant" {
			t.Errorf("%s: a second use: %d %v", alg, status, body)
		}
	}
}

func TestBearerRefused(t *testing.T) {
	w := start(t)
	types := map[string]any{"grant_types": []string{bearerType}, "response_types": []string{}}
	c, not := w.client(types), w.client(nil)
	k, other, own := key(t, jose.ES256, "k"), key(t, jose.ES256, "k"), key(t, jose.ES256, "own")
	w.trust(k)
	w.trust(own, "issuer", "https://own.test", "subject", "bob", "allow_any_subject", nil)
	old := key(t, jose.ES256, "old")
	w.trust(old, "expires_at", w.clock().Add(time.Minute))
	w.pass(2 * time.Minute)
	by := func(k jose.JSONWebKey, more ...any) string {
		return signed(t, jose.ES256, k, "JWT", w.voucher(more...))
	}
	now := w.clock()
	for _, tt := range []struct {
		name, assertion, want string
		client                map[string]any
		more                  []string
	}{
		{"none", "", "invalid_request", c, nil},
		{"no JWT", "x", "invalid_grant", c, nil},
		{"other key", by(other), "invalid_grant", c, nil},
		{"unsigned", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.", "invalid_grant", c, nil},
		{"unknown issuer", by(k, "iss", "https://eve.test"), "invalid_grant", c, nil},
		{"no issuer", by(k, "iss", nil), "invalid_grant", c, nil},
		{"no subject", by(k, "sub", nil), "invalid_grant", c, nil},
		{"other subject", by(own, "iss", "https://own.test", "sub", "eve"), "invalid_grant", c, nil},
		{"trust that has ended", by(old), "invalid_grant", c, nil},
		{"other audience", by(k, "aud", "https://eve.test"), "invalid_grant", c, nil},
		{"no audience", by(k, "aud", nil), "invalid_grant", c, nil},
		{"no exp", by(k, "exp", nil), "invalid_grant", c, nil},
		{"expired", by(k, "exp", now.Add(-time.Minute).Unix()), "invalid_grant", c, nil},
		{"for too long", by(k, "exp", now.Add(800*time.Hour).Unix()), "invalid_grant", c, nil},
		{"for too long since", by(k, "iat", now.Add(-720*time.Hour).Unix()), "invalid_grant", c, nil},
		{"no iat", by(k, "iat", nil), "invalid_grant", c, nil},
		{"iat to come", by(k, "iat", now.Add(time.Minute).Unix()), "invalid_grant", c, nil},
		{"nbf to come", by(k, "nbf", now.Add(time.Minute).Unix()), "invalid_grant", c, nil},
		{"no jti", by(k, "jti", nil), "invalid_grant", c, nil},
		{"long jti", by(k, "jti", strings.Repeat("j", 600)), "invalid_grant", c, nil},
		{"foreign scope", by(k), "invalid_scope", c, []string{"scope", "profile"}},
		{"unknown scope", by(k), "invalid_scope", c, []string{"scope", "admin"}},
		{"foreign audience", by(k), "invalid_request", c, []string{"audience", "https://eve.test"}},
		{"client that may not", by(k), "unauthorized_client", not, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, body := w.token(vouch(tt.assertion, tt.more...), basic(tt.client)); status != 400 || body["error"] != tt.want {
				t.Errorf("got %d %v: expected %s", status, body, tt.want)
			}
		})
	}
	// What is refused for another reason does not use up the jti.
	assertion := by(k, "aud", w.public)
	if status, body := w.token(vouch(assertion, "scope", "admin"), basic(c)); status != 400 {
		t.Fatalf("got %d %v", status, body)
	}
	if status, body := w.token(vouch(assertion), basic(c)); status != 200 {
		t.Errorf("got %d %v", status, body)
	}
	if status, body := w.token(vouch(by(own, "iss", "https://own.test")), basic(c)); status != 200 {
		t.Errorf("the issuer's own subject: %d %v", status, body)
	}
}

func TestBearerOptions(t *testing.T) {
	w := start(t, func(o *oauth.Options) {
		o.Grants.JWT = oauth.JWTGrant{JTIOptional: true, IATOptional: true, MaxTTL: time.Hour}
	})
	c := w.client(map[string]any{"grant_types": []string{bearerType}, "response_types": []string{}})
	k := key(t, jose.ES256, "k")
	w.trust(k)
	for range 2 {
		if status, body := w.token(vouch(signed(t, jose.ES256, k, "", w.voucher("jti", nil, "iat", nil))), basic(c)); status != 200 {
			t.Errorf("got %d %v", status, body)
		}
	}
	if status, _ := w.token(vouch(signed(t, jose.ES256, k, "", w.voucher("exp", w.clock().Add(2*time.Hour).Unix()))), basic(c)); status != 400 {
		t.Errorf("longer than max_ttl: %d", status)
	}
}

func TestIssuers(t *testing.T) {
	w := start(t)
	k := key(t, jose.ES256, "k")
	made := w.trust(k, "subject", "bob", "allow_any_subject", nil)
	at := w.admin + issuersAt + "/" + text(made, "id")
	got := w.must("GET", at, nil)
	want := map[string]any{
		"id": made["id"], "issuer": partner, "subject": "bob", "allow_any_subject": false, "scope": []any{"read", "write"},
		"public_key": map[string]any{"set": partner, "kid": "k"},
		"created_at": w.clock().UTC().Format(time.RFC3339), "expires_at": w.clock().Add(24 * time.Hour).UTC().Format(time.RFC3339),
	}
	for _, one := range []map[string]any{made, got} {
		if encoded(t, one) != encoded(t, want) {
			t.Errorf("got %s\nwant %s", encoded(t, one), encoded(t, want))
		}
	}
	w.pass(time.Nanosecond)
	made = w.trust(k, "subject", "joe", "allow_any_subject", nil)
	if got := w.must("GET", w.admin+issuersAt+"/"+text(made, "id"), nil); encoded(t, made) != encoded(t, got) {
		t.Errorf("what was made is %s, and what is there %s", encoded(t, made), encoded(t, got))
	}
	if status, body := w.call("POST", w.admin+issuersAt, w.trustBody(k, "subject", "bob", "allow_any_subject", nil)); status != 409 {
		t.Errorf("the same again: %d %v", status, body)
	}
	w.must("DELETE", at, nil)
	for _, method := range []string{"GET", "DELETE"} {
		if status, _ := w.call(method, at, nil); status != 404 {
			t.Errorf("%s of one that is gone: %d", method, status)
		}
	}
}

func TestIssuersRefused(t *testing.T) {
	w := start(t)
	k := key(t, jose.ES256, "k")
	for _, tt := range []struct {
		name string
		more []any
	}{
		{"issuer", []any{"issuer", nil}},
		{"issuer", []any{"issuer", strings.Repeat("i", 600)}},
		{"subject", []any{"allow_any_subject", nil}},
		{"subject", []any{"subject", "bob"}},
		{"scope", []any{"scope", []string{""}}},
		{"expires_at", []any{"expires_at", nil}},
		{"expires_at", []any{"expires_at", w.clock()}},
		{"jwk", []any{"jwk", nil}},
		{"jwk", []any{"jwk", "x"}},
		{"jwk", []any{"jwk", k}},
		{"jwk", []any{"jwk", jose.JSONWebKey{Key: []byte("secret"), KeyID: "s"}}},
		{"kid", []any{"jwk", publicSet(key(t, jose.ES256, "")).Keys[0]}},
	} {
		if status, body := w.call("POST", w.admin+issuersAt, w.trustBody(k, tt.more...)); status != 400 || !strings.Contains(text(body, "error_description"), tt.name) {
			t.Errorf("%v: %d %v", tt.more, status, body)
		}
	}
}

func TestIssuerPages(t *testing.T) {
	w := start(t)
	k := key(t, jose.ES256, "k")
	for i := range 5 {
		w.trust(k, "issuer", fmt.Sprintf("https://%d.test", i%2), "allow_any_subject", nil, "subject", fmt.Sprint(i))
	}
	for query, want := range map[string][]int{
		"": {5}, "page_size=2": {2, 2, 1}, "issuer=https://0.test": {3}, "issuer=https://0.test&page_size=3": {3}, "issuer=x": {0},
	} {
		var sizes []int
		for at := issuersAt + "?" + query; at != ""; {
			resp, body := w.send("GET", w.admin+at, nil)
			var page []map[string]any
			if err := json.Unmarshal(body, &page); err != nil || resp.StatusCode != 200 {
				t.Fatalf("%s: %d %s", query, resp.StatusCode, body)
			}
			sizes = append(sizes, len(page))
			at = ""
			if found := nextLink.FindStringSubmatch(resp.Header.Get("Link")); found != nil {
				at = found[1]
			}
		}
		if fmt.Sprint(sizes) != fmt.Sprint(want) {
			t.Errorf("%q: pages of %v: expected %v", query, sizes, want)
		}
	}
	if status, _ := w.call("GET", w.admin+issuersAt+"?page_size=x", nil); status != 400 {
		t.Errorf("a bad page size: %d", status)
	}
}

// TestAudiences: a client may ask for the audiences that it is registered with, and
// for URLs below them.
func TestAudiences(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"audience": []string{"https://api.test/v1/", "urn:one", "app"}})
	for asked, want := range map[string]int{
		"https://api.test/v1": 200, "https://api.test/v1/": 200, "https://api.test/v1/x": 200, "urn:one": 200, "app": 200,
		"https://api.test/v10": 400, "https://api.test/": 400, "https://api.test/v1/../v2": 400, "http://api.test/v1": 400,
		"https://api.test.eve.test/v1": 400, "https://u@api.test/v1": 400, "https://api.test/v1?x": 400, "urn:two": 400, "ap": 400, "app/x": 400,
	} {
		if status, body := w.token(url.Values{"grant_type": {"client_credentials"}, "audience": {asked}}, basic(c)); status != want {
			t.Errorf("%s: %d %v", asked, status, body)
		}
	}
}
