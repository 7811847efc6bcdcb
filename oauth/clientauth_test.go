package oauth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// key makes a key pair for an algorithm.
func key(t *testing.T, alg jose.SignatureAlgorithm, id string) jose.JSONWebKey {
	t.Helper()
	var pair any
	var err error
	switch {
	case alg == jose.EdDSA:
		_, pair, err = ed25519.GenerateKey(rand.Reader)
	case strings.HasPrefix(string(alg), "ES"):
		curve := map[jose.SignatureAlgorithm]elliptic.Curve{jose.ES256: elliptic.P256(), jose.ES384: elliptic.P384(), jose.ES512: elliptic.P521()}[alg]
		pair, err = ecdsa.GenerateKey(curve, rand.Reader)
	default:
		pair, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: pair, KeyID: id, Algorithm: string(alg)}
}

func publicSet(keys ...jose.JSONWebKey) jose.JSONWebKeySet {
	set := jose.JSONWebKeySet{}
	for _, k := range keys {
		set.Keys = append(set.Keys, k.Public())
	}
	return set
}

// signed makes a JWT.
func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, typ string, claims map[string]any) string {
	t.Helper()
	o := &jose.SignerOptions{}
	if typ != "" {
		o = o.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	return jwtBy(t, signer, claims)
}

func jwtBy(t *testing.T, signer jose.Signer, claims map[string]any) string {
	t.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	s, err := signer.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// with returns a copy of claims with others over them; nil removes one.
func with(claims map[string]any, more ...any) map[string]any {
	out := maps.Clone(claims)
	for i := 0; i+1 < len(more); i += 2 {
		if more[i+1] == nil {
			delete(out, more[i].(string))
		} else {
			out[more[i].(string)] = more[i+1]
		}
	}
	return out
}

// assertionClaims are those of a good client assertion with a new jti.
func (w *world) assertionClaims(c map[string]any) map[string]any {
	return map[string]any{
		"iss": c["client_id"], "sub": c["client_id"], "aud": w.public, "iat": w.clock().Unix(),
		"exp": w.clock().Add(time.Minute).Unix(), "jti": rand.Text(),
	}
}

// byAssertion is a client credentials request that authenticates by a JWT.
func byAssertion(assertion string, more ...string) url.Values {
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

// TestAuthMethods: a client authenticates by its own method and by no other.
func TestAuthMethods(t *testing.T) {
	w := start(t)
	k := key(t, jose.ES256, "k")
	secrets := map[string]map[string]any{}
	for _, method := range []string{"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt"} {
		fields := map[string]any{"token_endpoint_auth_method": method}
		if method == "private_key_jwt" {
			fields["jwks"] = publicSet(k)
		}
		secrets[method] = w.client(fields)
	}
	grant := url.Values{"grant_type": {"client_credentials"}}
	for registered, c := range secrets {
		id := c["client_id"].(string)
		secret, _ := c["client_secret"].(string)
		if secret == "" {
			secret = "a guess"
		}
		assertions := map[string]string{
			"client_secret_jwt": signed(t, jose.HS256, []byte(secret+strings.Repeat(" ", max(0, 32-len(secret)))), "", w.assertionClaims(c)),
			"private_key_jwt":   signed(t, jose.ES256, k, "JWT", w.assertionClaims(c)),
		}
		for used, try := range map[string]func() (int, map[string]any){
			"client_secret_basic": func() (int, map[string]any) {
				return w.token(grant, basic(map[string]any{"client_id": id, "client_secret": secret}))
			},
			"client_secret_post": func() (int, map[string]any) {
				return w.token(url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}})
			},
			"client_secret_jwt": func() (int, map[string]any) { return w.token(byAssertion(assertions["client_secret_jwt"])) },
			"private_key_jwt":   func() (int, map[string]any) { return w.token(byAssertion(assertions["private_key_jwt"])) },
			"none": func() (int, map[string]any) {
				return w.token(url.Values{"grant_type": {"client_credentials"}, "client_id": {id}})
			},
		} {
			status, body := try()
			if used == registered && status != 200 {
				t.Errorf("%s: %d %v", used, status, body)
			}
			if used != registered && (status != 401 || body["error"] != "invalid_client") {
				t.Errorf("%s by a client with %s: %d %v", used, registered, status, body)
			}
		}
	}
}

// TestAuthRefused: requests that say two things, or nothing.
func TestAuthRefused(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	id, secret := c["client_id"].(string), c["client_secret"].(string)
	for _, tt := range []struct {
		name   string
		form   url.Values
		edit   func(*http.Request)
		status int
		want   string
	}{
		{"nobody", url.Values{}, func(*http.Request) {}, 401, "invalid_client"},
		{"basic and post", url.Values{"client_id": {id}, "client_secret": {secret}}, basic(c), 400, "invalid_request"},
		{"basic and assertion", url.Values{"client_assertion": {"x"}}, basic(c), 400, "invalid_request"},
		{"post and assertion", url.Values{"client_secret": {secret}, "client_assertion": {"x"}}, func(*http.Request) {}, 400, "invalid_request"},
		{"basic and another id", url.Values{"client_id": {"other"}}, basic(c), 400, "invalid_request"},
		{"assertion of unknown type", url.Values{"client_id": {id}, "client_assertion": {"x"}, "client_assertion_type": {"saml"}}, func(*http.Request) {}, 400, "invalid_request"},
		{"type without assertion", url.Values{"client_id": {id}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}, func(*http.Request) {}, 401, "invalid_client"},
		{"bad escape", url.Values{}, func(r *http.Request) { r.SetBasicAuth("%zz", secret) }, 400, "invalid_request"},
		{"in the URL", url.Values{}, func(r *http.Request) {
			r.URL.RawQuery = url.Values{"client_id": {id}, "client_secret": {secret}}.Encode()
		}, 401, "invalid_client"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.form.Set("grant_type", "client_credentials")
			if status, body := w.token(tt.form, tt.edit); status != tt.status || body["error"] != tt.want {
				t.Errorf("got %d %v: expected %d %s", status, body, tt.status, tt.want)
			}
		})
	}
	unknown := map[string]any{"client_id": "nobody", "client_secret": "x"}
	_, a := w.token(url.Values{"grant_type": {"client_credentials"}}, basic(unknown))
	_, b := w.token(url.Values{"grant_type": {"client_credentials"}}, basic(with(c, "client_secret", "x")))
	if a["error_description"] != b["error_description"] {
		t.Errorf("an unknown client hears %v, one with a wrong secret %v", a, b)
	}
}

