package e2e

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	be "encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// reads returns the text of an element.
func (v *tab) reads(selector string) string {
	v.Helper()
	text, err := chromedp.Run(v.ctx, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ""`, selector)))
	v.must(err)
	if text == "" {
		v.Fatalf("there is no %s:\n%s", selector, v.text())
	}
	return text
}

// totp is the code of RFC 6238 that an authenticator app shows at a time.
func totp(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimSpace(secret))
	if err != nil {
		t.Fatalf("the secret is %q: %v", secret, err)
	}
	mac := hmac.New(sha1.New, key)
	mac.Write(be.BigEndian.AppendUint64(nil, uint64(at.Unix()/30)))
	sum := mac.Sum(nil)
	from := sum[len(sum)-1] & 15
	return fmt.Sprintf("%06d", be.BigEndian.Uint32(sum[from:from+4])&0x7fffffff%1_000_000)
}

// secondFactor sets an authenticator app and backup codes up, and logs in with each.
func (j journeys) secondFactor(t *testing.T) {
	const email = "otto@example.com"
	v := j.registered(t, email).open("/settings").sees("Authenticator app", "This is your authenticator app secret").look("totp")
	secret := v.reads("#totp_secret_key code")
	v.fill("totp_code", "000000").press("Authenticator app: Save").sees("The provided authentication code is invalid").look("totp-error")
	v.fill("totp_code", totp(t, secret, time.Now())).press("Authenticator app: Save").sees("Your changes have been saved!", "Unlink TOTP Authenticator App").look("totp-set")
	v.press("Generate new backup recovery codes").sees("These are your back up recovery codes").look("lookup-new")
	backup := strings.TrimSpace(v.reads(".secrets code"))
	v.press("Confirm backup recovery codes").sees("Your changes have been saved!", "Reveal backup recovery codes").look("lookup-set")
	v.press("Sign out")

	v.signIn(email).sees("Second step", "Please complete the second authentication challenge").focused("totp_code").look("second-step")
	v.open("/").sees("Complete your sign-in").press("Complete your sign-in").sees("Second step")
	v.fill("totp_code", totp(t, secret, time.Now().Add(30*time.Second))).press("Use Authenticator").sees("You are signed in as " + email)
	v.press("Sign out").press("Sign in")
	v.signIn(email).sees("Second step").fill("lookup_secret", backup).press("Use backup recovery code").sees("Your account", email)
	v.press("Sign out").signIn(email).sees("Second step").fill("lookup_secret", backup).press("Use backup recovery code").
		sees("Error: Second step", "This backup recovery code has already been used").look("second-step-error")
}

// withKey gives the tab a device that makes passkeys and says yes to everything.
func (v *tab) withKey() *tab {
	v.Helper()
	_, err := chromedp.Call(v.ctx, webauthn.Enable, webauthn.EnableParams{})
	v.must(err)
	made, err := chromedp.Call(v.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
	v.must(err)
	v.key = made.AuthenticatorID
	return v
}

// present says whether the person is there, who answers what the device asks.
func (v *tab) present(there bool) *tab {
	v.Helper()
	_, err := chromedp.Call(v.ctx, webauthn.SetAutomaticPresenceSimulation, webauthn.SetAutomaticPresenceSimulationParams{AuthenticatorID: v.key, Enabled: there})
	v.must(err)
	return v
}

// passkey registers with a passkey alone, logs in with it, and adds one to an account
// that has a password.
func (j journeys) passkey(t *testing.T) {
	const email = "pia@example.com"
	v := j.tab(t, j.base).withKey()
	v.open("/registration").fill("traits.email", email).look("passkey-registration").press("Sign up with passkey")
	j.verified(v, email).open("/settings").sees("Your account", email, "Passkeys").look("passkey-settings")
	// The login page asks for a passkey by itself, in the list of the field; whoever wants
	// to see it has to be away.
	v.present(false).press("Sign out").sees("Sign in with passkey").look("passkey-login")
	v.present(true).press("Sign in with passkey").sees("Your account", email)
	v.press("Sign out").sees("Your account", email)

	const second = "paul@example.com"
	v = j.registered(t, second).withKey().open("/settings").press("Add passkey").sees("Your changes have been saved!", "Remove passkey").look("passkey-added")
	v.press("Sign out").sees("Your account", second)
}
