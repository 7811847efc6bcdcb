package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/server"
)

// A hooked is a server that hooks call: it answers what it is told to.
type hooked struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	answer string
	got    []map[string]any
	auth   []string
}

func newHooked(t *testing.T) *hooked {
	h := &hooked{status: 200}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		var body map[string]any
		_ = json.Unmarshal(text, &body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got, h.auth = append(h.got, body), append(h.auth, r.Header.Get("X-Key"))
		w.WriteHeader(h.status)
		io.WriteString(w, h.answer)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hooked) say(status int, answer string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status, h.answer, h.got = status, answer, nil
}

// calls returns what was sent since the last say.
func (h *hooked) calls() []map[string]any {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.got
}

// hookedUp serves with hooks given in JSON, by flows, "FLOW.before" and "FLOW.METHOD", in
// which URL is the hooked server's.
func hookedUp(t *testing.T, h *hooked, flows string, more ...func(*server.Config)) *node {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(strings.ReplaceAll(flows, "URL", h.URL)), &all); err != nil {
		t.Fatal(err)
	}
	set := func(c *server.Config) {
		c.Identity.PrivateURLs = []string{h.URL}
		for name, hooks := range all {
			text, _ := json.Marshal(hooks)
			kind, where, _ := strings.Cut(name, ".")
			if err := c.SetHooks(kind, where, string(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return start(t, append([]func(*server.Config){withIdentity, set}, more...)...)
}

func TestWebHooks(t *testing.T) {
	h := newHooked(t)
	n := hookedUp(t, h, `{"registration":[{"hook":"web_hook","config":{"url":"URL","method":"POST","can_interrupt":true,"response":{"parse":true},
		"body":"{\"mail\":\"${identity.traits.email}\",\"kind\":\"${flow.kind}\",\"n\":\"<${identity.id}>\"}","auth":{"type":"api_key","config":{"name":"X-Key","value":"k","in":"header"}}}}],
		"login":[{"hook":"web_hook","config":{"url":"URL","response":{"ignore":true}}}]}`)
	v := n.visitor(t, false)
	register := func() *said {
		flow := v.get("/self-service/registration/api").is(200)
		return v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"email": "ann@example.com"}})
	}
	h.say(422, `{"messages":[{"instance_ptr":"#/traits/email","messages":[{"id":123,"text":"not you","type":"error"}]},{"messages":[{"id":124,"text":"no"}]}]}`)
	register().is(400).says(123).says(124)
	if got := h.calls(); len(got) != 1 || got[0]["mail"] != "ann@example.com" || got[0]["kind"] != "registration" || h.auth[0] != "k" {
		t.Errorf("called with %v, %q", got, h.auth)
	}
	for _, bad := range []struct {
		status int
		answer string
	}{{422, `{}`}, {422, "no"}, {500, ""}, {200, "no JSON"}, {200, `{"identity":{"traits":{"email":7}}}`}, {302, ""},
		{200, `{"identity":{"external_id":"` + strings.Repeat("x", 65) + `"}}`}, {200, `{"identity":{"state":"asleep"}}`}, {200, `{"identity":{"state":7}}`},
		{200, `{"identity":{"verifiable_addresses":[{"via":"email","value":"bob@example.com","verified":true}]}}`}} {
		h.say(bad.status, bad.answer)
		register().is(503)
	}
	if got := n.admin(t).get("/admin/identities").list(); len(got) != 0 {
		t.Fatalf("there is %v", got)
	}
	h.say(200, `{"identity":{"state":"inactive","traits":{"email":"idle@example.com"}}}`)
	register().is(200).has("identity.state", "inactive").has("session_token", nil)
	h.say(200, `{"identity":{"traits":{"email":"ann@example.com","name":{"first":"Ann"}},"metadata_public":{"plan":"free"},"metadata_admin":{"from":"hook"},"external_id":"x1",
		"verifiable_addresses":[{"via":"email","value":"Ann@example.com","verified":true,"status":"completed"}]}}`)
	made := register().is(200).has("identity.verifiable_addresses.0.verified", true).has("identity.verifiable_addresses.0.status", "completed").has("identity.traits.name.first", "Ann").has("identity.metadata_public.plan", "free").has("identity.metadata_admin", nil)
	n.admin(t).get("/admin/identities/"+made.str("identity.id")).is(200).has("metadata_admin.from", "hook").has("external_id", "x1")

	h.say(500, "")
	login := v.get("/self-service/login/api").is(200)
	v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": "another"}).is(400)
	if got := h.calls(); len(got) != 0 {
		t.Errorf("called after a login that failed: %v", got)
	}
	v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200)
	if got := h.calls(); len(got) != 1 {
		t.Errorf("called %d times", len(got))
	}
}

