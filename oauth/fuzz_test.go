package oauth

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/cardea-iam/cardea/internal/secret"
)

// The targets below read what strangers write.

// FuzzForm: what passes is text, each parameter once, of a size that is bounded.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"a=b", "a=b&a=c", "resource=a&resource=b", "a=%00", "a=%ff", "%ff=a", "a", "a;b=c", "=&=", "a=" + strings.Repeat("b", maxParameter+1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		form, err := url.ParseQuery(text)
		if err != nil || checkForm(form) != nil {
			return
		}
		for name, values := range form {
			if len(values) > 1 && name != "resource" && name != "audience" {
				t.Errorf("%q is there %d times", name, len(values))
			}
			for _, v := range values {
				if !utf8.ValidString(v) || strings.Contains(v, "\x00") || len(v) > maxParameter {
					t.Errorf("%q has the value %.100q", name, v)
				}
			}
		}
	})
}

// FuzzClaims: what was read reads the same once it is written.
func FuzzClaims(f *testing.F) {
	for _, s := range []string{
		`{"userinfo":{"email":null},"id_token":{"acr":{"essential":true,"values":["a",1]}}}`, `{"userinfo":null}`, `null`, `[]`,
		`{"ID_TOKEN":{"a":1}}`, `{"id_token":{"a":{"value":null}}}`, `{"id_token":{"":null}}`, strings.Repeat(`{"userinfo":`, 9999),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseClaims(text)
		if err != nil || c == nil {
			return
		}
		if len(c.Userinfo) > maxClaims || len(c.IDToken) > maxClaims {
			t.Errorf("%d and %d claims", len(c.Userinfo), len(c.IDToken))
		}
		for _, wish := range c.IDToken {
			wish.texts()
		}
		written, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseClaims(string(written))
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(written, second) {
			t.Errorf("%s became %s: %v", written, second, err)
		}
	})
}

// FuzzRedirect: a URI that is allowed leads to where the client said, but for a port.
func FuzzRedirect(f *testing.F) {
	registered := []string{"https://client.test/cb", "https://client.test/cb?a=b", "http://127.0.0.1/cb", "http://[::1]/cb", "com.app:/cb"}
	for _, s := range append(registered, "https://client.test@evil/cb", "http://127.0.0.1:5/cb", "http://127.0.0.1:5@evil/cb", "http://[::1%25a]/cb", `https://client.test\@evil`, "com.app:cb", "//client.test/cb") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		asked, err := url.Parse(text)
		if err != nil || !redirectAllowed(registered, asked) {
			return
		}
		if to := asked.String(); slices.Contains(registered, to) {
			return
		}
		plain := *asked
		if host := asked.Hostname(); strings.Contains(host, ":") {
			plain.Host = "[" + host + "]"
		} else {
			plain.Host = host
		}
		if !slices.Contains(registered[2:4], plain.String()) {
			t.Errorf("%q is allowed", text)
		}
	})
}

// FuzzChallenge: nothing opens but what was sealed, and what was sealed is bounded
// however far it unpacks.
func FuzzChallenge(f *testing.F) {
	keys, err := secret.New("the secret of the tests")
	if err != nil {
		f.Fatal(err)
	}
	p := &Provider{o: Options{Secrets: keys, Now: time.Now, TTL: TTL{Challenge: time.Hour}}}
	good, err := p.sealFlow(loginChallenge, &flow{ID: "a", Client: "c", Query: "a=b", Begun: time.Now()})
	if err != nil {
		f.Fatal(err)
	}
	var bomb bytes.Buffer
	w, err := flate.NewWriter(&bomb, flate.BestCompression)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte(" "), 8*maxFlow)); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(good, []byte("{}"))
	f.Add(good[1:], bomb.Bytes())
	f.Add("", []byte(nil))
	f.Add(good+"A", []byte{0x4b, 0x04, 0x00})
	f.Fuzz(func(t *testing.T, text string, packed []byte) {
		if got, err := p.open(loginChallenge, text); err == nil && (got.ID != "a" || got.Query != "a=b") || text == good && err != nil {
			t.Errorf("%q opens as %v: %v", text, got, err)
		}
		if _, err := p.open(consentChallenge, text); err == nil {
			t.Errorf("%q is a challenge of another step, too", text)
		}
		sealed := base64.RawURLEncoding.EncodeToString(keys.Seal(loginVerifier, "", packed))
		if got, err := p.open(loginVerifier, sealed); err == nil && len(got.Query) > maxFlow {
			t.Errorf("it unpacks to %d bytes", len(got.Query))
		}
	})
}

