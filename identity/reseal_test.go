package identity_test

import (
	"testing"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/secret"
)

// knows starts the server anew with other system secrets.
func (h *house) knows(secrets ...string) {
	h.Helper()
	keys, err := secret.New(secrets...)
	if err != nil {
		h.Fatal(err)
	}
	o := identity.Options{BaseURL: h.home(), Now: h.now, Hashing: identity.HashOptions{Memory: 64, Iterations: 1}}
	if h.Service, err = identity.New(h.store, keys, o); err != nil {
		h.Fatal(err)
	}
}

// TestReseal: after it, second factors need no older system secret, and whoever is logged
// in stays so all the time.
func TestReseal(t *testing.T) {
	const older, newer, email = "a secret of the system", "a newer secret of the system", "ann@example.com"
	h := newHouse(t)
	g := h.guest(false)
	g.register(email)
	app := g.link()
	flow := g.open("settings", "").is(200)
	g.send(flow, object{"method": "lookup_secret", "lookup_secret_regenerate": true}).is(200)
	g.send(flow, object{"method": "lookup_secret", "lookup_secret_confirm": true}).is(200)

	reseal := func(credentials, lost float64) {
		t.Helper()
		g.ask("POST", "/admin/identities/reseal", nil).is(200).has("credentials", credentials).has("lost", lost)
	}
	reseal(0, 0)
	h.knows(newer, older)
	before := g.ask("GET", "/sessions/whoami", nil).is(200).str("identity.updated_at")
	reseal(2, 0)
	reseal(0, 0)
	h.knows(newer)
	if after := g.ask("GET", "/sessions/whoami", nil).is(200).str("identity.updated_at"); after != before {
		t.Errorf("the identity was changed at %s and is now of %s", before, after)
	}
	again := h.guest(false)
	again.enter(email, "")
	again.send(again.open("login", "?aal=aal2").is(200), object{"method": "totp", "totp_code": h.code(app, 1)}).is(200)
	h.knows(older)
	reseal(0, 2)
}
