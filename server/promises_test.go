package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/cardea-iam/cardea/internal/testdb"
	"github.com/cardea-iam/cardea/server"
)

// TestLockedOwnerRecovers: who is locked out, by mistakes of anybody, gets in again by a
// recovery, and is not locked any more.
func TestLockedOwnerRecovers(t *testing.T) {
	n, box := startWithMail(t)
	n.known(t, "ann@example.com")
	v := n.visitor(t, false)
	login := v.get("/self-service/login/api").is(200)
	for range 30 {
		v.do("POST", login.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": "wrong"}).is(400)
	}
	right := map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}
	v.do("POST", login.str("ui.action"), right).is(400).says(4000001)
	flow := v.get("/self-service/recovery/api").is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "email": "ann@example.com"}).is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "code": box.take("ann@example.com").code}).is(200).has("state", "passed_challenge")
	v.do("POST", login.str("ui.action"), right).is(200)
}

// TestLinkRace follows a link many times at once.
func TestLinkRace(t *testing.T) {
	n, box := startWithMail(t, func(c *server.Config) { c.Identity.Recovery.Use = "link" })
	n.known(t, "ann@example.com")
	v := n.visitor(t, false)
	flow := v.get("/self-service/recovery/api").is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "link", "email": "ann@example.com"}).is(200)
	u, err := url.Parse(box.take("ann@example.com").link)
	if err != nil {
		t.Fatal(err)
	}
	var won atomic.Int64
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			got := v.do("POST", "/self-service/recovery?flow="+flow.str("id"), map[string]any{"method": "link", "token": u.Query().Get("token")})
			if got.status == 200 && got.str("state") == "passed_challenge" {
				won.Add(1)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Errorf("the link was good %d times", won.Load())
	}
}

// TestGuessesAtTwoNodes makes many guesses at once, at two nodes that share a PostgreSQL: as
// few are looked at as of those that come one after another.
func TestGuessesAtTwoNodes(t *testing.T) {
	dsn, mailbox := testdb.Postgres(t), withMail(t) // either node may send a message
	shared := func(c *server.Config) {
		mailbox(c)
		passwordless(c)
		c.DSN, c.Dev, c.Secrets.System = dsn, true, []string{"a secret that two servers have"}
	}
	first, box := startWithMail(t, shared)
	second, _ := startWithMail(t, shared)
	first.known(t, "ann@example.com")
	at := []*visitor{first.visitor(t, false), second.visitor(t, false)}
	open := func(i int) string { return at[i%2].get("/self-service/login/api").is(200).str("id") }
	coded := open(0)
	at[0].do("POST", "/self-service/login?flow="+coded, map[string]any{"method": "code", "identifier": "ann@example.com"}).is(400)
	right := box.take("ann@example.com").code
	for name, tt := range map[string]struct {
		flow func(int) string
		form map[string]any
		says int // of a guess that was looked at
	}{
		"passwords":           {open, map[string]any{"method": "password", "identifier": "ann@example.com", "password": "wrong"}, 4000006},
		"passwords of nobody": {open, map[string]any{"method": "password", "identifier": "bob@example.com", "password": "wrong"}, 4000006},
		"codes":               {func(int) string { return coded }, map[string]any{"method": "code", "identifier": "ann@example.com", "code": otherCode(right)}, 4010008},
	} {
		var looked atomic.Int64
		var wait sync.WaitGroup
		for i := range 50 {
			flow := tt.flow(i)
			wait.Go(func() {
				got := at[i%2].do("POST", "/self-service/login?flow="+flow, tt.form)
				if got.status == 400 && slices.Contains(got.messages(), tt.says) {
					looked.Add(1)
				} else if got.status >= 500 {
					t.Errorf("%s: %s", name, got.text)
				}
			})
		}
		wait.Wait()
		if looked.Load() != 5 {
			t.Errorf("%s: %d were looked at, want 5", name, looked.Load())
		}
	}
}

