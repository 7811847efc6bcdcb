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
	j := journeys{b, s, "http://localhost:" + port, filepath.Join(dir, "mail")}
	t.Run("account", j.account)
}

type journeys struct {
	*browser
	*instance
	base, mail string
}

// register makes an account, and comes to its settings.
func (v *tab) register(email string) *tab {
	v.Helper()
	return v.open("/registration").fill("traits.email", email).fill("password", browserPassword).press("Sign up").sees("Your account", email)
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
	v.fill("password", browserPassword).press("Sign up").sees("Your account", "Signed in as ann@example.com").look("settings")
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
