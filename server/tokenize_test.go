package server_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/server"
)

// inline is a text as a setting has it.
func inline(text string) string { return "base64://" + base64.StdEncoding.EncodeToString([]byte(text)) }

// keySet is a JSON Web Key Set.
func keySet(t *testing.T, keys ...jose.JSONWebKey) string {
	t.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func signingKeys(t *testing.T) (rsaKey, ecKey, edKey crypto.Signer) {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, d, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return r, e, d
}

// withTemplates sets templates of tokens, as a file has them.
func withTemplates(t *testing.T, templates map[string]any) func(*server.Config) {
	t.Helper()
	text, err := json.Marshal(templates)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := load(t, "identity: {session: {whoami: {tokenizer: {templates: "+string(text)+"}}}}", nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *server.Config) { c.Identity.Session.Templates = loaded.Identity.Session.Templates }
}

// claims checks a token, and returns what it says.
func (s *said) claims(key crypto.Signer, alg jose.SignatureAlgorithm) map[string]any {
	s.Helper()
	signed, err := jose.ParseSignedCompact(s.str("tokenized"), []jose.SignatureAlgorithm{alg})
	if err != nil {
		s.Fatalf("%s: %v", s.text, err)
	}
	text, err := signed.Verify(key.Public())
	if err != nil {
		s.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(text, &claims); err != nil {
		s.Fatal(err)
	}
	return claims
}

func TestTokenizedSessions(t *testing.T) {
	r, e, d := signingKeys(t)
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, []byte(keySet(t, jose.JSONWebKey{Key: e.Public(), KeyID: "public"}, jose.JSONWebKey{Key: e, KeyID: "e1", Algorithm: "ES256"})), 0o600); err != nil {
		t.Fatal(err)
	}
	n := start(t, withIdentity, withTemplates(t, map[string]any{
		"plain": map[string]any{"jwks_url": inline(keySet(t, jose.JSONWebKey{Key: r, KeyID: "r1"}))},
		"mapped": map[string]any{"jwks_url": "file://" + file, "ttl": "10m", "claims_mapper_url": inline(`{"claims": {
			"email": "${session.identity.traits.email}", "given_name": "${session.identity.traits.name.first}", "who": "${claims.sub}/${session.authenticator_assurance_level}", "aud": ["a", "b"],
			"admin": "${session.identity.metadata_admin}", "iss": "https://elsewhere.example",
			"https://hasura.io/jwt/claims": {"x-hasura-user-id": "${session.identity.id}", "x-hasura-default-role": "user"}}}`)},
		"external": map[string]any{"jwks_url": inline(keySet(t, jose.JSONWebKey{Key: d})), "ttl": "9000h", "subject_source": "external_id"},
	}), func(c *server.Config) { c.Identity.Session.Idle = c.Identity.Session.Lifespan })
	v, a := n.visitor(t, false), n.admin(t)
	who := v.registerNative("ann@example.com")
	id := who.str("identity.id")
	const hostile = `Ann","admin":true,"x":"${claims.exp}`
	a.do("PATCH", "/admin/identities/"+id, []any{map[string]any{"op": "add", "path": "/traits/name", "value": map[string]any{"first": hostile}}}).is(200)

	got := v.get("/sessions/whoami?tokenize_as=plain").is(200).has("identity.id", id)
	claims := got.claims(r, jose.RS256)
	for name, want := range map[string]any{"sub": id, "sid": who.str("session.id"), "iss": v.base} {
		if claims[name] != want {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	if life := claims["exp"].(float64) - claims["iat"].(float64); life != 60 || claims["nbf"] != claims["iat"] {
		t.Errorf("the token lasts for %v s", life)
	}
	if h := got.header; h.Get("ETag") != "" || !strings.Contains(h.Get("Cache-Control"), "no-store") || h.Get("X-Kratos-Authenticated-Identity-Id") != id {
		t.Errorf("headers %v", h)
	}
	if again := v.get("/sessions/whoami?tokenize_as=plain").is(200).claims(r, jose.RS256); again["jti"] == claims["jti"] {
		t.Error("two tokens have one jti")
	}

	claims = v.get("/sessions/whoami?tokenize_as=mapped").is(200).claims(e, jose.ES256)
	deep, _ := claims["https://hasura.io/jwt/claims"].(map[string]any)
	if claims["email"] != "ann@example.com" || claims["given_name"] != hostile || claims["who"] != id+"/aal1" || claims["iss"] != "https://elsewhere.example" || claims["sub"] != id ||
		deep["x-hasura-user-id"] != id || deep["x-hasura-default-role"] != "user" {
		t.Errorf("claims %v", claims)
	}
	if _, there := claims["admin"]; there {
		t.Error("the token says what is for administrators, or null")
	}

	v.get("/sessions/whoami?tokenize_as=external").is(400) // there is no external id
	a.do("PATCH", "/admin/identities/"+id, []any{map[string]any{"op": "replace", "path": "/external_id", "value": "x1"}}).is(200)
	got = v.get("/sessions/whoami?tokenize_as=external").is(200)
	claims = got.claims(d, jose.EdDSA)
	ends, err := time.Parse(time.RFC3339, got.str("expires_at"))
	if err != nil || claims["sub"] != "x1" || int64(claims["exp"].(float64)) != ends.Unix() {
		t.Errorf("claims %v of a session until %v (%v)", claims, ends, err)
	}
	v.get("/sessions/whoami?tokenize_as=other").is(400)
	v.token = ""
	v.get("/sessions/whoami?tokenize_as=plain").is(401)
}

// TestTokenTemplateMistakes: what cannot work is refused at the start, without the keys
// in the message.
func TestTokenTemplateMistakes(t *testing.T) {
	r, e, _ := signingKeys(t)
	good := inline(keySet(t, jose.JSONWebKey{Key: e, KeyID: "e1"}))
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, template := range map[string]map[string]any{
		"jwks_url":                    {"jwks_url": "https://example.com/keys.json"},
		"no such file":                {"jwks_url": "file:///nowhere/keys.json"},
		"no base64":                   {"jwks_url": "base64://%"},
		"no JSON Web Key Set":         {"jwks_url": inline("[")},
		"no private key that signs":   {"jwks_url": inline(keySet(t, jose.JSONWebKey{Key: e.Public()}))},
		"no private key that signs ":  {"jwks_url": inline(keySet(t, jose.JSONWebKey{Key: weak}))},
		"no private key that signs  ": {"jwks_url": inline(keySet(t, jose.JSONWebKey{Key: r, Algorithm: "ES256"}))},
		"no private key that signs\t": {"jwks_url": inline(keySet(t, jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef")}))},
		"subject_source":              {"jwks_url": good, "subject_source": "email"},
		"no Jsonnet program":          {"jwks_url": good, "claims_mapper_url": inline("local session = std.extVar('session'); { claims: {} }")},
		"claims_mapper_url":           {"jwks_url": good, "claims_mapper_url": "https://example.com/x.jsonnet"},
		"claims, which is an object":  {"jwks_url": good, "claims_mapper_url": inline(`{"email":"x"}`)},
		"the server's to set":         {"jwks_url": good, "claims_mapper_url": inline(`{"claims":{"exp":1}}`)},
	} {
		c := testConfig(t)
		withIdentity(&c)
		withTemplates(t, map[string]any{"x": template})(&c)
		_, err := server.New(t.Context(), c)
		if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
