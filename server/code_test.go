package server_test

import (
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

func passwordless(c *server.Config) { c.Identity.Passwordless = true }

func TestCodeRegistrationAndLogin(t *testing.T) {
	n, box := startWithMail(t, passwordless)
	v := n.visitor(t, false)
	flow := v.get("/self-service/registration/api").is(200)
	if flow.nodes()["method=code"] == nil || flow.nodes()["method=password"] == nil {
		t.Fatalf("nodes: %s", flow.text)
	}
	form := map[string]any{"method": "code", "traits": map[string]any{"email": "ann@example.com", "name": map[string]any{"first": "Ann"}}}
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "traits": map[string]any{"email": "ann"}}).is(400).says(4000040)
	sent := v.do("POST", flow.str("ui.action"), form).is(400).has("state", "sent_email").says(1040005)
	for _, name := range []string{"traits.email", "traits.name.first", "code", "method", "resend=code", "method=code"} {
		if sent.nodes()[name] == nil {
			t.Errorf("node %s is missing: %s", name, sent.text)
		}
	}
	if sent.nodes()["password"] != nil || sent.nodes()["traits.email"]["attributes"].(map[string]any)["type"] != "hidden" {
		t.Errorf("nodes: %s", sent.text)
	}
	code := box.take("ann@example.com").code
	enter := func(code string, traits any) *said {
		return v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "code": code, "traits": traits})
	}
	enter(otherCode(code), form["traits"]).is(400).says(4040003)
	enter(code, map[string]any{"email": "bob@example.com"}).is(400).says(4000036)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "resend": "code", "traits": form["traits"]}).is(400).says(1040005)
	code = box.take("ann@example.com").code
	done := enter(code, form["traits"]).is(200).has("identity.verifiable_addresses.0.verified", true).has("session.authentication_methods.0.method", "code")
	v.token = done.str("session_token")
	v.get("/sessions/whoami").is(200).has("identity.traits.name.first", "Ann")
	v.token = ""
	n.admin(t).get("/admin/identities/"+done.str("identity.id")+"?include_credential=code").is(200).
		has("credentials.code.identifiers.0", "ann@example.com").has("credentials.code.config.addresses.0.channel", "email")

	login := v.get("/self-service/login/api").is(200)
	if login.nodes()["identifier"] == nil || login.nodes()["method=code"] == nil {
		t.Fatalf("nodes: %s", login.text)
	}
	v.do("POST", login.str("ui.action"), map[string]any{"method": "code"}).is(400).says(4000002)
	sent = v.do("POST", login.str("ui.action"), map[string]any{"method": "code", "identifier": "Ann@example.com"}).is(400).has("state", "sent_email").says(1010014)
	if sent.nodes()["identifier"]["attributes"].(map[string]any)["value"] != "Ann@example.com" || sent.nodes()["resend=code"] == nil {
		t.Errorf("nodes: %s", sent.text)
	}
	first := box.take("ann@example.com").code
	v.do("POST", login.str("ui.action"), map[string]any{"method": "code", "identifier": "ann@example.com", "code": otherCode(first)}).is(400).says(4010008).has("state", "sent_email")
	v.do("POST", login.str("ui.action"), map[string]any{"method": "code", "resend": "code"}).is(400).says(1010014)
	code = box.take("ann@example.com").code
	var won atomic.Int64
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if v.do("POST", login.str("ui.action"), map[string]any{"method": "code", "identifier": "ann@example.com", "code": code}).status == 200 {
				won.Add(1)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Errorf("the code was good %d times", won.Load())
	}
}

// TestCodeLoginInBrowser goes through the pages, for an account that was made before
// codes were a way in.
func TestCodeLoginInBrowser(t *testing.T) {
	n, box := startWithMail(t, passwordless)
	n.known(t, "ann@example.com")
	v := n.visitor(t, true)
	to := v.get("/self-service/login/browser?return_to=/sessions/whoami").is(303).header.Get("Location")
	u, _ := url.Parse(to)
	form := v.get("/self-service/login/flows?id=" + u.Query().Get("flow")).is(200)
	send := func(values url.Values) string {
		values.Set("csrf_token", form.csrf())
		return v.do("POST", form.str("ui.action"), values).is(303).header.Get("Location")
	}
	send(url.Values{"method": {"code"}, "identifier": {"ann@example.com"}, "password": {""}})
	page := v.get(to, "Accept", "text/html").is(200)
	if !strings.Contains(page.text, "A code was sent to the address you provided.") || strings.Contains(page.text, `name="password"`) {
		t.Fatalf("the page is %s", page.text)
	}
	box.take("ann@example.com")
	send(url.Values{"method": {"code"}, "identifier": {"ann@example.com"}, "code": {"12"}, "resend": {"code"}})
	if at := send(url.Values{"method": {"code"}, "identifier": {"ann@example.com"}, "code": {box.take("ann@example.com").code}}); !strings.HasSuffix(at, "/sessions/whoami") {
		t.Errorf("sent to %q", at)
	}
	v.get("/sessions/whoami").is(200).has("authentication_methods.0.method", "code").has("identity.verifiable_addresses.0.verified", true)
}

