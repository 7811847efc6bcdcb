package oauth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	idTokens = "hydra.openid.id-token"
	// delay is how long a new key waits before it signs.
	delay = time.Minute
)

// signedBy returns the id of the key that signs ID tokens of a client now.
func (w *world) signedBy(c map[string]any) string {
	w.t.Helper()
	code := w.browser().authorize(codeRequest(c), ann()).Get("code")
	status, body := w.token(codeExchange(code), basic(c))
	if status != 200 {
		w.t.Fatalf("the code gives %d %v", status, body)
	}
	signed, err := jose.ParseSignedCompact(body["id_token"].(string), []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.EdDSA})
	if err != nil {
		w.t.Fatal(err)
	}
	kid := signed.Signatures[0].Header.KeyID
	for _, key := range w.published() {
		if key.KeyID != kid {
			continue
		}
		if _, err := signed.Verify(key); err != nil {
			w.t.Errorf("the ID token does not verify: %v", err)
		}
		return kid
	}
	w.t.Errorf("the ID token is signed by %s, which is not published", kid)
	return kid
}

// published returns the keys of the JWKS document.
func (w *world) published() []jose.JSONWebKey {
	w.t.Helper()
	_, text := w.send("GET", w.public+"/.well-known/jwks.json", nil)
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		w.t.Fatal(err)
	}
	return set.Keys
}

func kids(body map[string]any) []string {
	var ids []string
	for _, key := range body["keys"].([]any) {
		ids = append(ids, key.(map[string]any)["kid"].(string))
	}
	return ids
}

// TestKeyRotation: a new key is published before it signs, and then it does; the old one
// is published until it is deleted.
func TestKeyRotation(t *testing.T) {
	w := start(t)
	at := w.admin + "/admin/keys/" + idTokens
	for _, alg := range []string{"RS256", "ES256"} {
		c := w.client(map[string]any{"id_token_signed_response_alg": alg})
		before := w.signedBy(c)
		made := w.must("POST", at, map[string]any{"alg": alg, "use": "sig", "kid": "new-" + alg})
		if ids := kids(made); len(ids) != 1 || ids[0] != "new-"+alg {
			t.Errorf("made: %v", made)
		}
		has := func(kid string) bool { return strings.Contains(fmt.Sprint(kids(w.must("GET", at, nil))), kid) }
		if got := w.signedBy(c); got != before || !has("new-"+alg) || !has(before) {
			t.Errorf("%s: %s signs at once: expected %s", alg, got, before)
		}
		w.pass(delay)
		if got := w.signedBy(c); got != "new-"+alg {
			t.Errorf("%s: %s signs after a while: expected the new key", alg, got)
		}
		if !has(before) {
			t.Errorf("%s: the old key is not published any more", alg)
		}
		w.must("DELETE", at+"/"+before, nil)
		if has(before) {
			t.Errorf("%s: the old key is published although it was deleted", alg)
		}
	}
	// Whatever is deleted, there is something to sign with.
	c := w.client(nil)
	w.must("DELETE", at, nil)
	w.signedBy(c)
	w.must("PUT", at, map[string]any{"keys": []any{private(t, "imported", "RS256")}})
	if got := w.signedBy(c); got != "imported" {
		t.Errorf("%s signs: expected the only key of the set for its algorithm", got)
	}
	w.signedBy(w.client(map[string]any{"id_token_signed_response_alg": "EdDSA"}))
}

// private returns a key pair as a JSON Web Key.
func private(t *testing.T, kid, alg string) jose.JSONWebKey {
	t.Helper()
	var pair any
	var err error
	switch alg[:2] {
	case "RS", "PS":
		pair, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES":
		pair, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		_, pair, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: pair, KeyID: kid, Algorithm: alg, Use: "sig"}
}

// TestKeySets: sets of any name keep keys of any kind, and show their public members.
func TestKeySets(t *testing.T) {
	w := start(t)
	at := w.admin + "/admin/keys/mine"
	for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		w.must("POST", at, map[string]any{"alg": alg, "kid": alg})
	}
	w.must("PUT", at+"/shared", map[string]any{"kty": "oct", "k": "c2VjcmV0LXNlY3JldA", "kid": "shared", "alg": "HS256"})
	for name, address := range map[string]string{"the set": at, "a key": at + "/ES256", "a symmetric key": at + "/shared", "all": w.admin + "/admin/keys"} {
		resp, text := w.send("GET", address, nil)
		for _, member := range []string{`"d"`, `"p"`, `"q"`, `"dp"`, `"dq"`, `"qi"`, `"k"`, "c2VjcmV0LXNlY3JldA"} {
			if resp.StatusCode != 200 || strings.Contains(string(text), member+":") || strings.Contains(string(text), "c2VjcmV0") {
				t.Errorf("%s: %d %s", name, resp.StatusCode, text)
			}
		}
	}
	if ids := kids(w.must("GET", at, nil)); len(ids) != 11 {
		t.Errorf("the set has %v", ids)
	}
	w.must("PUT", at, map[string]any{"keys": []any{private(t, "a", "ES256"), private(t, "b", "EdDSA")}})
	if ids := kids(w.must("GET", at, nil)); len(ids) != 2 {
		t.Errorf("the replaced set has %v", ids)
	}
	w.must("DELETE", at+"/a", nil)
	w.must("DELETE", at, nil)
	for _, address := range []string{at, at + "/a"} {
		for _, method := range []string{"GET", "DELETE"} {
			if status, body := w.call(method, address, nil); status != 404 {
				t.Errorf("%s %s: %d %v", method, address, status, body)
			}
		}
	}
}

