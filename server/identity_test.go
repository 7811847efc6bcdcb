package server_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/internal/testdb"
	"github.com/cardea-iam/cardea/server"
)

// withIdentity turns identities on, with hashes that cost little.
func withIdentity(c *server.Config) {
	c.Identity.Enabled = true
	c.Identity.HashMemory, c.Identity.HashIterations = 64, 1
}

// A visitor uses the public API: with cookies as a browser, or as a native app.
type visitor struct {
	*testing.T
	base   string
	client *http.Client
	token  string // of a session; sent if it is not ""
}

func (n *node) visitor(t *testing.T, cookies bool) *visitor {
	v := &visitor{T: t, base: "http://" + n.server.Address("public").String(), client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if cookies {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		v.client.Jar = jar
	}
	return v
}

// A said is an answer.
type said struct {
	*testing.T
	status int
	header http.Header
	text   string
	body   map[string]any
}

// do sends a request. A body that is url.Values is a form, else it is JSON.
func (v *visitor) do(method, path string, body any, headers ...string) *said {
	v.Helper()
	if !strings.HasPrefix(path, "http") {
		path = v.base + path
	}
	var content io.Reader
	kind := ""
	switch body := body.(type) {
	case nil:
	case url.Values:
		content, kind = strings.NewReader(body.Encode()), "application/x-www-form-urlencoded"
	default:
		text, err := json.Marshal(body)
		if err != nil {
			v.Fatal(err)
		}
		content, kind = bytes.NewReader(text), "application/json"
	}
	r, err := http.NewRequestWithContext(v.Context(), method, path, content)
	if err != nil {
		v.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if v.token != "" {
		r.Header.Set("X-Session-Token", v.token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := v.client.Do(r)
	if err != nil {
		v.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.Fatal(err)
	}
	s := &said{T: v.T, status: res.StatusCode, header: res.Header, text: string(text)}
	_ = json.Unmarshal(text, &s.body)
	return s
}

func (v *visitor) get(path string, headers ...string) *said {
	v.Helper()
	return v.do("GET", path, nil, headers...)
}

var asProgram = []string{"Accept", "application/json"}

// is asserts the status.
func (s *said) is(status int) *said {
	s.Helper()
	if s.status != status {
		s.Fatalf("status %d, want %d: %s", s.status, status, s.text)
	}
	return s
}

// at returns what is at a path in the JSON, such as "ui.nodes.0.attributes.name".
func (s *said) at(path string) any {
	var v any = s.body
	for _, name := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			i := int(name[0] - '0')
			if i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (s *said) str(path string) string {
	text, _ := s.at(path).(string)
	return text
}

// has asserts a value.
func (s *said) has(path string, want any) *said {
	s.Helper()
	if got := s.at(path); got != want {
		s.Fatalf("%s is %v, want %v: %s", path, got, want, s.text)
	}
	return s
}

// nodes returns the nodes by name, buttons by name and value.
func (s *said) nodes() map[string]map[string]any {
	out := map[string]map[string]any{}
	list, _ := s.at("ui.nodes").([]any)
	for _, one := range list {
		n := one.(map[string]any)
		a := n["attributes"].(map[string]any)
		name, _ := a["name"].(string)
		if a["type"] == "submit" {
			name += "=" + a["value"].(string)
		}
		out[name] = n
	}
	return out
}

// csrf returns the token of the form.
func (s *said) csrf() string {
	return s.nodes()["csrf_token"]["attributes"].(map[string]any)["value"].(string)
}

// messages returns the ids of the form's messages and those of its nodes.
func (s *said) messages() (ids []int) {
	add := func(list any) {
		for _, m := range list.([]any) {
			ids = append(ids, int(m.(map[string]any)["id"].(float64)))
		}
	}
	if list := s.at("ui.messages"); list != nil {
		add(list)
	}
	for _, n := range s.at("ui.nodes").([]any) {
		add(n.(map[string]any)["messages"])
	}
	return ids
}

// says asserts that there is a message.
func (s *said) says(id int) *said {
	s.Helper()
	for _, got := range s.messages() {
		if got == id {
			return s
		}
	}
	s.Fatalf("message %d is missing: %v in %s", id, s.messages(), s.text)
	return s
}

const goodPassword = "a stone wall of 7 colours"

// registerNative makes an account, and keeps its token.
func (v *visitor) registerNative(email string) *said {
	v.Helper()
	flow := v.get("/self-service/registration/api").is(200)
	done := v.do("POST", flow.str("ui.action"), map[string]any{
		"method": "password", "password": goodPassword, "traits": map[string]any{"email": email},
	}).is(200)
	v.token = done.str("session_token")
	return done
}

// TestIdentityOnPostgreSQL makes the journeys on the other kind of database.
func TestIdentityOnPostgreSQL(t *testing.T) {
	n, _ := startWithMail(t, atOnce, func(c *server.Config) {
		c.DSN, c.Dev = testdb.Postgres(t), true
	})
	nativeJourney(t, n)
	n, _ = startWithMail(t, atOnce, func(c *server.Config) {
		c.DSN, c.Dev = testdb.Postgres(t), true
	})
	browserJourney(t, n)
	n, box := startWithMail(t, func(c *server.Config) {
		c.DSN, c.Dev = testdb.Postgres(t), true
	})
	confirmedRegistration(t, n, box)
}

func TestNativeRegistrationAndLogin(t *testing.T) { nativeJourney(t, start(t, withIdentity)) }

func nativeJourney(t *testing.T, n *node) {
	t.Helper()
	v := n.visitor(t, false)
	flow := v.get("/self-service/registration/api").is(200).has("type", "api").has("state", "choose_method").has("ui.method", "POST")
	for _, name := range []string{"csrf_token", "traits.email", "traits.name.first", "traits.name.last", "password", "method=password"} {
		if flow.nodes()[name] == nil {
			t.Fatalf("node %s is missing: %s", name, flow.text)
		}
	}
	v.get("/self-service/registration/flows?id="+flow.str("id")).is(200).has("id", flow.str("id"))
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": goodPassword}).is(400).says(4000002)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": "short", "traits": map[string]any{"email": "ann@example.com"}}).
		is(400).says(4000032)
	v.get("/self-service/registration/flows?id=" + flow.str("id")).is(200).says(4000032)
	done := v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"email": "Ann@Example.com"}}).
		is(200).has("identity.traits.email", "Ann@Example.com").has("session.active", true).has("session.authenticator_assurance_level", "aal1").
		has("identity.verifiable_addresses.0.value", "ann@example.com").has("session.authentication_methods.0.method", "password")
	if strings.Contains(done.text, "hashed_password") {
		t.Fatal("the answer has the hash of the password")
	}
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"email": "b@example.com"}}).
		is(400).says(4040002) // a flow works once

	v.token = done.str("session_token")
	who := v.get("/sessions/whoami").is(200).has("identity.id", done.str("identity.id"))
	v.get("/sessions/whoami", "If-None-Match", who.header.Get("ETag")).is(304)
	v.token = ""
	v.get("/sessions/whoami", "Authorization", "Bearer "+done.str("session_token")).is(200)
	v.get("/sessions/whoami").is(401)

	again := v.get("/self-service/registration/api").is(200)
	v.do("POST", again.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"email": "ann@example.com"}}).
		is(400).says(4000007)

	login := v.get("/self-service/login/api").is(200).has("refresh", false).has("requested_aal", "aal1")
	v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": "wrong"}).is(400).says(4000006)
	v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "nobody@example.com", "password": "wrong"}).is(400).says(4000006)
	in := v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": " ANN@example.com", "password": goodPassword}).is(200)
	v.do("DELETE", "/self-service/logout/api", map[string]any{"session_token": in.str("session_token")}).is(204)
	v.do("DELETE", "/self-service/logout/api", map[string]any{"session_token": "ory_st_unknown"}).is(403)
	v.token = in.str("session_token")
	v.get("/sessions/whoami").is(401)
}

