package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

var consoleToken = regexp.MustCompile(`name="token" value="([A-Z0-9]+)"`)

// An operator is a browser at the console.
type operator struct{ *visitor }

func (n *node) operator(t *testing.T) operator {
	v := n.visitor(t, true)
	v.base = "http://" + n.write
	return operator{v}
}

// sends fills in a form of the page at from.
func (o operator) sends(from, to string, fields ...string) *said {
	o.Helper()
	token := consoleToken.FindStringSubmatch(o.get(from).is(200).text)
	if token == nil {
		o.Fatalf("%s has no form", from)
	}
	form := url.Values{"token": {token[1]}}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return o.do("POST", to, form)
}

// reads asserts that a page has texts, and returns it.
func (o operator) reads(path string, texts ...string) *said {
	o.Helper()
	page := o.get(path).is(200)
	for _, text := range texts {
		if !strings.Contains(page.text, text) {
			o.Errorf("%s lacks %q: %s", path, text, page.text)
		}
	}
	return page
}

// TestConsolePeople does with people what administrators do.
func TestConsolePeople(t *testing.T) {
	n := start(t, withIdentity)
	o := n.operator(t)
	if to := o.get("/console/").is(303).header.Get("Location"); to != "/console/people" {
		t.Errorf("the console begins at %s", to)
	}
	o.reads("/console/people", "There is nobody yet")
	o.reads("/console/people/new", "&#34;email&#34;: &#34;&#34;")
	for wrong, status := range map[string]string{`{"email":`: "no JSON object", `{"email": 7}`: "do not fit the schema", `[]`: "no JSON object"} {
		if page := o.sends("/console/people/new", "/console/people", "schema", "default", "traits", wrong).is(200); !strings.Contains(page.text, status) || !strings.Contains(page.text, "Error: ") {
			t.Errorf("%s: %s", wrong, page.text)
		}
	}
	made := o.sends("/console/people/new", "/console/people", "schema", "default", "traits", `{"email": "ann@example.com", "name": {"first": "<b>Ann", "last": ""}}`).is(303).header.Get("Location")
	at := strings.TrimSuffix(made, "?said=created")
	id := strings.TrimPrefix(at, "/console/people/")
	page := o.reads(made, "ann@example.com", "It was created.", "not verified", "&lt;b&gt;Ann", "admin.identity.created")
	if h := page.header; !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("Cache-Control") != "no-store" || strings.Contains(page.text, "<script") {
		t.Errorf("the page has the headers %v", h)
	}
	if page := o.sends("/console/people/new", "/console/people", "schema", "default", "traits", `{"email": "ann@example.com"}`).is(200); !strings.Contains(page.text, "of another identity") {
		t.Errorf("the same again: %s", page.text)
	}
	o.reads("/console/people?search=ann@", at)
	o.reads("/console/people?search=bob", "Nobody has an identifier that begins like this")
	if to := o.get("/console/people?search=" + id).is(303).header.Get("Location"); to != at {
		t.Errorf("the id leads to %s", to)
	}
	o.get("/console/people/" + strings.Repeat("x", 36)).is(404)

	link := regexp.MustCompile(`<code>(http[^<]*token=[^<]*)</code>`).FindStringSubmatch(o.sends(at, at, "do", "recovery").is(200).text)
	if link == nil {
		t.Fatal("there is no recovery link")
	}
	v := n.visitor(t, true)
	spa := v.get("/self-service/login/browser", asProgram...).is(200)
	v.do("POST", strings.ReplaceAll(link[1], "&amp;", "&"), map[string]any{"csrf_token": spa.csrf(), "method": "link"}).is(200)
	v.get("/sessions/whoami").is(200).has("identity.id", id)
	settings := v.get("/self-service/settings/browser", asProgram...).is(200)
	v.do("POST", settings.str("ui.action"), map[string]any{"csrf_token": settings.csrf(), "method": "password", "password": goodPassword}).is(200)

	o.sends(at, at, "do", "traits", "traits", `{"email": "ann@example.com", "name": {"first": "Anna"}}`).is(303)
	v.get("/sessions/whoami").is(200).has("identity.traits.name.first", "Anna")
	if page := o.sends(at, at, "do", "traits", "traits", `{"email": "no address"}`).is(200); !strings.Contains(page.text, "do not fit the schema") || !strings.Contains(page.text, "no address") {
		t.Errorf("wrong traits: %s", page.text)
	}
	session := regexp.MustCompile(`name="session" value="([^"]*)"`).FindStringSubmatch(o.reads(at, "<strong>password</strong>", "link_recovery").text)
	o.sends(at, at, "do", "session", "session", session[1]).is(303)
	v.get("/sessions/whoami").is(401)
	v.login("ann@example.com").is(200)
	o.sends(at, at, "do", "deactivate").is(303)
	v.get("/sessions/whoami").is(401)
	v.login("ann@example.com").is(400)
	o.reads(at, "locked")
	o.sends(at, at, "do", "activate").is(303)
	v.login("ann@example.com").is(200)
	o.sends(at, at, "do", "sessions").is(303)
	v.get("/sessions/whoami").is(401)
	if page := o.sends(at, at, "do", "credential", "credential", "password").is(200); !strings.Contains(page.text, "the last credential") {
		t.Errorf("the last credential: %s", page.text)
	}
	o.sends(at, at, "do", "nothing").is(400)
	o.sends(at, at, "do", "delete").is(200)
	o.sends(at, at, "do", "delete", "sure", "yes").is(303)
	o.get(at).is(404)
}

