package oauth_test

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

// TestCodeFlow goes from the authorization request to tokens, refreshes them, and
// uses what may be used once a second time.
func TestCodeFlow(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	answer := w.browser().authorize(codeRequest(c), ann())
	if answer.Get("code") == "" || answer.Get("state") != "st" || answer.Get("iss") != w.public {
		t.Fatalf("the client gets %v", answer)
	}
	status, first := w.token(codeExchange(answer.Get("code")), basic(c))
	if status != 200 || first["access_token"] == nil || first["refresh_token"] == nil || first["id_token"] == nil {
		t.Fatalf("the code gives %d %v", status, first)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first["refresh_token"].(string)}}
	status, second := w.token(refresh, basic(c))
	if status != 200 || second["refresh_token"] == first["refresh_token"] {
		t.Fatalf("the refresh token gives %d %v", status, second)
	}
	for name, form := range map[string]url.Values{
		"code":    codeExchange(answer.Get("code")),
		"refresh": refresh,
	} {
		if status, body := w.token(form, basic(c)); status != 400 || body["error"] != "invalid_grant" {
			t.Errorf("a second use of the %s: %d %v", name, status, body)
		}
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {second["refresh_token"].(string)}}
	if status, body := w.token(form, basic(c)); status != 400 || body["error"] != "invalid_grant" {
		t.Errorf("a token of a revoked grant: %d %v", status, body)
	}
}

// TestCodeRefused: none of these gets tokens, and none of them uses up the code.
func TestCodeRefused(t *testing.T) {
	w := start(t)
	c, other := w.client(nil), w.client(nil)
	code := w.browser().authorize(codeRequest(c), ann()).Get("code")
	with := func(name, value string) url.Values {
		form := codeExchange(code)
		form.Set(name, value)
		return form
	}
	for _, tt := range []struct {
		name   string
		form   url.Values
		client map[string]any
		want   string
	}{
		{"another client", codeExchange(code), other, "invalid_grant"},
		{"wrong verifier", with("code_verifier", verifier+"b"), c, "invalid_grant"},
		{"no verifier", with("code_verifier", ""), c, "invalid_grant"},
		{"wrong redirect", with("redirect_uri", callback+"/"), c, "invalid_grant"},
		{"unknown code", with("code", "ory_ac_x"), c, "invalid_grant"},
		{"no code", with("code", ""), c, "invalid_request"},
		{"no grant", with("grant_type", ""), c, "invalid_request"},
		{"unknown grant", with("grant_type", "magic"), c, "unsupported_grant_type"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, body := w.token(tt.form, basic(tt.client)); status != 400 || body["error"] != tt.want {
				t.Errorf("got %d %v: expected %s", status, body, tt.want)
			}
		})
	}
	if status, body := w.token(codeExchange(code), basic(c)); status != 200 {
		t.Errorf("the code gives %d %v", status, body)
	}
}

func TestCodeExpires(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.TTL.Code = time.Minute })
	c := w.client(nil)
	code := w.browser().authorize(codeRequest(c), ann()).Get("code")
	w.pass(time.Minute)
	if status, body := w.token(codeExchange(code), basic(c)); status != 400 || body["error"] != "invalid_grant" {
		t.Errorf("got %d %v", status, body)
	}
}

func TestClientCredentials(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	status, body := w.token(url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}, basic(c))
	if status != 200 || body["scope"] != "read" || body["refresh_token"] != nil || body["token_type"] != "bearer" {
		t.Errorf("got %d %v", status, body)
	}
	c["client_secret"] = "wrong"
	if status, body := w.token(url.Values{"grant_type": {"client_credentials"}}, basic(c)); status != 401 || body["error"] != "invalid_client" {
		t.Errorf("a wrong secret: %d %v", status, body)
	}
	public := w.client(map[string]any{"token_endpoint_auth_method": "none"})
	if status, body := w.token(url.Values{"grant_type": {"client_credentials"}, "client_id": {text(public, "client_id")}}); status != 400 || body["error"] != "unauthorized_client" {
		t.Errorf("a client without authentication: %d %v", status, body)
	}
}

