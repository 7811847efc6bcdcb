package oauth_test

import (
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/secret"
	"github.com/cardea-iam/cardea/oauth"
)

func open(o *oauth.Options) {
	o.Register = oauth.Registration{Enabled: true, DefaultScope: []string{"openid", "profile"}}
}

// TestRegister takes a client that registers itself through its life.
func TestRegister(t *testing.T) {
	w := start(t, open)
	if got := w.must("GET", w.public+"/.well-known/openid-configuration", nil)["registration_endpoint"]; got != w.public+"/oauth2/register" {
		t.Errorf("the metadata has the endpoint %v", got)
	}
	status, made := w.call("POST", w.public+"/oauth2/register", map[string]any{
		"client_id": "mine", "client_name": "app", "redirect_uris": []string{callback}, "software_id": "kept", "whatever": "ignored",
	})
	id, _ := made["client_id"].(string)
	at, _ := made["registration_client_uri"].(string)
	if status != 201 || id == "mine" || id == "" || at != w.public+"/oauth2/register/"+id || made["client_secret"] == nil || made["client_secret_expires_at"] != 0.0 || made["scope"] != "openid profile" {
		t.Fatalf("%d %v", status, made)
	}
	if answer := w.browser().authorize(codeRequest(made, "scope", "openid"), ann()); answer.Get("code") == "" {
		t.Errorf("it gets no code: %v", answer)
	}
	token := made["registration_access_token"]
	got := w.must("GET", at, nil, bearer(token))
	if got["client_secret"] != nil || got["registration_access_token"] != token || got["client_name"] != "app" {
		t.Errorf("read: %v", got)
	}

	got["client_name"], got["client_secret"] = "new app", made["client_secret"]
	changed := w.must("PUT", at, got, bearer(token))
	if changed["client_name"] != "new app" || changed["registration_access_token"] == token {
		t.Errorf("changed: %v", changed)
	}
	if status, body := w.call("GET", at, nil, bearer(token)); status != 401 || body["error"] != "invalid_token" {
		t.Errorf("with the old token: %d %v", status, body)
	}
	token = changed["registration_access_token"]
	w.must("GET", at, nil, bearer(token))

	// What operators have set stays, and is not for the client to change.
	w.must("PATCH", w.admin+"/admin/clients/"+id, []map[string]any{{"op": "add", "path": "/skip_consent", "value": true}, {"op": "add", "path": "/owner", "value": "ann"}})
	delete(changed, "owner")
	changed["skip_consent"] = false
	changed = w.must("PUT", at, changed, bearer(token))
	if changed["skip_consent"] != true || changed["owner"] != "ann" {
		t.Errorf("changed again: %v", changed)
	}
	token = changed["registration_access_token"]

	resp, _ := w.send("DELETE", at, nil, bearer(token))
	if resp.StatusCode != 204 {
		t.Errorf("deleted: %d", resp.StatusCode)
	}
	resp, _ = w.send("GET", at, nil, bearer(token))
	if resp.StatusCode != 401 || !strings.Contains(resp.Header.Get("WWW-Authenticate"), `Bearer realm=`) || !strings.Contains(resp.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("read after its end: %d %v", resp.StatusCode, resp.Header)
	}
}

// TestRegisterRefused: what a client may not say of itself, at registration and later.
func TestRegisterRefused(t *testing.T) {
	w := start(t, open)
	base := map[string]any{"redirect_uris": []string{callback}}
	made := w.must("POST", w.public+"/oauth2/register", base)
	base["client_id"] = made["client_id"]
	token := made["registration_access_token"]
	for name, value := range map[string]any{
		"owner":                 "ann",
		"metadata":              map[string]any{"trusted": true},
		"access_token_strategy": "jwt",
		"skip_consent":          true,
		"skip_logout_consent":   false,
		"client_secret":         "a secret that somebody chose",
		"grant_types":           []string{"authorization_code", "client_credentials"},
		"scope":                 "openid admin",
		"audience":              []string{"https://api.test"},
		"software_statement":    "x.y.z",
		"redirect_uris":         []string{},
		"jwks_uri":              "ftp://client.test",
		"refresh_token_grant_access_token_lifespan": "80000h",
	} {
		body := maps.Clone(base)
		body[name] = value
		for method, address := range map[string]string{"POST": w.public + "/oauth2/register", "PUT": made["registration_client_uri"].(string)} {
			if status, got := w.call(method, address, body, bearer(token)); status != 400 || !strings.HasPrefix(fmt.Sprint(got["error"]), "invalid_") {
				t.Errorf("%s with %s: %d %v", method, name, status, got)
			}
		}
	}
	for _, id := range []any{"other", ""} {
		base["client_id"] = id
		if status, body := w.call("PUT", made["registration_client_uri"].(string), base, bearer(token)); status != 400 {
			t.Errorf("PUT with the id %q: %d %v", id, status, body)
		}
	}
	w.must("GET", made["registration_client_uri"].(string), nil, bearer(token)) // nothing has used it up
}