func TestBrowserRegistrationLoginLogout(t *testing.T) { browserJourney(t, start(t, withIdentity)) }

func browserJourney(t *testing.T, n *node) {
	t.Helper()
	v := n.visitor(t, true)
	opened := v.get("/self-service/registration/browser").is(303)
	to, err := url.Parse(opened.header.Get("Location"))
	if err != nil || to.Path != "/registration" {
		t.Fatalf("sent to %q", opened.header.Get("Location"))
	}
	id := to.Query().Get("flow")
	flow := v.get("/self-service/registration/flows?id="+id).is(200).has("type", "browser")
	n.visitor(t, true).get("/self-service/registration/flows?id="+id).is(403).has("error.id", "security_csrf_violation")
	form := url.Values{"csrf_token": {flow.csrf()}, "method": {"password"}, "password": {goodPassword}, "traits.email": {"ann@example.com"}, "traits.name.first": {"Ann"}}
	wrong := url.Values{"csrf_token": {flow.csrf()}, "method": {"password"}, "password": {"x"}, "traits.email": {"ann@example.com"}}
	if got := v.do("POST", flow.str("ui.action"), wrong).is(303).header.Get("Location"); got != opened.header.Get("Location") {
		t.Fatalf("after a mistake sent to %q", got)
	}
	shown := v.get("/self-service/registration/flows?id=" + id).is(200).says(4000032)
	if got := shown.nodes()["traits.email"]["attributes"].(map[string]any)["value"]; got != "ann@example.com" {
		t.Fatalf("the address is %v", got)
	}
	forged := url.Values{"csrf_token": {""}, "method": {"password"}, "password": {goodPassword}, "traits.email": {"ann@example.com"}}
	if got := v.do("POST", flow.str("ui.action"), forged).is(303).header.Get("Location"); !strings.Contains(got, "/error?id=") {
		t.Fatalf("without a token sent to %q", got)
	}
	v.do("POST", flow.str("ui.action"), form).is(303)
	who := v.get("/sessions/whoami").is(200).has("identity.traits.name.first", "Ann")

	v.get("/self-service/login/browser").is(303)
	v.get("/self-service/login/browser", asProgram...).is(400).has("error.id", "session_already_available")
	out := v.get("/self-service/logout/browser").is(200)
	v.get("/self-service/logout?token=ory_lo_x", asProgram...).is(403)
	v.get("/sessions/whoami").is(200)
	v.get(out.str("logout_url")).is(303)
	v.get("/sessions/whoami").is(401)
	v.get("/self-service/logout/browser").is(401).has("error.id", "session_inactive")

	spa := v.get("/self-service/login/browser", asProgram...).is(200)
	v.do("POST", spa.str("ui.action"), map[string]any{"csrf_token": spa.csrf(), "method": "password", "identifier": "ann@example.com", "password": "wrong"}).is(400).says(4000006)
	v.do("POST", spa.str("ui.action"), map[string]any{"csrf_token": "x", "method": "password", "identifier": "ann@example.com", "password": goodPassword}).
		is(403).has("error.id", "security_csrf_violation")
	in := v.do("POST", spa.str("ui.action"), map[string]any{"csrf_token": spa.csrf(), "method": "password", "identifier": "ann@example.com", "password": goodPassword}).
		is(200).has("continue_with.0.action", "redirect_browser_to")
	if in.str("session_token") != "" {
		t.Fatal("a browser got its token in the body")
	}
	if v.get("/sessions/whoami").is(200).str("id") == who.str("id") {
		t.Fatal("the session of another login was given again")
	}
}

