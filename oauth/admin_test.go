package oauth_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cardea-iam/cardea/oauth"
)

// credentials asks for a token of the client itself, and returns the status.
func (w *world) credentials(id, secret string) int {
	w.t.Helper()
	status, _ := w.token(url.Values{"grant_type": {"client_credentials"}}, basic(map[string]any{"client_id": id, "client_secret": secret}))
	return status
}

// TestClient takes a client through its life: its secret is shown when it is made, and
// lasts through everything but a change of it.
func TestClient(t *testing.T) {
	w := start(t)
	made := w.client(map[string]any{"client_name": "shop", "owner": "ann", "created_at": "2001-01-01T00:00:00Z"})
	id, secret := made["client_id"].(string), made["client_secret"].(string)
	at := w.admin + "/admin/clients/" + id
	works := func(secret string, want bool) {
		t.Helper()
		if got := w.credentials(id, secret) == 200; got != want {
			t.Errorf("the secret works: %t, want %t", got, want)
		}
	}
	works(secret, true)
	if made["created_at"] == "2001-01-01T00:00:00Z" || made["token_endpoint_auth_method"] != "client_secret_basic" || made["subject_type"] != "public" {
		t.Errorf("made: %v", made)
	}
	got := w.must("GET", at, nil)
	if got["client_secret"] != nil || got["client_name"] != "shop" || got["secrets"] != nil || got["managed"] != nil {
		t.Errorf("read: %v", got)
	}

	got["client_name"] = "new shop"
	got = w.must("PUT", at, got)
	works(secret, true)
	if got["client_name"] != "new shop" || got["client_secret"] != nil || got["created_at"] != made["created_at"] {
		t.Errorf("replaced: %v", got)
	}
	got = w.must("PATCH", at, []map[string]any{
		{"op": "replace", "path": "/client_name", "value": "shop"},
		{"op": "add", "path": "/redirect_uris/-", "value": "https://client.test/other"},
	})
	works(secret, true)
	if got["client_name"] != "shop" || len(got["redirect_uris"].([]any)) != 2 {
		t.Errorf("patched: %v", got)
	}
	got = w.must("PUT", at+"/lifespans", map[string]any{"client_credentials_grant_access_token_lifespan": "2h"})
	if got["client_credentials_grant_access_token_lifespan"] != "2h0m0s" || got["client_name"] != "shop" {
		t.Errorf("with a lifespan: %v", got)
	}
	if _, body := w.token(url.Values{"grant_type": {"client_credentials"}}, basic(made)); body["expires_in"] != 7200.0 {
		t.Errorf("a token of it: %v", body)
	}

	got = w.must("PATCH", at, []map[string]any{{"op": "replace", "path": "/client_secret", "value": "a secret that somebody chose"}})
	works(secret, false)
	works("a secret that somebody chose", true)
	if got["client_secret"] != "a secret that somebody chose" {
		t.Errorf("with a chosen secret: %v", got)
	}
	got = w.must("PATCH", at, []map[string]any{{"op": "replace", "path": "/token_endpoint_auth_method", "value": "client_secret_jwt"}})
	if got["client_secret"] == nil {
		t.Errorf("one that must sign with its secret, which is not known, has no new one: %v", got)
	}
	got = w.must("PATCH", at, []map[string]any{{"op": "replace", "path": "/token_endpoint_auth_method", "value": "none"}, {"op": "replace", "path": "/grant_types", "value": []string{"authorization_code"}}})
	works("a secret that somebody chose", false)
	if got["client_secret"] != nil {
		t.Errorf("a public client: %v", got)
	}
	w.must("DELETE", at, nil)
	for _, method := range []string{"GET", "DELETE"} {
		if status, body := w.call(method, at, nil); status != 404 {
			t.Errorf("%s after its end: %d %v", method, status, body)
		}
	}
}

