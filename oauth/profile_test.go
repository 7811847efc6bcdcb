package oauth_test

import (
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/oauth"
)

// asserting adds a client assertion to a form.
func (w *world) asserting(c map[string]any, k jose.JSONWebKey, form url.Values) url.Values {
	w.t.Helper()
	out := maps.Clone(form)
	out.Set("client_assertion", signed(w.t, jose.SignatureAlgorithm(k.Algorithm), k, "", w.assertionClaims(c)))
	out.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	return out
}

// fapi registers a client with the profile fapi2.
func (w *world) fapi(k jose.JSONWebKey, fields map[string]any) map[string]any {
	w.t.Helper()
	all := map[string]any{"profile": "fapi2", "token_endpoint_auth_method": "private_key_jwt", "jwks": publicSet(k), "access_token_strategy": "jwt"}
	maps.Copy(all, fields)
	return w.client(all)
}

// TestFAPI2 goes the whole way that the profile has, and what it leaves out is refused.
func TestFAPI2(t *testing.T) {
	w := start(t)
	k, held := key(t, jose.ES256, "k"), key(t, jose.ES256, "")
	c := w.fapi(k, nil)
	par, userinfo := w.public+"/oauth2/par", w.public+"/userinfo"
	pushed := w.push(c, w.asserting(c, k, codeRequest(c)), w.proving(held, "POST", par))
	answer := w.browser().authorize(pushed, ann())
	if answer.Get("code") == "" || answer.Get("iss") != w.public {
		t.Fatalf("got %v", answer)
	}
	status, body := w.token(w.asserting(c, k, codeExchange(answer.Get("code"))), w.provingToken(held))
	if status != 200 || body["token_type"] != "DPoP" {
		t.Fatalf("got %d %v", status, body)
	}
	w.claims("PS256", body["id_token"].(string))
	token := body["access_token"].(string)
	if header, _ := w.verify(token); header["alg"] != "PS256" {
		t.Errorf("the access token has the header %v", header)
	}
	if status, who := w.call("GET", userinfo, nil, byDPoP(token), w.proving(held, "GET", userinfo, "ath", hash(token))); status != 200 || who["sub"] != "ann" {
		t.Errorf("userinfo: %d %v", status, who)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {body["refresh_token"].(string)}}
	for range 2 {
		status, body := w.token(w.asserting(c, k, refresh), w.provingToken(held))
		if status != 200 || body["refresh_token"] != nil || w.introspect(token, nil)["active"] != true {
			t.Errorf("a refresh: %d %v", status, body)
		}
	}
	if status, body := w.token(w.asserting(c, k, refresh)); status != 400 || body["error"] != "invalid_dpop_proof" {
		t.Errorf("without a proof: %d %v", status, body)
	}
	rsa := key(t, jose.RS256, "")
	if status, body := w.token(w.asserting(c, k, refresh), w.provingToken(rsa)); status != 400 || body["error"] != "invalid_dpop_proof" {
		t.Errorf("a proof by RS256: %d %v", status, body)
	}
	if at := w.browser().open(w.public + "/oauth2/auth?" + codeRequest(c).Encode()); at.Query().Get("error") != "invalid_request" || !strings.Contains(at.Query().Get("error_description"), "push") {
		t.Errorf("a request that was not pushed ends at %v", at)
	}
	for name, request := range map[string]url.Values{
		"no redirect_uri": codeRequest(c, "redirect_uri", "", "scope", "read"),
		"no challenge":    codeRequest(c, "code_challenge", ""),
	} {
		if status, body := w.call("POST", par, w.asserting(c, k, request)); status != 400 || body["error"] != "invalid_request" {
			t.Errorf("%s: %d %v", name, status, body)
		}
	}
}

