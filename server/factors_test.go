package server_test

import (
	"crypto/sha512"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/hotp"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/server"
)

// TestFactorSettings turns second factors and passkeys on, as a configuration does.
func TestFactorSettings(t *testing.T) {
	filter, err := identity.NewFilter(10, 0.001)
	if err != nil {
		t.Fatal(err)
	}
	filter.AddLine("known to everybody")
	path := filepath.Join(t.TempDir(), "known")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := filter.WriteTo(file); err != nil || file.Close() != nil {
		t.Fatal(err)
	}
	n := start(t, withIdentity, func(c *server.Config) {
		f := &c.Identity.Factors
		f.TOTP, f.Lookup, f.WebAuthn.Enabled, f.Passkey.Enabled = true, true, true, true
		f.WebAuthn.ID, f.Passkey.ID, f.TOTPIssuer, f.BreachFile = "id.example", "id.example", "Example & Co", path
	})
	v := n.visitor(t, false)
	flow := v.get("/self-service/registration/api").is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": "known to everybody", "traits": map[string]any{"email": "ann@example.com"}}).is(400).says(4000034)

	browser := n.visitor(t, true)
	login := browser.get("/self-service/login/browser", asProgram...).is(200)
	for _, name := range []string{"passkey_challenge", "passkey_login", "passkey_login_trigger"} {
		if login.nodes()[name] == nil {
			t.Errorf("node %s is missing: %s", name, login.text)
		}
	}
	script := browser.get("/.well-known/ory/webauthn.js").is(200)
	sum := sha512.Sum512([]byte(script.text))
	found := false
	for _, one := range login.at("ui.nodes").([]any) {
		a := one.(map[string]any)["attributes"].(map[string]any)
		found = found || a["id"] == "webauthn_script" && a["integrity"] == "sha512-"+base64.StdEncoding.EncodeToString(sum[:])
	}
	if !found || script.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("the script is not the one that is named: %v", script.header)
	}

	v.registerNative("ann@example.com")
	settings := v.get("/self-service/settings/api").is(200)
	secret := settings.appKey()
	step := uint64(time.Now().Unix() / 30)
	code := func(step uint64) string {
		text, err := hotp.GenerateCode(secret, step)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	linked := v.do("POST", settings.str("ui.action"), map[string]any{"method": "totp", "totp_code": code(step)}).is(200).has("state", "success")
	v.token = linked.str("continue_with.0.ory_session_token")
	v.get("/sessions/whoami").is(200).has("authenticator_assurance_level", "aal2")
	other := n.visitor(t, false)
	in := other.get("/self-service/login/api").is(200)
	other.token = other.do("POST", in.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}).is(200).str("session_token")
	other.get("/sessions/whoami").is(403).has("error.id", "session_aal2_required")
	up := other.get("/self-service/login/api?aal=aal2").is(200)
	up = other.do("POST", up.str("ui.action"), map[string]any{"method": "totp", "totp_code": code(step + 1)}).is(200)
	other.token = up.str("session_token")
	other.get("/sessions/whoami").is(200)
}

// appKey is the key of an authenticator app that settings offer.
func (s *said) appKey() string {
	s.Helper()
	for _, one := range s.at("ui.nodes").([]any) {
		if a := one.(map[string]any)["attributes"].(map[string]any); a["id"] == "totp_secret_key" {
			return a["text"].(map[string]any)["text"].(string)
		}
	}
	s.Fatalf("the settings offer no app: %s", s.text)
	return ""
}

// TestNewFactorIsTold: the owner of an account hears of a new way into it, at addresses that
// were verified before.
func TestNewFactorIsTold(t *testing.T) {
	n, box := startWithMail(t, func(c *server.Config) { c.Identity.Factors.TOTP, c.Identity.Factors.Lookup = true, true })
	v := n.visitor(t, false)
	begun := v.begin("ann@example.com")
	v.token = v.enter(begun, box.take("ann@example.com").code).is(200).str("continue_with.0.ory_session_token")
	settings := v.get("/self-service/settings/api").is(200)
	code, err := hotp.GenerateCode(settings.appKey(), uint64(time.Now().Unix()/30))
	if err != nil {
		t.Fatal(err)
	}
	linked := v.do("POST", settings.str("ui.action"), map[string]any{"method": "totp", "totp_code": code}).is(200)
	v.token = linked.str("continue_with.0.ory_session_token")
	if l := box.take("ann@example.com"); !strings.Contains(l.text, "authenticator app was added") {
		t.Errorf("the message is %+v", l)
	}
	settings = v.get("/self-service/settings/api").is(200)
	v.do("POST", settings.str("ui.action"), map[string]any{"method": "totp", "totp_unlink": true}).is(200)
	var messages []map[string]any
	if messages = n.admin(t).get("/admin/courier/messages").is(200).list(); len(messages) != 2 {
		t.Errorf("there are %d messages: expected none of what was removed", len(messages))
	}

	stranger := n.known(t, "bob@example.com") // whose address nobody has verified
	b := n.visitor(t, false)
	b.token = b.loginNative("bob@example.com", "").str("session_token")
	settings = b.get("/self-service/settings/api").is(200)
	if code, err = hotp.GenerateCode(settings.appKey(), uint64(time.Now().Unix()/30)); err != nil {
		t.Fatal(err)
	}
	b.do("POST", settings.str("ui.action"), map[string]any{"method": "totp", "totp_code": code}).is(200).has("identity.id", stranger)
	if again := n.admin(t).get("/admin/courier/messages").is(200).list(); len(again) != len(messages) {
		t.Errorf("an address that is not verified is told: %v", again)
	}
}

// TestFactorSettingsMistakes are found before anything is served.
func TestFactorSettingsMistakes(t *testing.T) {
	for what, change := range map[string]func(*server.FactorConfig){
		"an address as domain": func(f *server.FactorConfig) { f.Passkey.Enabled, f.Passkey.ID = true, "127.0.0.1" },
		"a missing filter":     func(f *server.FactorConfig) { f.BreachFile = "/nowhere/known" },
	} {
		c := testConfig(t)
		withIdentity(&c)
		change(&c.Identity.Factors)
		if _, err := server.New(t.Context(), c); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}
