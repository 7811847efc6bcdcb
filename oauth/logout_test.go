package oauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/oauth"
)

const afterLogout = "https://client.test/bye"

// leaving is a client that may end logouts at afterLogout.
func (w *world) leaving(more map[string]any) map[string]any {
	w.t.Helper()
	fields := map[string]any{"post_logout_redirect_uris": []string{afterLogout}}
	for name, value := range more {
		fields[name] = value
	}
	return w.client(fields)
}

// logIn logs ann in, remembered, and returns her tokens.
func (b *browser) logIn(c map[string]any, more ...string) map[string]any {
	b.w.t.Helper()
	return b.w.exchange(c, b.authorize(codeRequest(c, more...), by("1")).Get("code"))
}

// logOut begins a logout, and accepts or rejects it if that is asked. It returns where
// it ends, and what was asked.
func (b *browser) logOut(params url.Values, verb string) (end *url.URL, asked map[string]any) {
	b.w.t.Helper()
	at := b.open(b.w.public + "/oauth2/sessions/logout?" + params.Encode())
	if at == nil || at.Query().Get("logout_challenge") == "" {
		return at, nil
	}
	admin := b.w.admin + "/admin/oauth2/auth/requests/logout"
	query := "?" + url.Values{"logout_challenge": {at.Query().Get("logout_challenge")}}.Encode()
	asked = b.w.must("GET", admin+query, nil)
	answer := b.w.must("PUT", admin+"/"+verb+query, nil)
	if verb == "reject" {
		return nil, asked
	}
	return b.open(answer["redirect_to"].(string)), asked
}

// isIn reports whether the browser remembers a login.
func (b *browser) isIn(c map[string]any) bool {
	b.w.t.Helper()
	asked, _ := b.challenge(codeRequest(c, "prompt", "none"))
	return asked != nil
}

func TestLogoutByClient(t *testing.T) {
	w := start(t)
	c := w.leaving(nil)
	b := w.browser()
	id := b.logIn(c)["id_token"].(string)
	w.pass(24 * time.Hour) // the ID token has expired, which is no matter
	params := url.Values{
		"id_token_hint": {id}, "client_id": {c["client_id"].(string)}, "post_logout_redirect_uri": {afterLogout}, "state": {"s&1"},
		"ui_locales": {"de"}, "logout_hint": {"ann@example.test"},
	}
	end, asked := b.logOut(params, "accept")
	if end.String() != afterLogout+"?state=s%261" {
		t.Errorf("ends at %v", end)
	}
	sid := w.claims("RS256", id)["sid"]
	if asked["subject"] != "ann" || asked["sid"] != sid || asked["rp_initiated"] != true || asked["client"].(map[string]any)["client_id"] != c["client_id"] ||
		asked["ui_locales"] != "de" || asked["logout_hint"] != "ann@example.test" || asked["expires_at"] == nil || asked["requested_at"] == nil {
		t.Errorf("asked %v", asked)
	}
	if b.isIn(c) {
		t.Error("the browser is still logged in")
	}
	// There is nothing more to end.
	if end, asked := b.logOut(params, "accept"); asked != nil || end.String() != afterLogout+"?state=s%261" {
		t.Errorf("again: ends at %v, asked %v", end, asked)
	}
}

func TestLogoutByPerson(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.URLs.PostLogout = "http://app.test/bye" })
	c := w.client(nil)
	b := w.browser()
	b.logIn(c)
	if _, asked := b.logOut(nil, "reject"); asked["rp_initiated"] != false || asked["client"] != nil || asked["subject"] != "ann" {
		t.Errorf("asked %v", asked)
	}
	if !b.isIn(c) {
		t.Error("a logout that was rejected ended the login")
	}
	if end, _ := b.logOut(nil, "accept"); end.String() != "http://app.test/bye" {
		t.Errorf("ends at %v", end)
	}
	if b.isIn(c) {
		t.Error("the browser is still logged in")
	}
	if end, asked := b.logOut(nil, "accept"); asked != nil || end.String() != "http://app.test/bye" {
		t.Errorf("without a login: ends at %v, asked %v", end, asked)
	}
}