// TestAuthorizeRefused: what the client is told, and what it is not.
func TestAuthorizeRefused(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	for _, tt := range []struct {
		name, parameter, value, want string
		told                         bool
	}{
		{"unknown client", "client_id", "nobody", "invalid_client", false},
		{"foreign redirect", "redirect_uri", "https://evil.test/callback", "invalid_request", false},
		{"redirect with more", "redirect_uri", callback + "?x=1", "invalid_request", false},
		{"foreign scope", "scope", "openid admin", "invalid_scope", true},
		{"no challenge", "code_challenge", "", "invalid_request", true},
		{"plain challenge", "code_challenge_method", "plain", "invalid_request", true},
		{"bad prompt", "prompt", "perhaps", "invalid_request", true},
		{"none and login", "prompt", "none login", "invalid_request", true},
		{"nobody there", "prompt", "none", "login_required", true},
		{"bad max_age", "max_age", "old", "invalid_request", true},
		{"no response type", "response_type", "", "invalid_request", true},
		{"unknown response type", "response_type", "magic", "unsupported_response_type", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := w.browser().open(w.public + "/oauth2/auth?" + codeRequest(c, tt.parameter, tt.value).Encode())
			q := at.Query()
			if at.Fragment != "" {
				q, _ = url.ParseQuery(at.Fragment)
			}
			if q.Get("error") != tt.want || (at.Host == "client.test") != tt.told || tt.told && q.Get("state") != "st" {
				t.Errorf("ends at %v", at)
			}
		})
	}
}

func TestRejects(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	for name, a := range map[string]app{"login": {}, "consent": {login: ann().login}} {
		if answer := w.browser().authorize(codeRequest(c), a); answer.Get("error") != "access_denied" || answer.Get("state") != "st" {
			t.Errorf("a rejected %s: %v", name, answer)
		}
	}
}

// TestAnotherBrowser: what one browser was given, another cannot end.
func TestAnotherBrowser(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	victim, attacker := w.browser(), w.browser()
	at := attacker.open(w.public + "/oauth2/auth?" + codeRequest(c).Encode())
	back := attacker.answer("login", at.Query().Get("login_challenge"), ann().login, nil)
	if to := victim.open(back); to.Query().Get("error") != "access_denied" || to.Host == "client.test" {
		t.Errorf("ends at %v", to)
	}
}

// TestRemember: a login and a consent that are remembered let the next request pass
// without a question, and prompt=none only then.
func TestRemember(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	b := w.browser()
	a := ann()
	a.login["remember"], a.consent["remember"] = true, true
	if answer := b.authorize(codeRequest(c), a); answer.Get("code") == "" {
		t.Fatalf("got %v", answer)
	}
	if answer := b.authorize(codeRequest(c, "prompt", "none"), ann()); answer.Get("code") == "" {
		t.Errorf("prompt=none: %v", answer)
	}
	if answer := b.authorize(codeRequest(c, "prompt", "none", "scope", "openid read"), ann()); answer.Get("error") != "consent_required" {
		t.Errorf("prompt=none with another scope: %v", answer)
	}
	w.pass(time.Hour)
	if answer := b.authorize(codeRequest(c, "prompt", "none", "max_age", "60"), ann()); answer.Get("error") != "login_required" {
		t.Errorf("prompt=none with a login that is too old: %v", answer)
	}
}

