package oauth_test

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/oauth"
)

// TestDiscovery: both documents are the same, have the members that clients need, and
// name no endpoint that is not there.
func TestDiscovery(t *testing.T) {
	w := start(t)
	oidc := w.must("GET", w.public+"/.well-known/openid-configuration", nil)
	rfc := w.must("GET", w.public+"/.well-known/oauth-authorization-server", nil)
	if a, b := encoded(t, oidc), encoded(t, rfc); a != b {
		t.Errorf("two documents:\n%s\n%s", a, b)
	}
	if oidc["issuer"] != w.public {
		t.Errorf("issuer %v: expected %s", oidc["issuer"], w.public)
	}
	for _, name := range []string{
		"authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported", "subject_types_supported",
		"id_token_signing_alg_values_supported", "code_challenge_methods_supported", "grant_types_supported",
		"id_token_signed_response_alg", "userinfo_signed_response_alg", "device_authorization_endpoint", // Hydra's clients
	} {
		if oidc[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	for name, value := range oidc {
		at, ok := value.(string)
		if !ok || name == "issuer" {
			continue
		}
		method := "POST"
		if name == "jwks_uri" {
			method = "GET"
		}
		if status, _, _ := w.raw(method, at, nil); status == http.StatusNotFound || status == http.StatusMethodNotAllowed {
			t.Errorf("%s: %s %s answers %d", name, method, at, status)
		}
	}
}

// TestResponseTypes: those that the metadata names are those that work.
func TestResponseTypes(t *testing.T) {
	w := start(t)
	all := []string{"code", "token", "id_token", "id_token token", "code id_token", "code token", "code id_token token"}
	c := w.client(map[string]any{"profile": "legacy", "grant_types": []string{"implicit", "authorization_code"}, "response_types": all})
	var work []any
	for _, kind := range all {
		got := w.browser().authorize(codeRequest(c, "response_type", kind), ann())
		for name, of := range map[string]string{"code": "code", "access_token": "token", "id_token": "id_token"} {
			if got.Has(name) != slices.Contains(strings.Fields(kind), of) {
				t.Errorf("%s: %v", kind, got)
			}
		}
		work = append(work, kind)
	}
	named := w.must("GET", w.public+"/.well-known/openid-configuration", nil)["response_types_supported"].([]any)
	for _, kind := range work {
		if !slices.Contains(named, kind) {
			t.Errorf("%q is missing in %v", kind, named)
		}
	}
	if len(named) != len(work) {
		t.Errorf("the metadata has %v", named)
	}
}

// TestDiscoveryWithPath: an issuer with a path has its metadata where RFC 8414 puts it,
// too.
func TestDiscoveryWithPath(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.Issuer = o.Issuer.JoinPath("tenant", "one") })
	for _, path := range []string{
		"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
		"/.well-known/openid-configuration/tenant/one", "/.well-known/oauth-authorization-server/tenant/one",
	} {
		if got := w.must("GET", w.public+path, nil); got["issuer"] != w.public+"/tenant/one" || got["token_endpoint"] != w.public+"/tenant/one/oauth2/token" {
			t.Errorf("%s: issuer %v, token endpoint %v", path, got["issuer"], got["token_endpoint"])
		}
	}
}

// TestPublicDocuments may be kept, asked for again by their tag, and read by scripts.
func TestPublicDocuments(t *testing.T) {
	w := start(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/jwks.json"} {
		_, h, _ := w.raw("GET", w.public+path, nil)
		if h.Get("ETag") == "" || h.Get("Cache-Control") == "" || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Content-Type") != "application/json;charset=UTF-8" {
			t.Errorf("%s has the headers %v", path, h)
		}
		status, _, body := w.raw("GET", w.public+path, nil, func(r *http.Request) { r.Header.Set("If-None-Match", h.Get("ETag")) })
		if status != http.StatusNotModified || body != "" {
			t.Errorf("%s by its tag: %d %q", path, status, body)
		}
		if status, h, _ := w.raw("OPTIONS", w.public+path, nil); status != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Headers") != "*" {
			t.Errorf("%s: a preflight gets %d %v", path, status, h)
		}
	}
}

// TestPackedDocuments: who takes gzip gets the same document, under a tag of its own, in
// less than net/http sends at once.
func TestPackedDocuments(t *testing.T) {
	w := start(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/jwks.json"} {
		ask := func(accepted string, more ...string) (int, http.Header, string) {
			return w.raw("GET", w.public+path, nil, func(r *http.Request) {
				r.Header.Set("Accept-Encoding", accepted)
				for i := 0; i < len(more); i += 2 {
					r.Header.Set(more[i], more[i+1])
				}
			})
		}
		_, plain, want := ask("identity")
		if plain.Get("Content-Encoding") != "" || plain.Get("Vary") != "Accept-Encoding" || !json.Valid([]byte(want)) {
			t.Fatalf("%s: %v %s", path, plain, want)
		}
		tag := ""
		for accepted, packed := range map[string]bool{
			"gzip": true, "deflate, GZip;q=0.5": true, "br;q=1.0, gzip; q=0.8, *;q=0.1": true,
			"gzip;q=0": false, "gzip;q=0.000, identity": false, "gzip;q=x": false, "*": false, "x-gzip": false, "": false,
		} {
			_, h, body := ask(accepted)
			if !packed {
				if body != want || h.Get("Content-Encoding") != "" {
					t.Errorf("%s for %q: %v", path, accepted, h)
				}
				continue
			}
			r, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatalf("%s for %q: %v", path, accepted, err)
			}
			got, err := io.ReadAll(r)
			tag = h.Get("ETag")
			if err != nil || string(got) != want || h.Get("Content-Encoding") != "gzip" || h.Get("Vary") != "Accept-Encoding" || tag == plain.Get("ETag") || len(body) > 3500 {
				t.Errorf("%s for %q: %v, %d bytes, %v", path, accepted, err, len(body), h)
			}
		}
		if status, _, body := ask("gzip", "If-None-Match", tag); status != http.StatusNotModified || body != "" {
			t.Errorf("%s by the tag of its packed form: %d", path, status)
		}
		if status, _, _ := ask("gzip", "If-None-Match", plain.Get("ETag")); status != http.StatusOK {
			t.Errorf("%s by the tag of its other form: %d", path, status)
		}
		if status, _, body := ask("gzip", "Range", "bytes=0-9"); status != http.StatusPartialContent || body != want[:10] {
			t.Errorf("%s in part: %d %q", path, status, body)
		}
	}
}

// TestJWKS has public members only, and a key for each algorithm.
func TestJWKS(t *testing.T) {
	w := start(t)
	var algs []string
	for _, key := range w.must("GET", w.public+"/.well-known/jwks.json", nil)["keys"].([]any) {
		key := key.(map[string]any)
		algs = append(algs, key["alg"].(string))
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
			if key[private] != nil {
				t.Errorf("the key %v has the private member %s", key["kid"], private)
			}
		}
		if key["kid"] == "" || key["use"] != "sig" && key["use"] != "enc" {
			t.Errorf("got %v: expected a kid and a use", key)
		}
	}
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA", "RSA-OAEP-256", "ECDH-ES+A256KW"} {
		if !slices.Contains(algs, alg) {
			t.Errorf("no key for %s among %v", alg, algs)
		}
	}
}

func encoded(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// raw is call for answers that are no JSON.
func (w *world) raw(method, address string, form url.Values, edit ...func(*http.Request)) (int, http.Header, string) {
	w.t.Helper()
	resp, text := w.send(method, address, form, edit...)
	return resp.StatusCode, resp.Header, string(text)
}
