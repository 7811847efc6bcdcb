package e2e

import (
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Names that pages have to stand: too long, from the right to the left, of other scripts,
// and of HTML.
const (
	longName    = "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewissenhaftschaferswessenschafewarenwohlgepflege"
	strangeName = `<img src=x onerror=alert(1)> שלום עולם مرحبا 漢字かな ` + "\u202e" + `olleh`
)

// names shows such names wherever somebody's own, or somebody else's, are shown.
func (j journeys) names(t *testing.T) {
	email := strings.Repeat("averylongaddress", 3) + "@" + strings.Repeat("of-a-long-name.", 5) + "example.com"
	v := j.registered(t, email).open("/settings").fill("traits.name.first", longName).fill("traits.name.last", strangeName).press("Profile: Save").
		sees("Your changes have been saved!", email).look("names-settings")
	if got := v.value("traits.name.last"); got != strangeName {
		t.Errorf("the name is %q", got)
	}
	v.press("Devices").sees(email).look("names-devices").open("/").sees(email).look("names-start")
	d := j.named(t, longName+" "+strings.ReplaceAll(strangeName, "\u202e", ""))
	v.open(d.URL).press("Log in").sees("<img src=x", email).look("names-consent")
	v.press("Deny").open("/oauth2/sessions/logout").look("names-logout")

	c := j.tab(t, "http://"+j.Write)
	c.open("/console/people?search=averylong").sees(email).look("names-people").press(email).sees("Traits").look("names-person")
	c.open("/console/applications").sees("<img src=x").look("names-applications")
	c.open("/console/groups/new").fill("name", longName).fill("label", strangeName).press("Add").sees("<img src=x").look("names-group")
	c.open("/console/permissions").fill("subject", strangeName).fill("relation", "members").fill("object", "Group:"+longName+strangeName).press("Check").sees("No. <img").look("names-permission")
}

// value is what stands in a field.
func (v *tab) value(name string) string {
	v.Helper()
	got, err := chromedp.Run(v.ctx, chromedp.Evaluate[string](`document.querySelector('[name="`+name+`"]').value`))
	v.must(err)
	return got
}

// withoutScripts makes a journey in a browser that runs none.
func (j journeys) withoutScripts(t *testing.T) {
	const email = "nora@example.com"
	v := j.tab(t, j.base)
	_, err := chromedp.Call(v.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	v.must(err)
	v.open("/registration").sees("need JavaScript").fill("traits.email", email).fill("password", "short").press("Sign up").sees("Error: Create an account").shoot("without-scripts-registration.png")
	v.fill("password", browserPassword).press("Sign up")
	j.verified(v, email).open("/settings").sees("Authenticator app").shoot("without-scripts-settings.png")
	if page := v.text(); strings.Contains(page, "Add passkey") || strings.Contains(page, "Security keys") {
		t.Errorf("there are buttons that do nothing:\n%s", page)
	}
	v.fill("traits.name.first", "Nora").press("Profile: Save").sees("Your changes have been saved!")
	v.press("Devices").sees("this one").press("Sign out").signIn(email).sees("Your account", email)
	v.press("Sign out").press("Forgot your password?").fill("email", email).press("Continue").fill("code", j.mail.code(email)).press("Continue").sees("You successfully recovered your account")
}

// lockedOut guesses passwords until the server wants no more of them. The owner comes in
// by a recovery.
func (j journeys) lockedOut(t *testing.T) {
	const email = "lars@example.com"
	j.registered(t, email)
	v := j.tab(t, j.base).open("/login")
	for range 20 {
		if v.fill("identifier", email).fill("password", "wrong").press("Sign in with password"); !strings.Contains(v.text(), "The provided credentials are invalid") {
			break
		}
	}
	v.sees("Error: Sign in", "Too many attempts").look("locked-out")
	v.press("Forgot your password?").fill("email", email).press("Continue").fill("code", j.mail.code(email)).press("Continue").sees("You successfully recovered your account")
}
