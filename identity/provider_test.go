package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/egress"
	"github.com/cardea-iam/cardea/internal/errs"
)

func TestProviderValidate(t *testing.T) {
	good := Provider{ID: "x", Kind: "generic", ClientID: "c", Issuer: "https://id.example.com"}
	for kind := range presets {
		p := Provider{ID: "x", Kind: kind, ClientID: "c", ClientSecret: "s"}
		if kind == "generic" {
			p = good
		}
		if err := (OIDCOptions{Providers: []Provider{p}}).validate(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	for want, change := range map[string]func(p *Provider){
		"expected letters":       func(p *Provider) { p.ID = "a/b" },
		"expected letters, dig":  func(p *Provider) { p.ID = ".." },
		"is not known":           func(p *Provider) { p.Kind = "myspace" },
		"client_id is missing":   func(p *Provider) { p.ClientID = "" },
		"expected an https URL":  func(p *Provider) { p.Issuer = "http://id.example.com" },
		"expected an https":      func(p *Provider) { p.TokenURL = "file:///etc/passwd" },
		"expected issuer_url":    func(p *Provider) { p.Issuer = "" },
		"pkce is":                func(p *Provider) { p.PKCE = "plain" },
		"claims_source is":       func(p *Provider) { p.ClaimsSource = "me" },
		"account_linking_mode":   func(p *Provider) { p.Linking = "always" },
		"mapper":                 func(p *Provider) { p.Mapping = Mapping{"credentials.x": {"y"}} },
		"lies within":            func(p *Provider) { p.Mapping = Mapping{"traits.name": {"name"}, "traits.name.first": {"given_name"}} },
		"traits..x":              func(p *Provider) { p.Mapping = Mapping{"traits..x": {"y"}} },
		"expected client_secret": func(p *Provider) { p.Kind = "apple" },
		"client_secret is miss":  func(p *Provider) { p.Kind, p.ClientSecret = "github", "" },
		"requested_claims.email": func(p *Provider) { p.RequestedClaims = map[string]any{"email": nil} },
		"requested_claims.id_t":  func(p *Provider) { p.RequestedClaims = map[string]any{"id_token": "email"} },
		"subject_source is":      func(p *Provider) { p.SubjectSource = "me" },
		"there is no organiz":    func(p *Provider) { p.Organization = "x" },
	} {
		p := good
		change(&p)
		if err := (OIDCOptions{Providers: []Provider{p}}).validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: expected %q", err, want)
		}
	}
	if err := (OIDCOptions{Providers: []Provider{good, good}}).validate(); err == nil {
		t.Error("two providers of one id are allowed")
	}
}

func TestMapping(t *testing.T) {
	schema, err := NewSchema("default", []byte(DefaultSchema))
	if err != nil {
		t.Fatal(err)
	}
	claims := map[string]any{"email": "a@example.com", "given_name": "Ann", "name": "Ann Lee", "org": map[string]any{"unit": "x", "list": []any{1}}, "nothing": nil}
	var own Mapping
	if err := json.Unmarshal([]byte(`{"traits.name.first": ["nick", "given_name"], "traits.unit": "org.unit", "metadata_public.a.b": "org.list", "traits.no": "org.unit.deeper", "traits.null": "nothing"}`), &own); err != nil {
		t.Fatal(err)
	}
	for want, m := range map[string]mapped{
		`{"email":"a@example.com","name":{"first":"Ann"}} {}`: usualMapping.apply(claims, schema, true),
		`{"name":{"first":"Ann"},"unit":"x"} {"a":{"b":[1]}}`: own.apply(claims, schema, false),
		`{"email":"${7*7}"} {}`:                               usualMapping.apply(map[string]any{"email": "${7*7}"}, schema, true),
	} {
		traits, err1 := json.Marshal(m.traits)
		public, err2 := json.Marshal(m.public)
		if got := string(traits) + " " + string(public); err1 != nil || err2 != nil || got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestPrivateProvider: a name may lead to a private address only if a setting says so.
func TestPrivateProvider(t *testing.T) {
	at := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		_, _ = w.Write([]byte("{}"))
	}))
	defer at.Close()
	var into map[string]any
	for _, private := range []bool{true, false} {
		u := &upstream{http: egress.Client(private, 0), now: time.Now}
		if err := u.fetch(t.Context(), at.URL, "", &into); (err == nil) != private {
			t.Errorf("private %t: %v", private, err)
		}
		if err := u.fetch(t.Context(), at.URL+"/away", "", &into); errs.KindOf(err) != errs.Unavailable {
			t.Errorf("a redirect: %v", err)
		}
	}
}