// TestKeyKept: what can be read of a set can be written back without losing a private
// key.
func TestKeyKept(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	before := w.signedBy(c)
	at := w.admin + "/admin/keys/" + idTokens
	w.must("PUT", at, w.must("GET", at, nil))
	if got := w.signedBy(c); got != before {
		t.Errorf("%s signs: expected %s as before", got, before)
	}
}

func TestKeyRefused(t *testing.T) {
	w := start(t)
	signing, other := w.admin+"/admin/keys/"+idTokens, w.admin+"/admin/keys/mine"
	w.must("PUT", signing+"/taken", private(t, "taken", "ES256"))
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	mismatch := private(t, "x", "ES256")
	mismatch.Algorithm = "EdDSA"
	unused := private(t, "x", "ES256")
	unused.Use = ""
	for _, tt := range []struct {
		name, method, at string
		body             any
		want             int
	}{
		{"no algorithm", "POST", other, map[string]any{"kid": "x"}, 400},
		{"none", "POST", other, map[string]any{"alg": "none"}, 400},
		{"HS256", "POST", other, map[string]any{"alg": "HS256"}, 400},
		{"use", "POST", other, map[string]any{"alg": "ES256", "use": "play"}, 400},
		{"a long id", "POST", other, map[string]any{"alg": "ES256", "kid": strings.Repeat("x", 256)}, 400},
		{"an id with spaces", "POST", other, map[string]any{"alg": "ES256", "kid": "a b"}, 400},
		{"an id that is taken", "POST", signing, map[string]any{"alg": "ES256", "kid": "taken"}, 409},
		{"an id that the other set has", "POST", w.admin + "/admin/keys/hydra.jwt.access-token", map[string]any{"alg": "ES256", "kid": "taken"}, 409},
		{"an algorithm that nothing signs with", "POST", signing, map[string]any{"alg": "RS512"}, 400},
		{"encryption", "POST", signing, map[string]any{"alg": "ES256", "use": "enc"}, 400},
		{"another key of the same id", "PUT", signing + "/taken", private(t, "taken", "ES256"), 409},
		{"another id", "PUT", other + "/x", private(t, "y", "ES256"), 400},
		{"a weak key", "PUT", other + "/x", jose.JSONWebKey{Key: weak, KeyID: "x", Algorithm: "RS256", Use: "sig"}, 400},
		{"an algorithm of other keys", "PUT", signing + "/x", mismatch, 400},
		{"no use", "PUT", signing + "/x", unused, 400},
		{"a symmetric key", "PUT", signing + "/x", map[string]any{"kty": "oct", "k": "c2VjcmV0", "alg": "ES256", "use": "sig"}, 400},
		{"no key", "PUT", other + "/x", map[string]any{}, 400},
		{"a list", "PUT", other + "/x", []any{}, 400},
		{"no keys", "PUT", other, map[string]any{"keys": []any{}}, 400},
		{"nothing", "PUT", other, map[string]any{}, 400},
		{"a key twice", "PUT", other, map[string]any{"keys": []any{private(t, "x", "ES256"), private(t, "x", "EdDSA")}}, 400},
		{"a key without an id", "PUT", other, map[string]any{"keys": []any{private(t, "", "ES256")}}, 400},
	} {
		if status, body := w.call(tt.method, tt.at, tt.body); status != tt.want || body["error_description"] == "" {
			t.Errorf("%s: %d %v: expected %d", tt.name, status, body, tt.want)
		}
	}
}

// TestReseal: after it, an older system secret is not needed for keys, and for secrets
// that clients sign with.
func TestReseal(t *testing.T) {
	const older, newer = "the secret of the tests", "a newer secret of the tests"
	w := start(t, sealedBy(older))
	c := w.client(nil)
	before := w.signedBy(c)
	w.client(map[string]any{"token_endpoint_auth_method": "client_secret_jwt"})

	if status, _ := startOn(t, w.store, sealedBy(newer)).token(url.Values{"grant_type": {"client_credentials"}}, basic(c)); status != 200 {
		t.Fatalf("an opaque token needs no key: %d", status)
	}
	both := startOn(t, w.store, sealedBy(newer, older))
	for i, want := range []string{"map[client_secrets:1 keys:10]", "map[client_secrets:0 keys:0]"} {
		if got := fmt.Sprint(both.must("POST", both.admin+"/admin/oauth2/reseal", nil)); got != want {
			t.Errorf("time %d: %s: expected %s", i+1, got, want)
		}
	}
	if got := startOn(t, w.store, sealedBy(newer)).signedBy(c); got != before {
		t.Errorf("%s signs: expected %s as before", got, before)
	}
	forgotten := startOn(t, w.store, sealedBy(older))
	if status, body := forgotten.call("GET", forgotten.admin+"/admin/keys/"+idTokens, nil); status != 500 || strings.Contains(fmt.Sprint(body), "secrets.system") {
		t.Errorf("with a secret that is older than all: %d %v", status, body)
	}
}