// TestRememberFor: a login is remembered for as long as the page says, also if that is
// longer than any time, and who confirms it makes it last no longer unless the page
// says so.
func TestRememberFor(t *testing.T) {
	for _, tt := range []struct {
		name            string
		first           int64 // seconds
		confirmed, more bool  // once, and with extend_session_lifespan
		want            bool  // after an hour and a half
	}{
		{"usual", 0, false, false, true},
		{"longer than any time", math.MaxInt64, false, false, true},
		{"317 years", 1e10, false, false, true},
		{"an hour", 3600, false, false, false},
		{"an hour, confirmed", 3600, true, false, false},
		{"an hour, extended", 3600, true, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t)
			c := w.client(nil)
			b := w.browser()
			a := ann()
			a.login["remember"], a.login["remember_for"] = true, tt.first
			a.consent["remember"], a.consent["remember_for"] = true, tt.first
			if answer := b.authorize(codeRequest(c), a); answer.Get("code") == "" {
				t.Fatalf("got %v", answer)
			}
			w.pass(45 * time.Minute)
			if tt.confirmed {
				again := ann()
				again.login["extend_session_lifespan"] = tt.more
				if answer := b.authorize(codeRequest(c, "prompt", "none"), again); answer.Get("code") == "" {
					t.Fatalf("got %v", answer)
				}
			}
			w.pass(45 * time.Minute)
			asked, _ := b.challenge(codeRequest(c))
			if asked["skip"] != tt.want {
				t.Errorf("skip is %v: expected %v", asked["skip"], tt.want)
			}
			if tt.first > 3600 {
				if answer := b.authorize(codeRequest(c, "prompt", "none"), ann()); answer.Get("code") == "" {
					t.Errorf("the consent is forgotten: %v", answer)
				}
			}
		})
	}
}

// TestQueryStays: the query of a registered URI is what it was, to the letter (RFC 6749,
// section 3.1.2).
func TestQueryStays(t *testing.T) {
	w := start(t)
	const query = "z=1&a=b;c&flag&sp=a%20b"
	c := w.leaving(map[string]any{"redirect_uris": []string{callback + "?" + query}, "post_logout_redirect_uris": []string{afterLogout + "?" + query}})
	b := w.browser()
	at := b.open(w.public + "/oauth2/auth?" + codeRequest(c, "redirect_uri", callback+"?"+query, "prompt", "none").Encode())
	if !strings.HasPrefix(at.String(), callback+"?"+query+"&error=login_required&") {
		t.Errorf("an error goes to %s", at)
	}
	end, _ := b.logOut(url.Values{"client_id": {c["client_id"].(string)}, "post_logout_redirect_uri": {afterLogout + "?" + query}, "state": {"st"}}, "accept")
	if end.String() != afterLogout+"?"+query+"&state=st" {
		t.Errorf("a logout ends at %s", end)
	}
}

// TestTwice: what is asked for or granted twice is there once.
func TestTwice(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"audience": []string{"a", "b"}, "grant_types": []string{"authorization_code", "refresh_token", "client_credentials"}})
	a := ann()
	a.consent["grant_scope"], a.consent["grant_access_token_audience"] = []string{"openid", "read", "read"}, []string{"b", "a", "b"}
	asked, _ := w.browser().challenge(codeRequest(c, "scope", "openid read openid", "audience", "b a b"))
	if !reflect.DeepEqual(asked["requested_scope"], []any{"openid", "read"}) || !reflect.DeepEqual(asked["requested_access_token_audience"], []any{"b", "a"}) {
		t.Errorf("the page is asked for %v and %v", asked["requested_scope"], asked["requested_access_token_audience"])
	}
	tokens := w.tokens(c, a, "scope", "openid read openid", "audience", "b a b")
	in := w.introspect(text(tokens, "access_token"), nil)
	if text(tokens, "scope") != "openid read" || in["scope"] != "openid read" || !reflect.DeepEqual(in["aud"], []any{"b", "a"}) {
		t.Errorf("got %v, which is %v", tokens, in)
	}
	_, own := w.token(url.Values{"grant_type": {"client_credentials"}, "scope": {"read read"}, "audience": {"a a"}, "resource": {}}, basic(c))
	if in := w.introspect(text(own, "access_token"), nil); in["scope"] != "read" || !reflect.DeepEqual(in["aud"], []any{"a"}) {
		t.Errorf("a token of the client's own is %v", in)
	}
}

