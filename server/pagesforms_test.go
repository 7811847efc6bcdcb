package server_test

import (
	"html"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

var asBrowser = []string{"Accept", "text/html"}

// follow goes on as a browser does, until there is a page.
func (v *visitor) follow(s *said) *said {
	v.Helper()
	for hops := 0; s.status == 303 || s.status == 302; hops++ {
		if hops > 8 {
			v.Fatalf("sent round in a circle, at last to %s", s.header.Get("Location"))
		}
		s = v.get(s.header.Get("Location"), asBrowser...)
	}
	return s
}

// page opens one.
func (v *visitor) page(path string) *said {
	v.Helper()
	return v.follow(v.get(path, asBrowser...))
}

// shows asserts parts of a page, in the text that a browser reads.
func (s *said) shows(parts ...string) *said {
	s.Helper()
	for _, part := range parts {
		if !strings.Contains(s.text, part) {
			s.Fatalf("the page lacks %q: %s", part, s.text)
		}
	}
	return s
}

// part returns what is between two texts of a page.
func (s *said) part(before, after string) string {
	s.Helper()
	_, rest, ok := strings.Cut(s.text, before)
	if !ok {
		s.Fatalf("the page lacks %q: %s", before, s.text)
	}
	text, _, _ := strings.Cut(rest, after)
	return html.UnescapeString(text)
}

// send submits the first form of a page with its hidden fields, as the challenges and
// the token are.
func (v *visitor) send(page *said, values url.Values) *said {
	v.Helper()
	for _, field := range strings.Split(page.part("<form", "</form>"), `<input type="hidden" name="`)[1:] {
		name, rest, _ := strings.Cut(field, `" value="`)
		value, _, _ := strings.Cut(rest, `"`)
		if !values.Has(name) {
			values.Set(name, value)
		}
	}
	return v.follow(v.do("POST", page.part(`action="`, `"`), values, asBrowser...))
}

// link returns where a link with a text leads.
func (s *said) link(text string) string {
	s.Helper()
	before, _, ok := strings.Cut(s.text, ">"+text+"</a>")
	at := strings.LastIndex(before, `href="`)
	if !ok || at < 0 {
		s.Fatalf("there is no link %q: %s", text, s.text)
	}
	to, _, _ := strings.Cut(before[at+len(`href="`):], `"`)
	return html.UnescapeString(to)
}

// TestPages goes through the pages as a browser without scripts does.
func TestPages(t *testing.T) {
	n := start(t, withIdentity)
	v := n.visitor(t, true)
	v.page("/").is(200).shows("Welcome", "Create an account", "Sign in")
	page := v.page("/registration").is(200).shows("<title>Create an account · Cardea</title>", `name="traits.email"`, `autocomplete="new-password"`, "Sign in instead")
	if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	style := v.get(page.part(`rel="stylesheet" href="`, `"`)).is(200)
	if !strings.Contains(style.header.Get("Cache-Control"), "immutable") || strings.Contains(v.get("/assets/page.css").is(200).header.Get("Cache-Control"), "immutable") {
		t.Error("style sheets are kept for ever, or never")
	}
	v.get("/assets/").is(404)
	page = v.send(page, url.Values{"method": {"password"}, "traits.email": {`ann"><script>@example.com`}, "password": {goodPassword}}).is(200).
		shows("<title>Error: Create", "Enter a valid email address", `role="alert"`, `data-message="4000040"`)
	if strings.Contains(page.text, "<script>") {
		t.Fatal("what the user wrote is part of the page")
	}
	page = v.send(page, url.Values{"method": {"password"}, "traits.email": {"ann@example.com"}, "traits.name.first": {"Ann"}, "password": {goodPassword}}).is(200).
		shows("Your account", `value="ann@example.com"`, "Sign out", ">Password</h2>", "Signed in as ann@example.com")
	page = v.send(page, url.Values{"method": {"profile"}, "traits.email": {"ann@example.com"}, "traits.name.first": {"Anna"}}).is(200).
		shows("Your changes have been saved!", `data-message="1050001"`, `value="Anna"`)
	v.page("/").is(200).shows("You are signed in as", "ann@example.com")
	page = v.page(page.link("Sign out")).is(200).shows("<title>Sign in · Cardea</title>", `autocomplete="username"`)
	page = v.send(page, url.Values{"method": {"password"}, "identifier": {"ann@example.com"}, "password": {"wrong"}}).is(200).
		shows("The provided credentials are invalid", `value="ann@example.com"`)
	v.send(page, url.Values{"method": {"password"}, "identifier": {"ann@example.com"}, "password": {goodPassword}}).is(200).shows("Your account")
	v.page("/self-service/login/browser?refresh=true").is(200).shows("<title>Confirm that it is you", "Sign out")

	lost := v.get("/self-service/registration/browser?return_to=https://evil.example").is(303)
	v.get(lost.header.Get("Location")).is(200).shows("return_to URL is not allowed")
	n.visitor(t, true).get(lost.header.Get("Location")).is(200).shows("nothing more to say")
}

// TestSessionsPage: people see where they are logged in, and end that.
func TestSessionsPage(t *testing.T) {
	n := start(t, withIdentity)
	v := n.visitor(t, true)
	v.page("/settings/sessions").is(200).shows("<title>Sign in")
	v.send(v.page("/registration"), url.Values{"method": {"password"}, "traits.email": {"ann@example.com"}, "password": {goodPassword}}).is(200)
	login := func(agent string) *visitor {
		t.Helper()
		other := n.visitor(t, false)
		flow := other.get("/self-service/login/api").is(200)
		other.token = other.do("POST", flow.str("ui.action"), map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}, "User-Agent", agent).
			is(200).str("session_token")
		return other
	}
	phone := login("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36")
	laptop := login("Mozilla/5.0 (Macintosh; Intel Mac OS X 14.5; rv:140.0) Gecko/20100101 Firefox/140.0")
	login(`<script>alert("no")</script>`)
	page := v.page("/settings/sessions").is(200).shows("Chrome on Android", "Firefox on macOS", "this one", "&lt;script&gt;", "Sign out everywhere else")
	id := phone.get("/sessions/whoami").is(200).str("id")

	stranger := n.visitor(t, true)
	stranger.send(stranger.page("/registration"), url.Values{"method": {"password"}, "traits.email": {"eve@example.com"}, "password": {goodPassword}}).is(200)
	stranger.send(stranger.page("/settings/sessions"), url.Values{"session": {id}})
	phone.get("/sessions/whoami").is(200)
	v.do("POST", "/settings/sessions", url.Values{"session": {id}}, asBrowser...).is(403).shows("<title>Something went wrong")
	phone.get("/sessions/whoami").is(200)
	v.send(page, url.Values{"session": {"x"}}).is(400)

	page = v.send(page, url.Values{"session": {id}}).is(200)
	phone.get("/sessions/whoami").is(401)
	laptop.get("/sessions/whoami").is(200)
	page = v.send(page, url.Values{"others": {"true"}}).is(200).shows("this one")
	laptop.get("/sessions/whoami").is(401)
	if strings.Contains(page.text, "Firefox") || strings.Contains(page.text, "everywhere else") {
		t.Errorf("ended sessions are shown: %s", page.text)
	}
	v.get("/sessions/whoami").is(200)
}

