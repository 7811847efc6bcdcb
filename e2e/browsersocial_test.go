package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSocial logs people in who have accounts at a provider that is not ours, the npm
// package oidc-provider, which asks for PKCE.
func TestSocial(t *testing.T) {
	dir := npmClient(t, "oidc-provider")
	b := startBrowser(t)
	data, port := t.TempDir(), freePort(t)
	config := strings.ReplaceAll(`identity:
  selfservice:
    methods:
      oidc:
        config:
          providers:
            - {id: acme, provider: generic, label: Acme, client_id: cardea, client_secret: "a secret with: signs & more", issuer_url: "http://localhost:PORT",
               scope: [email, profile], claims_source: userinfo,
               mapper: {traits.email: email, traits.name.first: [nickname, given_name], traits.name.last: family_name, metadata_public.department: org.department}}
            - {id: bare, provider: generic, label: Bare, client_id: cardea, client_secret: "a secret with: signs & more", issuer_url: "http://localhost:PORT", scope: [email, profile]}
`, "PORT", port)
	file := filepath.Join(data, "cardea.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, data, "--dev", "--config", file, "--public", "localhost:0")
	base := "http://localhost:" + portOf(s.address("public"))
	p := socialJourneys{
		journeys{b, s, base, &postbox{t, filepath.Join(data, "mail"), map[string]bool{}}},
		serveNPM(t, dir, nil, "client.mjs", port, base),
	}
	t.Run("registration and login", p.registration)
	t.Run("refusal", p.refusal)
	t.Run("link at login", p.link)
	t.Run("link in the settings", p.settings)
	t.Run("unverified", p.unverified)
	t.Run("claims that are missing", p.missing)
	for _, line := range p.lines("asked") {
		for _, want := range []string{`"code_challenge_method":"S256"`, `"code_challenge":`, `"nonce":`, `"state":`, `"response_type":"code"`} {
			if !strings.Contains(line, want) {
				t.Errorf("%s lacks %s", line, want)
			}
		}
	}
	if len(p.lines("granted")) < 6 || len(p.lines("refused")) > 1 {
		t.Errorf("the provider said %q", p.lines(""))
	}
}

type socialJourneys struct {
	journeys
	*nodeProgram
}

// at is a tab of somebody who logs in at the provider with its button.
func (p socialJourneys) at(v *tab, button, who string) *tab {
	v.Helper()
	v.press(button).sees("Sign-in").fill("login", who).fill("password", "any")
	return v.press("Sign-in").press("Continue")
}

func (p socialJourneys) registration(t *testing.T) {
	v := p.tab(t, p.base)
	p.at(v.open("/registration").look("social-registration"), "Sign up with Acme", "rosa").sees("Your account", "Signed in as rosa@example.com")
	v.open("/sessions/whoami").sees(`"first":"Rosa"`, `"last":"Lee"`, `"department":"tea"`, `"verified":true`, `"provider":"acme"`, `"method":"oidc"`)
	v.open("/").press("Sign out").press("Sign in").look("social-login").press("Sign in with Acme").sees("Signed in as rosa@example.com")
}

func (p socialJourneys) refusal(t *testing.T) {
	v := p.tab(t, p.base)
	v.open("/login").press("Sign in with Acme").sees("Sign-in").press("[ Cancel ]").sees("Error: Sign in", "Signing in with Acme did not work").look("social-refusal")
	v.open("/").sees("Create an account")
}

// link: who has an account logs in to it once, and then in both ways.
func (p socialJourneys) link(t *testing.T) {
	p.registered(t, "ann@example.com")
	v := p.tab(t, p.base)
	p.at(v.open("/login"), "Sign in with Acme", "ann").sees("Sign in", "ann@example.com").look("social-link")
	v.fill("password", browserPassword).press("Sign in with password").sees("Your account", "Signed in as ann@example.com")
	v.sees("Unlink Acme").press("Sign out").signIn("ann@example.com").sees("Your account").press("Sign out")
	v.open("/login").press("Sign in with Acme").sees("Signed in as ann@example.com")
}

func (p socialJourneys) settings(t *testing.T) {
	v := p.registered(t, "sven@example.com").open("/settings")
	p.at(v, "Link Acme", "sven-elsewhere").sees("Unlink Acme").look("social-settings")
	v.press("Sign out").open("/login").press("Sign in with Acme").sees("Signed in as sven@example.com")
	v.press("Unlink Acme").sees("Your changes have been saved!", "Link Acme")
}

// unverified: an address that the provider does not vouch for opens no account.
func (p socialJourneys) unverified(t *testing.T) {
	v := p.tab(t, p.base)
	p.at(v.open("/login"), "Sign in with Acme", "mallory").sees("Verify your address")
	v.open("/").sees("Create an account")
}

// missing: what is not in the ID token is asked for.
func (p socialJourneys) missing(t *testing.T) {
	v := p.tab(t, p.base)
	p.at(v.open("/login"), "Sign in with Bare", "nora").sees("Create an account").look("social-missing")
	v.fill("traits.email", "nora@example.com").press("Sign up with Bare")
	p.verified(v, "nora@example.com").open("/settings").sees("Signed in as nora@example.com")
}