// TestNothingToReadInTheDatabase makes a journey, and looks for its secrets in the files of
// the database.
func TestNothingToReadInTheDatabase(t *testing.T) {
	folder := t.TempDir()
	n, box := startWithMail(t, func(c *server.Config) {
		c.DSN = "sqlite://" + filepath.Join(folder, "cardea.db")
		c.Identity.Factors.TOTP, c.Identity.Factors.Lookup = true, true
		c.Identity.Recovery.Use, c.Identity.SettingsAAL = "link", "aal1"
	})
	secrets := map[string]string{"the password": goodPassword, "the new password": "another stone wall"}
	v := n.visitor(t, false)
	begun := v.begin("ann@example.com")
	v.token = v.enter(begun, box.take("ann@example.com").code).is(200).str("continue_with.0.ory_session_token")
	secrets["the session's token"] = v.token

	flow := v.get("/self-service/settings/api").is(200)
	key := regexp.MustCompile(`"text":"([A-Z2-7]{32,})"`).FindStringSubmatch(flow.text)
	if key == nil {
		t.Fatalf("there is no key of an app: %s", flow.text)
	}
	secrets["the key of the app"] = key[1]
	code, err := totp.GenerateCode(key[1], time.Now())
	if err != nil {
		t.Fatal(err)
	}
	done := v.do("POST", flow.str("ui.action"), map[string]any{"method": "totp", "totp_code": code}).is(200)
	v.token = done.str("continue_with.0.ory_session_token")
	box.take("ann@example.com") // that the app was added
	secrets["the session's next token"] = v.token
	shown := v.do("POST", flow.str("ui.action"), map[string]any{"method": "lookup_secret", "lookup_secret_regenerate": true}).is(200)
	codes := regexp.MustCompile(`"text":"([a-z0-9]{8})"`).FindAllStringSubmatch(shown.text, -1)
	if len(codes) < 12 {
		t.Fatalf("there are no backup codes: %s", shown.text)
	}
	for i, c := range codes {
		secrets[fmt.Sprintf("backup code %d", i)] = c[1]
	}
	done = v.do("POST", flow.str("ui.action"), map[string]any{"method": "lookup_secret", "lookup_secret_confirm": true}).is(200)
	v.token = done.str("continue_with.0.ory_session_token")
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "password": "another stone wall"}).is(200)

	stranger := n.visitor(t, false)
	recovery := stranger.get("/self-service/recovery/api").is(200)
	stranger.do("POST", recovery.str("ui.action"), map[string]any{"method": "link", "email": "ann@example.com"}).is(200)
	u, err := url.Parse(box.take("ann@example.com").link)
	if err != nil {
		t.Fatal(err)
	}
	secrets["the token of a link"] = u.Query().Get("token")

	files, err := filepath.Glob(filepath.Join(folder, "cardea.db*"))
	if err != nil {
		t.Fatal(err)
	}
	seen := false
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		seen = seen || strings.Contains(string(text), "ann@example.com")
		for what, secret := range secrets {
			if len(secret) < 8 {
				t.Errorf("%s is %q", what, secret)
			} else if strings.Contains(string(text), secret) {
				t.Errorf("%s is in %s", what, filepath.Base(name))
			}
		}
	}
	if !seen {
		t.Error("the journey is not in the database")
	}
}

// TestHeadersOfStrangers: what a client says of hosts and schemes leads nowhere.
func TestHeadersOfStrangers(t *testing.T) {
	n, box := startWithMail(t, func(c *server.Config) { c.Identity.Recovery.Use = "link" })
	n.known(t, "ann@example.com")
	v := n.visitor(t, true)
	evil := []string{"X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https", "X-Forwarded-Prefix", "/evil", "Forwarded", "host=evil.example;proto=https", "X-Original-Host", "evil.example"}
	flow := v.get("/self-service/recovery/browser", append(evil, asProgram...)...).is(200)
	sent := v.do("POST", flow.str("ui.action"), map[string]any{"csrf_token": flow.csrf(), "method": "link", "email": "ann@example.com"}, evil...).is(200)
	at := v.get("/self-service/login/browser", evil...).is(303).header
	link := box.take("ann@example.com").link
	for _, text := range []string{flow.text, sent.text, at.Get("Location"), link} {
		if strings.Contains(text, "evil") || !strings.Contains(text, "http://") {
			t.Errorf("a stranger's header is believed: %s", text)
		}
	}
	for _, c := range (&http.Response{Header: at}).Cookies() {
		if c.Secure || c.Domain != "" {
			t.Errorf("the cookie is %s", c)
		}
	}
}