func TestSettingsFlow(t *testing.T) {
	n := start(t, withIdentity)
	v := n.visitor(t, false)
	v.get("/self-service/settings/api").is(401).has("error.id", "session_inactive")
	v.registerNative("ann@example.com")
	other := n.visitor(t, false)
	login := other.get("/self-service/login/api").is(200)
	other.token = other.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200).str("session_token")

	flow := v.get("/self-service/settings/api").is(200).has("state", "show_form").has("identity.traits.email", "ann@example.com")
	for _, name := range []string{"traits.email", "method=profile", "password", "method=password"} {
		if flow.nodes()[name] == nil {
			t.Fatalf("node %s is missing: %s", name, flow.text)
		}
	}
	stranger := n.visitor(t, false)
	stranger.get("/self-service/settings/flows?id="+flow.str("id")).is(401).has("error.id", "session_inactive")
	stranger.registerNative("stranger@example.com")
	stranger.get("/self-service/settings/flows?id="+flow.str("id")).is(403).has("error.id", "security_identity_mismatch")
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "profile", "traits": map[string]any{"email": "ann@example.com", "name": map[string]any{"first": "Ann"}}}).
		is(200).has("state", "success").says(1050001)
	v.get("/sessions/whoami").is(200).has("identity.traits.name.first", "Ann")
	other.get("/sessions/whoami").is(200)

	v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": goodPassword}).is(400).says(4000039)
	done := v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": "another stone wall"}).is(200).has("state", "success").
		has("continue_with.0.action", "set_ory_session_token")
	v.get("/sessions/whoami").is(401) // the token was replaced
	v.token = done.str("continue_with.0.ory_session_token")
	v.get("/sessions/whoami").is(200)
	other.get("/sessions/whoami").is(401) // and the other sessions are over

	fresh := n.visitor(t, false)
	login = fresh.get("/self-service/login/api").is(200)
	fresh.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(400)
	fresh.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": "another stone wall"}).is(200)

	bob := n.visitor(t, false)
	bob.registerNative("bob@example.com")
	mine := bob.get("/self-service/settings/api").is(200)
	bob.do("POST", mine.str("ui.action"), map[string]any{"method": "profile", "traits": map[string]any{"email": "ann@example.com"}}).is(400).says(4000007)
	v.do("POST", mine.str("ui.action"), map[string]any{"method": "profile", "traits": map[string]any{"email": "x@example.com"}}).
		is(403).has("error.id", "security_identity_mismatch")
}

