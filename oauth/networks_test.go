package oauth_test

import (
	"net/url"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/secret"
	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/grants"
	"github.com/cardea-iam/cardea/store/sqlite"
)

// tenants are two networks of one database with the same system secrets, and the second
// once more under the name of the first.
func tenants(t *testing.T) (a, b, disguised *world) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	secrets, err := secret.New("the secret of the tests")
	if err != nil {
		t.Fatal(err)
	}
	begin := func(network string, edit ...func(*oauth.Options)) *world {
		runner, err := db.Runner(t.Context(), network)
		if err != nil {
			t.Fatal(err)
		}
		return startOn(t, grants.New(runner), append(edit, func(o *oauth.Options) {
			o.Secrets, o.Register, o.Grants.DPoPNonce = secrets.In(network), oauth.Registration{Enabled: true}, true
		})...)
	}
	issuer := func(o *oauth.Options) {
		var err error
		if o.Issuer, err = url.Parse(a.public); err != nil {
			t.Fatal(err)
		}
	}
	a, b = begin("ours"), begin("theirs")
	return a, b, begin("theirs", issuer)
}

// twin is a client that has the same id and secret in each network.
var twin = map[string]any{
	"client_id": "app", "client_secret": "a secret that both have", "audience": []string{"app"},
	"grant_types":               []string{"authorization_code", "refresh_token", "client_credentials", deviceType, exchangeType},
	"post_logout_redirect_uris": []string{afterLogout},
}

// TestNetworksAreApart: nothing that was made in one network is anything in another,
// though the clients, people, and system secrets have the same names there; and trying
// it there does it no harm.
func TestNetworksAreApart(t *testing.T) {
	a, b, disguised := tenants(t)
	a.client(twin)
	b.client(twin)
	for name, thief := range map[string]*world{"another network": b, "another network with the same issuer": disguised} {
		t.Run(name, func(t *testing.T) { stealTokens(t, a, thief) })
		t.Run(name+", on the way", func(t *testing.T) { stealFlows(t, a, thief) })
	}
	t.Run("by administrators", func(t *testing.T) { stealByAdmin(t, a, b) })
}