// TestIDTokenNeedsOpenID: who asks for an ID token gets one, or learns why not.
func TestIDTokenNeedsOpenID(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"profile": "legacy", "grant_types": []string{"implicit", "authorization_code"}, "response_types": []string{"id_token", "code id_token"}})
	for _, kind := range []string{"id_token", "code id_token"} {
		if got := w.browser().authorize(codeRequest(c, "response_type", kind, "scope", "read"), ann()); got.Get("error") != "invalid_request" {
			t.Errorf("%s without the scope: %v", kind, got)
		}
		denied := ann()
		denied.consent["grant_scope"] = []string{}
		if got := w.browser().authorize(codeRequest(c, "response_type", kind), denied); got.Get("error") != "access_denied" || got.Get("code") != "" {
			t.Errorf("%s, and the scope denied: %v", kind, got)
		}
		if got := w.browser().authorize(codeRequest(c, "response_type", kind), ann()); got.Get("id_token") == "" {
			t.Errorf("%s: %v", kind, got)
		}
	}
}

// TestRefreshWithoutOpenID: an ID token belongs to the scope openid, also where that is
// given up for one time.
func TestRefreshWithoutOpenID(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	got := w.tokens(c, ann())
	for _, scope := range []string{"offline_access", "openid"} {
		status, next := w.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}, "scope": {scope}}, basic(c))
		if _, ok := next["id_token"]; status != 200 || ok != (scope == "openid") {
			t.Errorf("%s: %d %v", scope, status, next)
		}
		got = next
	}
}

// TestAnswersRefused: an answer of a page in the wrong form is told which field is wrong,
// in the words of JSON.
func TestAnswersRefused(t *testing.T) {
	w := start(t)
	_, at := w.browser().challenge(codeRequest(w.client(nil)))
	for _, tt := range []struct {
		body any
		want string
	}{
		{[]string{}, "the body is no JSON object"},
		{map[string]any{"subject": "ann", "amr": "pwd"}, "amr: expected a list of strings, got a JSON string"},
		{map[string]any{"subject": "ann", "acr": 1}, "acr: expected a string, got a JSON number"},
		{map[string]any{"subject": "ann", "remember_for": "1h"}, "remember_for: expected a whole number, got a JSON string"},
		{map[string]any{"subject": "ann", "remember": "yes"}, "remember: expected true or false, got a JSON string"},
		{map[string]any{"subject": "ann", "acr": strings.Repeat("x", 513)}, "acr, amr: expected at most 512 bytes, and 100 items"},
		{map[string]any{}, "subject: expected who has logged in, with at most 512 bytes without NUL"},
	} {
		status, got := w.call("PUT", w.admin+"/admin/oauth2/auth/requests/login/accept?"+at.Encode(), tt.body)
		if said := text(got, "error_description"); status != 400 || !strings.HasSuffix(said, " "+tt.want) {
			t.Errorf("%v: %d %q: expected %q", tt.body, status, said, tt.want)
		}
	}
}

// TestChallengesInFull: what pages are told, as Hydra tells it. A page finds again at the
// consent what it noted at the login, by the challenge, and in tokens by the session.
func TestChallengesInFull(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	b := w.browser()
	ask := func(prompt string) (login, consent, claims map[string]any) {
		at := b.open(w.public + "/oauth2/auth?" + codeRequest(c, "prompt", prompt).Encode())
		login = w.must("GET", w.admin+"/admin/oauth2/auth/requests/login?"+at.RawQuery, nil)
		at = b.open(b.answer("login", at.Query().Get("login_challenge"), by("1").login, nil))
		consent = w.must("GET", w.admin+"/admin/oauth2/auth/requests/consent?"+at.RawQuery, nil)
		at = b.open(b.answer("consent", at.Query().Get("consent_challenge"), map[string]any{"grant_scope": []string{"openid"}}, nil))
		return login, consent, w.claims("RS256", text(w.exchange(c, at.Query().Get("code")), "id_token"))
	}
	ids := map[any]bool{}
	for _, prompt := range []string{"", "", "login"} {
		login, consent, claims := ask(prompt)
		for _, field := range []string{"challenge", "requested_scope", "requested_access_token_audience", "skip", "subject", "oidc_context", "client", "request_url", "session_id"} {
			if _, ok := login[field]; !ok {
				t.Errorf("a login request without %s", field)
			}
		}
		for _, field := range []string{"challenge", "consent_request_id", "requested_scope", "requested_access_token_audience", "skip", "subject", "oidc_context", "client", "request_url", "login_challenge", "login_session_id", "acr", "amr"} {
			if _, ok := consent[field]; !ok {
				t.Errorf("a consent request without %s", field)
			}
		}
		if consent["login_challenge"] != login["challenge"] {
			t.Errorf("the consent is of the login %v: expected %v", consent["login_challenge"], login["challenge"])
		}
		sid := login["session_id"]
		if sid == "" || consent["login_session_id"] != sid || claims["sid"] != sid {
			t.Errorf("the session of the login is %v, of the consent %v, of the ID token %v", sid, consent["login_session_id"], claims["sid"])
		}
		ids[sid] = true
	}
	if len(ids) != 1 {
		t.Errorf("a login that is remembered has the sessions %v", ids)
	}
}