func TestReturnTo(t *testing.T) {
	n := start(t, withIdentity, func(c *server.Config) {
		c.Identity.AllowedReturns = []string{"https://app.example.com/home", "https://*.example.org"}
	})
	v := n.visitor(t, true)
	for to, allowed := range map[string]bool{
		"/settings":                                   true,
		"https://app.example.com/home":                true,
		"https://app.example.com/home/x?y=z":          true,
		"https://a.example.org/":                      true,
		"https://app.example.com/homes":               false,
		"https://app.example.com/":                    false,
		"https://app.example.com/home/../x":           false,
		"https://app.example.com@evil.example/home":   false,
		"https://app.example.com.evil.example/home":   false,
		"https://example.org/":                        false,
		"https://evilexample.org/":                    false,
		"http://app.example.com/home":                 false,
		"https://app.example.com:444/home":            false,
		"//evil.example":                              false,
		"/\\evil.example":                             false,
		"javascript:alert(1)":                         false,
		"data:text/html,x":                            false,
		"https://app.example.com/home/%2e%2e/x":       false,
		"https://app.example.com/home/..%2fx":         false,
		"https://app.example.com/home/./../x":         false,
		"https://app.example.com\\@evil.example/home": false,
		"https://evil.example\\app.example.com/home":  false,
		"https:evil.example":                          false,
		"https:///evil.example":                       false,
		"////evil.example":                            false,
		"/\t/evil.example":                            false,
		"/settings/..//evil.example":                  true, // it becomes a URL of this server
		" https://evil.example/":                      false,
		"https://app.example.com/home\r\nX: y":        false,
		"HTTPS://APP.example.com/home":                true,
		"https://a.example.org.evil.example/":         false,
		"https://.example.org/":                       false,
		"https://user:pass@app.example.com/home":      false,
		"vbscript:x":                                  false,
	} {
		got := v.get("/self-service/login/browser?return_to="+url.QueryEscape(to), asProgram...)
		if allowed != (got.status == 200) {
			t.Errorf("return_to %s: %d %s", to, got.status, got.text)
		}
		if !allowed && got.str("error.id") != "self_service_flow_return_to_forbidden" {
			t.Errorf("return_to %s: %s", to, got.text)
		}
	}
	to := "https://app.example.com/home?x=1"
	opened := v.get("/self-service/registration/browser?return_to="+url.QueryEscape(to), asProgram...).is(200).has("return_to", to)
	v.get("/self-service/registration/flows?id="+opened.str("id")).is(200).has("return_to", to)
	done := v.do("POST", opened.str("ui.action"), url.Values{"csrf_token": {opened.csrf()}, "method": {"password"}, "password": {goodPassword}, "traits.email": {"ann@example.com"}}).is(303)
	if got := done.header.Get("Location"); got != to {
		t.Errorf("sent to %q", got)
	}
}

func TestNativeFlowsRefuseBrowsers(t *testing.T) {
	v := start(t, withIdentity).visitor(t, false)
	v.get("/self-service/login/api", "Cookie", "a=b").is(400)
	v.get("/self-service/login/api", "Origin", "https://evil.example").is(400)
	flow := v.get("/self-service/login/api", "Cookie", "__cf_x=b").is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "identifier": "a", "password": "b"}, "Cookie", "a=b").is(400)
}

// TestNativeFlowsAnswerJSON: an app that sends a body of another kind is not sent to a page.
func TestNativeFlowsAnswerJSON(t *testing.T) {
	v := start(t, withIdentity).visitor(t, false)
	for _, kind := range []string{"login", "registration"} {
		action := v.get("/self-service/" + kind + "/api").is(200).str("ui.action")
		v.do("POST", action, nil, "Content-Type", "text/plain").is(400).has("error.code", 400.0)
	}
}

