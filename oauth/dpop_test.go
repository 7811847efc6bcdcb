package oauth_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/testcert"
	"github.com/cardea-iam/cardea/oauth"
)

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func thumb(t *testing.T, k jose.JSONWebKey) string {
	t.Helper()
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// proofClaims are those of a good proof with a new jti.
func (w *world) proofClaims(method, address string) map[string]any {
	return map[string]any{"htm": method, "htu": address, "iat": w.clock().Unix(), "jti": rand.Text()}
}

// proof makes a DPoP proof.
func proof(t *testing.T, k jose.JSONWebKey, typ string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.Algorithm), Key: k.Key}, (&jose.SignerOptions{EmbedJWK: true}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Fatal(err)
	}
	return jwtBy(t, signer, claims)
}

// proving shows a key at an endpoint.
func (w *world) proving(k jose.JSONWebKey, method, address string, more ...any) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("DPoP", proof(w.t, k, "dpop+jwt", with(w.proofClaims(method, address), more...)))
	}
}

func (w *world) provingToken(k jose.JSONWebKey) func(*http.Request) {
	return w.proving(k, "POST", w.public+"/oauth2/token")
}

func byDPoP(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+token) }
}

// TestDPoP binds tokens to a key, which must be shown with them.
func TestDPoP(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.Strategies.AccessToken = "jwt" })
	k, other := key(t, jose.ES256, ""), key(t, jose.EdDSA, "")
	c := w.client(map[string]any{"dpop_bound_access_tokens": true})
	code := w.browser().authorize(codeRequest(c), ann()).Get("code")
	if status, body := w.token(codeExchange(code), basic(c)); status != 400 || body["error"] != "invalid_dpop_proof" {
		t.Errorf("without a proof: %d %v", status, body)
	}
	status, body := w.token(codeExchange(code), basic(c), w.provingToken(k))
	if status != 200 || body["token_type"] != "DPoP" {
		t.Fatalf("got %d %v", status, body)
	}
	token := body["access_token"].(string)
	if _, claims := w.verify(token); claims["cnf"].(map[string]any)["jkt"] != thumb(t, k) {
		t.Errorf("the token says %v", claims)
	}
	if in := w.introspect(token, nil); in["token_type"] != "DPoP" || in["cnf"].(map[string]any)["jkt"] != thumb(t, k) {
		t.Errorf("introspection says %v", in)
	}
	at := w.public + "/userinfo"
	good := with(w.proofClaims("GET", at), "ath", hash(token))
	show := func(text string) func(*http.Request) { return func(r *http.Request) { r.Header.Set("DPoP", text) } }
	for _, tt := range []struct {
		name   string
		scheme func(*http.Request)
		proof  string
		status int
		want   string
	}{
		{"as bearer", bearer(token), proof(t, k, "dpop+jwt", good), 401, "invalid_token"},
		{"another key", byDPoP(token), proof(t, other, "dpop+jwt", good), 401, "invalid_token"},
		{"no hash", byDPoP(token), proof(t, k, "dpop+jwt", with(good, "ath", nil)), 401, "invalid_dpop_proof"},
		{"hash of another", byDPoP(token), proof(t, k, "dpop+jwt", with(good, "ath", hash("x"))), 401, "invalid_dpop_proof"},
		{"of the token endpoint", byDPoP(token), proof(t, k, "dpop+jwt", with(good, "htu", w.public+"/oauth2/token")), 401, "invalid_dpop_proof"},
		{"good", byDPoP(token), proof(t, k, "dpop+jwt", good), 200, ""},
		{"used", byDPoP(token), proof(t, k, "dpop+jwt", good), 401, "invalid_dpop_proof"},
	} {
		resp, text := w.send("GET", at, nil, tt.scheme, show(tt.proof))
		if resp.StatusCode != tt.status || !strings.Contains(string(text), tt.want) || tt.status == 401 && !strings.Contains(resp.Header.Get("WWW-Authenticate"), tt.want) {
			t.Errorf("%s: %d %s, with %v", tt.name, resp.StatusCode, text, resp.Header)
		}
	}
	if resp, text := w.send("GET", at, nil, byDPoP(token)); resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "DPoP ") {
		t.Errorf("no proof: %d %s", resp.StatusCode, text)
	}
	plain := w.tokens(w.client(nil), ann())["access_token"].(string)
	if resp, text := w.send("GET", at, nil, byDPoP(plain), w.proving(k, "GET", at, "ath", hash(plain))); resp.StatusCode != 401 {
		t.Errorf("a bearer token by DPoP: %d %s", resp.StatusCode, text)
	}
}

