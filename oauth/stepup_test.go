package oauth_test

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// by is an app where ann logs in by some means and is remembered.
func by(acr string) app {
	a := ann()
	a.login["acr"], a.login["remember"], a.consent["remember"] = acr, true, true
	return a
}

// challenge begins a request and returns what the login page is asked; nil if it does
// not come that far.
func (b *browser) challenge(params url.Values) (asked map[string]any, end url.Values) {
	b.w.t.Helper()
	at := b.open(b.w.public + "/oauth2/auth?" + params.Encode())
	q := at.Query()
	if q.Get("login_challenge") == "" {
		return nil, q
	}
	return b.w.must("GET", b.w.admin+"/admin/oauth2/auth/requests/login?"+url.Values{"login_challenge": {q.Get("login_challenge")}}.Encode(), nil), q
}

// TestStepUp: who is logged in by weak means is asked again where a client wants
// stronger ones, and turned away only where it insists.
func TestStepUp(t *testing.T) {
	const essential = `{"id_token":{"acr":{"essential":true,"values":["2","3"]}}}`
	for _, tt := range []struct {
		name      string
		more      []string
		had, has  string // by which means: before, and when asked again
		skip      bool
		want      string // the error at the end
		acrValues string // that the page is told of
	}{
		{"nothing wanted", nil, "1", "1", true, "", ""},
		{"wish met", []string{"acr_values", "2 1"}, "1", "1", true, "", "2 1"},
		{"wish heard", []string{"acr_values", "2 3"}, "1", "3", false, "", "2 3"},
		{"wish not heard", []string{"acr_values", "2 3"}, "1", "1", false, "", "2 3"},
		{"wish where means are not told apart", []string{"acr_values", "2 3"}, "", "", true, "", "2 3"},
		{"wish in silence", []string{"acr_values", "2 3", "prompt", "none"}, "1", "1", true, "", "2 3"},
		{"essential met", []string{"claims", essential}, "3", "3", true, "", "2 3"},
		{"essential heard", []string{"claims", essential}, "1", "2", false, "", "2 3"},
		{"essential not heard", []string{"claims", essential}, "1", "1", false, "unmet_authentication_requirements", "2 3"},
		{"essential beside a wish", []string{"claims", essential, "acr_values", "1"}, "1", "1", false, "unmet_authentication_requirements", "2 3"},
		{"any means at all", []string{"claims", `{"id_token":{"acr":{"essential":true}}}`}, "", "", false, "unmet_authentication_requirements", ""},
		{"one value", []string{"claims", `{"id_token":{"acr":{"value":"2"}}}`}, "1", "2", false, "", "2"},
		{"the first user only", []string{"claims", `{"id_token":{"sub":{"value":"ann"}}}`}, "1", "1", true, "", ""},
		{"another user", []string{"claims", `{"id_token":{"sub":{"value":"bob"}}}`}, "1", "1", false, "login_required", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t)
			c := w.client(nil)
			b := w.browser()
			if answer := b.authorize(codeRequest(c), by(tt.had)); answer.Get("code") == "" {
				t.Fatalf("got %v", answer)
			}
			params := codeRequest(c, tt.more...)
			asked, end := b.challenge(params)
			if asked == nil {
				t.Fatalf("not asked: %v", end)
			}
			oidc := asked["oidc_context"].(map[string]any)
			var values []string
			for _, v := range list(oidc["acr_values"]) {
				values = append(values, v.(string))
			}
			if asked["skip"] != tt.skip || strings.Join(values, " ") != tt.acrValues {
				t.Errorf("the login page is asked with skip %v and the means %v", asked["skip"], values)
			}
			answer := b.authorize(params, by(tt.has))
			if answer.Get("error") != tt.want {
				t.Fatalf("ends with %v: expected the error %q", answer, tt.want)
			}
			if tt.want != "" {
				return
			}
			if got := w.claims("RS256", w.exchange(c, answer.Get("code"))["id_token"].(string))["acr"]; got != any(tt.has) && tt.has != "" {
				t.Errorf("the ID token has acr %v: expected %q", got, tt.has)
			}
		})
	}
}