// stealTokens shows thief what was handed out at a.
func stealTokens(t *testing.T, a, thief *world) {
	c := twin
	for _, strategy := range []string{"opaque", "jwt"} {
		for _, w := range []*world{a, thief} {
			w.must("PATCH", w.admin+"/admin/clients/app", []map[string]any{{"op": "add", "path": "/access_token_strategy", "value": strategy}})
		}
		tokens := a.tokens(c, ann(), "audience", "app")
		access, refresh := text(tokens, "access_token"), text(tokens, "refresh_token")
		for _, token := range []string{access, refresh} {
			for _, as := range []map[string]any{nil, c} {
				if in := thief.introspect(token, as); in["active"] != false {
					t.Errorf("a token is active: %v", in)
				}
			}
			if resp, _ := thief.send("POST", thief.public+"/oauth2/revoke", url.Values{"token": {token}}, basic(c)); resp.StatusCode != 200 {
				t.Errorf("revocation answers %d", resp.StatusCode)
			}
		}
		if resp, body := thief.send("GET", thief.public+"/userinfo", nil, bearer(access)); resp.StatusCode != 401 {
			t.Errorf("userinfo answers %d %s", resp.StatusCode, body)
		}
		code := a.browser().authorize(codeRequest(c), ann()).Get("code")
		forms := map[string]url.Values{
			"a code":                  codeExchange(code),
			"a refresh token":         {"grant_type": {"refresh_token"}, "refresh_token": {refresh}},
			"an exchange":             swap(access, "access_token"),
			"an exchange of ID token": swap(text(tokens, "id_token"), "id_token"),
		}
		for name, form := range forms {
			if status, body := thief.token(form, basic(c)); status != 400 || body["access_token"] != nil {
				t.Errorf("%s: %d %v", name, status, body)
			}
		}
		for _, name := range []string{"a code", "an exchange", "a refresh token"} {
			if status, body := a.token(forms[name], basic(c)); status != 200 {
				t.Errorf("%s at home: %d %v", name, status, body)
			}
		}
	}

	made := a.must("POST", a.public+"/oauth2/register", map[string]any{"redirect_uris": []string{callback}})
	for method, body := range map[string]any{"GET": nil, "DELETE": nil, "PUT": map[string]any{"client_id": made["client_id"], "redirect_uris": []string{callback}}} {
		if status, _ := thief.call(method, thief.public+"/oauth2/register/"+text(made, "client_id"), body, bearer(made["registration_access_token"])); status != 401 {
			t.Errorf("%s of a client with its registration access token: %d", method, status)
		}
	}
	if status, body := thief.token(url.Values{"grant_type": {"client_credentials"}}, basic(made)); status != 401 || body["error"] != "invalid_client" {
		t.Errorf("a client: %d %v", status, body)
	}
	if at := thief.browser().open(thief.public + "/oauth2/auth?" + codeRequest(made).Encode()); at.Query().Get("error") != "invalid_client" {
		t.Errorf("its request leads to %v", at)
	}
	a.must("GET", text(made, "registration_client_uri"), nil, bearer(made["registration_access_token"]))

	// A nonce of ours is none there, and theirs is none here.
	k := key(t, jose.ES256, "")
	resp, _ := a.send("POST", a.public+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, basic(c), a.provingToken(k))
	for _, w := range []*world{thief, a} {
		want := map[bool]any{true: nil, false: "use_dpop_nonce"}[w == a]
		at := w.public + "/oauth2/token"
		if w != a && w.must("GET", w.public+"/.well-known/openid-configuration", nil)["issuer"] == a.public {
			at = a.public + "/oauth2/token"
		}
		_, body := w.token(url.Values{"grant_type": {"client_credentials"}}, basic(c), w.proving(k, "POST", at, "nonce", resp.Header.Get("DPoP-Nonce")))
		if body["error"] != want {
			t.Errorf("a nonce gives %v: expected %v", body, want)
		}
	}
}

