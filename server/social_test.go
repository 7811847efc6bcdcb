package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/server"
)

// A social is two servers: people have accounts at idp, and log in with them at rp.
type social struct {
	*testing.T
	idp, rp *node
	at      *visitor // a browser that is logged in at idp
	config  []identity.Provider
}

// startSocial starts both, with somebody at idp whose address is verified or not.
func startSocial(t *testing.T, email string, verified bool, edit ...func(*server.Config)) *social {
	t.Helper()
	s := &social{T: t, idp: start(t, withIdentity)}
	provider := identity.Provider{
		ID: "house", Kind: "generic", Label: "The House", ClientID: "rp", ClientSecret: "a secret with: signs", Issuer: "http://" + s.idp.public,
		Scope: []string{"email", "profile"},
	}
	s.rp = start(t, append([]func(*server.Config){withIdentity, func(c *server.Config) {
		c.Identity.OIDC.Providers = []identity.Provider{provider}
		c.Identity.OIDC.DisallowPrivate = false
		c.Identity.AllowedReturns = []string{"app://done"}
	}}, edit...)...)
	s.config = []identity.Provider{provider}
	s.client()
	s.at = s.person(email, verified)
	return s
}

// client makes rp a client of idp, or changes where that sends browsers back to.
func (s *social) client() {
	s.Helper()
	body, err := json.Marshal(map[string]any{
		"client_id": "rp", "client_secret": s.config[0].ClientSecret, "skip_consent": true, "scope": "openid email profile", "grant_types": []string{"authorization_code"},
		"redirect_uris": []string{"http://" + s.rp.public + "/self-service/methods/oidc/callback/house", "http://" + s.rp.public + "/self-service/methods/oidc/callback"},
	})
	if err != nil {
		s.Fatal(err)
	}
	s.idp.do("DELETE", s.idp.write, "/admin/clients/rp", "")
	if got := s.idp.do("POST", s.idp.write, "/admin/clients", string(body)); got.status != http.StatusCreated {
		s.Fatalf("%d %s", got.status, got.body)
	}
}

// person makes somebody at idp, and returns their browser.
func (s *social) person(email string, verified bool) *visitor {
	s.Helper()
	s.idp.admin(s.T).do("POST", "/admin/identities", map[string]any{
		"schema_id": "default", "traits": map[string]any{"email": email, "name": map[string]any{"first": "Ann", "last": "Lee"}},
		"credentials":          map[string]any{"password": map[string]any{"config": map[string]any{"password": goodPassword}}},
		"verifiable_addresses": []any{map[string]any{"value": email, "via": "email", "verified": verified, "status": "completed"}},
	}).is(201)
	v := s.idp.visitor(s.T, true)
	v.login(email).is(200)
	return v
}

// login logs a browser in by password.
func (v *visitor) login(email string) *said {
	v.Helper()
	f := v.get("/self-service/login/browser", asProgram...).is(200)
	return v.do("POST", f.str("ui.action"), map[string]any{"csrf_token": f.csrf(), "method": "password", "identifier": email, "password": goodPassword})
}

// leave submits a button of a flow of rp, and returns where it leads.
func (v *visitor) leave(f *said, fields ...string) string {
	v.Helper()
	body := map[string]any{"csrf_token": f.csrf(), "method": "oidc"}
	for i := 0; i+1 < len(fields); i += 2 {
		body[fields[i]] = fields[i+1]
	}
	return v.do("POST", f.str("ui.action"), body, asProgram...).is(422).has("error.id", "browser_location_change_required").str("redirect_browser_to")
}

// through goes to idp, and returns where it sends the browser back to.
func (s *social) through(at *visitor, to string) string {
	s.Helper()
	for range 10 {
		to = at.get(to).header.Get("Location")
		if strings.HasPrefix(to, "http://"+s.rp.public) {
			return to
		}
	}
	s.Fatalf("the provider led to %q", to)
	return ""
}

// flowOf is the flow of a page.
func flowOf(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	return u.Query().Get("flow")
}

