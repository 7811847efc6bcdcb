package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

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

// hookedUp serves with hooks given in JSON, in which URL is the hooked server's.
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
			if err := c.SetHooks(name, string(text)); err != nil {
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
	}{{422, `{}`}, {422, "no"}, {500, ""}, {200, "no JSON"}, {200, `{"identity":{"traits":{"email":7}}}`}, {302, ""}} {
		h.say(bad.status, bad.answer)
		register().is(503)
	}
	if got := n.admin(t).get("/admin/identities").list(); len(got) != 0 {
		t.Fatalf("there is %v", got)
	}
	h.say(200, `{"identity":{"traits":{"email":"ann@example.com","name":{"first":"Ann"}},"metadata_public":{"plan":"free"},"metadata_admin":{"from":"hook"},"external_id":"x1"}}`)
	made := register().is(200).has("identity.traits.name.first", "Ann").has("identity.metadata_public.plan", "free").has("identity.metadata_admin", nil)
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

func TestHookMistakes(t *testing.T) {
	for _, bad := range []string{`[{"hook":"magic"}]`, `[{"hook":"web_hook","config":{"url":"http://x","response":{"ignore":true,"parse":true}}}]`, `{}`, `[{"hook":"web_hook","config":{"uri":"x"}}]`} {
		var c server.Config
		if err := c.SetHooks("login", bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
