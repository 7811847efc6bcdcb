package server_test

import (
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

// TestMailboxIsOneFactor: who has come by a code to a mailbox gives no second factor by
// another code to it, but sets a password, and then has two.
func TestMailboxIsOneFactor(t *testing.T) {
	for _, use := range []string{"code", "link"} {
		n, box := startWithMail(t, func(c *server.Config) { c.Identity.CodeSecond, c.Identity.Recovery.Use = true, use })
		v := n.visitor(t, false)
		begun := v.begin("ann@example.com")
		v.enter(begun, box.take("ann@example.com").code).is(200)

		flow := v.get("/self-service/recovery/api").is(200)
		v.do("POST", flow.str("ui.action"), map[string]any{"method": use, "email": "ann@example.com"}).is(200)
		proof := map[string]any{"method": use}
		if l := box.take("ann@example.com"); use == "link" {
			_, proof["token"], _ = strings.Cut(l.link, "token=")
		} else {
			proof["code"] = l.code
		}
		done := v.do("POST", flow.str("ui.action"), proof).is(200)
		v.token = done.str("continue_with.0.ory_session_token")
		v.get("/sessions/whoami").is(403).has("error.id", "session_aal2_required")

		// What asks for the second factor asks for another first one, since none is left.
		login := v.get("/self-service/login/api?aal=aal2").is(200).has("requested_aal", "aal1").has("refresh", true).says(1010003)
		if login.nodes()["password"] == nil {
			t.Fatalf("nodes: %s", login.text)
		}
		for name := range login.nodes() {
			if strings.HasPrefix(name, "address=") {
				t.Errorf("node %s", name)
			}
		}

		settings := v.get("/self-service/settings/flows?id=" + done.str("continue_with.1.flow.id")).is(200).says(1060001)
		saved := v.do("POST", settings.str("ui.action"), map[string]any{"method": "password", "password": "another stone wall"}).is(200)
		v.token = saved.str("continue_with.0.ory_session_token")
		login = v.get("/self-service/login/api?aal=aal2").is(200)
		again := v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": "another stone wall"}).is(200)
		if strings.Contains(again.text, "mailbox") || strings.Contains(done.text, "mailbox") {
			t.Errorf("clients see what is stored of a session: %s", again.text)
		}
		v.token = again.str("session_token")
		v.get("/sessions/whoami").is(403)
		login = v.get("/self-service/login/api?aal=aal2").is(200).has("requested_aal", "aal2").says(1010004)
		v.do("POST", login.str("ui.action"), map[string]any{"method": "code", "address": "ann@example.com"}).is(400).says(1010025)
		v.token = v.do("POST", login.str("ui.action"), map[string]any{"method": "code", "code": box.take("ann@example.com").code}).is(200).str("session_token")
		v.get("/sessions/whoami").is(200).has("authenticator_assurance_level", "aal2")
	}
}

// TestMailboxOfAnotherSession: a code that was sent in a session with a password is none
// for a session that the mailbox alone has opened.
func TestMailboxOfAnotherSession(t *testing.T) {
	n, box := startWithMail(t, func(c *server.Config) { c.Identity.CodeSecond, c.Identity.Recovery.Revoke = true, false })
	v, w := n.visitor(t, false), n.visitor(t, false)
	begun := v.begin("ann@example.com")
	v.token = v.enter(begun, box.take("ann@example.com").code).is(200).str("continue_with.0.ory_session_token")
	login := v.get("/self-service/login/api?aal=aal2").is(200)
	v.do("POST", login.str("ui.action"), map[string]any{"method": "code", "address": "ann@example.com"}).is(400)
	code := box.take("ann@example.com").code

	flow := w.get("/self-service/recovery/api").is(200)
	w.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "email": "ann@example.com"}).is(200)
	done := w.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "code": box.take("ann@example.com").code}).is(200)
	w.token = done.str("continue_with.0.ory_session_token")
	w.do("POST", login.str("ui.action"), map[string]any{"method": "code", "code": code}).is(400).says(4010008)
	v.do("POST", login.str("ui.action"), map[string]any{"method": "code", "code": code}).is(200)
}