func TestRegisterNeedsToken(t *testing.T) {
	w := start(t, open)
	one := w.must("POST", w.public+"/oauth2/register", map[string]any{"redirect_uris": []string{callback}})
	two := w.must("POST", w.public+"/oauth2/register", map[string]any{"redirect_uris": []string{callback}})
	for name, token := range map[string]any{"none": "", "another's": two["registration_access_token"], "an access token": "ory_at_x", "a secret": one["client_secret"]} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			if status, body := w.call(method, one["registration_client_uri"].(string), map[string]any{}, bearer(token)); status != 401 || body["error"] != "invalid_token" {
				t.Errorf("%s with %s: %d %v", method, name, status, body)
			}
		}
	}
	byOperator := start(t).client(nil)
	if byOperator["registration_access_token"] != nil {
		t.Error("there is a token where clients cannot manage themselves")
	}

	closed := start(t)
	if status, body := closed.call("POST", closed.public+"/oauth2/register", map[string]any{}); status != 404 {
		t.Errorf("where it is off: %d %v", status, body)
	}
	if got := closed.must("GET", closed.public+"/.well-known/openid-configuration", nil); got["registration_endpoint"] != nil {
		t.Errorf("the metadata has %v", got["registration_endpoint"])
	}

	guarded := start(t, open, func(o *oauth.Options) {
		o.Register.InitialToken, o.Register.Grants = "for those we know", []string{"client_credentials"}
	})
	machine := map[string]any{"grant_types": []string{"client_credentials"}}
	for token, want := range map[string]int{"": 401, "for others": 401, "for those we know": 201} {
		if status, body := guarded.call("POST", guarded.public+"/oauth2/register", machine, bearer(token)); status != want {
			t.Errorf("with the initial token %q: %d %v", token, status, body)
		}
	}
}

// TestRegisterOnce: a registration access token changes its client once, whatever races.
func TestRegisterOnce(t *testing.T) {
	w := start(t, open)
	made := w.must("POST", w.public+"/oauth2/register", map[string]any{"redirect_uris": []string{callback}})
	var done, refused atomic.Int32
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			switch status, _ := w.call("PUT", made["registration_client_uri"].(string), map[string]any{"client_id": made["client_id"], "redirect_uris": []string{callback}}, bearer(made["registration_access_token"])); status {
			case 200:
				done.Add(1)
			case 401:
				refused.Add(1)
			}
		})
	}
	wait.Wait()
	if done.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d succeed, %d are refused", done.Load(), refused.Load())
	}
}

