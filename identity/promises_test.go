package identity_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cardea-iam/cardea/identity"
)

// TestParallelGuesses: however many guesses come at once, from sessions and browsers of
// their own, as few are looked at as of those that come one after another.
func TestParallelGuesses(t *testing.T) {
	const guesses, free = 50, 5
	h := newHouse(t)
	g := h.guest(false)
	g.register("ann@example.com")
	g.link()
	g.backup()
	in, _ := h.steppingUp(1, "ann@example.com")
	stranger, knows := h.guest(false), in[0]
	for _, tt := range []struct {
		name  string
		as    *guest
		query string
		form  object
		wrong string // what is said of a guess that was looked at
	}{
		{"passwords", stranger, "", object{"method": "password", "identifier": "ann@example.com", "password": "wrong"}, `"id":4000006,`},
		{"passwords of nobody", stranger, "", object{"method": "password", "identifier": "bob@example.com", "password": "wrong"}, `"id":4000006,`},
		{"codes of an app", knows, "?aal=aal2", object{"method": "totp", "totp_code": "000000"}, `"id":4000008,`},
		{"backup codes", knows, "?aal=aal2", object{"method": "lookup_secret", "lookup_secret": "aaaaaaaa"}, `"id":4000016,`},
	} {
		var looked, answered atomic.Int64
		var wg sync.WaitGroup
		for range guesses {
			flow := tt.as.open("login", tt.query).is(200)
			wg.Go(func() {
				got, err := tt.as.try("POST", flow.str("ui.action"), tt.form)
				if err != nil {
					h.Error(err)
					return
				}
				if got.status == 400 {
					answered.Add(1)
				}
				if strings.Contains(got.text, tt.wrong) {
					looked.Add(1)
				}
			})
		}
		wg.Wait()
		if looked.Load() != free || answered.Load() != guesses {
			t.Errorf("%s: of %d guesses %d were looked at and %d answered, want %d", tt.name, guesses, looked.Load(), answered.Load(), free)
		}
	}
}

// TestLoginFlowsWorkOnce: a flow that is submitted several times at once gives one session.
func TestLoginFlowsWorkOnce(t *testing.T) {
	h := newHouse(t, func(o *identity.Options) { o.LoginLimit = identity.Limit{Free: 1000, Delay: 1, MaxDelay: 1, Forget: 1} })
	h.guest(false).register("ann@example.com")
	g := h.guest(false)
	flow := g.open("login", "").is(200)
	if n := race(h, []*guest{g, g, g, g, g, g}, []*heard{flow, flow, flow, flow, flow, flow}, func() object {
		return object{"method": "password", "identifier": "ann@example.com", "password": password}
	}); n != 1 {
		t.Errorf("a flow gave %d sessions", n)
	}
}

// TestHostCookies: with the prefix __Host- cookies belong to one host, by https, and that is
// where they are read from again.
func TestHostCookies(t *testing.T) {
	h := newHouse(t, func(o *identity.Options) { o.BaseURL, o.HostCookies = "https://id.example", true })
	var jar []*http.Cookie
	ask := func(method, path, body string) *heard {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Accept", "application/json")
		r.Header.Set("Content-Type", "application/json")
		for _, c := range jar {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		h.Config.Handler.ServeHTTP(w, r)
		jar = append(w.Result().Cookies(), jar...)
		got := &heard{T: t, status: w.Code, text: w.Body.String()}
		_ = json.Unmarshal(w.Body.Bytes(), &got.object)
		return got
	}
	flow := ask("GET", "/self-service/registration/browser?return_to=/settings", "").is(200)
	token := flow.node("csrf_token")["value"].(string)
	ask("POST", "/self-service/registration?flow="+flow.str("id"), `{"method":"password","password":"`+password+`","traits":{"email":"ann@example.com"},"csrf_token":"`+token+`"}`).is(200)
	ask("GET", "/sessions/whoami", "").is(200)
	if len(jar) < 3 {
		t.Fatalf("the cookies are %v", jar)
	}
	for _, c := range jar {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || c.Path != "/" || c.Domain != "" {
			t.Errorf("a browser does not take %s", c)
		}
	}
	for _, bad := range []identity.Options{{BaseURL: "http://id.example", HostCookies: true}, {BaseURL: "https://id.example", CookieDomain: "example", HostCookies: true}} {
		if _, err := identity.New(h.store, nil, bad); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// TestStateOfSessions: a session is worth nothing while its identity is disabled, even if it
// was not ended with that.
func TestStateOfSessions(t *testing.T) {
	h := newHouse(t)
	g := h.guest(false)
	g.register("ann@example.com")
	g.ask("GET", "/sessions/whoami", nil).is(200)
	i, err := h.store.Find(t.Context(), identity.Password, "ann@example.com")
	if err != nil {
		t.Fatal(err)
	}
	i.State = identity.Inactive
	if err := h.store.Write(t.Context(), identity.SaveIdentity{Identity: i}); err != nil {
		t.Fatal(err)
	}
	g.ask("GET", "/sessions/whoami", nil).is(401)
}
