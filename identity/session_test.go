package identity_test

import (
	"testing"
	"time"

	"github.com/cardea-iam/cardea/identity"
)

// enter logs in; query is that of the flow.
func (g *guest) enter(email, query string) *heard {
	g.Helper()
	return g.send(g.open("login", query).is(200), object{"method": "password", "identifier": email, "password": password}).is(200)
}

func (h *house) pass(d time.Duration) { h.seconds.Add(int64(d / time.Second)) }

// whoami asks who has the token, and how often that asks the database.
func (g *guest) whoami(status int, cost int64) *heard {
	g.Helper()
	before := g.store.asked.Load()
	got := g.ask("GET", "/sessions/whoami", nil).is(status)
	if asked := g.store.asked.Load() - before; asked != cost {
		g.Errorf("the database was asked %d times, want %d", asked, cost)
	}
	return got
}

// TestIdleSessions: a session that is used goes on, one that is not ends, and that it is
// used is seldom written.
func TestIdleSessions(t *testing.T) {
	h := newHouse(t, func(o *identity.Options) { o.SessionLifespan, o.SessionIdle = 24*time.Hour, time.Hour })
	g, admin := h.guest(false), h.guest(false)
	id := g.register("ann@example.com").str("session.id")
	for range 5 {
		g.whoami(200, 1)
		h.pass(time.Minute)
	}
	h.pass(time.Minute)
	etag := g.whoami(200, 2).header.Get("ETag") // the sixth minute
	for range 50 {
		h.pass(45 * time.Second)
		if got := g.ask("GET", "/sessions/whoami", nil).is(200).header.Get("ETag"); got != etag {
			t.Fatal("to be used changes what the session says")
		}
	}
	h.pass(54 * time.Minute)
	g.whoami(200, 2)
	admin.ask("GET", "/admin/sessions/"+id, nil).is(200).has("active", true)
	if all := admin.ask("GET", "/admin/sessions?active=true", nil).is(200).text; len(all) < 10 {
		t.Errorf("listed as active: %s", all)
	}
	h.pass(time.Hour)
	g.whoami(401, 1)
	admin.ask("GET", "/admin/sessions/"+id, nil).is(200).has("active", false)
	admin.ask("PATCH", "/admin/sessions/"+id+"/extend", nil).is(400)
	if all := admin.ask("GET", "/admin/sessions?active=true", nil).is(200).text; all != "[]\n" {
		t.Errorf("listed as active: %s", all)
	}
}

// TestIdleByDefault: it is half of the lifespan, and the lifespan counts even for who
// comes back all the time.
func TestIdleByDefault(t *testing.T) {
	h := newHouse(t, func(o *identity.Options) { o.SessionLifespan = 24 * time.Hour })
	g, idle := h.guest(false), h.guest(false)
	g.register("ann@example.com")
	idle.enter("ann@example.com", "")
	for range 11 {
		h.pass(2 * time.Hour)
		g.ask("GET", "/sessions/whoami", nil).is(200)
	}
	idle.whoami(401, 1)
	h.pass(time.Hour)
	g.whoami(200, 1) // it will end before it could be idle
	h.pass(time.Hour)
	g.whoami(401, 1)
}

func TestExtendedSessions(t *testing.T) {
	h := newHouse(t, func(o *identity.Options) { o.SessionLifespan, o.ExtendWithin = 24*time.Hour, 2*time.Hour })
	g, admin := h.guest(false), h.guest(false)
	done := g.register("ann@example.com")
	at := "/admin/sessions/" + done.str("session.id") + "/extend"
	until := func(want time.Duration, body *heard, path string) {
		t.Helper()
		got, err := time.Parse(time.RFC3339, body.str(path))
		if err != nil || !got.Equal(h.now().Add(want)) {
			t.Errorf("it ends %v after now, want %v (%v)", got.Sub(h.now()), want, err)
		}
	}
	h.pass(11 * time.Hour)
	until(13*time.Hour, admin.ask("PATCH", at, nil).is(200), "expires_at") // too early
	g.whoami(200, 2)
	h.pass(11 * time.Hour)
	until(24*time.Hour, admin.ask("PATCH", at, nil).is(200), "expires_at")
	until(24*time.Hour, g.ask("GET", "/sessions/whoami", nil).is(200), "expires_at")
	h.pass(11 * time.Hour)
	g.whoami(200, 2) // to extend it was to use it
	until(24*time.Hour, g.enter("ann@example.com", "?refresh=true"), "session.expires_at")
	admin.ask("PATCH", "/admin/sessions/00000000-0000-4000-8000-000000000000/extend", nil).is(404)
}

// TestMaxSessions: the oldest goes, that of somebody else stays.
func TestMaxSessions(t *testing.T) {
	h := newHouse(t, func(o *identity.Options) { o.MaxSessions = 3 })
	var all []*guest
	for i := range 4 {
		g := h.guest(false)
		if i == 0 {
			g.register("ann@example.com")
			h.guest(false).register("bob@example.com")
		} else {
			g.enter("ann@example.com", "")
		}
		all = append(all, g)
		h.pass(time.Minute)
	}
	all[1].enter("ann@example.com", "?refresh=true") // the same session
	for i, g := range all {
		want := 200
		if i == 0 {
			want = 401
		}
		g.whoami(want, 1)
	}
}