func TestLoginIsLimited(t *testing.T) {
	n := start(t, withIdentity)
	n.visitor(t, false).registerNative("ann@example.com")
	v := n.visitor(t, false)
	for _, who := range []string{"ann@example.com", "nobody@example.com"} {
		flow := v.get("/self-service/login/api").is(200)
		for i := range 8 {
			got := v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "identifier": who, "password": "wrong"}).is(400)
			want := 4000006
			if i >= 5 {
				want = 4000001
			}
			got.says(want)
		}
		v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "identifier": who, "password": goodPassword}).is(400).says(4000001)
	}
}

func TestIdentityIsOff(t *testing.T) {
	v := start(t).visitor(t, false)
	v.get("/sessions/whoami").is(501)
}

// admin is a visitor of the write listener.
func (n *node) admin(t *testing.T) *visitor {
	v := n.visitor(t, false)
	v.base = "http://" + n.write
	return v
}

func TestAdminIdentities(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	made := a.do("POST", "/admin/identities", map[string]any{
		"schema_id": "default", "traits": map[string]any{"email": "ann@example.com"}, "external_id": "x1",
		"metadata_public": map[string]any{"plan": "free"}, "metadata_admin": []int{1},
		"verifiable_addresses": []any{map[string]any{"value": "ann@example.com", "via": "email", "verified": true}},
		"credentials":          map[string]any{"password": map[string]any{"config": map[string]any{"password": goodPassword}}},
	}).is(201).has("state", "active").has("verifiable_addresses.0.status", "completed").has("credentials.password.identifiers.0", "ann@example.com")
	id := made.str("id")
	if made.at("credentials.password.config") != nil {
		t.Fatal("the config of a credential is shown unasked")
	}
	a.do("POST", "/admin/identities", map[string]any{"schema_id": "default", "traits": map[string]any{"email": "ann@example.com"}}).is(409)
	a.do("POST", "/admin/identities", map[string]any{"schema_id": "default", "traits": map[string]any{"email": "b@example.com"}, "external_id": "x1"}).is(409)
	a.do("POST", "/admin/identities", map[string]any{"schema_id": "default", "traits": map[string]any{"other": 1}}).is(400)
	a.do("POST", "/admin/identities", map[string]any{"schema_id": "none", "traits": map[string]any{}}).is(400)
	a.get("/admin/identities/"+id).is(200).has("external_id", "x1").has("metadata_public.plan", "free")
	shown := a.get("/admin/identities/by/external/x1?include_credential=password").is(200).has("id", id)
	if !strings.HasPrefix(shown.str("credentials.password.config.hashed_password"), "$argon2id$") {
		t.Fatalf("credentials %v", shown.at("credentials"))
	}
	a.get("/admin/identities/by/external/x2").is(404)
	a.get("/admin/identities/not-a-uuid").is(404)

	v := n.visitor(t, false)
	login := v.get("/self-service/login/api").is(200)
	v.token = v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200).str("session_token")

	a.do("PATCH", "/admin/identities/"+id, []any{map[string]any{"op": "replace", "path": "/traits/email", "value": "new@example.com"}}).
		is(200).has("traits.email", "new@example.com").has("verifiable_addresses.0.verified", false).has("credentials.password.identifiers.0", "new@example.com")
	for _, path := range []string{"/id", "/credentials", "/credentials/password/config", "", "/state_changed_at"} {
		a.do("PATCH", "/admin/identities/"+id, []any{map[string]any{"op": "replace", "path": path, "value": "x"}}).is(400)
	}
	a.do("PATCH", "/admin/identities/"+id, []any{map[string]any{"op": "replace", "path": "/traits/email", "value": 7}}).is(400)
	v.get("/sessions/whoami").is(200).has("identity.traits.email", "new@example.com")
	a.do("PUT", "/admin/identities/"+id, map[string]any{"schema_id": "default", "state": "inactive", "traits": map[string]any{"email": "new@example.com"}}).
		is(200).has("state", "inactive").has("external_id", nil)
	v.get("/sessions/whoami").is(401)
	v.token = ""
	login = v.get("/self-service/login/api").is(200)
	v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "new@example.com", "password": goodPassword}).is(400).says(4010011)

	a.do("DELETE", "/admin/identities/"+id+"/credentials/password", nil).is(400) // the last one
	a.do("DELETE", "/admin/identities/"+id, nil).is(204)
	a.do("DELETE", "/admin/identities/"+id, nil).is(404)
	a.get("/admin/identities/" + id).is(404)
}

