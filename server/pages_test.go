package server_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	"github.com/cardea-iam/cardea/server"
)

const pkceVerifier = "a-verifier-that-is-long-enough-for-rfc-7636-aaaa"

// An rp is a client of the server's OAuth2.
type rp struct {
	n          *node
	id, secret string
}

func (n *node) rp(fields string) rp {
	n.t.Helper()
	got := n.do("POST", n.write, "/admin/clients", `{"client_name":"Demo","redirect_uris":["https://client.test/cb"],
		"grant_types":["authorization_code","refresh_token"],"scope":"openid offline_access profile email groups admin"`+fields+`}`)
	var c struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(got.body), &c); err != nil || got.status != http.StatusCreated {
		n.t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	return rp{n, c.ID, c.Secret}
}

// request is where a browser begins.
func (c rp) request(more ...string) string {
	sum := sha256.Sum256([]byte(pkceVerifier))
	q := url.Values{
		"client_id": {c.id}, "redirect_uri": {"https://client.test/cb"}, "response_type": {"code"}, "state": {"st"},
		"scope": {"openid profile email groups admin"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return "/oauth2/auth?" + q.Encode()
}

// tokens exchanges a code, and returns the claims of the ID token with them.
func (c rp) tokens(code string) (map[string]any, map[string]any) {
	c.n.t.Helper()
	body := c.token(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {"https://client.test/cb"}, "code_verifier": {pkceVerifier}})
	return body, claimsOf(c.n.t, body)
}

// claimsOf reads an ID token, whose signature does not matter here.
func claimsOf(t *testing.T, body map[string]any) (claims map[string]any) {
	t.Helper()
	id, _ := body["id_token"].(string)
	parts := strings.Split(id, ".")
	if len(parts) != 3 {
		t.Fatalf("the ID token is %q", id)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// token calls the token endpoint.
func (c rp) token(form url.Values) (body map[string]any) {
	c.n.t.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(c.id) + ":" + url.QueryEscape(c.secret)))
	got := c.n.do("POST", c.n.public, "/oauth2/token", form.Encode(), "Content-Type: application/x-www-form-urlencoded", "Authorization: Basic "+basic)
	if got.status != http.StatusOK {
		c.n.t.Fatalf("%v gives %d %s", form, got.status, got.body)
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		c.n.t.Fatal(err)
	}
	return body
}

// walk follows redirects, fills in a registration and a consent, and returns the
// parameters that the client gets.
func (v *visitor) walk(from, email string) url.Values {
	v.Helper()
	at := from
	for range 12 {
		got := v.do("GET", at, nil)
		if got.status == http.StatusOK && strings.Contains(at, "/oauth2/consent") {
			got = v.allow(got)
		}
		if got.status != http.StatusSeeOther {
			v.Fatalf("%s answers %d %s", at, got.status, got.text)
		}
		to, err := url.Parse(got.header.Get("Location"))
		if err != nil {
			v.Fatal(err)
		}
		switch {
		case to.Host == "client.test":
			return to.Query()
		case to.Path == "/login" || to.Path == "/registration":
			kind := strings.TrimPrefix(to.Path, "/")
			flow := v.get("/self-service/" + kind + "/flows?id=" + to.Query().Get("flow")).is(200)
			form := url.Values{"csrf_token": {flow.csrf()}, "method": {"password"}, "password": {goodPassword}}
			if kind == "login" {
				form.Set("identifier", email)
			} else {
				form.Set("traits.email", email)
				form.Set("traits.name.first", "Ann")
				form.Set("traits.name.last", "Lee")
			}
			at = v.do("POST", flow.str("ui.action"), form).is(303).header.Get("Location")
		default:
			at = to.String()
		}
	}
	v.Fatal("too many steps")
	return nil
}

var hidden = regexp.MustCompile(`name="consent_challenge" value="([^"]*)"`)

// allow submits the consent page with all that is ticked.
func (v *visitor) allow(page *said) *said {
	v.Helper()
	challenge := hidden.FindStringSubmatch(page.text)
	if challenge == nil || !strings.Contains(page.text, "Demo") || !strings.Contains(page.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		v.Fatalf("the consent page is %s", page.text)
	}
	return v.do("POST", "/oauth2/consent", url.Values{
		"consent_challenge": {html.UnescapeString(challenge[1])}, "answer": {"allow"}, "remember": {"1"}, "scope": {"profile", "email", "groups", "admin", "offline_access"},
	})
}

// withAdmins binds a scope to a permission.
func withAdmins(c *server.Config) {
	if err := c.OAuth.Scopes.Set(`[{"scope":"admin","namespace":"Doc","object":"handbook","permission":"view"}]`); err != nil {
		panic(err)
	}
}

// TestOwnPages goes to a client by way of Cardea's own pages: with a registration
// first, then without a question, then with a login that the client wants anew.
func TestOwnPages(t *testing.T) {
	n := startWithModel(t, withIdentity, withAdmins)
	c := n.rp("")
	v := n.visitor(t, true)
	if got := v.walk(c.request("prompt", "none"), ""); got.Get("error") != "login_required" {
		t.Fatalf("prompt=none without a session: %v", got)
	}
	answer := v.walk(c.request("prompt", "create"), "ann@example.com")
	if answer.Get("code") == "" || answer.Get("state") != "st" {
		t.Fatalf("the client gets %v", answer)
	}
	body, claims := c.tokens(answer.Get("code"))
	who := v.get("/sessions/whoami").is(200)
	ann := who.str("identity.id")
	if claims["sub"] != ann || claims["email"] != "ann@example.com" || claims["email_verified"] != false || claims["name"] != "Ann Lee" || claims["acr"] != "aal1" {
		t.Errorf("the ID token says %v", claims)
	}
	if scope := body["scope"].(string); strings.Contains(scope, "admin") {
		t.Errorf("the scopes are %q, and the permission for admin is missing", scope)
	}

	n.insert("Group:eng#members@"+ann, "Group:all#members@Group:eng#members", "Doc:handbook#viewers@Group:all#members")
	answer = v.walk(c.request("prompt", "consent"), "")
	body, claims = c.tokens(answer.Get("code"))
	groups, _ := claims["groups"].([]any)
	if !slices.Equal(groups, []any{"all", "eng"}) {
		t.Errorf("the groups are %v", claims["groups"])
	}
	if scope := body["scope"].(string); !strings.Contains(scope, "admin") {
		t.Errorf("the scopes are %q, in spite of the permission", scope)
	}

	if answer = v.walk(c.request("prompt", "none"), ""); answer.Get("code") == "" {
		t.Errorf("prompt=none after a remembered consent: %v", answer)
	}
	if answer = v.walk(c.request("prompt", "login"), "ann@example.com"); answer.Get("code") == "" {
		t.Errorf("prompt=login: %v", answer)
	}
}

// TestPermissionEnds: a refresh has a scope for as long as its permission is there, and
// people are asked once, whether it was or not.
func TestPermissionEnds(t *testing.T) {
	n := startWithModel(t, withIdentity, withAdmins)
	c := n.rp("")
	v := n.visitor(t, true)
	all := []string{"scope", "openid offline_access admin"}
	body, claims := c.tokens(v.walk(c.request(append(all, "prompt", "create")...), "ann@example.com").Get("code"))
	admin := "Doc:handbook#viewers@" + claims["sub"].(string)
	check := func(when string, want bool) {
		t.Helper()
		scope, _ := body["scope"].(string)
		if strings.Contains(scope, "admin") != want {
			t.Errorf("%s: the scopes are %q", when, scope)
		}
	}
	refresh := func() {
		t.Helper()
		body = c.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {body["refresh_token"].(string)}})
	}
	check("at the login", false)
	n.insert(admin)
	refresh()
	check("with the permission", true)
	n.update(cardeav1.TupleUpdate_ACTION_DELETE, admin)
	refresh()
	check("without it", false)
	if answer := v.walk(c.request(append(all, "prompt", "none")...), ""); answer.Get("code") == "" {
		t.Errorf("people are asked again: %v", answer)
	}
}

