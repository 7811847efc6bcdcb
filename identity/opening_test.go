package identity_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/identity"
)

// home is where browsers reach the house.
func (h *house) home() string { return strings.Replace(h.URL, "127.0.0.1", "localhost", 1) }

// TestOpeningWritesNothing: whoever opens flows, and looks at them, leaves nothing in the
// database, so that visitors cannot fill it.
func TestOpeningWritesNothing(t *testing.T) {
	h := newHouse(t, func(o *identity.Options) {
		o.Courier.Carrier, o.Courier.Letters, o.TellTaken = &office{}, plainLetters{}, true
	})
	back := "return_to=" + h.home() + "/settings%3Ftab=2"
	plain := []string{"", "?refresh=true", "?organization=nobody"}
	with := []string{"?" + back, "?identity_schema=default", "?via=email", "?" + back + "&refresh=true"}
	for _, kind := range []string{"login", "registration", "recovery", "verification", "settings"} {
		for _, browser := range []bool{true, false} {
			g := h.guest(browser)
			if kind == "settings" {
				g.register(kind + strings.Repeat("x", int(h.store.writes.Load())) + "@example.com")
			}
			queries := plain
			if browser {
				queries = append(queries, with...)
			}
			before := h.store.writes.Load()
			for _, query := range queries {
				f := g.open(kind, query).is(200)
				g.ask("GET", "/self-service/"+kind+"/flows?id="+f.str("id"), nil).is(200)
			}
			if n := h.store.writes.Load() - before; n > 0 {
				t.Errorf("%s flows of a browser (%t) wrote %d times", kind, browser, n)
			}
		}
	}
}

// TestOpeningsThatAreStored: what fits neither the id of a flow nor a cookie is a row.
func TestOpeningsThatAreStored(t *testing.T) {
	h := newHouse(t)
	for _, tt := range []struct {
		browser bool
		query   string
	}{
		{true, "?return_to=" + h.home() + "/settings%3Ftab=" + strings.Repeat("x", 4000)},
		{false, "?return_to=" + h.home() + "/settings"},
		{false, "?return_session_token_exchange_code=true"},
	} {
		g := h.guest(tt.browser)
		before := h.store.writes.Load()
		f := g.open("login", tt.query).is(200)
		g.ask("GET", "/self-service/login/flows?id="+f.str("id"), nil).is(200)
		if n := h.store.writes.Load() - before; n != 1 {
			t.Errorf("%.60s wrote %d times, want 1", tt.query, n)
		}
	}
}

// post sends the form of a page, and returns where that leads.
func (g *guest) post(form *heard, values url.Values) string {
	g.Helper()
	values.Set("csrf_token", form.node("csrf_token")["value"].(string))
	r, err := http.NewRequestWithContext(g.Context(), "POST", form.str("ui.action"), strings.NewReader(values.Encode()))
	if err != nil {
		g.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := g.client.Do(r)
	if err != nil {
		g.Fatal(err)
	}
	defer res.Body.Close()
	return res.Header.Get("Location")
}

// TestTooManyHashes: who comes when no memory is left for another hash is told to try
// again, and is not locked out for having tried.
func TestTooManyHashes(t *testing.T) {
	h := newHouse(t, func(o *identity.Options) { o.Hashing.MaxWait = time.Millisecond })
	h.guest(false).register("ann@example.com")
	leave, err := h.HashAlone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, email := range []string{"ann@example.com", "nobody@example.com"} {
		for range 10 {
			if got := h.guest(false).login(email).is(503).header.Get("Retry-After"); got == "" {
				t.Error("nothing says when to try again")
			}
		}
	}
	b := h.guest(true)
	form := b.open("login", "").is(200)
	if to := b.post(form, url.Values{"method": {"password"}, "identifier": {"ann@example.com"}, "password": {"wrong"}}); !strings.HasSuffix(to, "/login?flow="+form.str("id")) {
		t.Errorf("a browser is sent to %q", to)
	}
	b.ask("GET", "/self-service/login/flows?id="+form.str("id"), nil).is(200).says(5000001)
	leave()
	h.guest(false).login("ann@example.com").is(200)
	h.guest(false).login("nobody@example.com").is(400).says(4000006)
}
