package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/internal/testdb"
	"github.com/cardea-iam/cardea/server"
)

// TestNetworksOfPeople: two servers on one database, each for another network and with
// the same system secrets. Who is logged in at one is nobody at the other, whatever they
// bring along, and the header for operators chooses no network on the public listener.
func TestNetworksOfPeople(t *testing.T) {
	dsn := testdb.Postgres(t)
	start(t, on(dsn)) // migrates
	serve := func(network string) *node {
		return start(t, on(dsn), withIdentity, func(c *server.Config) {
			c.Dev, c.Networks, c.Secrets.System = false, []string{network}, []string{"the secret of both servers"}
		})
	}
	a, b := serve("default"), serve("tenant")
	c, theirs := a.rp(`,"client_id":"demo"`), b.rp(`,"client_id":"demo"`)

	v := a.visitor(t, true)
	v.register("ann@example.com")
	v.get("/sessions/whoami", asProgram...).is(200)
	away := b.visitor(t, true)
	ours := v.client.Jar.Cookies(&url.URL{Scheme: "http", Host: a.public})
	away.client.Jar.SetCookies(&url.URL{Scheme: "http", Host: b.public}, ours)
	away.get("/sessions/whoami", asProgram...).is(401)
	if at := away.get("/sessions/whoami", "Accept", "application/json", "Cardea-Network", "default"); at.status != 401 {
		t.Errorf("with the name of the network: %d %s", at.status, at.text)
	}
	for _, cookie := range ours {
		if strings.Contains(cookie.Name, "session") {
			native := &visitor{T: t, base: away.base, client: b.visitor(t, false).client, token: cookie.Value}
			native.get("/sessions/whoami", asProgram...).is(401)
		}
	}
	v.get("/sessions/whoami", asProgram...).is(200)

	// A flow goes on where it began.
	flow := v.get("/self-service/settings/browser", asProgram...).is(200).str("id")
	if got := away.get("/self-service/settings/flows?id="+flow, asProgram...); got.status == 200 {
		t.Errorf("a flow is shown: %s", got.text)
	}
	flow = a.visitor(t, false).get("/self-service/login/api").is(200).str("id")
	got := away.do("POST", "/self-service/login?flow="+flow, map[string]any{"method": "password", "identifier": "ann@example.com", "password": goodPassword}, asProgram...)
	if got.status == 200 {
		t.Errorf("a login ends in another network: %s", got.text)
	}

	// The other network asks who they are, and its pages know nothing of ours.
	if at := away.page(theirs.request()); !strings.Contains(at.text, "identifier") {
		t.Errorf("who is logged in elsewhere is shown %d %s", at.status, at.text)
	}
	at := v.get(c.request()).is(303)
	for range 3 {
		u, err := url.Parse(at.header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		if u.Query().Get("login_challenge") == "" && u.Query().Get("login_verifier") == "" {
			break
		}
		if got := away.page(u.Path + "?" + u.RawQuery); got.status == http.StatusOK && !strings.Contains(got.text, "Something went wrong") {
			t.Errorf("%s is shown there: %s", u.Path, got.text)
		}
		at = v.get(u.Path + "?" + u.RawQuery)
	}
	v.get("/sessions/whoami", asProgram...).is(200)
}