// TestClaimsByName: what a client asks for by name, people hear of and it gets, as far
// as it is registered for that.
func TestClaimsByName(t *testing.T) {
	n := startWithModel(t, withIdentity)
	c := n.rp("")
	poor := n.rp(`,"scope":"openid"`)
	v := n.visitor(t, true)
	v.walk(c.request("prompt", "create", "scope", "openid"), "ann@example.com")
	asked := []string{"scope", "openid", "claims", `{"id_token":{"email":null}}`}
	if answer := v.walk(c.request(append(asked, "prompt", "none")...), ""); answer.Get("error") != "consent_required" {
		t.Errorf("nobody was asked for the claim: %v", answer)
	}
	_, claims := c.tokens(v.walk(c.request(asked...), "").Get("code"))
	if claims["email"] != "ann@example.com" || claims["email_verified"] != nil || claims["name"] != nil {
		t.Errorf("the ID token says %v", claims)
	}
	if answer := v.walk(c.request(append(asked, "prompt", "none")...), ""); answer.Get("code") == "" {
		t.Errorf("the consent is not remembered: %v", answer)
	}
	if _, claims = poor.tokens(v.walk(poor.request(asked...), "").Get("code")); claims["email"] != nil {
		t.Errorf("a client without the scope gets %v", claims)
	}
}