// TestEndedLoginIsForgotten: the cookie of a login goes with it, also where that ended
// elsewhere, and whichever door the browser comes to next.
func TestEndedLoginIsForgotten(t *testing.T) {
	w := start(t)
	c := w.leaving(nil)
	for _, door := range []string{
		"/oauth2/auth?" + codeRequest(c).Encode(), "/oauth2/sessions/logout",
	} {
		b := w.browser()
		b.logIn(c)
		if !b.has("cardea_oauth_session") {
			t.Fatal("the browser has no cookie of the login")
		}
		w.must("DELETE", w.admin+"/admin/oauth2/auth/sessions/login?subject=ann", nil)
		b.open(w.public + door)
		if b.has("cardea_oauth_session") {
			t.Errorf("the cookie is still there after %s", door)
		}
	}
	b := w.browser()
	b.logIn(c)
	b.logOut(nil, "reject")
	if !b.has("cardea_oauth_session") {
		t.Error("the cookie of a login that goes on was taken")
	}
	b.logOut(nil, "accept")
	if b.has("cardea_oauth_session") {
		t.Error("the cookie is still there after the logout")
	}
}

// has reports whether the browser has a cookie.
func (b *browser) has(name string) bool {
	at := must(url.Parse(b.w.public))
	return slices.ContainsFunc(b.Jar.Cookies(at), func(c *http.Cookie) bool { return c.Name == name })
}

// TestLogoutWithoutCookie: the ID token suffices where the browser remembers nothing.
func TestLogoutWithoutCookie(t *testing.T) {
	w := start(t)
	c := w.leaving(nil)
	id := w.tokens(c, ann())["id_token"].(string)
	end, asked := w.browser().logOut(url.Values{"id_token_hint": {id}}, "accept")
	if asked["subject"] != "ann" || !strings.HasPrefix(end.String(), w.public+"/oauth2/fallbacks/") {
		t.Errorf("ends at %v, asked %v", end, asked)
	}
}

// TestLogoutBySkip: a client that need not ask ends its own logins at once, and asks
// before it ends others.
func TestLogoutBySkip(t *testing.T) {
	w := start(t)
	c := w.leaving(map[string]any{"skip_logout_consent": true})
	b := w.browser()
	id := b.logIn(c)["id_token"].(string)
	if _, asked := b.logOut(url.Values{"client_id": {c["client_id"].(string)}}, "reject"); asked == nil {
		t.Error("without an ID token nobody was asked")
	}
	end, asked := b.logOut(url.Values{"id_token_hint": {id}, "post_logout_redirect_uri": {afterLogout}}, "accept")
	if asked != nil || end.String() != afterLogout || b.isIn(c) {
		t.Errorf("ends at %v, asked %v", end, asked)
	}
	other := b.logIn(c)["id_token"].(string)
	if _, asked := b.logOut(url.Values{"id_token_hint": {id}}, "reject"); asked == nil {
		t.Error("with the ID token of an older login nobody was asked")
	}
	if end, asked := b.logOut(url.Values{"id_token_hint": {other}}, "accept"); asked != nil || end == nil {
		t.Errorf("ends at %v, asked %v", end, asked)
	}
}

// TestLogoutOfSomebodyElse: the ID token of one person does not end the login of
// another, unless that one says so.
func TestLogoutOfSomebodyElse(t *testing.T) {
	w := start(t)
	c := w.leaving(nil)
	b := w.browser()
	anns := w.browser().logIn(c)["id_token"].(string)
	bob := by("1")
	bob.login["subject"] = "bob"
	b.authorize(codeRequest(c), bob)
	if _, asked := b.logOut(url.Values{"id_token_hint": {anns}}, "accept"); asked["subject"] != "ann" {
		t.Errorf("asked %v", asked)
	}
	if !b.isIn(c) {
		t.Error("bob was logged out")
	}
}