// TestRotateSecret: the newest five secrets work, and the newest alone when the others
// are forgotten.
func TestRotateSecret(t *testing.T) {
	w := start(t)
	made := w.client(nil)
	id := made["client_id"].(string)
	at := w.admin + "/admin/clients/" + id + "/secrets/rotate"
	secrets := []string{made["client_secret"].(string)}
	for range 5 {
		secrets = append(secrets, w.must("POST", at, nil)["client_secret"].(string))
	}
	for i, s := range secrets {
		if got := w.credentials(id, s) == 200; got != (i > 0) {
			t.Errorf("secret %d of 6 works: %t", i, got)
		}
	}
	if got := w.must("DELETE", at, nil); got["client_secret"] != nil {
		t.Errorf("the answer shows a secret: %v", got)
	}
	for i, s := range secrets {
		if got := w.credentials(id, s) == 200; got != (i == 5) {
			t.Errorf("secret %d of 6 works after the others are forgotten: %t", i, got)
		}
	}
	public := w.client(map[string]any{"token_endpoint_auth_method": "none"})
	if status, body := w.call("POST", w.admin+"/admin/clients/"+public["client_id"].(string)+"/secrets/rotate", nil); status != 400 {
		t.Errorf("a public client gets a secret: %d %v", status, body)
	}
}

// TestRotateOldClient: a client that could not be registered any more gets a new secret
// all the same.
func TestRotateOldClient(t *testing.T) {
	dev := start(t, func(o *oauth.Options) { o.Dev = true })
	at := "/admin/clients/" + dev.client(map[string]any{"redirect_uris": []string{"http://client.test/"}})["client_id"].(string)
	w := startOn(t, dev.store)
	if status, _ := w.call("PATCH", w.admin+at, []map[string]any{{"op": "add", "path": "/client_name", "value": "x"}}); status != 400 {
		t.Errorf("a change of its name: %d", status)
	}
	if w.must("POST", w.admin+at+"/secrets/rotate", nil)["client_secret"] == nil {
		t.Error("there is no new secret")
	}
}