// FuzzClient: metadata that is accepted is the same once it was stored.
func FuzzClient(f *testing.F) {
	p := &Provider{o: Options{Subjects: Subjects{Types: []string{"public", "pairwise"}}}}
	for _, s := range []string{
		`{"redirect_uris":["https://a/cb"],"scope":"a b"}`, `{"jwks":{"keys":[{"kty":"EC"}]}}`, `null`, `[]`, `{"metadata":{"a":[1]}}`,
		`{"grant_types":["implicit"],"response_types":["id_token token"]}`, `{"skip_logout_consent":null,"default_max_age":-1}`,
		`{"authorization_code_grant_access_token_lifespan":"1h"}`, `{"redirect_uris":["http://[::1]:5/","javascript:a","a:b"]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := readClient(bytes.NewReader(text))
		if err != nil || c.SectorURI != "" { // that would be fetched
			return
		}
		c.ID = "c"
		fillIn(c)
		if err := p.validate(t.Context(), c, nil); err != nil {
			return
		}
		for _, uri := range append(slices.Clone(c.RedirectURIs), c.PostLogoutURIs...) {
			if u, err := url.Parse(uri); err != nil || u.Scheme == "" || u.Fragment != "" || strings.EqualFold(u.Scheme, "javascript") {
				t.Errorf("the redirect URI %q is accepted", uri)
			}
		}
		written, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again := &Client{}
		if err := json.Unmarshal(written, again); err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(written, second) {
			t.Errorf("%s became %s: %v", written, second, err)
		}
	})
}

// FuzzJWT: what is read of JWTs before they are verified, and the claims after.
func FuzzJWT(f *testing.F) {
	p := &Provider{o: Options{Now: time.Now, Issuer: &url.URL{Scheme: "https", Host: "op.test"}}}
	b := base64.RawURLEncoding.EncodeToString
	for _, claims := range []string{`{"sub":"a","exp":1}`, `{"exp":1e300}`, `{"exp":-9e18,"iat":9e18}`, `null`, `{"aud":[1]}`, `{"request":"a"}`, `{"resource":["a"],"max_age":5}`} {
		f.Add(b([]byte(`{"alg":"ES256","typ":"dpop+jwt","jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`))+"."+b([]byte(claims))+".AA", []byte(claims))
	}
	f.Fuzz(func(t *testing.T, token string, text []byte) {
		claimedSubject(token)
		p.looksOwn(token)
		if signed, err := jose.ParseSignedCompact(token, asymmetricAlgs); err == nil {
			typOf(signed.Signatures[0].Header)
		}
		if _, _, err := readProof(token); err == nil {
			t.Errorf("%q is a proof", token)
		}
		var claims jwt.Claims
		if json.Unmarshal(text, &claims) == nil && p.checkTimes(claims, maxAssertion) == nil {
			if until := claims.Expiry.Time(); until.Before(time.Now().Add(-time.Hour)) || until.After(time.Now().Add(2*time.Hour)) {
				t.Errorf("%s is good until %v", text, until)
			}
		}
		var params map[string]json.RawMessage
		if json.Unmarshal(text, &params) != nil {
			return
		}
		form, err := objectForm(params)
		if err != nil {
			return
		}
		if again, err := url.ParseQuery(form.Encode()); err != nil || !reflect.DeepEqual(again, form) && len(form) > 0 && !hasEmpty(form) {
			t.Errorf("%v became %v: %v", form, again, err)
		}
	})
}

// hasEmpty reports whether a parameter has no value, which is not written.
func hasEmpty(form url.Values) bool {
	for _, values := range form {
		if len(values) == 0 {
			return true
		}
	}
	return false
}
