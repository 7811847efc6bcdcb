package server_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/internal/testdb"
	"github.com/cardea-iam/cardea/server"
)

// token asks for a token of a client itself.
func (n *node) token(id, secret string) (int, map[string]any) {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), "POST", "http://"+n.public+"/oauth2/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, body
}

// TestOAuth makes a client on the write listener, which gets tokens on the public one.
func TestOAuth(t *testing.T) {
	n := start(t)
	got := n.do("POST", n.write, "/admin/clients", `{"grant_types":["client_credentials"]}`)
	var c struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(got.body), &c); err != nil || got.status != http.StatusCreated {
		t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	if status, body := n.token(c.ID, c.Secret); status != 200 || body["access_token"] == nil {
		t.Errorf("the client gets %d %v", status, body)
	}
	if status, body := n.token(c.ID, c.Secret+"x"); status != 401 || body["error"] != "invalid_client" {
		t.Errorf("a wrong secret gets %d %v", status, body)
	}
}

// TestOAuthNeedsSecrets: a database server without system secrets has no public API.
func TestOAuthNeedsSecrets(t *testing.T) {
	dsn := testdb.Postgres(t)
	start(t, on(dsn)) // migrates
	strict := func(c *server.Config) { c.DSN, c.Dev = dsn, false }
	n := start(t, strict)
	if n.public != "" {
		t.Error("the public API is open")
	}
	if got := n.do("GET", n.write, "/admin/clients/x", ""); got.status != http.StatusNotFound || !strings.Contains(got.body, "there is nothing at") {
		t.Errorf("the admin API answers %d %s", got.status, got.body)
	}
	n = start(t, strict, func(c *server.Config) { c.Secrets.System = []string{"a secret of 16 bytes or more"} })
	if n.public == "" {
		t.Error("the public API is closed although there are secrets")
	}
}

// TestDiscoveryWithIdentity: what the own pages can do stands in the metadata.
func TestDiscoveryWithIdentity(t *testing.T) {
	n := start(t, withIdentity)
	var m struct {
		ACR    []string `json:"acr_values_supported"`
		Claims []string `json:"claims_supported"`
	}
	if err := json.Unmarshal([]byte(n.do("GET", n.public, "/.well-known/openid-configuration", "").body), &m); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.ACR, []string{"aal1", "aal2"}) || !slices.Contains(m.Claims, "email_verified") || slices.Contains(m.Claims, "gender") {
		t.Errorf("got %+v", m)
	}
}

// TestNetworksOfOAuth: a key of one network can neither read nor answer what belongs to
// another.
func TestNetworksOfOAuth(t *testing.T) {
	ours, k := key("ours", "default", "write")
	theirs, k2 := key("theirs", "tenant", "write")
	n := start(t, func(c *server.Config) {
		c.Networks, c.Auth.Keys = []string{"default", "tenant"}, []server.Key{k, k2}
	})
	as := func(secret string) string { return "Authorization: Bearer " + secret }
	got := n.do("POST", n.write, "/admin/clients", `{"redirect_uris":["https://app.test/"],"scope":"openid"}`, as(ours))
	var c struct {
		ID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(got.body), &c); err != nil || got.status != http.StatusCreated {
		t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Get(
		"http://" + n.public + "/oauth2/auth?" + url.Values{
			"client_id": {c.ID}, "response_type": {"code"}, "scope": {"openid"}, "redirect_uri": {"https://app.test/"},
			"code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"},
		}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	at, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	accept := "/admin/oauth2/auth/requests/login/accept?" + at.RawQuery
	if at.Query().Get("login_challenge") == "" {
		t.Fatalf("the request leads to %v", at)
	}
	for secret, want := range map[string]int{ours: 200, theirs: 404, "x": 401} {
		if got := n.do("PUT", n.write, accept, `{"subject":"ann"}`, as(secret)); got.status != want {
			t.Errorf("who may accept a login: %d %s: expected %d", got.status, got.body, want)
		}
	}
	if got := n.do("GET", n.write, "/admin/clients/"+c.ID, "", as(theirs)); got.status != 404 {
		t.Errorf("a client of another network: %d %s", got.status, got.body)
	}
}

// TestStrangersClients: with --dev anybody may register a client, but for the usual scopes
// and grants only, unless the settings name more.
func TestStrangersClients(t *testing.T) {
	dev := func(c *server.Config) { c.Dev = true }
	usual := start(t, dev)
	more := start(t, dev, func(c *server.Config) {
		r := &c.OAuth.Register
		r.Scopes, r.Audience, r.Grants = []string{"admin"}, []string{"urn:api"}, []string{"authorization_code", "implicit"}
	})
	for body, want := range map[string][2]int{
		`{"redirect_uris":["https://a.test/"]}`:                                                                    {201, 201},
		`{"redirect_uris":["https://a.test/"],"scope":"openid email"}`:                                             {201, 400},
		`{"redirect_uris":["https://a.test/"],"scope":"admin"}`:                                                    {400, 201},
		`{"redirect_uris":["https://a.test/"],"audience":["urn:api"]}`:                                             {400, 201},
		`{"redirect_uris":["https://a.test/"],"profile":"legacy","grant_types":["authorization_code","implicit"]}`: {400, 201},
		`{"redirect_uris":["https://a.test/"],"grant_types":["client_credentials"]}`:                               {400, 400},
		`{"redirect_uris":["https://a.test/"],"grant_types":["authorization_code","refresh_token"]}`:               {201, 400},
	} {
		for i, n := range []*node{usual, more} {
			if got := n.do("POST", n.public, "/oauth2/register", body, "Content-Type: application/json"); got.status != want[i] {
				t.Errorf("%s gives %d %s, expected %d", body, got.status, got.body, want[i])
			}
		}
	}
}
