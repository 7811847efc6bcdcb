package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/server"
)

// A lodger is somebody in one browser, whose session two clients rely on: one as long as
// it lasts, and one that may act offline.
type lodger struct {
	*visitor
	session, identity, sid string
	plain, offline         string // tokens
}

// lodge goes to the clients; the first one who does so registers.
func lodge(t *testing.T, n *node, plain, offline rp, more ...string) lodger {
	t.Helper()
	l := lodger{visitor: n.visitor(t, true)}
	body, claims := plain.tokens(l.walk(plain.request(append(more, "scope", "openid")...), "ann@example.com").Get("code"))
	l.plain, _ = body["access_token"].(string)
	l.sid, _ = claims["sid"].(string)
	body, _ = offline.tokens(l.walk(offline.request("scope", "openid offline_access"), "").Get("code"))
	l.offline, _ = body["refresh_token"].(string)
	who := l.get("/sessions/whoami").is(200)
	l.session, l.identity = who.str("id"), who.str("identity.id")
	return l
}

// live reports whether a token is.
func (n *node) live(token string) bool {
	n.t.Helper()
	got := n.do("POST", n.write, "/admin/oauth2/introspect", url.Values{"token": {token}}.Encode(), "Content-Type: application/x-www-form-urlencoded")
	var body struct {
		Active bool `json:"active"`
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil || token == "" {
		n.t.Fatalf("%d %s", got.status, got.body)
	}
	return body.Active
}

// TestEndedSessionsReachClients: however a session ends before its time, the logins that
// were made from it end, and clients hear of it; those of other sessions go on.
func TestEndedSessionsReachClients(t *testing.T) {
	for name, tt := range map[string]struct {
		end    func(a *visitor, first, second lodger)
		second bool // it goes on, too
		all    bool // also what is allowed offline
	}{
		"an administrator ends it": {func(a *visitor, first, _ lodger) {
			a.do("DELETE", "/admin/sessions/"+first.session, nil).is(204)
		}, true, false},
		"an administrator disables it": {func(a *visitor, first, _ lodger) {
			a.do("POST", "/admin/sessions", map[string]any{"action": "disable", "sessions": []string{first.session}}).is(200)
		}, true, false},
		"an administrator deletes it": {func(a *visitor, first, _ lodger) {
			a.do("POST", "/admin/sessions", map[string]any{"action": "delete", "sessions": []string{first.session}}).is(200)
		}, true, false},
		"an administrator ends all": {func(a *visitor, _, _ lodger) {
			a.do("POST", "/admin/sessions", map[string]any{"action": "disable", "identities": []string{"*"}}).is(200)
		}, false, false},
		"an administrator deletes those of the identity": {func(a *visitor, first, _ lodger) {
			a.do("DELETE", "/admin/identities/"+first.identity+"/sessions", nil).is(204)
		}, false, false},
		"the identity is deactivated": {func(a *visitor, first, _ lodger) {
			a.do("PATCH", "/admin/identities/"+first.identity, []any{map[string]any{"op": "replace", "path": "/state", "value": "inactive"}}).is(200)
		}, false, true},
		"the identity is deleted": {func(a *visitor, first, _ lodger) {
			a.do("DELETE", "/admin/identities/"+first.identity, nil).is(204)
		}, false, true},
		"its owner ends it elsewhere": {func(_ *visitor, first, second lodger) {
			second.do("DELETE", "/sessions/"+first.session, nil).is(204)
		}, true, false},
		"its owner ends all others": {func(_ *visitor, _, second lodger) {
			second.do("DELETE", "/sessions", nil).is(200)
		}, true, false},
		"its owner has a new password": {func(_ *visitor, _, second lodger) {
			flow := second.get("/self-service/settings/browser", asProgram...).is(200)
			second.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": "password", "password": "another stone wall"}).is(200)
		}, true, false},
		"somebody else logs in": {func(a *visitor, first, _ lodger) {
			a.do("POST", "/admin/identities", draftOf("bob@example.com", "credentials", withPassword("password", goodPassword))).is(201)
			flow := first.get("/self-service/login/browser?refresh=true", asProgram...).is(200)
			first.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": "password", "identifier": "bob@example.com", "password": goodPassword}).is(200)
		}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			told := make(chan string, 10)
			site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- sidOf(r.FormValue("logout_token")) }))
			defer site.Close()
			n := start(t, withIdentity, func(c *server.Config) { c.OAuth.DisallowPrivate = false })
			plain, offline := n.rp(`,"backchannel_logout_uri":"`+site.URL+`"`), n.rp("")
			first := lodge(t, n, plain, offline, "prompt", "create")
			second := lodge(t, n, plain, offline)
			if first.sid == "" || first.sid == second.sid || first.identity != second.identity {
				t.Fatalf("%+v, %+v", first, second)
			}

			tt.end(n.admin(t), first, second)
			for token, want := range map[string]bool{first.plain: false, second.plain: tt.second, first.offline: !tt.all, second.offline: !tt.all} {
				if got := n.live(token); got != want {
					t.Errorf("a token is live: %t, want %t (of the first %t, offline %t)", got, want,
						token == first.plain || token == first.offline, token == first.offline || token == second.offline)
				}
			}
			consents := n.admin(t).get("/admin/oauth2/auth/sessions/consent?subject=" + first.identity).is(200).list()
			if (len(consents) == 0) != (name == "the identity is deleted") {
				t.Errorf("%d consents are left", len(consents))
			}
			hear := map[string]bool{first.sid: true}
			if !tt.second {
				hear[second.sid] = true
			}
			for len(hear) > 0 {
				select {
				case sid := <-told:
					if !hear[sid] {
						t.Errorf("the client is told of %q", sid)
					}
					delete(hear, sid)
				case <-time.After(30 * time.Second):
					t.Fatalf("the client does not hear of %v", hear)
				}
			}
			if answer := second.walk(plain.request("prompt", "none", "scope", "openid"), ""); (answer.Get("code") != "") != tt.second {
				t.Errorf("the other browser gets %v", answer)
			}
		})
	}
}

// sidOf is the claim of a token whose signature does not matter here.
func sidOf(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return token
	}
	text, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		SID string `json:"sid"`
	}
	_ = json.Unmarshal(text, &claims)
	return claims.SID
}

// TestAnswersOfEndedSessions: what the pages answered in a session is worth nothing when it
// has ended.
func TestAnswersOfEndedSessions(t *testing.T) {
	n := start(t, withIdentity)
	c := n.rp("")
	l := lodge(t, n, c, c, "prompt", "create")
	at := c.request("scope", "openid") // its consent is remembered
	for !strings.Contains(at, "consent_verifier") {
		at = l.get(at).is(303).header.Get("Location")
	}
	n.admin(t).do("DELETE", "/admin/sessions/"+l.session, nil).is(204)
	to, err := url.Parse(l.get(at).is(303).header.Get("Location"))
	if err != nil || to.Query().Get("error") != "access_denied" || to.Query().Get("code") != "" {
		t.Errorf("the client gets %v, %v", to, err)
	}
}