// stealFlows shows thief what is on its way at a: challenges, verifiers and cookies.
func stealFlows(t *testing.T, a, thief *world) {
	c := twin
	home := a.browser()
	id := home.logIn(c)["id_token"].(string)
	away := &browser{w: thief, Client: home.Client} // the hosts are the same, and so are the cookies
	isForeign := func(what string, at *url.URL) {
		t.Helper()
		if at == nil || at.Host != "app.test" || at.Path != "/error" {
			t.Errorf("%s leads to %v", what, at)
		}
	}
	here := func(address string) string { // the same request to the other network
		u := must(url.Parse(address))
		return thief.public + u.Path + "?" + u.RawQuery
	}
	unknown := func(what, method, path string, body any) {
		t.Helper()
		if status, got := thief.call(method, thief.admin+"/admin/oauth2/auth/requests/"+path, body); status != 404 {
			t.Errorf("%s: %d %v", what, status, got)
		}
	}

	if away.isIn(c) {
		t.Error("the cookie of a login is one in another network")
	}
	asked, _ := away.challenge(codeRequest(c))
	if asked["skip"] != false || asked["subject"] != "" {
		t.Errorf("who is logged in elsewhere is asked %v", asked)
	}
	page := a.push(c, codeRequest(c), basic(c))
	isForeign("a pushed request", away.open(thief.public+"/oauth2/auth?"+page.Encode()))

	at := home.open(a.public + "/oauth2/auth?" + page.Encode())
	for verb, body := range map[string]any{"": nil, "/accept": ann().login, "/reject": map[string]any{"error": "access_denied"}} {
		method := map[bool]string{true: "GET", false: "PUT"}[verb == ""]
		unknown("a login challenge"+verb, method, "login"+verb+"?"+at.RawQuery, body)
	}
	verifier := home.answer("login", at.Query().Get("login_challenge"), by("1").login, nil)
	isForeign("a login verifier", away.open(here(verifier)))
	at = home.open(verifier)
	for verb, body := range map[string]any{"": nil, "/accept": map[string]any{}, "/reject": map[string]any{"error": "access_denied"}} {
		method := map[bool]string{true: "GET", false: "PUT"}[verb == ""]
		unknown("a consent challenge"+verb, method, "consent"+verb+"?"+at.RawQuery, body)
	}
	if consent := a.must("GET", a.admin+"/admin/oauth2/auth/requests/consent?"+at.RawQuery, nil); consent["skip"] != true {
		t.Errorf("at home the consent is not remembered: %v", consent)
	}
	verifier = home.answer("consent", at.Query().Get("consent_challenge"), map[string]any{"grant_scope": []string{"openid"}}, nil)
	isForeign("a consent verifier", away.open(here(verifier)))
	if code := home.open(verifier).Query().Get("code"); code == "" {
		t.Error("at home the consent verifier gives no code")
	}

	codes := a.codes(c)
	if status, body := thief.poll(c, codes); status != 400 || body["error"] != "invalid_grant" {
		t.Errorf("a device code: %d %v", status, body)
	}
	at = away.open(thief.public + "/oauth2/device/verify")
	if status, body := thief.call("PUT", thief.acceptDevice(at), map[string]any{"user_code": codes["user_code"]}); status != 400 {
		t.Errorf("a user code: %d %v", status, body)
	}
	at = home.open(a.public + "/oauth2/device/verify")
	unknown("a device challenge", "PUT", "device/accept?"+at.RawQuery, map[string]any{"user_code": codes["user_code"]})
	verifier = text(a.must("PUT", a.acceptDevice(at), map[string]any{"user_code": codes["user_code"]}), "redirect_to")
	isForeign("a device verifier", away.open(here(verifier)))

	hint := url.Values{"id_token_hint": {id}, "post_logout_redirect_uri": {afterLogout}}
	isForeign("an ID token at the logout", away.open(thief.public+"/oauth2/sessions/logout?"+hint.Encode()))
	at = home.open(a.public + "/oauth2/sessions/logout")
	unknown("a logout challenge", "PUT", "logout/accept?"+at.RawQuery, nil)
	verifier = text(a.must("PUT", a.admin+"/admin/oauth2/auth/requests/logout/accept?"+at.RawQuery, nil), "redirect_to")
	isForeign("a logout verifier", away.open(here(verifier)))
	if !home.isIn(c) {
		t.Error("the login at home has ended")
	}
}

// stealByAdmin lets the administrators of b do what they can to everything that has the
// names of things at a.
func stealByAdmin(t *testing.T, a, b *world) {
	home := a.browser()
	tokens := home.logIn(twin)
	sid := text(a.claims("RS256", text(tokens, "id_token")), "sid")
	page, _ := a.consents(consents + "?subject=ann")
	if got, _ := b.consents(consents + "?subject=ann"); len(got) != 0 {
		t.Errorf("there are consents: %v", got)
	}
	id := text(page[0], "consent_request_id")
	for _, address := range []string{
		consents + "?subject=ann&all=true", consents + "?subject=ann&client=app", consents + "?consent_request_id=" + id,
		"/admin/oauth2/auth/sessions/login?subject=ann", "/admin/oauth2/auth/sessions/login?sid=" + sid,
		"/admin/oauth2/tokens?client_id=app",
	} {
		if resp, body := b.send("DELETE", b.admin+address, nil); resp.StatusCode != 204 {
			t.Errorf("%s: %d %s", address, resp.StatusCode, body)
		}
	}
	if status, _ := b.call("DELETE", b.admin+"/admin/keys/hydra.openid.id-token/"+a.signedBy(twin), nil); status != 404 {
		t.Errorf("a signing key is deleted: %d", status)
	}
	b.must("DELETE", b.admin+"/admin/clients/app", nil)
	b.must("POST", b.admin+"/admin/oauth2/purge", nil)

	if in := a.introspect(text(tokens, "access_token"), nil); in["active"] != true {
		t.Error("the access token is dead")
	}
	if status, body := a.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(tokens, "refresh_token")}}, basic(twin)); status != 200 {
		t.Errorf("the refresh token: %d %v", status, body)
	}
	if !home.isIn(twin) {
		t.Error("the login has ended")
	}
}