// TestChosenSecret: a secret that somebody chose is right also the second time, when it
// is remembered, and a wrong one is wrong before and after.
func TestChosenSecret(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"client_secret": "chosen by somebody"})
	wrong := with(c, "client_secret", "chosen by somebody else")
	for range 2 {
		if status, body := w.token(url.Values{"grant_type": {"client_credentials"}}, basic(wrong)); status != 401 {
			t.Errorf("a wrong secret: %d %v", status, body)
		}
		if status, body := w.token(url.Values{"grant_type": {"client_credentials"}}, basic(c)); status != 200 {
			t.Errorf("the right secret: %d %v", status, body)
		}
	}
}

// TestAssertionAlgs: all algorithms, and with one registered that one only.
func TestAssertionAlgs(t *testing.T) {
	w := start(t)
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA} {
		k := key(t, alg, "k")
		c := w.client(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": publicSet(k)})
		if status, body := w.token(byAssertion(signed(t, alg, k, "", w.assertionClaims(c)))); status != 200 {
			t.Errorf("%s: %d %v", alg, status, body)
		}
		narrow := w.client(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": publicSet(k), "token_endpoint_auth_signing_alg": "PS256"})
		status, body := w.token(byAssertion(signed(t, alg, k, "", w.assertionClaims(narrow))))
		if (status == 200) != (alg == jose.PS256) {
			t.Errorf("%s where PS256 is registered: %d %v", alg, status, body)
		}
	}
}

// TestSecretSigns: a secret that is made here signs with each algorithm that the metadata
// names (RFC 7518, section 3.2), also one that was rotated.
func TestSecretSigns(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"token_endpoint_auth_method": "client_secret_jwt"})
	for range 2 {
		for _, alg := range []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512} {
			if status, body := w.token(byAssertion(signed(t, alg, []byte(c["client_secret"].(string)), "", w.assertionClaims(c)))); status != 200 {
				t.Errorf("%s: %d %v", alg, status, body)
			}
		}
		c = w.must("POST", w.admin+"/admin/clients/"+c["client_id"].(string)+"/secrets/rotate", nil)
	}
}