// TestConsoleMore looks at messages and applications.
func TestConsoleMore(t *testing.T) {
	n, box := startWithMail(t)
	o := n.operator(t)
	n.known(t, "ann@example.com")
	v := n.visitor(t, false)
	flow := v.get("/self-service/recovery/api").is(200)
	v.do("POST", flow.str("ui.action"), map[string]any{"method": "code", "email": "ann@example.com"}).is(200)
	code := box.take("ann@example.com").code
	list := o.reads("/console/messages?status=&search=ann@example.com", "to ann@example.com")
	o.reads("/console/messages?status=abandoned", "There are no such messages")
	o.get("/console/messages?status=x").is(400)
	at := regexp.MustCompile(`/console/messages/[0-9a-f-]{36}`).FindString(list.text)
	if page := o.reads(at, "recovery_code_valid", "ann@example.com"); strings.Contains(page.text, code) {
		t.Errorf("an administrator reads a code: %s", page.text)
	}

	o.reads("/console/applications", "There are none yet")
	if page := o.sends("/console/applications/new", "/console/applications", "name", "Tea", "redirects", "no-url", "scope", "openid").is(200); !strings.Contains(page.text, "Error: ") || !strings.Contains(page.text, "no-url") {
		t.Errorf("a wrong URI: %s", page.text)
	}
	made := o.sends("/console/applications/new", "/console/applications", "name", "Tea", "redirects", "https://tea.example/cb\nhttps://tea.example/cb2", "scope", "openid email").is(200)
	at = regexp.MustCompile(`/console/applications/[^"]+`).FindString(made.text[strings.Index(made.text, "id=\"end\""):])
	secret := regexp.MustCompile(`(?s)id="secret">.*?<code>([^<]+)</code>`).FindStringSubmatch(made.text)
	if at == "" || secret == nil {
		t.Fatalf("the new application is %s", made.text)
	}
	if page := o.reads(at, "https://tea.example/cb2", "openid email"); strings.Contains(page.text, secret[1]) {
		t.Error("the secret is shown again")
	}
	o.reads("/console/applications", "Tea", at)
	o.sends(at, at, "do", "delete").is(200)
	o.sends(at, at, "do", "delete", "sure", "yes").is(303)
	o.get(at).is(404)
}