func TestHooksNotToPrivateAddresses(t *testing.T) {
	h := newHooked(t)
	n := hookedUp(t, h, `{"registration":[{"hook":"web_hook","config":{"url":"URL"}}]}`, func(c *server.Config) {
		c.Identity.PrivateURLs, c.Identity.OIDC.DisallowPrivate = nil, true
	})
	v := n.visitor(t, false)
	flow := v.get("/self-service/registration/api").is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"email": "ann@example.com"}}).is(503)
	if got := h.calls(); len(got) != 0 {
		t.Errorf("called: %v", got)
	}
}

func TestHookRevokesSessions(t *testing.T) {
	n := hookedUp(t, newHooked(t), `{"login":[{"hook":"revoke_active_sessions"}]}`)
	first := n.visitor(t, false)
	first.registerNative("ann@example.com")
	second := n.visitor(t, false)
	login := second.get("/self-service/login/api").is(200)
	second.token = second.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200).str("session_token")
	first.get("/sessions/whoami").is(401)
	second.get("/sessions/whoami").is(200)
}

// TestHooksOfMethods: a method's hooks take the place of the flow's, and where browsers go
// depends on it.
func TestHooksOfMethods(t *testing.T) {
	h := newHooked(t)
	n := hookedUp(t, h, `{"login":[{"hook":"web_hook","config":{"url":"URL","body":"{\"of\":\"login\"}"}}],
		"login.password":[{"hook":"web_hook","config":{"url":"URL","body":"{\"of\":\"first\"}"}},{"hook":"revoke_active_sessions"},{"hook":"web_hook","config":{"url":"URL","body":"{\"of\":\"second\"}"}}],
		"registration":[{"hook":"web_hook","config":{"url":"URL","body":"{\"of\":\"registration\"}"}}],
		"registration.code":[{"hook":"session"}],
		"settings.password":[{"hook":"web_hook","config":{"url":"URL","body":"{\"of\":\"password\"}"}}]}`, func(c *server.Config) {
		c.Identity.Login.After.ReturnTo = "https://app.example.com/login"
		c.Identity.Login.Methods[0].ReturnTo = "https://app.example.com/password"
		c.Identity.Registration.After.ReturnTo = "https://app.example.com/welcome"
		c.Identity.Registration.Session = false
		c.Identity.Settings.Methods[0].ReturnTo = "https://app.example.com/changed"
	})
	of := func() (names []string) {
		for _, call := range h.calls() {
			names = append(names, call["of"].(string))
		}
		return names
	}
	v := n.visitor(t, true)
	flow := v.get("/self-service/registration/browser", asProgram...).is(200)
	if to := v.do("POST", flow.str("ui.action"), url.Values{"csrf_token": {flow.csrf()}, "method": {"password"}, "password": {goodPassword}, "traits.email": {"ann@example.com"}}).
		is(303).header.Get("Location"); to != "https://app.example.com/welcome" {
		t.Errorf("after a registration sent to %q", to)
	}
	if got := of(); !slices.Equal(got, []string{"registration"}) {
		t.Errorf("after a registration called %v", got)
	}
	v.get("/sessions/whoami").is(401)
	h.say(200, "")
	in := func(v *visitor, query string) string {
		t.Helper()
		flow := v.get("/self-service/login/browser"+query, asProgram...).is(200)
		return v.do("POST", flow.str("ui.action"), url.Values{"csrf_token": {flow.csrf()}, "method": {"password"}, "identifier": {"ann@example.com"}, "password": {goodPassword}}).
			is(303).header.Get("Location")
	}
	if to := in(v, ""); to != "https://app.example.com/password" {
		t.Errorf("after a login sent to %q", to)
	}
	if got := of(); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("after a login called %v", got)
	}
	other := n.visitor(t, true)
	if to := in(other, "?return_to=/settings"); !strings.HasSuffix(to, "/settings") {
		t.Errorf("after a login sent to %q", to)
	}
	v.get("/sessions/whoami").is(401) // revoked by the other login
	h.say(200, "")
	flow = other.get("/self-service/settings/browser", asProgram...).is(200)
	other.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": "profile", "traits": map[string]any{"email": "ann@example.com"}}).is(200)
	if got := of(); len(got) != 0 {
		t.Errorf("after another change called %v", got)
	}
	other.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": "password", "password": "another stone wall"}).is(200).
		has("continue_with.0.redirect_browser_to", "https://app.example.com/changed")
	if got := of(); !slices.Equal(got, []string{"password"}) {
		t.Errorf("after a change called %v", got)
	}
}

