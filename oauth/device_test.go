package oauth_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/oauth"
)

const deviceType = "urn:ietf:params:oauth:grant-type:device_code"

func (w *world) device() map[string]any {
	w.t.Helper()
	return w.client(map[string]any{"grant_types": []string{deviceType, "refresh_token"}, "redirect_uris": []string{}, "response_types": []string{}})
}

// codes begins as a device.
func (w *world) codes(c map[string]any, more ...string) map[string]any {
	w.t.Helper()
	form := url.Values{"scope": {"openid offline_access"}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return w.must("POST", w.public+"/oauth2/device/auth", form, basic(c))
}

// poll asks for the tokens of a device.
func (w *world) poll(c, codes map[string]any) (int, map[string]any) {
	w.t.Helper()
	return w.token(url.Values{"grant_type": {deviceType}, "device_code": {text(codes, "device_code")}}, basic(c))
}

// enter opens the verification page, enters a code, and answers what is asked. It
// returns where the browser ends.
func (b *browser) enter(code string, a app) *url.URL {
	b.w.t.Helper()
	at := b.open(b.w.public + "/oauth2/device/verify")
	at = b.open(b.w.must("PUT", b.w.acceptDevice(at), map[string]any{"user_code": code})["redirect_to"].(string))
	for range 10 {
		q := at.Query()
		switch {
		case q.Get("login_challenge") != "":
			at = b.open(b.answer("login", q.Get("login_challenge"), a.login, nil))
		case q.Get("consent_challenge") != "":
			at = b.open(b.answer("consent", q.Get("consent_challenge"), a.consent, func(asked map[string]any) map[string]any {
				if asked["skip"] != false {
					b.w.t.Error("the consent of a device is to be skipped")
				}
				return map[string]any{"grant_scope": asked["requested_scope"], "grant_access_token_audience": asked["requested_access_token_audience"]}
			}))
		default:
			return at
		}
	}
	b.w.t.Fatal("too many redirects")
	return nil
}

func (w *world) acceptDevice(page *url.URL) string {
	return w.admin + "/admin/oauth2/auth/requests/device/accept?device_challenge=" + page.Query().Get("device_challenge")
}

func TestDevice(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.URLs.DeviceSuccess = "http://app.test/done" })
	c := w.device()
	codes := w.codes(c)
	user := text(codes, "user_code")
	if !regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{8}$`).MatchString(user) || codes["interval"] != 5.0 || codes["expires_in"] != 900.0 ||
		codes["verification_uri"] != w.public+"/oauth2/device/verify" || codes["verification_uri_complete"] != w.public+"/oauth2/device/verify?user_code="+user {
		t.Fatalf("the device gets %v", codes)
	}
	expect := func(want string) {
		t.Helper()
		if status, body := w.poll(c, codes); status != 400 || body["error"] != want {
			t.Fatalf("got %d %v: expected %s", status, body, want)
		}
	}
	expect("authorization_pending")
	w.pass(5 * time.Second)
	expect("authorization_pending")
	w.pass(3 * time.Second)
	expect("slow_down")
	// The interval has grown to 10 seconds, and stays.
	w.pass(9 * time.Second)
	expect("slow_down")
	w.pass(15 * time.Second)
	expect("authorization_pending")
	w.pass(14 * time.Second)
	expect("slow_down")
	w.pass(20 * time.Second)
	expect("authorization_pending")
	w.pass(20 * time.Second)
	expect("authorization_pending")

	a := ann()
	a.consent["remember"] = true
	b := w.browser()
	if at := b.enter(strings.ToLower(user[:4]+" - "+user[4:]), a); at.String() != "http://app.test/done" {
		t.Fatalf("the browser ends at %v", at)
	}
	status, body := w.poll(c, codes)
	if status != 200 || body["access_token"] == nil || body["refresh_token"] == nil || body["id_token"] == nil {
		t.Fatalf("the device gets %d %v", status, body)
	}
	if in := w.introspect(text(body, "access_token"), nil); in["sub"] != "ann" || in["client_id"] != c["client_id"] || in["scope"] != "openid offline_access" {
		t.Errorf("the token is %v", in)
	}
	// A second device of the client: the consent is asked for again.
	b.enter(text(w.codes(c), "user_code"), ann())
	// A second use ends everything.
	expect("invalid_grant")
	for _, name := range []string{"access_token", "refresh_token"} {
		if w.introspect(text(body, name), nil)["active"] != false {
			t.Errorf("the %s lives on", name)
		}
	}
	expect("invalid_grant")
}

func TestDeviceRejected(t *testing.T) {
	w := start(t)
	c := w.device()
	for name, a := range map[string]app{"login": {}, "consent": {login: ann().login}} {
		codes := w.codes(c)
		if at := w.browser().enter(text(codes, "user_code"), a); at.Path != "/error" || at.Query().Get("error") != "access_denied" {
			t.Errorf("%s: the browser ends at %v", name, at)
		}
		if status, body := w.poll(c, codes); status != 400 || body["error"] != "access_denied" {
			t.Errorf("%s: the device gets %d %v", name, status, body)
		}
		at := w.browser().open(w.public + "/oauth2/device/verify")
		if status, _ := w.call("PUT", w.acceptDevice(at), map[string]any{"user_code": codes["user_code"]}); status != 400 {
			t.Errorf("%s: the code is taken again: %d", name, status)
		}
	}
}

func TestDeviceExpires(t *testing.T) {
	w := start(t)
	c := w.device()
	codes := w.codes(c)
	at := w.browser().open(w.public + "/oauth2/device/verify")
	w.pass(15 * time.Minute)
	if status, body := w.poll(c, codes); status != 400 || body["error"] != "expired_token" {
		t.Errorf("got %d %v", status, body)
	}
	if status, body := w.call("PUT", w.acceptDevice(at), map[string]any{"user_code": codes["user_code"]}); status != 400 {
		t.Errorf("the user code is taken: %d %v", status, body)
	}
}

func TestDeviceRefused(t *testing.T) {
	w := start(t)
	c, other, not := w.device(), w.device(), w.client(nil)
	codes := w.codes(c)
	auth, token := w.public+"/oauth2/device/auth", w.public+"/oauth2/token"
	grant := func(code string) url.Values { return url.Values{"grant_type": {deviceType}, "device_code": {code}} }
	for _, tt := range []struct {
		name, address string
		form          url.Values
		client        map[string]any
		status        int
		want          string
	}{
		{"client that may not", auth, url.Values{"scope": {"openid"}}, not, 400, "unauthorized_client"},
		{"foreign scope", auth, url.Values{"scope": {"admin"}}, c, 400, "invalid_scope"},
		{"foreign audience", auth, url.Values{"audience": {"https://api.test"}}, c, 400, "invalid_request"},
		{"two scopes", auth, url.Values{"scope": {"openid", "read"}}, c, 400, "invalid_request"},
		{"client that may not ask", token, grant(text(codes, "device_code")), not, 400, "unauthorized_client"},
		{"another client", token, grant(text(codes, "device_code")), other, 400, "invalid_grant"},
		{"unknown code", token, grant("ory_dc_x"), c, 400, "invalid_grant"},
		{"user code", token, grant(text(codes, "user_code")), c, 400, "invalid_grant"},
		{"no code", token, grant(""), c, 400, "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, body := w.call("POST", tt.address, tt.form, basic(tt.client)); status != tt.status || body["error"] != tt.want {
				t.Errorf("got %d %v", status, body)
			}
		})
	}
	if status, body := w.call("POST", auth, url.Values{"scope": {"openid"}}); status != 401 || body["error"] != "invalid_client" {
		t.Errorf("no client: %d %v", status, body)
	}
}

// TestUserCodeTries: codes cannot be tried one after the other, also not the right one
// at last.
func TestUserCodeTries(t *testing.T) {
	w := start(t)
	c := w.device()
	code := text(w.codes(c), "user_code")
	at := w.browser().open(w.public + "/oauth2/device/verify")
	for range 5 {
		if status, body := w.call("PUT", w.acceptDevice(at), map[string]any{"user_code": "BBBBBBBB"}); status != 400 {
			t.Fatalf("a wrong code: %d %v", status, body)
		}
	}
	if status, _ := w.call("PUT", w.acceptDevice(at), map[string]any{"user_code": code}); status != http.StatusTooManyRequests {
		t.Errorf("after five tries: %d", status)
	}
	for name, body := range map[string]any{"none": map[string]any{}, "short": map[string]any{"user_code": "BBB"}, "no text": map[string]any{"user_code": 5}} {
		if status, _ := w.call("PUT", w.acceptDevice(at), body); status != 400 {
			t.Errorf("%s: %d", name, status)
		}
	}
	if status, _ := w.call("PUT", w.acceptDevice(&url.URL{RawQuery: "device_challenge=x"}), map[string]any{"user_code": code}); status != 404 {
		t.Errorf("an unknown challenge: %d", status)
	}
}

// TestDeviceFlowsApart: what belongs to a device's flow is of no use at the other
// endpoint or in another browser, and one device is let in once.
func TestDeviceFlowsApart(t *testing.T) {
	w := start(t)
	c := w.device()
	user := text(w.codes(c), "user_code")
	b, other := w.browser(), w.browser()
	step := func(b *browser) string {
		at := b.open(w.public + "/oauth2/device/verify?user_code=" + user)
		if got, err := w.provider.DeviceRequest(t.Context(), at.Query().Get("device_challenge")); err != nil || got.UserCode != user || at.Query().Get("user_code") != user {
			t.Fatalf("the page learns %v %v %v", got, err, at)
		}
		return w.must("PUT", w.acceptDevice(at), map[string]any{"user_code": user})["redirect_to"].(string)
	}
	back := step(b)
	if at := other.open(back); at.Query().Get("error") != "access_denied" {
		t.Errorf("another browser ends at %v", at)
	}
	login := b.answer("login", b.open(back).Query().Get("login_challenge"), ann().login, nil)
	if at := b.open(strings.Replace(login, "/oauth2/device/verify", "/oauth2/auth", 1)); at.Query().Get("error") == "" {
		t.Errorf("a device's verifier at the authorization endpoint ends at %v", at)
	}
	code := w.client(nil)
	started := b.open(w.public + "/oauth2/auth?" + codeRequest(code).Encode())
	foreign := b.answer("login", started.Query().Get("login_challenge"), ann().login, nil)
	if at := b.open(strings.Replace(foreign, "/oauth2/auth", "/oauth2/device/verify", 1)); at.Query().Get("error") == "" {
		t.Errorf("a verifier of a code flow at the device's endpoint ends at %v", at)
	}
	consent := func(b *browser, login string) string {
		return b.answer("consent", b.open(login).Query().Get("consent_challenge"), map[string]any{}, nil)
	}
	second := consent(other, other.answer("login", other.open(step(other)).Query().Get("login_challenge"), map[string]any{"subject": "eve"}, nil))
	first := consent(b, login)
	if at := b.open(first); at.Query().Get("error") != "" {
		t.Errorf("the first ends at %v", at)
	}
	for name, again := range map[string]*url.URL{"another person": other.open(second), "the same": b.open(first)} {
		if again.Query().Get("error") != "access_denied" {
			t.Errorf("%s ends at %v", name, again)
		}
	}
}
