package oauth_test

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/oauth"
)

// trace takes a browser through a request, and tells which pages ask, "+" for those
// that need not show anything, and how it ends.
func (b *browser) trace(params url.Values, a app) string {
	b.w.t.Helper()
	var out []string
	note := func(page string, skip any) {
		if skip == true {
			page += "+"
		}
		out = append(out, page)
	}
	at := b.open(b.w.public + "/oauth2/auth?" + params.Encode())
	for range 5 {
		q := at.Query()
		switch {
		case q.Get("login_challenge") != "":
			challenge := q.Get("login_challenge")
			note(strings.TrimPrefix(at.Path, "/"), b.w.must("GET", b.w.admin+"/admin/oauth2/auth/requests/login?"+url.Values{"login_challenge": {challenge}}.Encode(), nil)["skip"])
			at = b.open(b.answer("login", challenge, a.login, nil))
		case q.Get("consent_challenge") != "":
			at = b.open(b.answer("consent", q.Get("consent_challenge"), a.consent, func(asked map[string]any) map[string]any {
				note("consent", asked["skip"])
				return map[string]any{"grant_scope": asked["requested_scope"], "remember": a.consent["remember"]}
			}))
		default:
			if q.Get("code") != "" {
				return strings.Join(append(out, "code"), " ")
			}
			return strings.Join(append(out, q.Get("error")), " ")
		}
	}
	b.w.t.Fatalf("too many redirects: %v", out)
	return ""
}

// TestPrompts: what is asked of whom, by what the client wants and what is known.
func TestPrompts(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.URLs.Registration = "http://app.test/registration" })
	c := w.client(map[string]any{"scope": "openid offline_access profile"})
	hintOf := func(subject string) string {
		a := ann()
		a.login["subject"] = subject
		return w.tokens(c, a)["id_token"].(string)
	}
	anns, bobs := hintOf("ann"), hintOf("bob")
	for _, tt := range []struct {
		name                   string
		more                   []string
		nobody, login, consent string // what happens to nobody, to who is logged in, and has consented before
	}{
		{"nothing", nil, "login consent code", "login+ consent code", "login+ consent+ code"},
		{"none", []string{"prompt", "none"}, "login_required", "login+ consent_required", "login+ consent+ code"},
		{"login", []string{"prompt", "login"}, "login consent code", "login consent code", "login consent+ code"},
		{"consent", []string{"prompt", "consent"}, "login consent code", "login+ consent code", "login+ consent code"},
		{"login and consent", []string{"prompt", "login consent"}, "login consent code", "login consent code", "login consent code"},
		{"select_account", []string{"prompt", "select_account"}, "login consent code", "login consent code", "login consent+ code"},
		{"create", []string{"prompt", "create"}, "registration consent code", "registration consent code", "registration consent+ code"},
		{"registration", []string{"prompt", "registration"}, "registration consent code", "registration consent code", "registration consent+ code"},
		{"unknown", []string{"prompt", "maybe"}, "invalid_request", "invalid_request", "invalid_request"},
		{"none and consent", []string{"prompt", "none consent"}, "invalid_request", "invalid_request", "invalid_request"},
		{"max_age 0", []string{"max_age", "0"}, "login consent code", "login consent code", "login consent+ code"},
		{"max_age 0 and none", []string{"max_age", "0", "prompt", "none"}, "login_required", "login_required", "login_required"},
		{"max_age that has passed", []string{"max_age", "60"}, "login consent code", "login consent code", "login consent+ code"},
		{"max_age that has passed, and none", []string{"max_age", "60", "prompt", "none"}, "login_required", "login_required", "login_required"},
		{"max_age that has not", []string{"max_age", "600"}, "login consent code", "login+ consent code", "login+ consent+ code"},
		{"max_age that has not, and none", []string{"max_age", "600", "prompt", "none"}, "login_required", "login+ consent_required", "login+ consent+ code"},
		{"negative max_age", []string{"max_age", "-1"}, "invalid_request", "invalid_request", "invalid_request"},
		{"hint", []string{"id_token_hint", anns}, "login consent code", "login+ consent code", "login+ consent+ code"},
		{"hint and none", []string{"id_token_hint", anns, "prompt", "none"}, "login_required", "login+ consent_required", "login+ consent+ code"},
		{"hint to another", []string{"id_token_hint", bobs}, "login login_required", "login login_required", "login login_required"},
		{"hint to another, and none", []string{"id_token_hint", bobs, "prompt", "none"}, "login_required", "login_required", "login_required"},
		{"bad hint", []string{"id_token_hint", "x"}, "invalid_request", "invalid_request", "invalid_request"},
		{"more than was allowed", []string{"scope", "openid profile"}, "login consent code", "login+ consent code", "login+ consent code"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for state, want := range map[string]string{"nobody": tt.nobody, "login": tt.login, "consent": tt.consent} {
				b := w.browser()
				if state != "nobody" {
					a := by("1")
					a.consent["remember"] = state == "consent"
					if got := b.trace(codeRequest(c, "prompt", "consent"), a); got != "login consent code" {
						t.Fatalf("the login before: %s", got)
					}
					w.pass(2 * time.Minute)
				}
				a := by("1")
				delete(a.consent, "remember")
				if got := b.trace(codeRequest(c, tt.more...), a); got != want {
					t.Errorf("%s: %s: expected %s", state, got, want)
				}
				w.must("DELETE", w.admin+consents+"?subject=ann&all=true", nil)
			}
		})
	}
}