const ed25519Key = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"e"}`

const rsaKey = `{"kty":"RSA","use":"sig","kid":"r","alg":"RS256","e":"AQAB","n":"`

// TestClientRefused: no client can be registered with any of these, and the answer
// names the field.
func TestClientRefused(t *testing.T) {
	w := start(t)
	for _, tt := range []struct {
		field string
		value any
		more  map[string]any
	}{
		{field: "redirect_uris", value: []string{"/callback"}},
		{field: "redirect_uris", value: []string{"https://client.test/#top"}},
		{field: "redirect_uris", value: []string{"https://client.test/#"}},
		{field: "redirect_uris", value: []string{"javascript:alert(1)"}},
		{field: "redirect_uris", value: []string{"JavaScript:alert(1)"}},
		{field: "redirect_uris", value: []string{"data:text/html,x"}},
		{field: "redirect_uris", value: []string{"vbscript:x"}},
		{field: "redirect_uris", value: []string{"http://client.test/"}},
		{field: "redirect_uris", value: []string{"https://"}},
		{field: "redirect_uris", value: []string{"https:client.test"}},
		{field: "redirect_uris", value: []string{"https://user@client.test/"}},
		{field: "redirect_uris", value: []string{"https://*.client.test/"}},
		{field: "redirect_uris", value: []string{"https://client.test/\n"}},
		{field: "redirect_uris", value: []string{"https://client.test/" + strings.Repeat("x", 2048)}},
		{field: "redirect_uris", value: slices.Repeat([]string{callback}, 101)},
		{field: "redirect_uris", value: callback},
		{field: "redirect_uris", value: []int{1}},
		{field: "post_logout_redirect_uris", value: []string{"data:x"}},
		{field: "client_id", value: "with space"},
		{field: "client_id", value: strings.Repeat("x", 256)},
		{field: "client_id", value: ".."},
		{field: "client_name", value: strings.Repeat("x", 513)},
		{field: "client_name", value: "a\x00b"},
		{field: "client_name", value: 1},
		{field: "owner", value: "a\nb"},
		{field: "scope", value: `a"b`},
		{field: "scope", value: strings.Repeat("x ", 4097)},
		{field: "audience", value: []string{""}},
		{field: "grant_types", value: []string{"password"}},
		{field: "response_types", value: []string{"code", "magic"}},
		{field: "response_types", value: []string{"code code"}},
		{field: "response_types", value: []string{""}},
		{field: "response_types", value: []string{"id_token"}},
		{field: "response_types", value: []string{"code", "code id_token"}, more: map[string]any{"grant_types": []string{"implicit"}}},
		{field: "response_modes", value: []string{"web_message"}},
		{field: "token_endpoint_auth_method", value: "magic"},
		{field: "token_endpoint_auth_signing_alg", value: "none"},
		{field: "token_endpoint_auth_signing_alg", value: "HS256"},
		{field: "token_endpoint_auth_signing_alg", value: "RS256", more: map[string]any{"token_endpoint_auth_method": "client_secret_jwt"}},
		{field: "tls_client_auth_subject_dn", value: "", more: map[string]any{"token_endpoint_auth_method": "tls_client_auth"}},
		{field: "tls_client_auth_subject_dn", value: "CN=a", more: map[string]any{"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.test"}},
		{field: "id_token_signed_response_alg", value: "none"},
		{field: "id_token_signed_response_alg", value: "HS256"},
		{field: "userinfo_signed_response_alg", value: "RS1"},
		{field: "request_object_signing_alg", value: "none"},
		{field: "id_token_encrypted_response_alg", value: "RSA-OAEP-256"},
		{field: "id_token_encrypted_response_enc", value: "A256GCM"},
		{field: "jwks", value: "x"},
		{field: "jwks", value: nil, more: map[string]any{"token_endpoint_auth_method": "private_key_jwt"}},
		{field: "jwks", value: json.RawMessage(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`)},
		{field: "jwks", value: json.RawMessage(`{"keys":[{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)},
		{field: "jwks", value: json.RawMessage(`{"keys":[` + rsaKey + strings.Repeat("q", 86) + `"}]}`)},
		{field: "jwks", value: json.RawMessage(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`), more: map[string]any{"jwks_uri": "https://client.test/jwks"}},
		{field: "jwks_uri", value: "http://client.test/jwks"},
		{field: "jwks_uri", value: "ftp://client.test/jwks"},
		{field: "client_uri", value: "javascript:alert(1)"},
		{field: "logo_uri", value: "data:image/png,x"},
		{field: "tos_uri", value: "tos"},
		{field: "policy_uri", value: "https://user:pass@client.test"},
		{field: "frontchannel_logout_uri", value: "/logout"},
		{field: "backchannel_logout_uri", value: "https://client.test/#x"},
		{field: "initiate_login_uri", value: "http://client.test/"},
		{field: "request_uris", value: []string{"http://client.test/request"}},
		{field: "request_uris", value: []string{""}},
		{field: "allowed_cors_origins", value: []string{"https://client.test/"}},
		{field: "allowed_cors_origins", value: []string{"*"}},
		{field: "subject_type", value: "pairwise"},
		{field: "access_token_strategy", value: "paper"},
		{field: "profile", value: "magic"},
		{field: "client_secret", value: "fifteen letters"},
		{field: "client_secret", value: strings.Repeat("x", 257)},
		{field: "client_secret", value: "a secret of 16 bytes", more: map[string]any{"token_endpoint_auth_method": "none"}},
		{field: "default_max_age", value: -1},
		{field: "default_max_age", value: "1"},
		{field: "metadata", value: strings.Repeat("x", 64<<10)},
		{field: "implicit_grant_id_token_lifespan", value: "0s"},
		{field: "implicit_grant_id_token_lifespan", value: "-1h"},
		{field: "implicit_grant_id_token_lifespan", value: "1000000h"},
		{field: "implicit_grant_id_token_lifespan", value: "soon"},
		{field: "implicit_grant_id_token_lifespan", value: 3600},
		{field: "jwks", value: json.RawMessage(`{"keys":[{"kty":"magic"}]}`), more: map[string]any{"token_endpoint_auth_method": "private_key_jwt"}},
		{field: "jwks", value: json.RawMessage(`{"keys":[{"kty":"magic"},{"kty":"RSA"}]}`), more: map[string]any{"token_endpoint_auth_method": "self_signed_tls_client_auth"}},
		{field: "jwks", value: json.RawMessage(`{"keys":[` + strings.Replace(ed25519Key, `"kid"`, `"use":"enc","kid"`, 1) + `]}`), more: map[string]any{"token_endpoint_auth_method": "private_key_jwt"}},
		{field: "id_token_encrypted_response_alg", value: "RSA-OAEP-256", more: map[string]any{"jwks": json.RawMessage(`{"keys":[` + ed25519Key + `]}`)}},
		{field: "client_secret", value: strings.Repeat("x", 31), more: map[string]any{"token_endpoint_auth_method": "client_secret_jwt"}},
		{field: "client_secret", value: strings.Repeat("x", 63), more: map[string]any{"token_endpoint_auth_method": "client_secret_jwt", "token_endpoint_auth_signing_alg": "HS512"}},
		{field: "sector_identifier_uri", value: "https://nowhere.invalid/"},
		{field: "sector_identifier_uri", value: "http://client.test/"},
	} {
		t.Run(fmt.Sprintf("%s %.40v", tt.field, tt.value), func(t *testing.T) {
			body := map[string]any{"redirect_uris": []string{callback}}
			maps.Copy(body, tt.more)
			body[tt.field] = tt.value
			status, got := w.call("POST", w.admin+"/admin/clients", body)
			want := "invalid_client_metadata"
			if tt.field == "redirect_uris" && reflectStrings(tt.value) {
				want = "invalid_redirect_uri"
			}
			if status != 400 || got["error"] != want || !strings.Contains(fmt.Sprint(got["error_description"]), " "+tt.field+": ") {
				t.Errorf("got %d %v: expected %s", status, got, want)
			}
		})
	}
}

// reflectStrings reports whether a value has the type that redirect_uris has.
func reflectStrings(value any) bool { _, ok := value.([]string); return ok }

// TestClientAccepted: what Hydra's tools and apps of all sorts register.
func TestClientAccepted(t *testing.T) {
	w := start(t)
	for _, tt := range []struct {
		name   string
		fields map[string]any
	}{
		{"nothing", map[string]any{}},
		{"what hydra create client sends", map[string]any{"grant_types": []string{"client_credentials"}, "response_types": []string{"code"}, "jwks": map[string]any{}}},
		{"native", map[string]any{"redirect_uris": []string{"http://127.0.0.1/callback", "http://[::1]:8080/", "com.example.app:/callback"}, "token_endpoint_auth_method": "none"}},
		{"hybrid", map[string]any{"profile": "legacy", "grant_types": []string{"authorization_code", "implicit"}, "response_types": []string{"code", "id_token token", "code id_token token"}}},
		{"keys", map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(`{"keys":[` + ed25519Key + `]}`)}},
		{"keys of kinds that are not known", map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(`{"keys":[{"kty":"magic"},{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"},{"kty":"RSA"},` + ed25519Key + `]}`)}},
		{"keys that serve nothing here", map[string]any{"jwks": json.RawMessage(`{"keys":[{"kty":"magic"}]}`)}},
		{"unknown fields", map[string]any{"client_name#ja": "x", "unknown": "y"}},
	} {
		if status, body := w.call("POST", w.admin+"/admin/clients", tt.fields); status != 201 || body["client_id"] == "" {
			t.Errorf("%s: %d %v", tt.name, status, body)
		}
	}
	dev := start(t, func(o *oauth.Options) { o.Dev = true })
	dev.client(map[string]any{"redirect_uris": []string{"http://client.test/"}, "client_secret": "secret"})
}

func TestClientConflicts(t *testing.T) {
	w := start(t)
	w.client(map[string]any{"client_id": "shop"})
	if status, body := w.call("POST", w.admin+"/admin/clients", map[string]any{"client_id": "shop"}); status != 409 {
		t.Errorf("the same id: %d %v", status, body)
	}
	at := w.admin + "/admin/clients/shop"
	for name, patch := range map[string]any{
		"no list":      map[string]any{},
		"no operation": []map[string]any{{"op": "burn", "path": "/owner"}},
		"no path":      []map[string]any{{"op": "remove", "path": "/nothing"}},
		"a test":       []map[string]any{{"op": "test", "path": "/owner", "value": "bob"}},
		"an id":        []map[string]any{{"op": "replace", "path": "/client_id", "value": "pub"}},
		"a wrong kind": []map[string]any{{"op": "replace", "path": "/redirect_uris", "value": "x"}},
		"a wrong uri":  []map[string]any{{"op": "add", "path": "/redirect_uris/-", "value": "x"}},
		"a lifespan":   []map[string]any{{"op": "add", "path": "/implicit_grant_id_token_lifespan", "value": "soon"}},
		"very long":    slices.Repeat([]map[string]any{{"op": "copy", "from": "/grant_types", "path": "/metadata"}}, 1001),
	} {
		if status, body := w.call("PATCH", at, patch); status != 400 {
			t.Errorf("a patch with %s: %d %v", name, status, body)
		}
	}
	if status, body := w.call("PUT", at, map[string]any{"client_id": "pub"}); status != 400 {
		t.Errorf("another id: %d %v", status, body)
	}
	for _, method := range []string{"PUT", "PATCH"} {
		if status, body := w.call(method, w.admin+"/admin/clients/nobody", []any{}); status != 404 && method == "PATCH" {
			t.Errorf("%s of nobody: %d %v", method, status, body)
		}
	}
}

// TestClientRaces: of changes at the same time, none is lost.
func TestClientRaces(t *testing.T) {
	w := start(t)
	at := w.admin + "/admin/clients/" + w.client(nil)["client_id"].(string)
	const n = 8
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			w.call("PATCH", at, []map[string]any{{"op": "add", "path": "/redirect_uris/-", "value": fmt.Sprintf("https://client.test/%d", i)}})
		})
	}
	wait.Wait()
	if got := w.must("GET", at, nil)["redirect_uris"].([]any); len(got) != 1+n {
		t.Errorf("of %d additions, these are there: %v", n, got)
	}
}

var nextLink = regexp.MustCompile(`<([^>]*)>; rel="next"`)

func TestClientPages(t *testing.T) {
	w := start(t)
	for i := range 7 {
		w.client(map[string]any{"client_id": fmt.Sprintf("c%d", i), "client_name": fmt.Sprintf("name %d", i%2), "owner": fmt.Sprintf("owner %d", i%3)})
	}
	for query, want := range map[string]string{
		"page_size=3":        "c0 c1 c2 | c3 c4 c5 | c6",
		"":                   "c0 c1 c2 c3 c4 c5 c6",
		"page_size=0":        "c0 c1 c2 c3 c4 c5 c6",
		"page_size=100000":   "c0 c1 c2 c3 c4 c5 c6",
		"owner=owner+1":      "c1 c4",
		"client_name=name+1": "c1 c3 c5",
		"client_name=name+1&owner=owner+0&page_size=1": "c3",
		"owner=nobody": "",
	} {
		var pages []string
		for at := "/admin/clients?" + query; at != ""; {
			resp, text := w.send("GET", w.admin+at, nil)
			var clients []map[string]any
			if err := json.Unmarshal(text, &clients); err != nil || resp.StatusCode != 200 {
				t.Fatalf("%s: %d %s", query, resp.StatusCode, text)
			}
			var ids []string
			for _, c := range clients {
				ids = append(ids, c["client_id"].(string))
				if c["client_secret"] != nil {
					t.Errorf("%s shows a secret", query)
				}
			}
			pages = append(pages, strings.Join(ids, " "))
			link := resp.Header.Get("Link")
			if !strings.Contains(link, `rel="first"`) {
				t.Errorf("%s: the header Link is %q", query, link)
			}
			at = ""
			if found := nextLink.FindStringSubmatch(link); found != nil {
				at = found[1]
			}
		}
		if got := strings.Join(pages, " | "); got != want {
			t.Errorf("%s: got %q: expected %q", query, got, want)
		}
	}
	for _, query := range []string{"page_size=x", "page_size=-1", "page_token=%21"} {
		if resp, text := w.send("GET", w.admin+"/admin/clients?"+query, nil); resp.StatusCode != 400 {
			t.Errorf("%s: %d %s", query, resp.StatusCode, text)
		}
	}
}

// TestSector: the list at sector_identifier_uri must have the redirect URIs.
func TestSector(t *testing.T) {
	w := start(t, func(o *oauth.Options) {
		o.Subjects = oauth.Subjects{Types: []string{"public", "pairwise"}, Salt: "salt"}
	})
	list := `["https://a.test/", "https://b.test/"]`
	sector := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, list) }))
	defer sector.Close()
	register := func(sector string, uris ...string) int {
		status, _ := w.call("POST", w.admin+"/admin/clients", map[string]any{"subject_type": "pairwise", "sector_identifier_uri": sector, "redirect_uris": uris})
		return status
	}
	for _, tt := range []struct {
		sector string
		uris   []string
		want   int
	}{
		{"", []string{"https://a.test/", "https://a.test/x"}, 201},
		{"", []string{"https://a.test/", "https://b.test/"}, 400},
		{"", []string{"https://a.test/", "https://a.test:8443/"}, 400},
		{sector.URL, []string{"https://a.test/", "https://b.test/"}, 201},
		{sector.URL, []string{"https://a.test/", "https://c.test/"}, 400},
	} {
		if got := register(tt.sector, tt.uris...); got != tt.want {
			t.Errorf("%s %v: %d, want %d", tt.sector, tt.uris, got, tt.want)
		}
	}
	list = `{}`
	if got := register(sector.URL, "https://a.test/"); got != 400 {
		t.Errorf("what is no list: %d", got)
	}
}
