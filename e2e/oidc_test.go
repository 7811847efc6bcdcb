package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A provider is a running server with an app that answers its challenges by Hydra's
// protocol: ann logs in, and allows everything.
type provider struct {
	*instance
	t      *testing.T
	issuer string
}

func startProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{t: t}
	app := http.NewServeMux()
	for _, kind := range []string{"login", "consent", "logout"} {
		app.HandleFunc("GET /"+kind, func(w http.ResponseWriter, r *http.Request) { p.answer(w, r, kind) })
	}
	app.HandleFunc("GET /bye", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "logged out") })
	pages := httptest.NewServer(app)
	t.Cleanup(pages.Close)
	dir := t.TempDir()
	config := filepath.Join(dir, "cardea.yaml")
	text := strings.ReplaceAll(`oauth:
  urls: {login: PAGES/login, consent: PAGES/consent, logout: PAGES/logout, post_logout_redirect: PAGES/bye}
  clients: {http: {disallow_private_ip_ranges: false}}
  oidc: {dynamic_client_registration: {enabled: true}}
`, "PAGES", pages.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.instance = start(t, dir, "--config", config)
	p.issuer = "http://" + p.address("public")
	return p
}

// answer says yes to a challenge, and sends the browser on.
func (p *provider) answer(w http.ResponseWriter, r *http.Request, kind string) {
	at := "/admin/oauth2/auth/requests/" + kind
	query := "?" + r.URL.RawQuery
	asked, err := p.admin("GET", at+query, nil)
	var to map[string]any
	if err == nil {
		to, err = p.admin("PUT", at+"/accept"+query, map[string]any{
			"subject": "ann", "acr": "aal1", "amr": []string{"pwd"}, "remember": true,
			"grant_scope": asked["requested_scope"], "grant_access_token_audience": asked["requested_access_token_audience"],
			"session": map[string]any{"id_token": map[string]any{"email": "ann@example.test", "email_verified": true, "name": "Ann"}},
		})
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, to["redirect_to"].(string), http.StatusSeeOther)
}

// admin calls the admin API.
func (p *provider) admin(method, path string, body any) (map[string]any, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(method, "http://"+p.Write+path, strings.NewReader(string(text)))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode > 299 {
		return nil, fmt.Errorf("%s %s answers %d %s", method, path, resp.StatusCode, answer)
	}
	out := map[string]any{}
	if len(answer) > 0 {
		err = json.Unmarshal(answer, &out)
	}
	return out, err
}

// client registers a client, and returns its id and secret.
func (p *provider) client(callback string, more map[string]any) (id, secret string) {
	p.t.Helper()
	c := map[string]any{
		"redirect_uris": []string{callback}, "grant_types": []string{"authorization_code", "refresh_token", "client_credentials"},
		"response_types": []string{"code"}, "scope": "openid offline_access profile email",
	}
	for name, value := range more {
		c[name] = value
	}
	made, err := p.admin("POST", "/admin/clients", c)
	if err != nil {
		p.t.Fatal(err)
	}
	secret, _ = made["client_secret"].(string)
	return made["client_id"].(string), secret
}

// newBrowser keeps cookies and follows redirects.
func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

// visit opens a page and returns its text, and where it is.
func visit(t *testing.T, browser *http.Client, at string) (string, *url.URL) {
	t.Helper()
	resp, err := browser.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s ends at %s: %d %s %v", at, resp.Request.URL, resp.StatusCode, text, err)
	}
	return string(text), resp.Request.URL
}
