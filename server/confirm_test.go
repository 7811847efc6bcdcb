package server_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

// begin registers without entering the code.
func (v *visitor) begin(email string) *said {
	v.Helper()
	flow := v.get("/self-service/registration/api").is(200)
	return v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"email": email}}).is(200)
}

// enter enters a code into the verification that an answer leads to.
func (v *visitor) enter(after *said, code string) *said {
	v.Helper()
	return v.do("POST", "/self-service/verification?flow="+after.str("continue_with.0.flow.id"), map[string]any{"method": "code", "code": code})
}

func TestConfirmedRegistration(t *testing.T) {
	n, box := startWithMail(t)
	confirmedRegistration(t, n, box)
}

func confirmedRegistration(t *testing.T, n *node, box *postbox) {
	t.Helper()
	v := n.visitor(t, false)
	begun := v.begin("Ann@example.com").has("continue_with.0.action", "show_verification_ui").has("continue_with.0.flow.verifiable_address", "ann@example.com").
		has("session", nil).has("session_token", nil).has("identity.traits.email", "Ann@example.com")
	id := begun.str("identity.id")
	n.admin(t).get("/admin/identities/" + id).is(404)
	l := box.take("ann@example.com")
	if l.link != "" {
		t.Errorf("the message has the link %s", l.link)
	}
	login := v.get("/self-service/login/api").is(200)
	v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(400).says(4000006)
	v.enter(begun, otherCode(l.code)).is(200).says(4070006).has("state", "sent_email")
	v.do("POST", "/self-service/verification?flow="+begun.str("continue_with.0.flow.id"), map[string]any{"method": "code", "email": "bob@example.com"}).is(400).says(4010010)
	v.do("POST", "/self-service/verification?flow="+begun.str("continue_with.0.flow.id"), map[string]any{"method": "code", "email": "ann@example.com"}).is(200).says(1080003)
	again := box.take("ann@example.com")
	done := v.enter(begun, again.code).is(200).has("state", "passed_challenge").says(1080002).has("continue_with.0.action", "set_ory_session_token")
	v.token = done.str("continue_with.0.ory_session_token")
	v.get("/sessions/whoami").is(200).has("identity.id", id).has("identity.verifiable_addresses.0.verified", true).
		has("authentication_methods.0.method", "password").has("identity.metadata_public", nil)
	v.token = ""
	v.enter(begun, again.code).is(410)
	login = v.get("/self-service/login/api").is(200)
	v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200)
}

