package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

const browserPassword = "a stone wall of 7 colours"

// TestBrowser makes the journeys of people, in a real browser, through the pages of a
// server as cardea serve --dev starts it.
func TestBrowser(t *testing.T) {
	b := startBrowser(t)
	dir := t.TempDir()
	s := start(t, dir, "--dev", "--public", "localhost:0")
	_, port, _ := strings.Cut(s.address("public"), ":")
	j := journeys{b, s, "http://localhost:" + port, &postbox{t, filepath.Join(dir, "mail"), map[string]bool{}}}
	t.Run("account", j.account)
	t.Run("recovery", j.recovery)
	t.Run("second factor", j.secondFactor)
	t.Run("passkey", j.passkey)
	t.Run("consent", j.consent)
	t.Run("device", j.device)
	t.Run("console", j.console)
	t.Run("permissions", j.permissions)
	t.Run("names", j.names)
	t.Run("without scripts", j.withoutScripts)
	t.Run("locked out", j.lockedOut)
}

type journeys struct {
	*browser
	*instance
	base string
	mail *postbox
}

// registered is a tab of somebody with a new account.
func (j journeys) registered(t *testing.T, email string) *tab {
	t.Helper()
	v := j.tab(t, j.base)
	v.open("/registration").fill("traits.email", email).fill("password", browserPassword).press("Sign up")
	return j.verified(v, email)
}

// verified enters the code that comes by mail.
func (j journeys) verified(v *tab, email string) *tab {
	v.Helper()
	return v.sees("Verify your address").fill("code", j.mail.code(email)).press("Continue").sees("You successfully verified your email address")
}

func (v *tab) signIn(email string) *tab {
	v.Helper()
	return v.sees("Sign in").fill("identifier", email).fill("password", browserPassword).press("Sign in with password")
}

// account registers, changes the settings, looks at the devices, logs out and in.
func (j journeys) account(t *testing.T) {
	v := j.tab(t, j.base)
	v.open("/").sees("Welcome", "For developers").look("start")
	v.press("Create an account").sees("Create an account").focused("traits.email").look("registration")
	v.fill("traits.email", "ann@example.com").fill("password", "short").press("Sign up").
		sees("Error: Create an account", "The password must be at least 8 characters long").focused("password").look("registration-error")
	v.fill("password", browserPassword).press("Sign up").sees("Verify your address").focused("code").look("verification")
	v.fill("code", "000000").press("Continue").sees("Error: Verify your address").look("verification-error")
	j.verified(v, "ann@example.com").look("verification-done")
	v.press("Continue").sees("Your account", "Signed in as ann@example.com").look("settings")
	v.fill("traits.name.first", "Ann").press("Profile: Save").sees("Your changes have been saved!").look("settings-saved")
	v.press("Devices").sees("Your devices", "Chrome on Linux", "this one").look("devices")
	v.open("/").sees("You are signed in as ann@example.com").look("start-signed-in")
	v.press("Sign out").sees("Welcome", "Create an account")
	v.press("Sign in").sees("Sign in").focused("identifier").look("login")
	v.fill("identifier", "ann@example.com").fill("password", "wrong").press("Sign in with password").
		sees("The provided credentials are invalid").look("login-error")
	v.fill("password", browserPassword).press("Sign in with password").sees("Your account")
	v.open("/self-service/registration/browser?return_to=https://evil.example").sees("Something went wrong", "return_to").look("error")
}

// recovery comes back with a code from the mail, and sets a new password.
func (j journeys) recovery(t *testing.T) {
	const email = "rita@example.com"
	j.registered(t, email)
	v := j.tab(t, j.base)
	v.open("/login").press("Forgot your password?").sees("Recover your account").focused("email").look("recovery")
	v.fill("email", email).press("Continue").sees("An email containing a recovery code").focused("code").look("recovery-code")
	v.fill("code", "000000").press("Continue").sees("Error: Recover your account").look("recovery-error")
	v.fill("code", j.mail.code(email)).press("Continue").sees("Your account", "You successfully recovered your account").look("recovery-done")
	v.fill("password", browserPassword+" anew").press("Password: Save").sees("Your changes have been saved!")
	v.press("Sign out").sees("Sign in")
	v.fill("identifier", email).fill("password", browserPassword).press("Sign in with password").sees("The provided credentials are invalid")
	v.fill("password", browserPassword+" anew").press("Sign in with password").sees("Your account", email)
}