// TestErrorIsOfItsBrowser: nobody else sees it, although they know its id.
func TestErrorIsOfItsBrowser(t *testing.T) {
	n := start(t, withIdentity)
	v := n.visitor(t, true)
	to, err := url.Parse(v.get("/self-service/login/browser?return_to=https://evil.example/").is(303).header.Get("Location"))
	if err != nil || to.Path != "/error" {
		t.Fatalf("sent to %v", to)
	}
	v.get("/self-service/errors?"+to.RawQuery).is(200).has("error.id", "self_service_flow_return_to_forbidden")
	for _, cookies := range []bool{true, false} {
		other := n.visitor(t, cookies)
		other.get("/self-service/errors?" + to.RawQuery).is(404)
		other.get("/error?"+to.RawQuery, "Accept", "text/html").is(200).shows("There is nothing more to say about this error any more.")
	}
}

func TestHostPrefix(t *testing.T) {
	n := start(t, withIdentity, func(c *server.Config) {
		c.OAuth.Issuer, c.Identity.Session.HostPrefix = "https://id.example", true
	})
	got := n.visitor(t, false).get("/self-service/login/browser?return_to=/settings").is(303)
	cookies := (&http.Response{Header: got.header}).Cookies()
	if len(cookies) != 2 {
		t.Fatalf("the cookies are %v", cookies)
	}
	for _, c := range cookies {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || c.Path != "/" || c.Domain != "" {
			t.Errorf("a browser does not take %s", c)
		}
	}
	c := testConfig(t)
	c.Identity.Enabled, c.Identity.Session.HostPrefix = true, true
	if _, err := server.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), "__Host-") {
		t.Errorf("without https: %v", err)
	}
}

// TestFormsOfOthers: a token of another browser's form is none here, and a flow that was
// submitted stays its browser's.
func TestFormsOfOthers(t *testing.T) {
	n := start(t, withIdentity)
	mine, theirs := n.visitor(t, true), n.visitor(t, true)
	flow := mine.get("/self-service/login/browser", asProgram...).is(200)
	other := theirs.get("/self-service/login/browser", asProgram...).is(200)
	form := func(token string) map[string]any {
		return map[string]any{"csrf_token": token, "method": "password", "identifier": "ann@example.com", "password": "wrong"}
	}
	mine.do("POST", flow.str("ui.action"), form(other.csrf())).is(403).has("error.id", "security_csrf_violation")
	mine.do("POST", flow.str("ui.action"), form(flow.csrf())).is(400).says(4000006)
	theirs.get("/self-service/login/flows?id="+flow.str("id")).is(403).has("error.id", "security_csrf_violation")
	theirs.do("POST", flow.str("ui.action"), form(other.csrf())).is(403).has("error.id", "security_csrf_violation")
}

// TestDisabledStaysOut: who was disabled comes in by no message that was sent before.
func TestDisabledStaysOut(t *testing.T) {
	n, box := startWithMail(t)
	id := n.known(t, "ann@example.com")
	v, flow, code := n.recovering(t, box)
	n.admin(t).do("PATCH", "/admin/identities/"+id, []any{map[string]any{"op": "replace", "path": "/state", "value": "inactive"}}).is(200)
	if got := v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "code": code}); got.at("state") == "passed_challenge" || strings.Contains(got.text, "ory_st_") {
		t.Errorf("a disabled identity is let in: %s", got.text)
	}
}