// TestFAPI2Assertions: an audience other than the issuer alone, and other algorithms.
func TestFAPI2Assertions(t *testing.T) {
	w := start(t)
	k, rsa := key(t, jose.ES256, "k"), key(t, jose.RS256, "r")
	c := w.fapi(k, map[string]any{"jwks": publicSet(k, rsa)})
	held := key(t, jose.ES256, "")
	for _, tt := range []struct {
		name   string
		key    jose.JSONWebKey
		aud    any
		status int
	}{
		{"issuer", k, w.public, 200},
		{"endpoint", k, w.public + "/oauth2/token", 401},
		{"more", k, []string{w.public, "https://other.test"}, 401},
		{"RS256", rsa, w.public, 401},
	} {
		assertion := signed(t, jose.SignatureAlgorithm(tt.key.Algorithm), tt.key, "", with(w.assertionClaims(c), "aud", tt.aud))
		if status, body := w.token(byAssertion(assertion), w.provingToken(held)); status != tt.status {
			t.Errorf("%s: %d %v", tt.name, status, body)
		}
	}
}

// TestFAPI2Lives: codes and pushed requests are good for as long as the profile has it,
// whatever is set.
func TestFAPI2Lives(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.TTL.Pushed = time.Hour })
	k, held := key(t, jose.ES256, "k"), key(t, jose.ES256, "")
	c := w.fapi(k, nil)
	status, body := w.call("POST", w.public+"/oauth2/par", w.asserting(c, k, codeRequest(c)))
	if status != 201 || body["expires_in"] != 599.0 {
		t.Fatalf("got %d %v", status, body)
	}
	code := w.browser().authorize(url.Values{"client_id": {c["client_id"].(string)}, "request_uri": {body["request_uri"].(string)}}, ann()).Get("code")
	w.pass(time.Minute)
	if status, body := w.token(w.asserting(c, k, codeExchange(code)), w.provingToken(held)); status != 400 || body["error"] != "invalid_grant" {
		t.Errorf("a code after a minute: %d %v", status, body)
	}
}

// TestFAPI2Objects: a signed request says who it is from, for whom and for how long.
func TestFAPI2Objects(t *testing.T) {
	w := start(t)
	k := key(t, jose.ES256, "k")
	c := w.fapi(k, nil)
	push := func(claims map[string]any) (int, map[string]any) {
		return w.call("POST", w.public+"/oauth2/par", w.asserting(c, k, url.Values{"request": {signed(t, jose.ES256, k, "", claims)}}))
	}
	for _, missing := range []string{"iss", "aud", "nbf", "exp"} {
		if status, body := push(with(w.object(c), missing, nil)); status != 400 || body["error"] != "invalid_request_object" {
			t.Errorf("without %s: %d %v", missing, status, body)
		}
	}
	if status, body := push(with(w.object(c), "exp", w.clock().Add(2*time.Hour).Unix())); status != 400 || body["error"] != "invalid_request_object" {
		t.Errorf("for two hours: %d %v", status, body)
	}
	if status, body := push(w.object(c)); status != 201 {
		t.Errorf("a good one: %d %v", status, body)
	}
}