// TestProofRefused: proofs that prove nothing, and that none of them uses up the code.
func TestProofRefused(t *testing.T) {
	w := start(t)
	k, rsa := key(t, jose.ES256, ""), key(t, jose.RS256, "")
	c := w.client(nil)
	code := w.browser().authorize(codeRequest(c), ann()).Get("code")
	at := w.public + "/oauth2/token"
	good := w.proofClaims("POST", at)
	now := w.clock()
	for _, tt := range []struct{ name, proof string }{
		{"no JWT", "x"},
		{"too long", strings.Repeat("x", 9<<10)},
		{"another typ", proof(t, k, "JWT", good)},
		{"no key", signed(t, jose.ES256, k.Key, "dpop+jwt", good)},
		{"symmetric", signed(t, jose.HS256, []byte(strings.Repeat("k", 32)), "dpop+jwt", good)},
		{"another method", proof(t, k, "dpop+jwt", with(good, "htm", "GET"))},
		{"another endpoint", proof(t, k, "dpop+jwt", with(good, "htu", w.public+"/oauth2/par"))},
		{"another host", proof(t, k, "dpop+jwt", with(good, "htu", "https://other.test/oauth2/token"))},
		{"no URL", proof(t, k, "dpop+jwt", with(good, "htu", nil))},
		{"no time", proof(t, k, "dpop+jwt", with(good, "iat", nil))},
		{"old", proof(t, k, "dpop+jwt", with(good, "iat", now.Add(-3*time.Minute).Unix()))},
		{"in the future", proof(t, k, "dpop+jwt", with(good, "iat", now.Add(time.Minute).Unix()))},
		{"no jti", proof(t, k, "dpop+jwt", with(good, "jti", nil))},
		{"long jti", proof(t, k, "dpop+jwt", with(good, "jti", strings.Repeat("j", 513)))},
		{"changed", proof(t, k, "dpop+jwt", good) + "A"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body := w.token(codeExchange(code), basic(c), func(r *http.Request) { r.Header.Set("DPoP", tt.proof) })
			if status != 400 || body["error"] != "invalid_dpop_proof" {
				t.Errorf("got %d %v", status, body)
			}
		})
	}
	two := func(r *http.Request) {
		r.Header.Add("DPoP", proof(t, k, "dpop+jwt", good))
		r.Header.Add("DPoP", proof(t, rsa, "dpop+jwt", good))
	}
	if status, body := w.token(codeExchange(code), basic(c), two); status != 400 || body["error"] != "invalid_dpop_proof" {
		t.Errorf("two proofs: %d %v", status, body)
	}
	for _, want := range []int{200, 400} {
		form := codeExchange(code)
		if want == 400 {
			form = url.Values{"grant_type": {"client_credentials"}}
		}
		show := func(r *http.Request) {
			r.Header.Set("DPoP", proof(t, k, "dpop+jwt", with(good, "htu", strings.ToUpper(w.public[:4])+w.public[4:]+"/oauth2/token?x=y")))
		}
		if status, body := w.token(form, basic(c), show); status != want {
			t.Errorf("got %d %v: expected %d", status, body, want)
		}
	}
}