func TestLogoutRefused(t *testing.T) {
	w := start(t)
	c, other := w.leaving(nil), w.leaving(nil)
	b := w.browser()
	tokens := b.logIn(c)
	jwt := w.client(map[string]any{"access_token_strategy": "jwt"})
	access := w.tokens(jwt, ann())["access_token"].(string)
	id, client := tokens["id_token"].(string), c["client_id"].(string)
	for _, tt := range []struct {
		name   string
		params url.Values
	}{
		{"a page without a client", url.Values{"post_logout_redirect_uri": {afterLogout}}},
		{"a page of another client", url.Values{"client_id": {client}, "post_logout_redirect_uri": {"https://other.test/bye"}}},
		{"a page with more", url.Values{"client_id": {client}, "post_logout_redirect_uri": {afterLogout + "?x=1"}}},
		{"a longer page", url.Values{"id_token_hint": {id}, "post_logout_redirect_uri": {afterLogout + "/"}}},
		{"the page of a login", url.Values{"id_token_hint": {id}, "post_logout_redirect_uri": {callback}}},
		{"two clients", url.Values{"id_token_hint": {id}, "client_id": {other["client_id"].(string)}}},
		{"an unknown client", url.Values{"client_id": {"nobody"}}},
		{"no ID token", url.Values{"id_token_hint": {"x"}}},
		{"a forged ID token", url.Values{"id_token_hint": {id[:strings.LastIndex(id, ".")+1] + "AAAA"}}},
		{"an access token", url.Values{"id_token_hint": {access}}},
		{"a parameter twice", url.Values{"id_token_hint": {id}, "state": {"1", "2"}}},
		{"no verifier", url.Values{"logout_verifier": {"x"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := b.open(w.public + "/oauth2/sessions/logout?" + tt.params.Encode())
			if at == nil || at.Host != "app.test" || at.Path != "/error" || at.Query().Get("error") == "" {
				t.Errorf("ends at %v", at)
			}
		})
	}
	if !b.isIn(c) {
		t.Error("the browser is logged out")
	}
	admin := w.admin + "/admin/oauth2/auth/requests/logout"
	for _, verb := range []string{"", "/accept", "/reject"} {
		method := "PUT"
		if verb == "" {
			method = "GET"
		}
		if status, body := w.call(method, admin+verb+"?logout_challenge=x", nil); status != http.StatusNotFound {
			t.Errorf("%s: an unknown challenge gets %d %v", verb, status, body)
		}
	}
}

// TestLogoutOnce: a challenge is answered once, and a verifier ends one login.
func TestLogoutOnce(t *testing.T) {
	w := start(t)
	c := w.leaving(nil)
	admin := w.admin + "/admin/oauth2/auth/requests/logout"
	for _, verb := range []string{"accept", "reject"} {
		b := w.browser()
		b.logIn(c)
		at := b.open(w.public + "/oauth2/sessions/logout")
		query := "?" + url.Values{"logout_challenge": {at.Query().Get("logout_challenge")}}.Encode()
		verifier, _ := w.must("PUT", admin+"/accept"+query, nil)["redirect_to"].(string)
		if verb == "reject" {
			w.must("PUT", admin+"/reject"+query, nil)
		} else {
			b.open(verifier)
		}
		if b.isIn(c) != (verb == "reject") {
			t.Errorf("%s: logged in: %t", verb, b.isIn(c))
		}
		if status, body := w.call("GET", admin+query, nil); status != http.StatusGone || body["redirect_to"] == nil {
			t.Errorf("%s: the challenge again: %d %v", verb, status, body)
		}
		if status, body := w.call("PUT", admin+"/accept"+query, nil); status != http.StatusConflict {
			t.Errorf("%s: accepted again: %d %v", verb, status, body)
		}
		b.logIn(c)
		if b.open(verifier); !b.isIn(c) {
			t.Errorf("%s: the verifier ended another login", verb)
		}
	}
	b := w.browser()
	b.logIn(c)
	at := b.open(w.public + "/oauth2/sessions/logout")
	w.pass(time.Hour)
	if status, body := w.call("PUT", admin+"/accept?"+at.RawQuery, nil); status != http.StatusUnauthorized {
		t.Errorf("an old challenge is accepted with %d %v", status, body)
	}
}

// TestLogoutByPost: a form of another site comes without the cookie, so the browser is
// sent here again with it.
func TestLogoutByPost(t *testing.T) {
	w := start(t)
	c := w.leaving(nil)
	b := w.browser()
	id := b.logIn(c)["id_token"].(string)
	client := c["client_id"].(string)
	resp, _ := w.send("POST", w.public+"/oauth2/sessions/logout", url.Values{"client_id": {client}, "state": {"s"}})
	at, err := resp.Location()
	if err != nil || resp.StatusCode != http.StatusSeeOther || at.Path != "/oauth2/sessions/logout" || at.Query().Get("state") != "s" {
		t.Errorf("got %d %v %v", resp.StatusCode, at, err)
	}
	resp, _ = w.send("POST", w.public+"/oauth2/sessions/logout", url.Values{"id_token_hint": {id}})
	if at, err := resp.Location(); err != nil || at.Query().Get("logout_challenge") == "" {
		t.Errorf("with an ID token: %v %v", at, err)
	}
}

// TestFrontChannel: the browser is sent by way of the clients that took part.
func TestFrontChannel(t *testing.T) {
	w := start(t)
	c := w.leaving(nil)
	front := w.client(map[string]any{"frontchannel_logout_uri": "https://front.test/out?x=1", "frontchannel_logout_session_required": true, "redirect_uris": []string{callback, "https://front.test/cb"}})
	w.client(map[string]any{"frontchannel_logout_uri": "https://unused.test/out", "redirect_uris": []string{callback, "https://unused.test/cb"}})
	b := w.browser()
	id := b.logIn(c)["id_token"].(string)
	b.logIn(front)
	b.logIn(front)
	at := b.open(w.public + "/oauth2/sessions/logout?" + url.Values{"id_token_hint": {id}, "post_logout_redirect_uri": {afterLogout}, "state": {`"><script>`}}.Encode())
	to := w.must("PUT", w.admin+"/admin/oauth2/auth/requests/logout/accept?"+at.RawQuery, nil)["redirect_to"].(string)
	page := func() (int, http.Header, string) {
		r, err := http.NewRequest("GET", to, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := b.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text := new(strings.Builder)
		if err := resp.Write(text); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header, text.String()
	}
	status, h, text := page()
	sid := w.claims("RS256", id)["sid"].(string)
	frame := "https://front.test/out?x=1&amp;" + strings.ReplaceAll(url.Values{"iss": {w.public}, "sid": {sid}}.Encode(), "&", "&amp;")
	if status != 200 || strings.Count(text, "<iframe") != 1 || !strings.Contains(text, frame) {
		t.Errorf("got %d %s: expected a frame with %s", status, text, frame)
	}
	if !strings.Contains(text, `href="`+afterLogout+`?state=%22%3E%3Cscript%3E"`) {
		t.Errorf("the page does not lead to the client: %s", text)
	}
	if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-src https://front.test;") || !strings.Contains(csp, "default-src 'none'") {
		t.Errorf("Content-Security-Policy %q", csp)
	}
	if status, _, _ := page(); status != http.StatusSeeOther {
		t.Errorf("the second time: %d", status)
	}
}

// A receiver is a client's server that gets logout tokens.
type receiver struct {
	*httptest.Server
	got chan string

	mu     sync.Mutex
	status int
}

func (w *world) receiver() *receiver {
	rc := &receiver{got: make(chan string, 16), status: 200}
	rc.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rc.mu.Lock()
		status := rc.status
		rc.mu.Unlock()
		token := r.PostFormValue("logout_token")
		rw.WriteHeader(status)
		rc.got <- token
	}))
	w.t.Cleanup(rc.Close)
	return rc
}

