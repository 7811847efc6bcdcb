package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

// TestHome: a browser at an address of the machine is sent to its name, a program is not.
func TestHome(t *testing.T) {
	n := start(t, withIdentity, func(c *server.Config) { c.Serve.Public.Address = "localhost:0" })
	v := n.visitor(t, true)
	_, port, _ := strings.Cut(n.public, ":")
	home := "http://localhost:" + port
	for _, path := range []string{"/", "/login?flow=x", "/oauth2/auth?client_id=a%20b", "//evil.example/"} {
		if got := v.get(path, "Accept", "text/html").is(http.StatusTemporaryRedirect).header.Get("Location"); got != home+path {
			t.Errorf("%s is at %s", path, got)
		}
	}
	v.get("/self-service/login/browser", asProgram...).is(200)
	v.get("/schemas").is(200)
	v.base = home
	v.get("/", "Accept", "text/html").is(200)
	for _, to := range []string{home, "http://127.0.0.1:" + port, "http://[::1]:" + port} {
		v.get("/self-service/login/browser?return_to="+to+"/settings", asProgram...).is(200).has("return_to", to+"/settings")
	}
	v.get("/self-service/login/browser?return_to=http://127.0.0.1:1/", asProgram...).is(400)

	n = start(t, withIdentity)
	n.visitor(t, true).get("/", "Accept", "text/html").is(200)
}

// TestOtherSites: a page of another site makes no browser write, where nobody needs a key.
func TestOtherSites(t *testing.T) {
	n := start(t, withIdentity)
	a := n.admin(t)
	body := map[string]any{"schema_id": "default", "traits": map[string]any{"email": "ann@example.com"}}
	for name, value := range map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"} {
		a.do("POST", "/admin/identities", body, name, value).is(403).has("error.code", 403.0)
	}
	a.get("/admin/identities", "Sec-Fetch-Site", "cross-site").is(200) // which that page cannot read
	a.do("POST", "/admin/identities", body, "Origin", a.base).is(201)
}