// TestRegisterFor: what clients may register for is what the operator has listed, and what
// the client has from operators.
func TestRegisterFor(t *testing.T) {
	settings := map[string]func(*oauth.Options){
		"usual": func(*oauth.Options) {},
		"listed": func(o *oauth.Options) {
			o.Register.DefaultScope = []string{"openid", "secret"}
			o.Register.Scopes = []string{"openid", "read", "files.*"}
			o.Register.Audience = []string{"https://api.test/v1", "urn:api"}
			o.Register.Grants = []string{"authorization_code", deviceType, "implicit"}
		},
		"apart": func(o *oauth.Options) {
			o.Register.DefaultScope, o.Register.Scopes = []string{"secret"}, []string{"read"}
		},
		"devices": func(o *oauth.Options) { o.Register.Grants = []string{deviceType} },
	}
	for _, tt := range []struct {
		settings    string
		name        string
		value, want any // nil: refused
	}{
		{"usual", "scope", "", "openid profile"},
		{"usual", "scope", "profile", "profile"},
		{"usual", "scope", "offline_access", nil},
		{"usual", "scope", "*", nil},
		{"usual", "scope", "open*", nil},
		{"usual", "scope", "OPENID", nil},
		{"usual", "scope", "openid\nadmin", nil},
		{"usual", "audience", []string{}, []any{}},
		{"usual", "audience", []string{"urn:api"}, nil},
		{"usual", "grant_types", []string{"authorization_code", "refresh_token"}, []any{"authorization_code", "refresh_token"}},
		{"usual", "grant_types", []string{deviceType}, nil},
		{"usual", "grant_types", []string{"authorization_code", "implicit"}, nil},
		{"usual", "grant_types", []string{exchangeType}, nil},
		{"usual", "grant_types", []string{bearerType}, nil},
		{"listed", "scope", "", "openid"},
		{"listed", "scope", "read files.*", "read files.*"},
		{"listed", "scope", "files.a", nil},
		{"listed", "scope", "secret", nil},
		{"listed", "audience", []string{"https://api.test/v1/a", "urn:api"}, []any{"https://api.test/v1/a", "urn:api"}},
		{"listed", "audience", []string{"https://api.test/"}, nil},
		{"listed", "audience", []string{"https://api.test/v1/../v2"}, nil},
		{"listed", "grant_types", []string{deviceType}, []any{deviceType}},
		{"listed", "grant_types", []string{"refresh_token", "authorization_code"}, nil},
		{"listed", "grant_types", []string{"client_credentials"}, nil},
		{"apart", "scope", "", ""},
		{"apart", "scope", "read", "read"},
		{"apart", "scope", "secret", nil},
		{"devices", "client_name", "tv", nil}, // without grant_types it is one for codes
	} {
		w := start(t, open, settings[tt.settings])
		status, got := w.call("POST", w.public+"/oauth2/register", map[string]any{"redirect_uris": []string{callback}, tt.name: tt.value})
		if tt.want == nil && (status != 400 || got["error"] != "invalid_client_metadata") || tt.want != nil && (status != 201 || !reflect.DeepEqual(got[tt.name], tt.want)) {
			t.Errorf("%s, %s %q: %d %v", tt.settings, tt.name, tt.value, status, got)
		}
	}

	w := start(t, open)
	made := w.must("POST", w.public+"/oauth2/register", map[string]any{"redirect_uris": []string{callback}})
	given := map[string]any{"scope": "openid admin", "audience": []any{"urn:api"}, "grant_types": []any{"authorization_code", "client_credentials"}}
	var patch []map[string]any
	for name, value := range given {
		patch = append(patch, map[string]any{"op": "add", "path": "/" + name, "value": value})
	}
	changed := w.must("PATCH", w.admin+"/admin/clients/"+text(made, "client_id"), patch)
	for _, tt := range []struct {
		scope string
		want  int
	}{{"openid other", 400}, {"openid admin", 200}} {
		changed["scope"] = tt.scope
		if status, got := w.call("PUT", text(made, "registration_client_uri"), changed, bearer(made["registration_access_token"])); status != tt.want {
			t.Errorf("what operators gave, and the scope %s: %d %v", tt.scope, status, got)
		}
	}

	if _, err := oauth.New(w.store, oauth.Options{Issuer: &url.URL{Scheme: "https", Host: "a.test"}, Secrets: must(secret.New("the secret of the tests")),
		Register: oauth.Registration{Enabled: true, Grants: []string{"client_credentials"}}}); errs.KindOf(err) != errs.Invalid {
		t.Errorf("tokens of their own for strangers: %v", err)
	}
}

// TestSoftwareStatement: what others say of a client is refused, and not ignored.
func TestSoftwareStatement(t *testing.T) {
	w := start(t, open)
	k := key(t, jose.ES256, "k")
	for statement, want := range map[string]string{
		"x":                                    "invalid_software_statement",
		"e30.e30.":                             "invalid_software_statement",
		"a.b.c.d.e":                            "invalid_software_statement",
		"eyJhbGciOiJub25lIn0.eyJpc3MiOiJhIn0.": "invalid_software_statement",
		signed(t, jose.ES256, k, "JWT", map[string]any{"client_name": "app"}):                        "invalid_software_statement",
		signed(t, jose.ES256, k, "JWT", map[string]any{"iss": "https://a.test", "scope": "profile"}): "unapproved_software_statement",
	} {
		body := map[string]any{"redirect_uris": []string{callback}, "software_statement": statement}
		for _, at := range []string{w.public + "/oauth2/register", w.admin + "/admin/clients"} {
			if status, got := w.call("POST", at, body); status != 400 || got["error"] != want {
				t.Errorf("%.30q: %d %v: expected %s", statement, status, got, want)
			}
		}
	}
}