// TestProfileOfClient: what a profile does not allow is refused when a client is
// registered, and the answer names the field.
func TestProfileOfClient(t *testing.T) {
	w := start(t)
	k := key(t, jose.ES256, "k")
	fapi := map[string]any{"profile": "fapi2", "token_endpoint_auth_method": "private_key_jwt", "jwks": publicSet(k)}
	implicit := []string{"authorization_code", "implicit"}
	for _, tt := range []struct {
		fields map[string]any
		field  string // "": it is allowed
	}{
		{fapi, ""},
		{with(fapi, "profile", "fapi3"), "profile"},
		{with(fapi, "token_endpoint_auth_method", "none", "jwks", nil), "token_endpoint_auth_method"},
		{with(fapi, "token_endpoint_auth_method", "client_secret_basic"), "token_endpoint_auth_method"},
		{with(fapi, "token_endpoint_auth_method", "client_secret_jwt"), "token_endpoint_auth_method"},
		{with(fapi, "token_endpoint_auth_method", "self_signed_tls_client_auth"), ""},
		{with(fapi, "token_endpoint_auth_signing_alg", "RS256"), "token_endpoint_auth_signing_alg"},
		{with(fapi, "token_endpoint_auth_signing_alg", "EdDSA"), ""},
		{with(fapi, "id_token_signed_response_alg", "RS256"), "id_token_signed_response_alg"},
		{with(fapi, "request_object_signing_alg", "ES512"), "request_object_signing_alg"},
		{with(fapi, "authorization_signed_response_alg", "RS256"), "authorization_signed_response_alg"},
		{with(fapi, "userinfo_signed_response_alg", "RS256"), "userinfo_signed_response_alg"},
		{with(fapi, "grant_types", implicit), "grant_types"},
		{map[string]any{"grant_types": implicit}, "grant_types"},
		{map[string]any{"profile": "oidc-basic", "grant_types": implicit}, "grant_types"},
		{map[string]any{"profile": "legacy", "grant_types": implicit, "response_types": []string{"code", "token", "code id_token"}}, ""},
	} {
		c := map[string]any{"redirect_uris": []string{callback}, "grant_types": []string{"authorization_code"}}
		maps.Copy(c, tt.fields)
		status, body := w.call("POST", w.admin+"/admin/clients", c)
		if tt.field == "" && status != 201 || tt.field != "" && (status != 400 || !strings.Contains(fmt.Sprint(body["error_description"]), tt.field+":")) {
			t.Errorf("%v: %d %v: expected the field %q", tt.fields, status, body, tt.field)
		}
	}
}

// TestPKCEByProfile: who may leave it out.
func TestPKCEByProfile(t *testing.T) {
	w := start(t)
	for profile, want := range map[string]string{"oauth2.1": "invalid_request", "oidc-basic": "", "legacy": ""} {
		for method, want := range map[string]string{"client_secret_basic": want, "none": "invalid_request"} {
			c := w.client(map[string]any{"profile": profile, "token_endpoint_auth_method": method, "grant_types": []string{"authorization_code"}})
			at := w.browser().open(w.public + "/oauth2/auth?" + codeRequest(c, "code_challenge", "", "code_challenge_method", "").Encode())
			if got := at.Query().Get("error"); got != want {
				t.Errorf("%s with %s ends at %v: expected %q", profile, method, at, want)
			}
		}
	}
}

// TestTokensInBrowser: those of the profile legacy are bound to nothing, so a client that
// needs them bound gets none there.
func TestTokensInBrowser(t *testing.T) {
	w := start(t)
	fields := map[string]any{"profile": "legacy", "grant_types": []string{"authorization_code", "implicit"}, "response_types": []string{"token", "code id_token"}}
	c := w.client(fields)
	request := codeRequest(c, "response_type", "token")
	if answer := w.browser().authorize(request, ann()); answer.Get("access_token") == "" || answer.Get("token_type") != "bearer" {
		t.Errorf("got %v", answer)
	}
	fields["dpop_bound_access_tokens"] = true
	bound := w.client(fields)
	for name, q := range map[string]url.Values{
		"bound client": codeRequest(bound, "response_type", "token"),
		"dpop_jkt":     codeRequest(c, "response_type", "token", "dpop_jkt", hash("x")),
		"query":        codeRequest(c, "response_type", "token", "response_mode", "query"),
		"query.jwt":    codeRequest(c, "response_type", "token", "response_mode", "query.jwt"),
	} {
		b := w.browser()
		_, values := b.ended(b.open(w.public + "/oauth2/auth?" + q.Encode()))
		if response := values.Get("response"); response != "" {
			values = url.Values{"error": {fmt.Sprint(w.claims("RS256", response)["error"])}}
		}
		if values.Get("error") != "invalid_request" {
			t.Errorf("%s: %v", name, values)
		}
	}
}