// TestRequestByForm: who is logged in need not log in again because the request comes as
// a form of another site, with which browsers send no cookies.
func TestRequestByForm(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	b := w.browser()
	b.logIn(c)
	for _, tt := range []struct {
		name  string
		more  []string
		moved bool
	}{
		{"small", nil, true},
		{"large", []string{"state", strings.Repeat("x", 5000)}, false},
	} {
		form := codeRequest(c, append(tt.more, "prompt", "none")...)
		resp, _ := w.send("POST", w.public+"/oauth2/auth", form) // without cookies
		at, err := resp.Location()
		if err != nil {
			t.Fatal(err)
		}
		if moved := at.Path == "/oauth2/auth"; moved != tt.moved || !moved && at.Query().Get("error") != "login_required" {
			t.Fatalf("%s: goes to %.200s", tt.name, at)
		}
		if tt.moved {
			if at = b.open(at.String()); at.Query().Get("login_challenge") == "" {
				t.Errorf("%s: who is logged in ends at %s", tt.name, at)
			}
		}
		own, err := b.PostForm(w.public+"/oauth2/auth", form)
		if err != nil {
			t.Fatal(err)
		}
		own.Body.Close()
		if at, err := own.Location(); err != nil || at.Query().Get("login_challenge") == "" {
			t.Errorf("%s, with the cookie: ends at %v %v", tt.name, at, err)
		}
	}
}

// TestHintsReachThePages: what the client says of the person, the pages hear.
func TestHintsReachThePages(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	id := w.tokens(c, ann())["id_token"].(string)
	asked, _ := w.browser().challenge(codeRequest(c, "login_hint", "ann@example.test", "ui_locales", "de-AT en", "display", "popup", "acr_values", "1 2", "id_token_hint", id))
	got := asked["oidc_context"].(map[string]any)
	if hint, _ := got["id_token_hint_claims"].(map[string]any); hint["sub"] != "ann" {
		t.Errorf("the hint is %v", hint)
	}
	delete(got, "id_token_hint_claims")
	want := map[string]any{"login_hint": "ann@example.test", "ui_locales": []any{"de-AT", "en"}, "display": "popup", "acr_values": []any{"1", "2"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the page hears %v: expected %v", got, want)
	}
}