// TestOwnTemplates: files of a folder take the place of ours.
func TestOwnTemplates(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"templates/start.html": `{{define "content"}}<p>Hello from {{site}}</p>{{end}}`,
		"static/page.css":      "body { color: teal }",
		"static/own.css":       ":root { --accent: purple }",
		"static/logo.svg":      "<svg/>",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	n := start(t, withIdentity, func(c *server.Config) {
		c.Pages = server.PagesConfig{Name: "Teal & Sons", Folder: dir}
		c.OAuth.Issuer = "https://id.example.com/auth"
	})
	v := n.visitor(t, true)
	page := v.get("/", asBrowser...).is(200).shows("Hello from Teal &amp; Sons", `href="/auth/assets/page.css?v=`)
	v.get(strings.TrimPrefix(page.part(`rel="stylesheet" href="`, `"`), "/auth")).is(200).shows("teal")
	v.get("/assets/logo.svg").is(200)
	v.get("/assets/own.css" + page.part(`rel="stylesheet" href="/auth/assets/own.css`, `"`)).is(200).shows("--accent")
	v.get("/assets/icon.svg").is(200)

	c := testConfig(t)
	c.Identity.Enabled, c.Pages.Folder = true, filepath.Join(dir, "missing")
	if _, err := server.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), "pages.folder") {
		t.Errorf("a missing folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "templates/start.html"), []byte("{{"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.Pages.Folder = dir
	if _, err := server.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), "start.html") {
		t.Errorf("a template with a mistake: %v", err)
	}
}