// TestHookStartsSession: where a registration logs nobody in, that of one method may.
func TestHookStartsSession(t *testing.T) {
	n := hookedUp(t, newHooked(t), `{"registration.password":[{"hook":"session"},{"hook":"show_verification_ui"}]}`, withMail(t), atOnce, func(c *server.Config) {
		c.Identity.Registration.Session = false
	})
	v := n.visitor(t, true)
	flow := v.get("/self-service/registration/browser", asProgram...).is(200)
	to := v.do("POST", flow.str("ui.action"), url.Values{"csrf_token": {flow.csrf()}, "method": {"password"}, "password": {goodPassword}, "traits.email": {"ann@example.com"}}).
		is(303).header.Get("Location")
	if !strings.Contains(to, "/verification?flow=") {
		t.Errorf("sent to %q", to)
	}
	v.get("/sessions/whoami").is(200)
}

// TestHooksBefore: a flow is not opened if a hook does not want it, however it comes about.
func TestHooksBefore(t *testing.T) {
	h := newHooked(t)
	hook := `[{"hook":"web_hook","config":{"url":"URL","can_interrupt":true,"body":"{\"id\":\"${flow.id}\",\"kind\":\"${flow.kind}\",\"who\":\"${identity.traits.email}\"}"}}]`
	n := hookedUp(t, h, `{"login.before":`+hook+`,"settings.before":`+hook+`,"recovery.before":`+hook+`,"registration.before":[{"hook":"web_hook","config":{"url":"URL","response":{"ignore":true}}}]}`,
		withMail(t), func(c *server.Config) { c.Identity.Recovery.Lifespan = time.Nanosecond })
	n.known(t, "ann@example.com")
	for _, path := range []string{"/self-service/login/api", "/self-service/login/browser", "/self-service/recovery/api"} {
		h.say(200, "")
		v := n.visitor(t, strings.HasSuffix(path, "browser"))
		flow := v.get(path, asProgram...).is(200)
		if got := h.calls(); len(got) != 1 || got[0]["id"] != flow.str("id") || !strings.Contains(path, got[0]["kind"].(string)) {
			t.Errorf("%s: called with %v", path, got)
		}
		if strings.Contains(path, "recovery") { // it has expired, and another one is opened in its place
			h.say(403, `{"messages":[{"messages":[{"id":7,"text":"no more"}]}]}`)
			v.get("/self-service/recovery/flows?id="+flow.str("id")).is(400).has("error.message", "no more")
		}
		h.say(403, `{"messages":[{"instance_ptr":"#/traits/email","messages":[{"id":7,"text":"not from there"}]}]}`)
		v.get(path, asProgram...).is(400).has("error.message", "not from there").has("error.details.messages.0.id", 7.0)
		h.say(500, "")
		v.get(path, asProgram...).is(503)
	}
	h.say(403, `{"messages":[{"messages":[{"id":7,"text":"not from there"}]}]}`)
	b := n.visitor(t, true)
	b.page(b.get("/self-service/login/browser").is(303).header.Get("Location")).shows("not from there")

	h.say(500, "") // whose answer is ignored
	n.visitor(t, false).get("/self-service/registration/api").is(200)
	if got := h.calls(); len(got) != 1 {
		t.Errorf("called %d times", len(got))
	}

	h.say(200, "")
	v := n.visitor(t, false)
	login := v.get("/self-service/login/api").is(200)
	v.token = v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200).str("session_token")
	h.say(200, "")
	v.get("/self-service/settings/api").is(200)
	if got := h.calls(); len(got) != 1 || got[0]["who"] != "ann@example.com" {
		t.Errorf("called with %v", got)
	}
}