// TestRegistrationTellsNothing compares the answers for an address that has an account
// with those for one that has none, from the first to the last.
func TestRegistrationTellsNothing(t *testing.T) {
	n, box := startWithMail(t)
	n.known(t, "ann@example.com")
	varies := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[0-9:.]+Z|(ann|bob)@example.com`)
	var forms [2]string
	for i, email := range []string{"ann@example.com", "bob@example.com"} {
		v := n.visitor(t, false)
		begun := v.begin(email)
		l := box.take(email)
		if taken := i == 0; taken != (l.subject == "You have an account already") || taken != (l.code == "") {
			t.Errorf("letter %+v", l)
		}
		forms[i] = begun.text + v.get("/self-service/verification/flows?id="+begun.str("continue_with.0.flow.id")).is(200).text
		for range 3 {
			forms[i] += v.enter(begun, "000000").is(200).text
		}
		login := v.get("/self-service/login/api").is(200)
		forms[i] += v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": email, "password": "a quite different one"}).is(400).text
		forms[i] = varies.ReplaceAllString(forms[i], "X")
	}
	if forms[0] != forms[1] {
		t.Errorf("the answers differ:\n%s\n%s", forms[0], forms[1])
	}
}

// TestRegistrationRace lets two begin with one address: the first who enters a code has it.
func TestRegistrationRace(t *testing.T) {
	n, box := startWithMail(t)
	a, b := n.visitor(t, false), n.visitor(t, false)
	first := a.begin("ann@example.com")
	codeA := box.take("ann@example.com").code
	second := b.begin("ann@example.com")
	codeB := box.take("ann@example.com").code
	b.enter(second, codeB).is(200).has("state", "passed_challenge")
	a.enter(first, codeA).is(400).says(4000007)
}

func TestConfirmedRegistrationInBrowser(t *testing.T) {
	n, box := startWithMail(t)
	v := n.visitor(t, true)
	flow := v.get("/self-service/registration/browser?return_to=/settings", asProgram...).is(200)
	to := v.do("POST", flow.str("ui.action"), url.Values{"csrf_token": {flow.csrf()}, "method": {"password"}, "password": {goodPassword}, "traits.email": {"ann@example.com"}}).
		is(303).header.Get("Location")
	if !strings.Contains(to, "/verification?flow=") {
		t.Fatalf("sent to %q", to)
	}
	page := v.get(to, "Accept", "text/html").is(200)
	if !strings.Contains(page.text, "An email containing a verification code has been sent") || !strings.Contains(page.text, `name="code"`) {
		t.Fatalf("the page is %s", page.text)
	}
	u, _ := url.Parse(to)
	code := box.take("ann@example.com").code
	form := v.get("/self-service/verification/flows?id=" + u.Query().Get("flow")).is(200)
	done := v.do("POST", form.str("ui.action"), url.Values{"csrf_token": {form.csrf()}, "method": {"code"}, "code": {code}}).is(303).header.Get("Location")
	v.get("/sessions/whoami").is(200).has("identity.traits.email", "ann@example.com")
	if page := v.get(done, "Accept", "text/html").is(200); !strings.Contains(page.text, `/settings">Continue</a>`) {
		t.Errorf("the page is %s", page.text)
	}

	// Somebody else's browser may know the flow and the code, and is not logged in.
	w := n.visitor(t, true)
	flow = w.get("/self-service/registration/browser", asProgram...).is(200)
	begun := w.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": "password", "password": goodPassword, "traits": map[string]any{"email": "bob@example.com"}}).
		is(200).has("continue_with.1.action", "redirect_browser_to")
	other := n.visitor(t, true)
	form = other.get("/self-service/verification/flows?id=" + begun.str("continue_with.0.flow.id")).is(200)
	other.do("POST", form.str("ui.action"), map[string]any{"csrf_token": form.csrf(), "method": "code", "code": box.take("bob@example.com").code}).is(200).has("state", "passed_challenge")
	other.get("/sessions/whoami").is(401)
}

// TestAddressChange takes effect when the new address is verified, and the old one is
// told.
func TestAddressChange(t *testing.T) {
	n, box := startWithMail(t)
	n.known(t, "taken@example.com")
	v := n.visitor(t, false)
	begun := v.begin("ann@example.com")
	v.token = v.enter(begun, box.take("ann@example.com").code).is(200).str("continue_with.0.ory_session_token")
	change := func(email string) *said {
		t.Helper()
		flow := v.get("/self-service/settings/api").is(200)
		return v.do("POST", flow.str("ui.action"), map[string]any{"method": "profile", "traits": map[string]any{"email": email, "name": map[string]any{"first": "Ann"}}}).is(200)
	}
	changed := change("new@example.com").has("continue_with.0.action", "show_verification_ui").has("identity.traits.email", "ann@example.com").says(1080003)
	v.get("/sessions/whoami").is(200).has("identity.traits.email", "ann@example.com")
	code := box.take("new@example.com").code
	taken := change("taken@example.com").has("continue_with.0.action", "show_verification_ui").says(1080003)
	if l := box.take("taken@example.com"); l.subject != "You have an account already" {
		t.Errorf("letter %+v", l)
	}
	native := n.visitor(t, false)
	native.enter(taken, "000000").is(200).says(4070006)
	done := v.enter(changed, code).is(200).has("state", "passed_challenge").has("continue_with.0.action", "set_ory_session_token")
	v.get("/sessions/whoami").is(401) // an identifier is a way into the account, so the token was replaced
	v.token = done.str("continue_with.0.ory_session_token")
	v.get("/sessions/whoami").is(200).has("identity.traits.email", "new@example.com").has("identity.traits.name.first", "Ann").has("identity.verifiable_addresses.0.verified", true)
	if l := box.take("ann@example.com"); l.subject != "The address of your account was changed" || l.code != "" {
		t.Errorf("letter %+v", l)
	}
	login := native.get("/self-service/login/api").is(200)
	native.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "new@example.com", "password": goodPassword}).is(200)

	late := change("late@example.com")
	code = box.take("late@example.com").code
	flow := v.get("/self-service/settings/api").is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "profile", "traits": map[string]any{"email": "new@example.com", "name": map[string]any{"first": "Anna"}}}).is(200).has("state", "success")
	native.enter(late, code).is(410).has("error.id", "self_service_flow_replaced") // would undo what came between
}