// TestCodesTellNothing compares the answers for an address that has an account with
// those for one that has none.
func TestCodesTellNothing(t *testing.T) {
	n, box := startWithMail(t, passwordless)
	n.known(t, "ann@example.com")
	varies := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[0-9:.]+Z|(ann|bob)@example.com`)
	var forms [2]string
	for i, email := range []string{"ann@example.com", "bob@example.com"} {
		v := n.visitor(t, false)
		login := v.get("/self-service/login/api").is(200)
		forms[i] = v.do("POST", login.str("ui.action"), map[string]any{"method": "code", "identifier": email}).is(400).text
		flow := v.get("/self-service/registration/api").is(200)
		traits := map[string]any{"email": email}
		forms[i] += v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "traits": traits}).is(400).text
		for range 6 {
			forms[i] += v.do("POST", login.str("ui.action"), map[string]any{"method": "code", "identifier": email, "code": "000000"}).is(400).text
			forms[i] += v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "traits": traits, "code": "000000"}).is(400).text
		}
		forms[i] = varies.ReplaceAllString(forms[i], "X")
	}
	if forms[0] != forms[1] {
		t.Errorf("the answers differ:\n%s\n%s", forms[0], forms[1])
	}
	subjects := map[string]bool{box.take("ann@example.com").subject: true, box.take("ann@example.com").subject: true}
	if !subjects["Sign in to your account"] || !subjects["You have an account already"] {
		t.Errorf("letters %v", subjects)
	}
	if l := box.take("bob@example.com"); l.subject != "Complete your registration" {
		t.Errorf("letter %+v", l)
	}
	if more := box.find("bob@example.com"); len(more) != 0 {
		t.Errorf("letters %+v", more)
	}
}

// TestCodeAsSecondFactor steps up.
func TestCodeAsSecondFactor(t *testing.T) {
	n, box := startWithMail(t, func(c *server.Config) { c.Identity.CodeSecond = true })
	v := n.visitor(t, false)
	begun := v.begin("ann@example.com")
	v.token = v.enter(begun, box.take("ann@example.com").code).is(200).str("continue_with.0.ory_session_token")
	v.get("/sessions/whoami").is(403).has("error.id", "session_aal2_required")
	flow := v.get("/self-service/login/api?aal=aal2").is(200).says(1010004)
	var address string
	for name, node := range flow.nodes() {
		if strings.HasPrefix(name, "address=") {
			address = strings.TrimPrefix(name, "address=")
			label := node["meta"].(map[string]any)["label"].(map[string]any)
			if label["text"] != "Send code to an****@example.com" || strings.Contains(address, "ann@") {
				t.Errorf("label %v, address %q", label, address)
			}
		}
	}
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "address": "bob@example.com"}).is(400).says(4010010)
	v.do("POST", flow.str("ui.action"), map[string]any{"address": address}).is(400).has("state", "sent_email").says(1010025)
	code := box.take("ann@example.com").code
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "code": otherCode(code)}).is(400).says(4010008)
	done := v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "code": code}).is(200).has("session.authenticator_assurance_level", "aal2")
	v.token = done.str("session_token")
	v.get("/sessions/whoami").is(200).has("authenticator_assurance_level", "aal2")

	// A login flow of aal1 has no code then.
	login := n.visitor(t, false).get("/self-service/login/api").is(200)
	if login.nodes()["method=code"] != nil {
		t.Errorf("nodes: %s", login.text)
	}
	n.visitor(t, false).do("POST", login.str("ui.action"), map[string]any{"method": "code", "identifier": "ann@example.com"}).is(400).says(4010002)
}

func TestCodeIsOneFactor(t *testing.T) {
	c := testConfig(t)
	c.Identity.Enabled, c.Identity.Passwordless, c.Identity.CodeSecond = true, true, true
	if _, err := server.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), "not both") {
		t.Errorf("got %v", err)
	}
}
