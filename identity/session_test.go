package identity_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
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

	h = newHouse(t, func(o *identity.Options) { o.BriefExtend, o.ExtendWithin = true, time.Hour })
	g, admin = h.guest(false), h.guest(false)
	admin.ask("PATCH", "/admin/sessions/"+g.register("ann@example.com").str("session.id")+"/extend", nil).is(204)
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

// TestWhoamiHeaders: who is told what about the answer.
func TestWhoamiHeaders(t *testing.T) {
	h := newHouse(t, func(o *identity.Options) {
		o.SessionLifespan, o.SessionIdle, o.Cacheable, o.CacheMaxAge = 24*time.Hour, 24*time.Hour, true, time.Hour
	})
	g := h.guest(false)
	id := g.register("ann@example.com").str("identity.id")
	conditional := func(condition string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", h.URL+"/sessions/whoami", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Session-Token", g.token)
		if condition != "" {
			r.Header.Set("If-None-Match", condition)
		}
		res, err := g.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res
	}
	tag := conditional("").Header.Get("ETag")
	for condition, want := range map[string]int{"": 200, tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, strings.Trim(tag, `"`): 200} {
		res := conditional(condition)
		if res.StatusCode != want {
			t.Errorf("If-None-Match %s: %d, want %d", condition, res.StatusCode, want)
		}
		for name, value := range map[string]string{
			"X-Kratos-Authenticated-Identity-Id": id, "ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Cookie, Authorization, X-Session-Token",
			"Ory-Session-Cache-For": "3600",
		} {
			if got := res.Header.Get(name); got != value {
				t.Errorf("%s is %q, want %q", name, got, value)
			}
		}
	}
	h.pass(24*time.Hour - time.Minute)
	if got := conditional("").Header.Get("Ory-Session-Cache-For"); got != "60" {
		t.Errorf("may be kept for %s s, want 60", got)
	}
	h.pass(time.Minute)
	if res := conditional(tag); res.StatusCode != 401 || res.Header.Get("ETag") != "" || !strings.Contains(res.Header.Get("Cache-Control"), "no-store") {
		t.Errorf("after the end: %d %v", res.StatusCode, res.Header)
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		g.ask(method, "/sessions/whoami", nil).is(401)
	}
}

// TestWhoamiChanges: the tag is another one when the answer is.
func TestWhoamiChanges(t *testing.T) {
	h := newHouse(t)
	g, admin := h.guest(false), h.guest(false)
	done := g.register("ann@example.com")
	tag := func() string { return g.ask("GET", "/sessions/whoami", nil).is(200).header.Get("ETag") }
	before := tag()
	admin.ask("PATCH", "/admin/identities/"+done.str("identity.id"), []any{object{"op": "add", "path": "/metadata_public", "value": object{"plan": "gold"}}}).is(200)
	after := tag()
	if before == after {
		t.Error("the tag stayed when metadata changed")
	}
	h.pass(time.Minute)
	admin.ask("PATCH", "/admin/sessions/"+done.str("session.id")+"/extend", nil).is(200)
	if tag() == after {
		t.Error("the tag stayed when the session was extended")
	}
}

// TestCookieOfSession: it lasts as long as its session, also if that is extended.
func TestCookieOfSession(t *testing.T) {
	h := newHouse(t, func(o *identity.Options) { o.SessionLifespan, o.SessionIdle = 24*time.Hour, 24*time.Hour })
	g, admin := h.guest(true), h.guest(false)
	age := func(s *heard) string {
		for _, c := range s.header.Values("Set-Cookie") {
			if strings.HasPrefix(c, "ory_kratos_session=") {
				_, rest, _ := strings.Cut(c, "Max-Age=")
				seconds, _, _ := strings.Cut(rest, ";")
				return seconds
			}
		}
		return ""
	}
	if got := age(g.register("ann@example.com")); got != "86400" {
		t.Errorf("the cookie lasts for %q s", got)
	}
	who := g.whoami(200, 1)
	if got := age(who); got != "" {
		t.Error("the cookie is sent again although nothing changed")
	}
	h.pass(time.Hour)
	admin.ask("PATCH", "/admin/sessions/"+who.str("id")+"/extend", nil).is(200)
	if got := age(g.whoami(200, 1)); got != "86400" {
		t.Errorf("the cookie lasts for %q s after the session was extended", got)
	}
	if got := age(g.whoami(200, 1)); got != "" {
		t.Error("the cookie is sent again and again")
	}

	brief := newHouse(t, func(o *identity.Options) { o.BriefCookies, o.SameSite = true, http.SameSiteStrictMode })
	g = brief.guest(true)
	cookie := strings.Join(g.register("ann@example.com").header.Values("Set-Cookie"), "\n")
	if !strings.Contains(cookie, "ory_kratos_session=ory_st_") || strings.Contains(strings.SplitN(cookie, "\n", 2)[0], "Max-Age") || strings.Contains(cookie, "SameSite=Lax") {
		t.Errorf("cookies %s", cookie)
	}
	g.whoami(200, 1)
}