func TestSocialLogin(t *testing.T) {
	s := startSocial(t, "ann@example.com", true)
	v := s.rp.visitor(t, true)
	f := v.get("/self-service/login/browser", asProgram...).is(200)
	button := f.nodes()["provider=house"]
	if button == nil || button["group"] != "oidc" {
		t.Fatalf("there is no button: %s", f.text)
	}
	label := button["meta"].(map[string]any)["label"].(map[string]any)
	if label["id"] != float64(1010002) || label["text"] != "Sign in with The House" {
		t.Errorf("the label is %v", label)
	}
	to := v.leave(f, "provider", "house")
	asked, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	q := asked.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("scope") != "openid email profile" || strings.Contains(to, f.str("id")) {
		t.Errorf("asked with %s", to)
	}
	back := s.through(s.at, to)
	v.get(back).is(303)
	who := v.get("/sessions/whoami").is(200).has("identity.traits.email", "ann@example.com").has("identity.traits.name.first", "Ann").
		has("identity.verifiable_addresses.0.verified", true).has("authentication_methods.0.method", "oidc").has("authentication_methods.0.provider", "house")
	v.get(back, asProgram...).is(403).has("error.id", "security_csrf_violation") // a state works once

	// Registration with an account that is there logs in.
	again := s.rp.visitor(t, true)
	f = again.get("/self-service/registration/browser", asProgram...).is(200)
	again.get(s.through(s.at, again.leave(f, "provider", "house"))).is(303)
	again.get("/sessions/whoami").is(200).has("identity.id", who.str("identity.id"))

	stored := s.rp.admin(t).get("/admin/identities/" + who.str("identity.id") + "?include_credential=oidc").is(200)
	if !strings.Contains(stored.text, `"house:`) || !strings.HasPrefix(stored.str("credentials.oidc.config.providers.0.initial_id_token"), "eyJ") {
		t.Errorf("an administrator sees %s", stored.text)
	}
	s.rp.admin(t).do("POST", "/admin/test-login-flows", map[string]any{"provider_id": "house"}).is(501).has("error.code", 501.0)
	v.do("DELETE", "/self-service/login/test?id=x", nil, asProgram...).is(501).has("error.code", 501.0)
}