func TestAdminListsInPages(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	for i := range 5 {
		a.do("POST", "/admin/identities", map[string]any{"schema_id": "default", "traits": map[string]any{"email": string(rune('a'+i)) + "@example.com"},
			"credentials": map[string]any{"password": map[string]any{"config": map[string]any{"password": goodPassword}}}}).is(201)
	}
	count := func(path string) (n int) {
		for path != "" {
			got := a.get(path).is(200)
			var page []map[string]any
			if err := json.Unmarshal([]byte(got.text), &page); err != nil {
				t.Fatal(err)
			}
			n += len(page)
			path = ""
			for link := range strings.SplitSeq(got.header.Get("Link"), ",") {
				if to, ok := strings.CutSuffix(link, `; rel="next"`); ok {
					path = strings.Trim(to, "<>")
				}
			}
		}
		return n
	}
	for path, want := range map[string]int{
		"/admin/identities?page_size=2":                                   5,
		"/admin/identities":                                               5,
		"/admin/identities?credentials_identifier=B%40example.com":        1,
		"/admin/identities?preview_credentials_identifier_similar=c":      1,
		"/admin/identities?ids=" + "00000000-0000-4000-8000-000000000000": 0,
		"/admin/sessions?page_size=1":                                     0,
	} {
		if got := count(path); got != want {
			t.Errorf("%s lists %d, want %d", path, got, want)
		}
	}
	for range 3 {
		v := n.visitor(t, false)
		login := v.get("/self-service/login/api").is(200)
		v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "a@example.com", "password": goodPassword}).is(200)
	}
	if got := count("/admin/sessions?page_size=1&expand=identity"); got != 3 {
		t.Errorf("%d sessions", got)
	}
	a.get("/admin/identities?page_token=%21").is(400)
}

func TestAdminSessions(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	v := n.visitor(t, false)
	done := v.registerNative("ann@example.com")
	id, who := done.str("session.id"), done.str("identity.id")
	a.get("/admin/sessions/"+id+"?expand=identity").is(200).has("identity.id", who).has("active", true)
	a.get("/admin/sessions/"+id).is(200).has("identity", nil)
	a.do("PATCH", "/admin/sessions/"+id+"/extend", nil).is(200)
	if events := a.get("/admin/audit/events").is(200).text; !strings.Contains(events, "admin.session.extended") {
		t.Errorf("that a session was extended is not in the audit log: %s", events)
	}
	for path, want := range map[string]int{strings.ToUpper(id): 200, id + "?expand=friends": 400, id + "?expand=identity,devices": 200, "x": 400} {
		a.get("/admin/sessions/" + path).is(want)
	}
	a.get("/admin/identities/" + who + "/sessions?active=true").is(200)
	a.do("DELETE", "/admin/sessions/"+id, nil).is(204)
	v.get("/sessions/whoami").is(401)
	a.get("/admin/sessions/"+id).is(200).has("active", false)
	a.do("PATCH", "/admin/sessions/"+id+"/extend", nil).is(400)
	a.do("DELETE", "/admin/identities/"+who+"/sessions", nil).is(204)
	a.do("DELETE", "/admin/identities/"+who+"/sessions", nil).is(404)
	a.get("/admin/sessions/" + id).is(404)
}

// TestLoginChallenge comes as a user interface of Kratos does that OAuth2 has sent a
// browser to.
func TestLoginChallenge(t *testing.T) {
	n := start(t, withIdentity)
	v := n.visitor(t, true)
	challenge := v.challenged(n.rp(""))
	want := v.base + "/oauth2/login?login_challenge=" + url.QueryEscape(challenge)
	flow := v.get("/self-service/registration/browser?login_challenge="+url.QueryEscape(challenge), asProgram...).is(200).has("oauth2_login_challenge", challenge)
	done := v.do("POST", flow.str("ui.action"), url.Values{"csrf_token": {flow.csrf()}, "method": {"password"}, "password": {goodPassword}, "traits.email": {"ann@example.com"}}).is(303)
	if got := done.header.Get("Location"); got != want {
		t.Errorf("sent to %q, want %q", got, want)
	}
	v.get("/self-service/login/browser?login_challenge="+url.QueryEscape(challenge), asProgram...).is(422).has("redirect_browser_to", want)
	if got := v.get("/self-service/login/browser?login_challenge=" + url.QueryEscape(challenge)).is(303).header.Get("Location"); got != want {
		t.Errorf("sent to %q, want %q", got, want)
	}
}