// TestEd25519 is the newer name of EdDSA (RFC 9864): with a key of either name, or none.
func TestEd25519(t *testing.T) {
	w := start(t)
	for _, named := range []string{"Ed25519", "EdDSA", ""} {
		k := key(t, jose.EdDSA, "k")
		k.Algorithm = named
		c := w.client(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": publicSet(k)})
		claims, err := json.Marshal(w.assertionClaims(c))
		if err != nil {
			t.Fatal(err)
		}
		text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"Ed25519","kid":"k"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
		signature := ed25519.Sign(k.Key.(ed25519.PrivateKey), []byte(text))
		if status, body := w.token(byAssertion(text + "." + base64.RawURLEncoding.EncodeToString(signature))); status != 200 {
			t.Errorf("a key named %q: %d %v", named, status, body)
		}
		signature[0]++
		if status, body := w.token(byAssertion(text + "." + base64.RawURLEncoding.EncodeToString(signature))); status != 401 {
			t.Errorf("a key named %q and a wrong signature: %d %v", named, status, body)
		}
	}
}

// TestAssertionRefused: each claim that is wrong, and that none of these uses up the jti.
func TestAssertionRefused(t *testing.T) {
	w := start(t)
	k, stranger := key(t, jose.ES256, "k"), key(t, jose.ES256, "k")
	c := w.client(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": publicSet(k)})
	good := w.assertionClaims(c)
	now := w.clock()
	for _, tt := range []struct {
		name      string
		assertion string
	}{
		{"no JWT", "x"},
		{"empty parts", ".."},
		{"a stranger's key", signed(t, jose.ES256, stranger, "", good)},
		{"no signature", "eyJhbGciOiJub25lIn0." + strings.Split(signed(t, jose.ES256, k, "", good), ".")[1] + "."},
		{"symmetric", signed(t, jose.HS256, []byte(strings.Repeat("k", 32)), "", good)},
		{"request object", signed(t, jose.ES256, k, "oauth-authz-req+jwt", good)},
		{"other issuer", signed(t, jose.ES256, k, "", with(good, "iss", "other"))},
		{"no issuer", signed(t, jose.ES256, k, "", with(good, "iss", nil))},
		{"other subject", signed(t, jose.ES256, k, "", with(good, "sub", "other"))},
		{"other audience", signed(t, jose.ES256, k, "", with(good, "aud", "https://other.test"))},
		{"no audience", signed(t, jose.ES256, k, "", with(good, "aud", nil))},
		{"no exp", signed(t, jose.ES256, k, "", with(good, "exp", nil))},
		{"expired", signed(t, jose.ES256, k, "", with(good, "exp", now.Add(-time.Minute).Unix()))},
		{"far exp", signed(t, jose.ES256, k, "", with(good, "exp", now.Add(2*time.Hour).Unix()))},
		{"text exp", signed(t, jose.ES256, k, "", with(good, "exp", "tomorrow"))},
		{"later nbf", signed(t, jose.ES256, k, "", with(good, "nbf", now.Add(time.Minute).Unix()))},
		{"later iat", signed(t, jose.ES256, k, "", with(good, "iat", now.Add(time.Minute).Unix()))},
		{"no jti", signed(t, jose.ES256, k, "", with(good, "jti", nil))},
		{"long jti", signed(t, jose.ES256, k, "", with(good, "jti", strings.Repeat("j", 513)))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, body := w.token(byAssertion(tt.assertion, "client_id", c["client_id"].(string))); status != 401 && status != 400 ||
				body["error"] != "invalid_client" && body["error"] != "invalid_request" {
				t.Errorf("got %d %v", status, body)
			}
		})
	}
	for _, want := range []int{200, 401} { // the second is a second use
		if status, body := w.token(byAssertion(signed(t, jose.ES256, k, "", good))); status != want {
			t.Errorf("got %d %v: expected %d", status, body, want)
		}
	}
	for _, aud := range []any{w.public + "/oauth2/token", []string{"https://other.test", w.public}} {
		if status, body := w.token(byAssertion(signed(t, jose.ES256, k, "client-authentication+jwt", with(w.assertionClaims(c), "aud", aud)))); status != 200 {
			t.Errorf("for %v: %d %v", aud, status, body)
		}
	}
	other := w.client(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": publicSet(k)})
	if status, body := w.token(byAssertion(signed(t, jose.ES256, k, "", with(w.assertionClaims(other), "jti", good["jti"])))); status != 200 {
		t.Errorf("the jti of another client: %d %v", status, body)
	}
}

// TestKeysURI: keys at a jwks_uri are read once, again for an unknown key, and not in a
// loop.
func TestKeysURI(t *testing.T) {
	w := start(t)
	old, next := key(t, jose.ES256, "old"), key(t, jose.ES256, "next")
	var asked atomic.Int32
	var now atomic.Pointer[jose.JSONWebKeySet]
	set := publicSet(old)
	now.Store(&set)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if keys := now.Load(); keys != nil {
			_ = json.NewEncoder(rw).Encode(map[string]any{"keys": []any{map[string]any{"kty": "magic"}, keys.Keys[0]}})
			return
		}
		rw.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(server.Close)
	c := w.client(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": server.URL})
	try := func(k jose.JSONWebKey, status int, questions int32) {
		t.Helper()
		if got, body := w.token(byAssertion(signed(t, jose.ES256, k, "", w.assertionClaims(c)))); got != status {
			t.Errorf("got %d %v: expected %d", got, body, status)
		}
		if got := asked.Load(); got != questions {
			t.Errorf("the keys were asked for %d times: expected %d", got, questions)
		}
	}
	try(old, 200, 1)
	try(old, 200, 1)
	try(next, 401, 1) // asked a moment ago
	w.pass(time.Minute)
	set = publicSet(next)
	try(next, 200, 2)
	try(old, 401, 2)
	now.Store(nil)
	w.pass(11 * time.Minute)
	try(next, 200, 3) // those from before
	w.pass(time.Hour)
	try(next, 401, 4)
	try(next, 401, 4)
}

func TestAuthenticateHeader(t *testing.T) {
	w := start(t)
	r, err := http.NewRequestWithContext(t.Context(), "POST", w.public+"/oauth2/token", strings.NewReader("grant_type=client_credentials&client_id=x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("got %d %v", resp.StatusCode, resp.Header)
	}
}