func list(v any) []any {
	out, _ := v.([]any)
	return out
}

// TestStepUpInSilence: prompt=none is refused if the client insists on more.
func TestStepUpInSilence(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	b := w.browser()
	b.authorize(codeRequest(c), by("1"))
	for claims, want := range map[string]string{
		`{"id_token":{"acr":{"essential":true,"values":["2"]}}}`: "login_required",
		`{"id_token":{"sub":{"value":"bob"}}}`:                   "login_required",
		`{"id_token":{"acr":{"essential":true,"values":["1"]}}}`: "",
	} {
		if answer := b.authorize(codeRequest(c, "prompt", "none", "claims", claims), by("1")); answer.Get("error") != want {
			t.Errorf("%s: %v: expected %q", claims, answer, want)
		}
	}
}

// TestDefaultACR: what a client is registered with counts where it says nothing.
func TestDefaultACR(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"default_acr_values": []string{"5"}})
	for more, want := range map[string]string{"": "5", "6": "6"} {
		asked, _ := w.browser().challenge(codeRequest(c, "acr_values", more))
		if got := list(asked["oidc_context"].(map[string]any)["acr_values"]); len(got) != 1 || got[0] != want {
			t.Errorf("acr_values %q: the page is told of %v", more, got)
		}
	}
}

// TestLoginAgain: somebody who logs in again keeps the sid; somebody else does not.
func TestLoginAgain(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	b := w.browser()
	login := func(a app, more ...string) map[string]any {
		t.Helper()
		return w.claims("RS256", w.exchange(c, b.authorize(codeRequest(c, more...), a).Get("code"))["id_token"].(string))
	}
	first := login(by("1"))
	w.pass(time.Minute)
	second := login(by("2"), "prompt", "login")
	if second["sid"] != first["sid"] || second["auth_time"] != first["auth_time"].(float64)+60 || second["acr"] != "2" {
		t.Errorf("ann again: %v after %v", second, first)
	}
	if third := login(by("1")); third["acr"] != "2" {
		t.Errorf("the login that is remembered has acr %v", third["acr"])
	}
	bob := by("1")
	bob.login["subject"] = "bob"
	if other := login(bob, "prompt", "login"); other["sid"] == first["sid"] || other["sub"] != "bob" {
		t.Errorf("bob: %v after %v", other, first)
	}
}

// TestClaimsParameter: what is malformed is refused, what is not known is not.
func TestClaimsParameter(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	lots := make([]string, 101)
	for i := range lots {
		lots[i] = `"c` + strings.Repeat("x", i) + `":null`
	}
	for claims, good := range map[string]bool{
		`{}`:                            true,
		`{"userinfo":{},"id_token":{}}`: true,
		`{"id_token":{"email":null,"name":{"essential":true},"x":{"value":1},"y":{"values":[1,"2"]},"z":{"unknown":[]}}}`: true,
		`{"verified_claims":[1]}`:     true,
		`x`:                           false,
		`{} x`:                        false,
		`null`:                        false,
		`[]`:                          false,
		`"id_token"`:                  false,
		`{"id_token":[]}`:             false,
		`{"id_token":"email"}`:        false,
		`{"id_token":{"email":true}}`: false,
		`{"id_token":{"email":"x"}}`:  false,
		`{"id_token":{"":null}}`:      false,
		`{"id_token":{"acr":{"essential":"true"}}}`:              false,
		`{"id_token":{"acr":{"essential":null}}}`:                false,
		`{"userinfo":{"acr":{"values":"1"}}}`:                    false,
		`{"userinfo":{"acr":{"values":{}}}}`:                     false,
		`{"id_token":{` + strings.Join(lots, ",") + `}}`:         false,
		`{"id_token":{"` + strings.Repeat("x", 201) + `":null}}`: false,
	} {
		asked, end := w.browser().challenge(codeRequest(c, "claims", claims))
		if (asked != nil) != good || !good && end.Get("error") != "invalid_request" {
			t.Errorf("%.80s: %v %v", claims, asked, end)
		}
	}
}