func (rc *receiver) answers(status int) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.status = status
}

// next waits for a logout token.
func (rc *receiver) next(t *testing.T) string {
	t.Helper()
	select {
	case token := <-rc.got:
		return token
	case <-time.After(time.Minute):
		t.Fatal("no logout token has come")
		return ""
	}
}

// run runs the provider until the test ends.
func (w *world) run() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		w.provider.Run(ctx)
		close(done)
	}()
	w.t.Cleanup(func() {
		stop()
		<-done
	})
}

// within waits until something is so.
func within(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick, end := time.NewTicker(5*time.Millisecond), time.After(time.Minute)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s does not happen", what)
		}
	}
}

func (w *world) checkLogoutToken(token, alg string, c map[string]any, sub, sid any) {
	w.t.Helper()
	header, claims := w.verify(token)
	events, _ := claims["events"].(map[string]any)
	if header["typ"] != "logout+jwt" || header["alg"] != alg || claims["iss"] != w.public || claims["aud"] != c["client_id"] ||
		claims["sub"] != sub || claims["sid"] != sid || claims["iat"] == nil || claims["exp"] == nil || claims["jti"] == nil || claims["nonce"] != nil ||
		events["http://schemas.openid.net/event/backchannel-logout"] == nil {
		w.t.Errorf("the logout token has %v %v", header, claims)
	}
}

// TestBackChannel: a client that took part hears of the logout, also if it was not there
// at first, and once for all of its grants.
func TestBackChannel(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.Poll = 5 * time.Millisecond })
	w.run()
	rc := w.receiver()
	rc.answers(503)
	c := w.leaving(map[string]any{"backchannel_logout_uri": rc.URL, "backchannel_logout_session_required": true, "id_token_signed_response_alg": "ES256"})
	b := w.browser()
	b.logIn(c)
	id := b.logIn(c)["id_token"].(string)
	sid := w.claims("ES256", id)["sid"]
	b.logOut(url.Values{"id_token_hint": {id}}, "accept")
	w.checkLogoutToken(rc.next(t), "ES256", c, "ann", sid)
	rc.answers(200)
	var again string
	within(t, "another attempt", func() bool {
		w.pass(time.Second)
		select {
		case again = <-rc.got:
			return true
		default:
			return false
		}
	})
	w.checkLogoutToken(again, "ES256", c, "ann", sid)
	within(t, "the end of the message", func() bool {
		ds, err := w.store.TakeDeliveries(t.Context(), w.clock().Add(24*time.Hour), w.clock().Add(25*time.Hour), 10)
		return err == nil && len(ds) == 0
	})
	if len(rc.got) > 0 {
		t.Error("one more logout token has come")
	}
}