// TestSocialState: an answer is taken from the browser that asked, for what it asked.
func TestSocialState(t *testing.T) {
	s := startSocial(t, "ann@example.com", true)
	v := s.rp.visitor(t, true)
	f := v.get("/self-service/login/browser", asProgram...).is(200)
	back := s.through(s.at, v.leave(f, "provider", "house"))
	change := func(edit func(url.Values)) string {
		u, err := url.Parse(back)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		edit(q)
		u.RawQuery = q.Encode()
		return u.String()
	}
	s.rp.visitor(t, true).get(back, asProgram...).is(403)
	stranger := s.rp.visitor(t, true)
	stranger.get("/self-service/login/browser", asProgram...).is(200)
	stranger.get(back, asProgram...).is(403).has("error.id", "security_csrf_violation")
	for name, url := range map[string]string{
		"no state": change(func(q url.Values) { q.Del("state") }),
		"state of ours": change(func(q url.Values) {
			q.Set("state", base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("x", 200))))
		}),
		"other provider": strings.Replace(back, "callback/house", "callback/other", 1),
	} {
		if got := v.get(url, asProgram...); got.status != 403 {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	for name, edit := range map[string]func(url.Values){
		"issuer of another": func(q url.Values) { q.Set("iss", "https://evil.test") },
		"no issuer":         func(q url.Values) { q.Del("iss") },
		"code of nobody":    func(q url.Values) { q.Set("code", "x") },
		"no code":           func(q url.Values) { q.Del("code") },
		"refusal":           func(q url.Values) { q.Del("code"); q.Set("error", "access_denied") },
	} {
		f := v.get("/self-service/login/browser", asProgram...).is(200)
		back = s.through(s.at, v.leave(f, "provider", "house"))
		if got := v.get(change(edit), asProgram...); got.status != 400 || !slices.Contains(got.messages(), 4000001) {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
		if got := v.get(back, asProgram...); got.status != 403 {
			t.Errorf("%s: then the answer is taken: %d %s", name, got.status, got.text)
		}
	}
	v.get("/sessions/whoami").is(401)
}

// TestSocialRace: of many requests with one answer one logs in.
func TestSocialRace(t *testing.T) {
	s := startSocial(t, "ann@example.com", true)
	v := s.rp.visitor(t, true)
	back := s.through(s.at, v.leave(v.get("/self-service/login/browser", asProgram...).is(200), "provider", "house"))
	var wg sync.WaitGroup
	statuses := make(chan int, 8)
	for range cap(statuses) {
		wg.Go(func() {
			r, err := http.NewRequestWithContext(t.Context(), "GET", back, nil)
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Accept", "application/json")
			for _, c := range v.client.Jar.Cookies(r.URL) {
				r.AddCookie(c)
			}
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
			statuses <- resp.StatusCode
		})
	}
	wg.Wait()
	close(statuses)
	n := 0
	for status := range statuses {
		if status == 200 {
			n++
		}
	}
	if list := s.rp.admin(t).get("/admin/identities").is(200); n != 1 || strings.Count(list.text, `"schema_id"`) != n {
		t.Errorf("%d came in: %s", n, list.text)
	}
}

func TestSocialSettings(t *testing.T) {
	s := startSocial(t, "ann@example.com", true)
	v := s.rp.visitor(t, true)
	s.rp.known(t, "other@example.com")
	v.login("other@example.com").is(200)
	f := v.get("/self-service/settings/browser", asProgram...).is(200)
	if f.nodes()["link=house"] == nil || f.nodes()["unlink=house"] != nil {
		t.Fatalf("the settings have %s", f.text)
	}
	back := s.through(s.at, v.leave(f, "link", "house"))
	stranger := s.rp.visitor(t, true)
	s.rp.known(t, "eve@example.com")
	stranger.login("eve@example.com").is(200)
	stranger.get(back, asProgram...).is(403)
	v.get(back).is(303)
	f = v.get("/self-service/settings/browser", asProgram...).is(200)
	if f.nodes()["link=house"] != nil || f.nodes()["unlink=house"] == nil {
		t.Fatalf("after the link the settings have %s", f.text)
	}

	// The account at the provider is taken now.
	g := stranger.get("/self-service/settings/browser", asProgram...).is(200)
	got := stranger.get(s.through(s.at, stranger.leave(g, "link", "house")), asProgram...).is(400)
	if !slices.Contains(got.messages(), 4000007) {
		t.Errorf("a second link: %s", got.text)
	}

	in := s.rp.visitor(t, true)
	in.get(s.through(s.at, in.leave(in.get("/self-service/login/browser", asProgram...).is(200), "provider", "house"))).is(303)
	in.get("/sessions/whoami").is(200).has("identity.traits.email", "other@example.com")

	v.do("POST", f.str("ui.action"), map[string]any{"csrf_token": f.csrf(), "unlink": "nobody"}).is(400)
	v.do("POST", f.str("ui.action"), map[string]any{"csrf_token": f.csrf(), "unlink": "house"}).is(200).says(1050001)
	v.do("POST", f.str("ui.action"), map[string]any{"csrf_token": f.csrf(), "unlink": "house"}).is(400)
}

// TestSocialLastFactor: who has nothing but an account elsewhere cannot unlink it.
func TestSocialLastFactor(t *testing.T) {
	s := startSocial(t, "ann@example.com", true)
	v := s.rp.visitor(t, true)
	v.get(s.through(s.at, v.leave(v.get("/self-service/registration/browser", asProgram...).is(200), "provider", "house"))).is(303)
	f := v.get("/self-service/settings/browser", asProgram...).is(200)
	if f.nodes()["unlink=house"] != nil {
		t.Errorf("there is a button: %s", f.text)
	}
	v.do("POST", f.str("ui.action"), map[string]any{"csrf_token": f.csrf(), "unlink": "house"}).is(400).says(4000001)
	v.get("/sessions/whoami").is(200)
}

// A mistake in the list of providers is told in the words of the file, without values.
func TestProviderSettingsMistakes(t *testing.T) {
	for list, want := range map[string]string{
		`[{"id": "a", "scope": "email hidden"}]`: "expected a list of providers: scope may not be of the type string",
		`[{"id": "a", "client_id": 77777}]`:      "client_id may not be of the type number",
		`[{"id": "a", "tenant": "hidden"}]`:      `unknown field "tenant"`,
		`{"id": "hidden"}`:                       "expected a list of providers",
	} {
		_, err := load(t, "identity: {selfservice: {methods: {oidc: {config: {providers: "+list+"}}}}}", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", list, err)
			continue
		}
		for _, no := range []string{"Go ", "struct", "hidden", "77777"} {
			if strings.Contains(err.Error(), no) {
				t.Errorf("%s: the mistake has %q: %v", list, no, err)
			}
		}
	}
}
