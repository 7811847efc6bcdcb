package server_test

import (
	"crypto/sha512"
	"encoding/base64"
	"os"
	"path/filepath"
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
	secret := ""
	for _, one := range settings.at("ui.nodes").([]any) {
		if a := one.(map[string]any)["attributes"].(map[string]any); a["id"] == "totp_secret_key" {
			secret = a["text"].(map[string]any)["text"].(string)
		}
	}
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