// TestRegistrationAtOnce is Kratos's way.
func TestRegistrationAtOnce(t *testing.T) {
	n, box := startWithMail(t, atOnce)
	v := n.visitor(t, false)
	done := v.registerNative("ann@example.com").has("continue_with.0.action", "show_verification_ui").has("continue_with.1.action", "set_ory_session_token").
		has("identity.verifiable_addresses.0.status", "sent")
	l := box.take("ann@example.com")
	if !strings.Contains(l.link, "code="+l.code) {
		t.Errorf("letter %+v", l)
	}
	n.visitor(t, false).enter(done, l.code).is(200).has("state", "passed_challenge")
	v.get("/sessions/whoami").is(200).has("identity.verifiable_addresses.0.verified", true)
	flow := v.get("/self-service/settings/api").is(200)
	changed := v.do("POST", flow.str("ui.action"), map[string]any{"method": "profile", "traits": map[string]any{"email": "new@example.com"}}).is(200).
		has("state", "success").has("continue_with.0.action", "show_verification_ui").has("identity.traits.email", "new@example.com")
	n.visitor(t, false).enter(changed, box.take("new@example.com").code).is(200).has("state", "passed_challenge")
	again := n.visitor(t, false)
	form := again.get("/self-service/registration/api").is(200)
	again.do("POST", form.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"email": "new@example.com"}}).is(400).says(4000007)
}

// TestSeveralAddresses needs a code from each.
func TestSeveralAddresses(t *testing.T) {
	n, box := startWithMail(t, func(c *server.Config) {
		if err := c.Identity.Schemas.Add("default", `{"properties":{"traits":{"type":"object","properties":{
			"name":{"type":"string","ory.sh/kratos":{"credentials":{"password":{"identifier":true}}}},
			"email":{"type":"string","format":"email","ory.sh/kratos":{"credentials":{"password":{"identifier":true}},"verification":{"via":"email"}}},
			"phone":{"type":"string","format":"tel","ory.sh/kratos":{"verification":{"via":"sms"}}}}}}}`); err != nil {
			t.Fatal(err)
		}
	})
	register := func(name, email, phone string) (*visitor, *said) {
		v := n.visitor(t, false)
		flow := v.get("/self-service/registration/api").is(200)
		return v, v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"name": name, "email": email, "phone": phone}})
	}
	v, begun := register("ann", "ann@example.com", "+49 30 123456")
	mail, phone := box.take("ann@example.com").code, box.take("+4930123456").code
	v.enter(begun, phone).is(200).has("state", "sent_email").says(1080003)
	v.enter(begun, phone).is(200).has("state", "sent_email").says(4070006) // once
	v.enter(begun, mail).is(200).has("state", "passed_challenge").says(1080002)

	_, told := register("ann", "bob@example.com", "+49 30 9999999")
	told.is(400).says(4000007) // a name is no secret
	w, second := register("bob", "bob@example.com", "+4930123456")
	second.is(200)
	w.enter(second, box.take("bob@example.com").code).is(200).has("state", "sent_email")
	if l := box.take("+4930123456"); l.code != "" || !strings.Contains(l.text, "another account") {
		t.Errorf("message %+v", l)
	}
}