// TestBoundCode: a code is bound by dpop_jkt or by a proof at the push, and a refresh
// token by the proof with which a public client got it.
func TestBoundCode(t *testing.T) {
	w := start(t)
	k, other := key(t, jose.ES256, ""), key(t, jose.ES256, "")
	par := w.public + "/oauth2/par"
	for _, method := range []string{"none", "client_secret_basic"} {
		c := w.client(map[string]any{"token_endpoint_auth_method": method, "grant_types": []string{"authorization_code", "refresh_token"}})
		as := func(r *http.Request) { r.URL.RawQuery = "" }
		if method != "none" {
			as = basic(c)
		}
		form := func(f url.Values) url.Values {
			if method == "none" {
				f.Set("client_id", c["client_id"].(string))
			}
			return f
		}
		for name, request := range map[string]url.Values{
			"dpop_jkt": codeRequest(c, "dpop_jkt", thumb(t, k)),
			"push":     w.push(c, codeRequest(c), as, w.proving(k, "POST", par)),
		} {
			code := w.browser().authorize(request, ann()).Get("code")
			for _, wrong := range []func(*http.Request){func(*http.Request) {}, w.provingToken(other)} {
				if status, body := w.token(form(codeExchange(code)), as, wrong); status != 400 || body["error"] != "invalid_grant" {
					t.Errorf("%s by %s with another key: %d %v", name, method, status, body)
				}
			}
			status, body := w.token(form(codeExchange(code)), as, w.provingToken(k))
			if status != 200 {
				t.Fatalf("%s by %s: %d %v", name, method, status, body)
			}
			refresh := form(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {body["refresh_token"].(string)}})
			status, body = w.token(refresh, as, w.provingToken(other))
			if (status == 200) != (method != "none") {
				t.Errorf("%s by %s, refreshed with another key: %d %v", name, method, status, body)
			}
			if status != 200 {
				if status, body = w.token(refresh, as, w.provingToken(k)); status != 200 || body["token_type"] != "DPoP" {
					t.Errorf("%s by %s, refreshed: %d %v", name, method, status, body)
				}
			}
		}
	}
	c := w.client(nil)
	if status, body := w.call("POST", par, codeRequest(c, "dpop_jkt", thumb(t, other)), basic(c), w.proving(k, "POST", par)); status != 400 || body["error"] != "invalid_dpop_proof" {
		t.Errorf("two keys at the push: %d %v", status, body)
	}
	if at := w.browser().open(w.public + "/oauth2/auth?" + codeRequest(c, "dpop_jkt", "x").Encode()); at.Query().Get("error") != "invalid_request" {
		t.Errorf("a malformed dpop_jkt ends at %v", at)
	}
}

// TestNonce: with the option on, a proof needs a nonce that this server made lately.
func TestNonce(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.Grants.DPoPNonce = true })
	k := key(t, jose.ES256, "")
	c := w.client(nil)
	at := w.public + "/oauth2/token"
	try := func(nonce any) (int, string, string) {
		t.Helper()
		resp, text := w.send("POST", at, url.Values{"grant_type": {"client_credentials"}}, basic(c), w.proving(k, "POST", at, "nonce", nonce, "iat", 1))
		return resp.StatusCode, string(text), resp.Header.Get("DPoP-Nonce")
	}
	status, text, nonce := try(nil)
	if status != 400 || !strings.Contains(text, `"use_dpop_nonce"`) || nonce == "" {
		t.Fatalf("without a nonce: %d %s, and the nonce %q", status, text, nonce)
	}
	if status, text, next := try(nonce); status != 200 || next == "" {
		t.Errorf("with the nonce: %d %s, and the nonce %q", status, text, next)
	}
	if status, text, _ := try("x" + nonce[1:]); status != 400 || !strings.Contains(text, `"use_dpop_nonce"`) {
		t.Errorf("with a changed nonce: %d %s", status, text)
	}
	w.pass(6 * time.Minute)
	if status, text, _ := try(nonce); status != 400 || !strings.Contains(text, `"use_dpop_nonce"`) {
		t.Errorf("with an old nonce: %d %s", status, text)
	}
}

// TestCertificateBound: tokens that only the holder of a certificate can use.
func TestCertificateBound(t *testing.T) {
	a := testcert.Authority(t, nil, "root")
	w := start(t, behindProxy(a))
	cert := issued(t, a)
	other := issued(t, a)
	c := w.client(map[string]any{"tls_client_certificate_bound_access_tokens": true})
	code := w.browser().authorize(codeRequest(c), ann()).Get("code")
	if status, body := w.token(codeExchange(code), basic(c)); status != 400 || body["error"] != "invalid_request" {
		t.Errorf("without a certificate: %d %v", status, body)
	}
	status, body := w.token(codeExchange(code), basic(c), show(cert))
	if status != 200 || body["token_type"] != "bearer" {
		t.Fatalf("got %d %v", status, body)
	}
	token := body["access_token"].(string)
	if in := w.introspect(token, nil); in["cnf"].(map[string]any)["x5t#S256"] != hash(string(cert.Raw)) {
		t.Errorf("introspection says %v", in)
	}
	for name, tt := range map[string]struct {
		edit   func(*http.Request)
		status int
	}{"none": {func(*http.Request) {}, 401}, "another": {show(other), 401}, "right": {show(cert), 200}} {
		if status, body := w.call("GET", w.public+"/userinfo", nil, bearer(token), tt.edit); status != tt.status {
			t.Errorf("%s: %d %v", name, status, body)
		}
	}
}
