package oauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// ended returns where an answer is, "query", "fragment" or "form_post", and what it is.
func (b *browser) ended(at *url.URL) (string, url.Values) {
	b.w.t.Helper()
	switch {
	case b.form != nil:
		return "form_post", at.Query()
	case at.Fragment != "":
		values, err := url.ParseQuery(at.Fragment)
		if err != nil {
			b.w.t.Fatal(err)
		}
		return "fragment", values
	default:
		return "query", at.Query()
	}
}

// TestResponseModes: codes and errors, those of the first request and those of the pages,
// come in the mode that was asked for.
func TestResponseModes(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	for mode, want := range map[string]string{
		"": "query", "query": "query", "fragment": "fragment", "form_post": "form_post",
		"jwt": "query", "query.jwt": "query", "fragment.jwt": "fragment", "form_post.jwt": "form_post",
	} {
		signed := strings.HasSuffix(mode, "jwt")
		read := func(values url.Values) map[string]any {
			t.Helper()
			out := map[string]any{}
			if !signed {
				for name := range values {
					out[name] = values.Get(name)
				}
				return out
			}
			if len(values) != 1 {
				t.Errorf("%s: %v beside the response", mode, values)
			}
			claims := w.claims("RS256", values.Get("response"))
			if claims["aud"] != c["client_id"] || claims["exp"].(float64) <= float64(w.clock().Unix()) {
				t.Errorf("%s: claims %v", mode, claims)
			}
			return claims
		}
		b := w.browser()
		code := read(b.authorize(codeRequest(c, "response_mode", mode), ann()))
		if code["code"] == nil || code["state"] != "st" || code["iss"] != w.public {
			t.Errorf("%s: %v", mode, code)
		}
		if no := read(b.authorize(codeRequest(c, "response_mode", mode), app{})); no["error"] != "access_denied" || no["state"] != "st" || no["iss"] != w.public {
			t.Errorf("%s, refused by the page: %v", mode, no)
		}
		for _, wrong := range []string{"prompt", "scope", "response_type"} {
			at := b.open(w.public + "/oauth2/auth?" + codeRequest(c, "response_mode", mode, wrong, "magic").Encode())
			got, values := b.ended(at)
			if wrong == "response_type" && (mode == "" || mode == "jwt") {
				got = want // nobody knows which one it would be
			}
			if no := read(values); got != want || no["error"] == nil || no["error"] == "" || no["state"] != "st" {
				t.Errorf("%s with a wrong %s: by %s, %v", mode, wrong, got, no)
			}
		}
	}
	at := w.browser().open(w.public + "/oauth2/auth?" + codeRequest(c, "response_mode", "magic").Encode())
	if q := at.Query(); q.Get("error") != "unsupported_response_mode" {
		t.Errorf("an unknown mode ends at %v", at)
	}
}

// TestResponseModesOfClient: a client that is registered with some has no others.
func TestResponseModesOfClient(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"response_modes": []string{"query.jwt"}, "authorization_signed_response_alg": "ES256"})
	b := w.browser()
	if _, values := b.ended(b.open(w.public + "/oauth2/auth?" + codeRequest(c, "response_mode", "fragment").Encode())); values.Get("error") != "unsupported_response_mode" {
		t.Errorf("fragment: %v", values)
	}
	if claims := w.claims("ES256", b.authorize(codeRequest(c, "response_mode", "query.jwt"), ann()).Get("response")); claims["code"] == nil {
		t.Errorf("query.jwt: %v", claims)
	}
}

// TestEncryptedResponse is for the client only, which finds the signed one in it.
func TestEncryptedResponse(t *testing.T) {
	w := start(t)
	k := key(t, jose.ES256, "k")
	k.Algorithm, k.Use = "", "enc"
	c := w.client(map[string]any{"jwks": publicSet(k), "authorization_encrypted_response_alg": "ECDH-ES", "authorization_encrypted_response_enc": "A256GCM"})
	answer := w.browser().authorize(codeRequest(c, "response_mode", "jwt"), ann())
	if claims := w.claims("RS256", decrypted(t, answer.Get("response"), k)); claims["code"] == nil {
		t.Errorf("got %v", claims)
	}
}

var script = regexp.MustCompile(`(?s)<script>(.*)</script>`)

// TestFormScript: the policy of the page allows the script that is in it.
func TestFormScript(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	a := ann()
	a.login["remember"], a.consent["remember"] = true, true
	b := w.browser()
	b.authorize(codeRequest(c), a)
	resp, err := b.Get(w.public + "/oauth2/auth?" + codeRequest(c, "response_mode", "form_post", "prompt", "magic", "state", `"><script>alert(1)</script>`).Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var page strings.Builder
	if err := resp.Write(&page); err != nil {
		t.Fatal(err)
	}
	found := script.FindStringSubmatch(page.String())
	if found == nil || strings.Contains(found[1], "script") {
		t.Fatalf("the page is\n%s", page.String())
	}
	sum := sha256.Sum256([]byte(found[1]))
	policy := resp.Header.Get("Content-Security-Policy")
	if hash := "script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, hash) {
		t.Errorf("the policy %q does not allow the script: expected %s", policy, hash)
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s is %q: expected %q", name, got, want)
		}
	}
}