// TestPresets asks servers that answer as those of the presets do.
func TestPresets(t *testing.T) {
	answers := map[string]string{
		"/token":         `{"access_token":"t"}`,
		"/user":          `{"id":42,"login":"ann","name":"Ann Lee","avatar_url":"https://x.test/a"}`,
		"/user/emails":   `[{"email":"old@example.com","verified":true},{"email":"ann@example.com","primary":true,"verified":true}]`,
		"/users/@me":     `{"id":"77","username":"ann","email":"ann@example.com","verified":false}`,
		"/me":            `{"id":"88","name":"Ann Lee","first_name":"Ann","last_name":"Lee","email":"ann@example.com"}`,
		"/oauth2/claims": `{"id":99,"email":"ann@example.com","email_verified":"true"}`,
	}
	at := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" && r.FormValue("code") != "c" || r.URL.Path != "/token" && r.Header.Get("Authorization") != "Bearer t" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		if r.URL.Path == "/me" && len(r.FormValue("appsecret_proof")) != 64 {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = w.Write([]byte(answers[r.URL.Path]))
	}))
	defer at.Close()
	for _, tt := range []struct {
		kind, path, subject, email string
		verified                   bool
	}{
		{"github", "", "42", "ann@example.com", true},
		{"discord", "", "77", "ann@example.com", false},
		{"facebook", "", "88", "ann@example.com", false},
		{"generic", "/oauth2/claims", "99", "ann@example.com", true},
	} {
		p := Provider{ID: "x", Kind: tt.kind, ClientID: "c", ClientSecret: "s", AuthURL: at.URL + "/auth", TokenURL: at.URL + "/token", UserinfoURL: at.URL + tt.path, PKCE: "force"}
		p.complete()
		u := &upstream{Provider: p, http: egress.Client(true, 0), now: time.Now, redirect: "https://rp.test/cb"}
		to, err := u.ask(t.Context(), ticket{Verifier: "v", Nonce: "n"}, "sealed", url.Values{})
		if err != nil || !strings.HasPrefix(to, at.URL+"/auth?") || !strings.Contains(to, "code_challenge_method=S256") || strings.Contains(to, "nonce") {
			t.Errorf("%s asks with %s: %v", tt.kind, to, err)
		}
		who, err := u.redeem(t.Context(), "c", ticket{Verifier: "v"})
		if err != nil || who.Subject != tt.subject || who.Claims["email"] != tt.email || who.Verified != tt.verified {
			t.Errorf("%s: %+v, %v", tt.kind, who, err)
		}
		if _, err := u.redeem(t.Context(), "x", ticket{}); errs.KindOf(err) != errs.Unavailable {
			t.Errorf("%s: a wrong code: %v", tt.kind, err)
		}
	}
}

// TestIDTokenClaims tries tokens with a good signature that are not for us.
func TestIDTokenClaims(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	u := &upstream{Provider: Provider{ID: "x", Kind: "generic", ClientID: "c", Issuer: "https://id.test"}, now: func() time.Time { return now },
		meta: &metadata{Issuer: "https://id.test"}, metaAt: now, keysAt: now, keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}}}
	for name, change := range map[string]map[string]any{
		"":                       {},
		"is of another issuer":   {"iss": "https://evil.test"},
		"is for another client":  {"aud": "d"},
		"was issued to another":  {"aud": []string{"c", "d"}},
		"was issued to another ": {"aud": []string{"c", "d"}, "azp": "d"},
		"has expired":            {"exp": now.Add(-2 * time.Minute).Unix()},
		"has expired ":           {"exp": nil},
		"is from the future":     {"iat": now.Add(time.Hour).Unix()},
		"names nobody":           {"sub": ""},
		"has another nonce":      {"nonce": "m"},
		"has another nonce ":     {"nonce": nil},
	} {
		claims := map[string]any{"iss": "https://id.test", "aud": "c", "sub": "ann", "nonce": "n", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
		for k, v := range change {
			claims[k] = v
		}
		text, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(text)
		if err != nil {
			t.Fatal(err)
		}
		token, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		_, err = u.idToken(t.Context(), token, "n", []string{"c"})
		if name == "" && err != nil || name != "" && (errs.KindOf(err) != errs.Denied || !strings.Contains(err.Error(), strings.TrimSpace(name))) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestAppleSecret checks the JWT that proves to Apple who we are.
func TestAppleSecret(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	u := &upstream{now: time.Now, Provider: Provider{ID: "apple", Kind: "apple", ClientID: "app", AppleTeam: "team", AppleKeyID: "kid",
		AppleKey: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))}}
	secret, err := u.secret()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(secret, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || signed.Signatures[0].Header.KeyID != "kid" {
		t.Fatalf("%s: %v", secret, err)
	}
	payload, err := signed.Verify(key.Public())
	if err != nil || !strings.Contains(string(payload), `"iss":"team"`) || !strings.Contains(string(payload), `"sub":"app"`) {
		t.Errorf("%s: %v", payload, err)
	}
}