// TestHookOfPendingChange: a change of settings that waits for an address calls its hooks
// when it is made.
func TestHookOfPendingChange(t *testing.T) {
	h := newHooked(t)
	var box *postbox
	n := hookedUp(t, h, `{"settings.profile":[{"hook":"web_hook","config":{"url":"URL","body":"{\"mail\":\"${identity.traits.email}\"}"}}]}`, withMail(t),
		func(c *server.Config) { box = newPostbox(t, *c) })
	n.known(t, "ann@example.com")
	v := n.visitor(t, false)
	login := v.get("/self-service/login/api").is(200)
	v.token = v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200).str("session_token")
	flow := v.get("/self-service/settings/api").is(200)
	begun := v.do("POST", flow.str("ui.action"), map[string]any{"method": "profile", "traits": map[string]any{"email": "new@example.com"}}).is(200)
	if got := h.calls(); len(got) != 0 {
		t.Errorf("called too early with %v", got)
	}
	v.enter(begun, box.take("new@example.com").code).is(200)
	if got := h.calls(); len(got) != 1 || got[0]["mail"] != "new@example.com" {
		t.Errorf("called with %v", got)
	}
}

func TestHookMistakes(t *testing.T) {
	for _, bad := range []string{`[{"hook":"magic"}]`, `[{"hook":"web_hook","config":{"url":"http://x","response":{"ignore":true,"parse":true}}}]`, `{}`, `[{"hook":"web_hook","config":{"uri":"x"}}]`} {
		var c server.Config
		if err := c.SetHooks("login", "", bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	for where, bad := range map[string]string{
		"login":               `[{"hook":"verify_new_address"}]`,
		"settings":            `[{"hook":"notify_previous_addresses","config":{"recipients":"some"}}]`,
		"login.code":          `[{"hook":"session"}]`,
		"login.before":        `[{"hook":"revoke_active_sessions"}]`,
		"registration":        `[{"hook":"require_verified_address"}]`,
		"registration.before": `[{"hook":"web_hook","config":{"url":"http://x","response":{"parse":true}}}]`,
		"verification":        `[{"hook":"revoke_active_sessions"}]`,
		"settings.totp":       `[{"hook":"web_hook","config":{}}]`,
	} {
		c := testConfig(t)
		c.Identity.Enabled = true
		kind, at, _ := strings.Cut(where, ".")
		if err := c.SetHooks(kind, at, bad); err != nil {
			t.Fatal(err)
		}
		if _, err := server.New(t.Context(), c); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "flows."+kind) {
			t.Errorf("%s: %v", where, err)
		}
	}
}
