package oauth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// decrypted opens a JWE.
func decrypted(t *testing.T, token string, key jose.JSONWebKey) string {
	t.Helper()
	sealed, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{jose.RSA_OAEP_256, jose.ECDH_ES, jose.ECDH_ES_A256KW}, []jose.ContentEncryption{jose.A128CBC_HS256, jose.A256GCM})
	if err != nil {
		t.Fatalf("%q: %v", token, err)
	}
	if sealed.Header.KeyID != key.KeyID {
		t.Errorf("encrypted for the key %q: expected %q", sealed.Header.KeyID, key.KeyID)
	}
	text, err := sealed.Decrypt(key)
	if err != nil {
		t.Fatalf("%q: %v", token, err)
	}
	return string(text)
}

// TestEncryption: each response that can be encrypted, with each algorithm.
func TestEncryption(t *testing.T) {
	w := start(t)
	rsa, ec := key(t, jose.RS256, "rsa"), key(t, jose.ES256, "ec")
	rsa.Algorithm, rsa.Use, ec.Algorithm, ec.Use = "RSA-OAEP-256", "enc", "", ""
	for _, tt := range []struct {
		alg, enc string
		key      jose.JSONWebKey
	}{
		{"RSA-OAEP-256", "", rsa},
		{"RSA-OAEP-256", "A256GCM", rsa},
		{"ECDH-ES", "A128CBC-HS256", ec},
		{"ECDH-ES+A256KW", "A256GCM", ec},
	} {
		t.Run(tt.alg+" "+tt.enc, func(t *testing.T) {
			fields := map[string]any{"jwks": publicSet(rsa, ec)}
			for _, what := range []string{"id_token", "userinfo", "introspection"} {
				fields[what+"_encrypted_response_alg"] = tt.alg
				if tt.enc != "" {
					fields[what+"_encrypted_response_enc"] = tt.enc
				}
			}
			plain := w.client(fields)
			fields["userinfo_signed_response_alg"] = "ES256"
			c := w.client(fields)
			tokens := w.tokens(c, ann())
			if claims := w.claims("RS256", decrypted(t, tokens["id_token"].(string), tt.key)); claims["sub"] != "ann" {
				t.Errorf("the ID token says %v", claims)
			}
			_, h, userinfo := w.raw("GET", w.public+"/userinfo", nil, bearer(tokens["access_token"]))
			if claims := w.claims("ES256", decrypted(t, userinfo, tt.key)); claims["sub"] != "ann" || h.Get("Content-Type") != "application/jwt" {
				t.Errorf("userinfo says %v, with %v", claims, h)
			}
			_, _, unsigned := w.raw("GET", w.public+"/userinfo", nil, bearer(w.tokens(plain, ann())["access_token"]))
			var claims map[string]any
			if err := json.Unmarshal([]byte(decrypted(t, unsigned, tt.key)), &claims); err != nil || claims["sub"] != "ann" {
				t.Errorf("unsigned userinfo says %v, %v", claims, err)
			}
			_, _, known := w.raw("POST", w.public+"/oauth2/introspect", url.Values{"token": {tokens["access_token"].(string)}}, basic(c), func(r *http.Request) {
				r.Header.Set("Accept", "application/token-introspection+jwt")
			})
			if _, claims := w.verify(decrypted(t, known, tt.key)); claims["token_introspection"].(map[string]any)["active"] != true {
				t.Errorf("introspection says %v", claims)
			}
		})
	}
}

// TestNoKeyToEncrypt: a client whose key is gone is told so, and gets nothing unencrypted.
func TestNoKeyToEncrypt(t *testing.T) {
	w := start(t)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(`{"keys":[]}`)) }))
	t.Cleanup(server.Close)
	c := w.client(map[string]any{"jwks_uri": server.URL, "id_token_encrypted_response_alg": "ECDH-ES"})
	code := w.browser().authorize(codeRequest(c), ann()).Get("code")
	if status, body := w.token(codeExchange(code), basic(c)); status != 400 || body["error"] != "invalid_request" || body["id_token"] != nil {
		t.Errorf("got %d %v", status, body)
	}
}

// encrypted encrypts a text for a key of the server.
func encrypted(t *testing.T, ours jose.JSONWebKey, text string) string {
	t.Helper()
	e, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.KeyAlgorithm(ours.Algorithm), Key: ours}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := e.Encrypt([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out, err := sealed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEncryptedHint: a client need not let the browser see the ID token that it gives as a
// hint, at a login and at a logout.
func TestEncryptedHint(t *testing.T) {
	w := start(t)
	c := w.leaving(nil)
	b := w.browser()
	id := b.logIn(c)["id_token"].(string)
	all := w.published()
	hint := encrypted(t, all[slices.IndexFunc(all, func(k jose.JSONWebKey) bool { return k.Use == "enc" })], id)
	asked, _ := b.challenge(codeRequest(c, "id_token_hint", hint))
	if claims, _ := asked["oidc_context"].(map[string]any)["id_token_hint_claims"].(map[string]any); claims["sub"] != "ann" {
		t.Errorf("the page hears %v", asked)
	}
	if _, q := b.challenge(codeRequest(c, "id_token_hint", "x"+hint[1:])); q.Get("error") != "invalid_request" {
		t.Errorf("a broken one: %v", q)
	}
	end, _ := b.logOut(url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {afterLogout}}, "accept")
	if end.String() != afterLogout || b.isIn(c) {
		t.Errorf("a logout ends at %s", end)
	}
}

// TestEncryptedRequest: a request object that only this server can read, for each of its
// keys.
func TestEncryptedRequest(t *testing.T) {
	w := start(t)
	k := key(t, jose.ES256, "k")
	c := w.client(map[string]any{"jwks": publicSet(k)})
	tried := 0
	for _, ours := range w.published() {
		if ours.Use != "enc" {
			continue
		}
		tried++
		object := encrypted(t, ours, signed(t, jose.ES256, k, "", w.object(c)))
		if answer := w.browser().authorize(inObject(c, object), ann()); answer.Get("code") == "" {
			t.Errorf("%s: %v", ours.Algorithm, answer)
		}
		if at := w.browser().open(w.public + "/oauth2/auth?" + inObject(c, "x"+object[1:]).Encode()); at.Query().Get("error") != "invalid_request_object" {
			t.Errorf("a broken one ends at %v", at)
		}
	}
	if tried != 2 {
		t.Errorf("%d keys to encrypt for: expected 2", tried)
	}
}
