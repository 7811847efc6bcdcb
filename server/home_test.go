package server_test

import (
	"net/http"
	"net/netip"
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

// TestNamesOfStrangers: a page whose name leads to this machine reads nothing, where nobody
// needs a key, but what a proxy passes on is answered.
func TestNamesOfStrangers(t *testing.T) {
	proxied := func(c *server.Config) { c.Serve.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} }
	_, k := key("reader", "*", "read")
	keyed := func(c *server.Config) { withIdentity(c); c.Auth.Keys = []server.Key{k} }
	for name, tt := range map[string]struct {
		edit func(*server.Config)
		want int
	}{"strangers": {withIdentity, 403}, "a proxy": {func(c *server.Config) { withIdentity(c); proxied(c) }, 200}, "callers with keys": {keyed, 401}} {
		n := start(t, tt.edit)
		for _, at := range []string{n.read + "/namespaces", n.write + "/admin/identities"} {
			for host, here := range map[string]bool{"evil.example": false, "evil.example:4467": false, "127.0.0.1.evil.example": false, "LOCALHOST:1": true, "[::1]:80": true} {
				want := tt.want
				if here && want == 403 {
					want = 200
				}
				r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+at, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Host = host
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				if _ = res.Body.Close(); res.StatusCode != want {
					t.Errorf("%s: %s with Host %q gives %d, want %d", name, at, host, res.StatusCode, want)
				}
			}
		}
	}
}