// TestConsoleForgery: forms of other sites, and other names of this machine, are refused.
func TestConsoleForgery(t *testing.T) {
	n := start(t, withIdentity)
	o := n.operator(t)
	form := func(token string) url.Values {
		return url.Values{"token": {token}, "schema": {"default"}, "traits": {`{"email": "eve@example.com"}`}}
	}
	o.do("POST", "/console/people", form("")).is(403)
	token := consoleToken.FindStringSubmatch(o.get("/console/people/new").is(200).text)[1]
	o.do("POST", "/console/people", form("")).is(403)
	o.do("POST", "/console/people", form(token+"A")).is(403)
	o.do("POST", "/console/people", form(token), "Sec-Fetch-Site", "cross-site").is(403)
	o.do("POST", "/console/people", form(token), "Sec-Fetch-Site", "same-site").is(403)
	o.do("POST", "/console/people", form(token), "Origin", "https://evil.example").is(403)
	n.operator(t).do("POST", "/console/people", form(token)).is(403)
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+n.write+"/console/people", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "evil.example:4467"
	resp, err := o.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("with the name of somebody else the console answers %d", resp.StatusCode)
	}
	o.do("POST", "/console/people", form(token), "Sec-Fetch-Site", "same-origin").is(303)
	n.visitor(t, true).get("/console/people").is(404) // on the public listener
}

// TestConsoleKeys: where there are keys, the console wants one.
func TestConsoleKeys(t *testing.T) {
	reader, readerKey := key("reader", "*", "read")
	writer, writerKey := key("writer", "*", "write")
	bound, boundKey := key("bound", "other", "write")
	serving := func(keys ...server.Key) *node {
		return start(t, withIdentity, func(c *server.Config) {
			c.Networks, c.Auth.Keys, c.Secrets.System = []string{"default", "other"}, keys, []string{"a secret that two servers have"}
		})
	}
	n := serving(readerKey, writerKey, boundKey)
	o := n.operator(t)
	for _, path := range []string{"/console/", "/console/people", "/console/people/new", "/console/applications"} {
		if to := o.get(path).is(303).header.Get("Location"); to != "/console/login" {
			t.Errorf("%s leads to %s", path, to)
		}
	}
	o.sends("/console/login", "/console/people", "schema", "default", "traits", `{"email": "eve@example.com"}`).is(401)
	o.sends("/console/login", "/console/login", "key", "cardea_wrong").is(401)
	o.sends("/console/login", "/console/login", "key", reader).is(403)
	o.get("/console/people").is(303)
	o.sends("/console/login", "/console/login", "key", writer).is(303)
	o.sends("/console/people/new", "/console/people", "schema", "default", "traits", `{"email": "ann@example.com"}`).is(303)
	o.reads("/console/people", "ann@example.com", "Network default", "Leave the console")
	a := n.admin(t)
	a.do("POST", "/admin/identities", map[string]any{"schema_id": "default", "traits": map[string]any{"email": "bob@example.com"}}, "Authorization", "Bearer "+writer).is(201)
	events := a.get("/admin/audit/events", "Authorization", "Bearer "+writer).is(200)
	if n := strings.Count(events.text, `"type":"admin.identity.created"`); n != 2 || strings.Count(events.text, `"detail":{"by":"writer"}`) != 2 {
		t.Errorf("who has added two people, here and by the API, is not in the log: %s", events.text)
	}

	other := n.operator(t)
	other.sends("/console/login", "/console/login", "key", bound, "network", "default").is(403)
	other.sends("/console/login", "/console/login", "key", bound).is(303)
	other.reads("/console/people", "There is nobody yet", "Network other")
	later := func(keys ...server.Key) operator { // the same browser, when the keys are others
		again := *o.visitor
		again.base = "http://" + serving(keys...).write
		return operator{&again}
	}
	later(readerKey, writerKey).get("/console/people").is(200)
	later(readerKey, boundKey).get("/console/people").is(303)
	writerKey.Roles = []string{"read"}
	later(writerKey).get("/console/people").is(303)
	writerKey.Roles, writerKey.Network = []string{"write"}, "other"
	later(writerKey).get("/console/people").is(303)

	o.sends("/console/people", "/console/logout").is(303)
	o.get("/console/people").is(303)
}