// TestBackChannelSurvives: messages that a node stored and did not send are sent by the
// next one.
func TestBackChannelSurvives(t *testing.T) {
	w := start(t)
	rc := w.receiver()
	c := w.client(map[string]any{"backchannel_logout_uri": rc.URL})
	sid := w.claims("RS256", w.browser().logIn(c)["id_token"].(string))["sid"]
	w.must("DELETE", w.admin+"/admin/oauth2/auth/sessions/login?subject=ann", nil)
	w.run()
	w.checkLogoutToken(rc.next(t), "RS256", c, "ann", sid)
}

// TestBackChannelPrivate: addresses of the server's own network are not for clients.
func TestBackChannelPrivate(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.HTTP, o.Poll = nil, 5*time.Millisecond })
	w.run()
	rc := w.receiver()
	c := w.client(map[string]any{"backchannel_logout_uri": rc.URL})
	w.browser().logIn(c)
	w.must("DELETE", w.admin+"/admin/oauth2/auth/sessions/login?subject=ann", nil)
	within(t, "a second attempt", func() bool {
		w.pass(time.Second)
		ds, err := w.store.TakeDeliveries(t.Context(), w.clock(), w.clock().Add(time.Second), 10)
		return err == nil && len(ds) == 1 && ds[0].Tries > 1
	})
	if len(rc.got) > 0 {
		t.Error("a logout token has come to a private address")
	}
}

// TestLogoutEndsTokens: what was granted for the time of the login ends with it; offline
// access and consents that are remembered do not.
func TestLogoutEndsTokens(t *testing.T) {
	w := start(t)
	c := w.leaving(nil)
	b := w.browser()
	here := b.logIn(c, "scope", "openid profile")
	offline := b.logIn(c, "scope", "openid offline_access")
	elsewhere := w.browser().logIn(c, "scope", "openid profile")
	b.logOut(url.Values{"id_token_hint": {here["id_token"].(string)}}, "accept")
	for name, tt := range map[string]struct {
		token any
		live  bool
	}{
		"of the login": {here["access_token"], false}, "offline": {offline["access_token"], true},
		"of another login": {elsewhere["access_token"], true}, "refresh": {offline["refresh_token"], true},
	} {
		if got := w.introspect(tt.token.(string), nil)["active"]; got != tt.live {
			t.Errorf("the token %s is active: %v", name, got)
		}
	}
	b.authorize(codeRequest(c, "scope", "openid profile"), app{login: by("1").login, consent: map[string]any{}})
	if answer := b.authorize(codeRequest(c, "scope", "openid profile", "prompt", "none"), ann()); answer.Get("code") == "" {
		t.Errorf("the consent is forgotten: %v", answer)
	}
}

// TestLogoutRace: of all who end a login at once, one shows the page of the clients.
func TestLogoutRace(t *testing.T) {
	w := start(t)
	c := w.leaving(map[string]any{"frontchannel_logout_uri": "https://client.test/out"})
	for range 10 {
		b := w.browser()
		b.logIn(c)
		at := b.open(w.public + "/oauth2/sessions/logout")
		to := w.must("PUT", w.admin+"/admin/oauth2/auth/requests/logout/accept?"+at.RawQuery, nil)["redirect_to"].(string)
		var wait sync.WaitGroup
		pages := make([]int, 8)
		for i := range pages {
			wait.Go(func() {
				resp, err := http.DefaultTransport.RoundTrip(must(http.NewRequest("GET", to, nil)))
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				pages[i] = resp.StatusCode
			})
		}
		wait.Wait()
		shown := 0
		for _, status := range pages {
			if status == http.StatusOK {
				shown++
			} else if status != http.StatusSeeOther {
				t.Errorf("got %d", status)
			}
		}
		if shown != 1 {
			t.Errorf("%d pages: expected 1", shown)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestLoggedOut: the identity provider hears which of its sessions has ended.
func TestLoggedOut(t *testing.T) {
	var got []string
	w := start(t, func(o *oauth.Options) {
		o.LoggedOut = func(_ context.Context, subject, session string) error {
			got = append(got, subject+" "+session)
			return nil
		}
	})
	a := by("1")
	a.login["identity_provider_session_id"] = "their session"
	b := w.browser()
	b.authorize(codeRequest(w.client(nil)), a)
	b.logOut(nil, "accept")
	if len(got) != 1 || got[0] != "ann their session" {
		t.Errorf("got %q", got)
	}
}
