package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

// An oryUI is a user interface that speaks with Cardea as with Kratos, and a server whose
// flows are shown there.
type oryUI struct {
	*browser
	*instance
	base  string // of the user interface
	mail  *postbox
	words oryWords
}

// oryWords are what its pages say where the two differ.
type oryWords struct {
	home, logout, settings string // home is a path
	recovered              []string
}

// TestReferenceUI makes the journeys of people through Ory's user interfaces: the
// packaged one, unchanged and as old as it is, and one of today's components.
//
// The first asks for packages that it never loads; package.json has empty ones in the
// place of the largest.
func TestReferenceUI(t *testing.T) {
	dir := npmClient(t, "kratos-ui")
	b := startBrowser(t)
	packaged := filepath.Join(dir, "node_modules", "@ory", "kratos-selfservice-ui-node")
	t.Run("packaged", func(t *testing.T) {
		u := b.oryUI(t, oryWords{"/welcome", "Logout", "Profile Management and Security Settings", []string{"/welcome", "aal2"}})
		serveNPM(t, packaged, []string{"PORT=" + portOf(u.base), "KRATOS_PUBLIC_URL=" + u.public()}, "lib/index.js")
		u.journey(t)
	})
	t.Run("elements", func(t *testing.T) {
		u := b.oryUI(t, oryWords{"/sessions", "Log out", "Account settings", []string{"/settings?flow=", "You successfully recovered your account"}})
		serveNPM(t, dir, nil, "client.mjs", portOf(u.base), u.public())
		u.journey(t)
	})
}

func portOf(base string) string { return base[strings.LastIndex(base, ":")+1:] }

// public is the address of Cardea's public listener as the browser knows it.
func (u *oryUI) public() string { return "http://localhost:" + portOf(u.address("public")) }

// oryUI starts a server whose flows are shown at a port that is free.
func (b *browser) oryUI(t *testing.T, words oryWords) *oryUI {
	t.Helper()
	dir, base := t.TempDir(), "http://localhost:"+freePort(t)
	config := strings.NewReplacer("HOME", words.home, "UI", base).Replace(`identity:
  selfservice:
    default_browser_return_url: UIHOME
    allowed_return_urls: [UI]
    flows:
      error: {ui_url: UI/error}
      login: {ui_url: UI/login}
      registration: {ui_url: UI/registration}
      settings: {ui_url: UI/settings}
      recovery: {ui_url: UI/recovery}
      verification: {ui_url: UI/verification, after: {default_browser_return_url: UIHOME}}
`)
	file := filepath.Join(dir, "cardea.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, "--dev", "--config", file, "--public", "localhost:0")
	return &oryUI{b, s, base, &postbox{t, filepath.Join(dir, "mail"), map[string]bool{}}, words}
}

// send fills in the form that has a button, which is written name=value, and clicks that.
func (v *tab) send(button string, fields ...string) *tab {
	v.Helper()
	name, value, _ := strings.Cut(button, "=")
	selector := fmt.Sprintf("button[name=%q][value=%q]", name, value)
	for i := 0; i+1 < len(fields); i += 2 {
		found, err := chromedp.Run(v.ctx, chromedp.Evaluate[bool](fmt.Sprintf(`(() => {
			const field = document.querySelector(%q)?.form.querySelector('input[name=%q]:not([type=hidden])');
			if (field) { field.focus(); field.select(); }
			return !!field && document.activeElement === field;
		})()`, selector, fields[i])))
		v.must(err)
		if !found {
			v.Fatalf("there is no field %s with the button %s:\n%s", fields[i], button, v.text())
		}
		_, err = chromedp.Call(v.ctx, input.InsertText, input.InsertTextParams{Text: fields[i+1]})
		v.must(err)
	}
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		v.Fatalf("the button %s leads nowhere: %v\n%s", button, err, v.text())
	}
	return v
}

var backupCode = regexp.MustCompile(`(?m)^\s*([a-z0-9]{8})\s*$`)

// journey is everything that a person does with an account.
func (u *oryUI) journey(t *testing.T) {
	const email = "ory@example.com"
	v := u.tab(t, u.base)
	v.open("/registration").send("method=password", "traits.email", email, "password", "short").
		sees(u.base+"/registration", "The password must be at least 8 characters long")
	v.send("method=password", "password", browserPassword).sees(u.base + "/verification")
	v.send("method=code", "code", "000000").sees("The verification code is invalid")
	v.send("method=code", "code", u.mail.code(email)).sees("You successfully verified your email address")
	v.open("/settings").sees(u.base+"/settings", u.words.settings)
	v.send("method=profile", "traits.name.first", "Ory").sees("Your changes have been saved!")
	secret := v.reads("[data-testid='node/text/totp_secret_key/text'], #totp_secret_key")
	v.send("method=totp", "totp_code", "000000").sees("The provided authentication code is invalid")
	v.send("method=totp", "totp_code", totp(t, secret, time.Now())).sees("Your changes have been saved!")
	v.send("lookup_secret_regenerate=true").sees("These are your back up recovery codes")
	backup := backupCode.FindStringSubmatch(v.text())
	if backup == nil {
		t.Fatalf("no codes are in\n%s", v.text())
	}
	v.send("lookup_secret_confirm=true").sees("Your changes have been saved!")

	out := func() {
		t.Helper()
		v.open(u.words.home).sees(email, "aal2").press(u.words.logout).open("/login").sees("Sign in")
	}
	out()
	v.send("method=password", "identifier", email, "password", "wrong").sees(u.base+"/login", "The provided credentials are invalid")
	v.send("method=password", "identifier", email, "password", browserPassword).sees("Two-Factor Authentication")
	v.send("method=totp", "totp_code", totp(t, secret, time.Now().Add(30*time.Second))).sees(u.base+u.words.home, email)
	out()

	// The settings come after the second factor. The packaged one, as old as it is, forgets
	// that it was to show them.
	v.open("/recovery").send("method=code", "email", email).sees("An email containing a recovery code")
	v.send("method=code", "code", u.mail.code(email)).sees("Two-Factor Authentication")
	v.send("method=lookup_secret", "lookup_secret", backup[1]).sees(u.words.recovered...)
	v.open("/settings").send("method=password", "password", browserPassword+" anew").sees("Your changes have been saved!")
	out()
	v.send("method=password", "identifier", email, "password", browserPassword+" anew").sees("Two-Factor Authentication")

	v.open(u.public()+"/self-service/verification/browser?return_to=https://evil.example").sees(u.base+"/error", "Requested return_to URL is not allowed")
}