// TestMySessions: what somebody sees of their sessions, and does with them.
func TestMySessions(t *testing.T) {
	h := newHouse(t)
	var all []*guest
	var ids []string
	for i := range 4 {
		g := h.guest(false)
		if i == 0 {
			g.register("ann@example.com")
		} else {
			g.enter("ann@example.com", "")
		}
		all = append(all, g)
		ids = append(ids, g.whoami(200, 1).str("id"))
		h.pass(time.Second)
	}
	me, bob := all[0], h.guest(false)
	bobs := bob.register("bob@example.com").str("session.id")
	var seen []string
	for path := "/sessions?page_size=2"; path != ""; {
		got := me.ask("GET", path, nil).is(200)
		var page []struct {
			ID      string `json:"id"`
			Active  bool   `json:"active"`
			Devices []struct {
				Agent string `json:"user_agent"`
			} `json:"devices"`
		}
		if err := json.Unmarshal([]byte(got.text), &page); err != nil || got.header.Get("X-Total-Count") != "3" {
			t.Fatalf("%v, %v: %s", err, got.header, got.text)
		}
		path = ""
		for _, one := range page {
			seen = append(seen, one.ID)
			if !one.Active || len(one.Devices) != 1 || one.Devices[0].Agent == "" {
				t.Errorf("listed as %+v", one)
			}
		}
		for link := range strings.SplitSeq(got.header.Get("Link"), ",") {
			if to, ok := strings.CutSuffix(link, `; rel="next"`); ok {
				path = strings.Trim(to, "<>")
			}
		}
	}
	if want := []string{ids[3], ids[2], ids[1]}; !slices.Equal(seen, want) {
		t.Errorf("listed %v, want %v", seen, want)
	}
	me.ask("GET", "/sessions?page_token=x", nil).is(400)

	me.ask("DELETE", "/sessions/"+ids[0], nil).is(400) // its own
	me.ask("DELETE", "/sessions/x", nil).is(400)
	me.ask("DELETE", "/sessions/"+bobs, nil).is(204) // not to be told from one that is gone
	bob.whoami(200, 1)
	me.ask("DELETE", "/sessions/"+ids[1], nil).is(204)
	all[1].whoami(401, 1)
	all[2].whoami(200, 1)
	me.ask("DELETE", "/sessions", nil).is(200).has("count", 2.0)
	me.ask("DELETE", "/sessions", nil).is(200).has("count", 0.0)
	all[2].whoami(401, 1)
	me.whoami(200, 1)
	bob.whoami(200, 1)
	log := h.guest(false).ask("GET", "/admin/audit/events", nil).is(200).text
	for _, kind := range []string{`"session.revoked"`, `"sessions.revoked"`} {
		if !strings.Contains(log, kind) {
			t.Errorf("the audit log has no %s", kind)
		}
	}
	h.guest(false).ask("GET", "/sessions", nil).is(401)
	h.guest(false).ask("DELETE", "/sessions", nil).is(401)
	h.guest(false).ask("DELETE", "/sessions/"+ids[0], nil).is(401)
}

// TestEndsAreTold: those who rely on a session hear of its end, once they can, and of
// nothing else.
func TestEndsAreTold(t *testing.T) {
	type told struct {
		identity string
		sessions []string
	}
	heard := make(chan told, 10)
	var deaf atomic.Bool
	h := newHouse(t, func(o *identity.Options) {
		o.MaxSessions = 2
		o.SessionsEnded = func(_ context.Context, id string, sessions []string) error {
			if deaf.Load() {
				return errs.New(errs.Unavailable, "nobody listens")
			}
			heard <- told{id, slices.Sorted(slices.Values(sessions))}
			return nil
		}
	})
	hears := func(want ...told) {
		t.Helper()
		for _, w := range want {
			select {
			case got := <-heard:
				if got.identity != w.identity || !slices.Equal(got.sessions, w.sessions) {
					t.Fatalf("told of %v, want %v", got, w)
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("nobody is told of %v", w)
			}
		}
		select {
		case got := <-heard:
			t.Fatalf("told of %v, too", got)
		default:
		}
	}
	g, admin := h.guest(false), h.guest(false)
	done := g.register("ann@example.com")
	id, first := done.str("identity.id"), done.str("session.id")
	h.pass(time.Second)
	second := g.enter("ann@example.com", "?refresh=true").str("session.id") // the same one
	if first != second {
		t.Fatal("a refresh made another session")
	}
	g.token = ""
	second = g.enter("ann@example.com", "").str("session.id")
	hears()
	h.pass(time.Second)
	g.token = ""
	third := g.enter("ann@example.com", "").str("session.id")
	hears(told{id, []string{first}}) // one too many
	admin.ask("DELETE", "/admin/sessions/"+first, nil).is(204)
	hears() // it had ended

	deaf.Store(true)
	admin.ask("DELETE", "/admin/sessions/"+second, nil).is(204)
	h.guest(false).ask("DELETE", "/self-service/logout/api", object{"session_token": g.token}).is(204)
	hears()
	deaf.Store(false)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.TellEnded(ctx)
	}()
	hears(told{id, slices.Sorted(slices.Values([]string{second, third}))})
	admin.ask("DELETE", "/admin/identities/"+id, nil).is(204)
	hears(told{id, nil})
	cancel()
	<-ended
	if notes, err := h.store.Ended(t.Context(), 10); err != nil || len(notes) != 0 {
		t.Errorf("notes %v, %v", notes, err)
	}
}