// TestClaimsFollow: claims of a consent that follows the account are those of now at a
// refresh; what a client has by name it keeps, what no scope covers it does not get, and
// claims that another page gave stay.
func TestClaimsFollow(t *testing.T) {
	now, gone := map[string]any{"email": "new@example.test", "name": "Ann", "address": "here"}, false
	var asked []string
	w := start(t, func(o *oauth.Options) {
		o.Claims = func(_ context.Context, account string, scopes []string) (map[string]any, error) {
			if asked = scopes; gone || account != "ann" {
				return nil, errs.New(errs.NotFound, "nobody")
			}
			return now, nil
		}
	})
	c := w.client(map[string]any{"scope": allScopes})
	tokens := func(follow bool) map[string]any {
		b := w.browser()
		at := b.open(w.public + "/oauth2/auth?" + codeRequest(c, "scope", "openid offline_access profile").Encode())
		at = b.open(b.answer("login", at.Query().Get("login_challenge"), ann().login, nil))
		to, err := w.provider.AcceptConsent(at.Query().Get("consent_challenge"), oauth.AcceptConsent{
			Scopes: []string{"openid", "offline_access", "profile"}, Follow: follow,
			Session: oauth.ConsentSession{ID: map[string]any{"email": "old@example.test", "nickname": "a", "role": "boss"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return w.exchange(c, b.open(to).Query().Get("code"))
	}
	refresh := func(tokens map[string]any) (int, map[string]any) {
		return w.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(tokens, "refresh_token")}}, basic(c))
	}
	say := func(tokens map[string]any) string {
		claims := w.claims("RS256", text(tokens, "id_token"))
		return strings.TrimSpace(fmt.Sprintln(claims["email"], claims["name"], claims["nickname"], claims["address"], claims["role"]))
	}
	for follow, want := range map[bool]string{true: "new@example.test Ann <nil> <nil> boss", false: "old@example.test <nil> a <nil> boss"} {
		first := tokens(follow)
		if got := say(first); got != "old@example.test <nil> a <nil> boss" {
			t.Errorf("at first: %s", got)
		}
		status, second := refresh(first)
		if status != 200 || say(second) != want {
			t.Errorf("follow %t: %d %s: expected %s", follow, status, say(second), want)
		}
		if got := w.must("GET", w.public+"/userinfo", nil, bearer(second["access_token"])); follow && (got["name"] != "Ann" || got["nickname"] != nil) {
			t.Errorf("userinfo says %v", got)
		}
		if !follow {
			continue
		}
		if slices.Sort(asked); strings.Join(asked, " ") != "email offline_access openid profile" {
			t.Errorf("asked for %v", asked)
		}
		gone = true
		if status, body := refresh(second); status != 400 || body["error"] != "invalid_grant" {
			t.Errorf("of an account that is gone: %d %v", status, body)
		}
		gone = false
		if status, _ := refresh(second); status != 200 {
			t.Errorf("a refresh that was refused has used the token up: %d", status)
		}
	}
}