// TestLogoutReachesClients: whoever logs out of the account itself is logged out of the
// clients, too.
func TestLogoutReachesClients(t *testing.T) {
	told := make(chan string, 10)
	site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.FormValue("logout_token") }))
	defer site.Close()
	n := startWithModel(t, withIdentity, func(c *server.Config) { c.OAuth.DisallowPrivate = false })
	c := n.rp(`,"backchannel_logout_uri":"` + site.URL + `/bye"`)
	v := n.visitor(t, true)
	if answer := v.walk(c.request("prompt", "create"), "ann@example.com"); answer.Get("code") == "" {
		t.Fatalf("the client gets %v", answer)
	}
	v.get(v.get("/self-service/logout/browser").is(200).str("logout_url")).is(303)
	select {
	case token := <-told:
		if strings.Count(token, ".") != 2 {
			t.Errorf("the client is told %q", token)
		}
	case <-time.After(30 * time.Second):
		t.Error("the client hears of nothing")
	}
	if answer := v.walk(c.request("prompt", "none"), ""); answer.Get("error") != "login_required" {
		t.Errorf("afterwards: %v", answer)
	}
}

// TestRefreshSaysNow: the ID token of a refresh says what is so by then.
func TestRefreshSaysNow(t *testing.T) {
	n := startWithModel(t, withIdentity)
	c := n.rp("")
	v := n.visitor(t, true)
	body, claims := c.tokens(v.walk(c.request("prompt", "create", "scope", "openid offline_access profile email groups"), "ann@example.com").Get("code"))
	if groups, _ := claims["groups"].([]any); claims["name"] != "Ann Lee" || len(groups) != 0 {
		t.Fatalf("at first: %v", claims)
	}
	ann := claims["sub"].(string)
	n.insert("Group:eng#members@" + ann)
	n.admin(t).do("PATCH", "/admin/identities/"+ann, []any{map[string]any{"op": "replace", "path": "/traits/name/last", "value": "Ray"}}).is(200)
	body = c.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {body["refresh_token"].(string)}})
	claims = claimsOf(t, body)
	if groups, _ := claims["groups"].([]any); claims["name"] != "Ann Ray" || !slices.Equal(groups, []any{"eng"}) || claims["email"] != "ann@example.com" {
		t.Errorf("after a refresh: %v", claims)
	}
}
