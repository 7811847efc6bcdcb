package oauth_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"testing"
	"time"
)

const consents = "/admin/oauth2/auth/sessions/consent"

// consents lists a page of what a subject has allowed, and returns where the next is.
func (w *world) consents(at string) (page []map[string]any, next string) {
	w.t.Helper()
	status, h, body := w.raw("GET", w.admin+at, nil)
	if err := json.Unmarshal([]byte(body), &page); err != nil || status != 200 {
		w.t.Fatalf("%s: %d %s", at, status, body)
	}
	if found := regexp.MustCompile(`<([^>]*)>; rel="next"`).FindStringSubmatch(h.Get("Link")); found != nil {
		next = found[1]
	}
	return page, next
}

func TestConsents(t *testing.T) {
	w := start(t)
	c, other := w.client(nil), w.client(nil)
	b := w.browser()
	a := by("1")
	a.consent["session"] = map[string]any{"id_token": map[string]any{"name": "Ann"}, "access_token": map[string]any{"tier": "gold"}}
	a.consent["remember_for"], a.consent["context"] = 60, map[string]any{"from": "a page"}
	sid := w.claims("RS256", w.exchange(c, b.authorize(codeRequest(c), a).Get("code"))["id_token"].(string))["sid"].(string)
	for range 4 {
		w.pass(time.Second)
		w.browser().logIn(other)
	}
	page, _ := w.consents(consents + "?" + url.Values{"subject": {"ann"}, "login_session_id": {sid}}.Encode())
	if len(page) != 1 {
		t.Fatalf("got %v", page)
	}
	got := page[0]
	request := got["consent_request"].(map[string]any)
	session := got["session"].(map[string]any)
	if got["consent_request_id"] == nil || encoded(t, got["grant_scope"]) != `["openid","offline_access"]` || got["remember"] != true || got["remember_for"] != 60.0 ||
		got["handled_at"] == nil || encoded(t, session["id_token"]) != `{"name":"Ann"}` || encoded(t, session["access_token"]) != `{"tier":"gold"}` ||
		encoded(t, got["context"]) != `{"from":"a page"}` {
		t.Errorf("got %v", got)
	}
	if request["subject"] != "ann" || request["login_session_id"] != sid || request["consent_request_id"] != got["consent_request_id"] ||
		request["client"].(map[string]any)["client_id"] != c["client_id"] {
		t.Errorf("the request is %v", request)
	}
	seen := map[any]bool{}
	pages := 0
	for next := consents + "?subject=ann&page_size=2"; next != ""; pages++ {
		page, next = w.consents(next)
		for _, item := range page {
			seen[item["consent_request_id"]] = true
		}
	}
	if pages != 3 || len(seen) != 5 {
		t.Errorf("%d pages with %d consents: expected 3 with 5", pages, len(seen))
	}
	if page, _ := w.consents(consents + "?subject=bob"); len(page) != 0 {
		t.Errorf("bob's: %v", page)
	}
}

// TestRevokeConsents: what was allowed is taken back from those that are named, whose
// tokens die, and who hear of it.
func TestRevokeConsents(t *testing.T) {
	for _, tt := range []struct {
		name            string
		query           func(id, client string) url.Values
		first, second   bool // whose tokens live on
		elsewhere, told bool
	}{
		{"one", func(id, _ string) url.Values { return url.Values{"consent_request_id": {id}} }, false, true, true, true},
		{"a client's", func(_, c string) url.Values { return url.Values{"subject": {"ann"}, "client": {c}} }, false, true, false, true},
		{"all", func(_, _ string) url.Values { return url.Values{"subject": {"ann"}, "all": {"true"}} }, false, false, false, true},
		{"somebody else's", func(_, c string) url.Values { return url.Values{"subject": {"bob"}, "client": {c}} }, true, true, true, false},
		{"an unknown one", func(_, _ string) url.Values { return url.Values{"consent_request_id": {"x"}} }, true, true, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t)
			rc := w.receiver()
			c, other := w.client(map[string]any{"backchannel_logout_uri": rc.URL}), w.client(nil)
			elsewhere := w.browser().logIn(c)
			w.pass(time.Second)
			b := w.browser()
			first, second := b.logIn(c), b.logIn(other)
			sid := w.claims("RS256", first["id_token"].(string))["sid"].(string)
			page, _ := w.consents(consents + "?" + url.Values{"subject": {"ann"}, "login_session_id": {sid}}.Encode())
			id := ""
			for _, item := range page {
				if item["consent_request"].(map[string]any)["client"].(map[string]any)["client_id"] == c["client_id"] {
					id = item["consent_request_id"].(string)
				}
			}
			w.must("DELETE", w.admin+consents+"?"+tt.query(id, c["client_id"].(string)).Encode(), nil)
			for name, token := range map[string]struct {
				tokens map[string]any
				live   bool
			}{"first": {first, tt.first}, "second": {second, tt.second}, "elsewhere": {elsewhere, tt.elsewhere}} {
				for _, kind := range []string{"access_token", "refresh_token"} {
					if got := w.introspect(token.tokens[kind].(string), nil)["active"]; got != token.live {
						t.Errorf("%s, %s: active %v", name, kind, got)
					}
				}
			}
			ds, err := w.store.TakeDeliveries(t.Context(), w.clock(), w.clock().Add(time.Hour), 10)
			if err != nil || (len(ds) > 0) != tt.told {
				t.Errorf("%d messages, %v", len(ds), err)
			}
			if !tt.first && !b.isIn(c) {
				t.Error("the login ended, too")
			}
			if asked := b.authorize(codeRequest(c, "prompt", "none"), ann()); tt.name == "a client's" && asked.Get("error") != "consent_required" {
				t.Errorf("the consent is still remembered: %v", asked)
			}
		})
	}
}

func TestEndLogins(t *testing.T) {
	for _, by := range []string{"sid", "subject"} {
		t.Run(by, func(t *testing.T) {
			w := start(t)
			rc := w.receiver()
			c := w.client(map[string]any{"backchannel_logout_uri": rc.URL})
			here, elsewhere := w.browser(), w.browser()
			tokens := here.logIn(c, "scope", "openid profile")
			elsewhere.logIn(c, "scope", "openid profile")
			query := url.Values{"subject": {"ann"}}
			if by == "sid" {
				query = url.Values{"sid": {w.claims("RS256", tokens["id_token"].(string))["sid"].(string)}}
			}
			w.must("DELETE", w.admin+"/admin/oauth2/auth/sessions/login?"+query.Encode(), nil)
			if here.isIn(c) || elsewhere.isIn(c) != (by == "sid") {
				t.Errorf("here %t, elsewhere %t", here.isIn(c), elsewhere.isIn(c))
			}
			if got := w.introspect(tokens["access_token"].(string), nil)["active"]; got != false {
				t.Errorf("the access token is active: %v", got)
			}
			ds, err := w.store.TakeDeliveries(t.Context(), w.clock(), w.clock().Add(time.Hour), 10)
			if want := map[string]int{"sid": 1, "subject": 2}[by]; err != nil || len(ds) != want {
				t.Errorf("%d messages, %v: expected %d", len(ds), err, want)
			}
			w.must("DELETE", w.admin+"/admin/oauth2/auth/sessions/login?"+query.Encode(), nil)
		})
	}
}

func TestSessionsRefused(t *testing.T) {
	w := start(t)
	for _, tt := range []struct{ method, at string }{
		{"GET", consents}, {"GET", consents + "?login_session_id=x"}, {"GET", consents + "?subject=ann&page_size=x"},
		{"GET", consents + "?subject=ann&page_token=*"}, {"GET", consents + "?subject=ann&page_token=eA"},
		{"DELETE", consents}, {"DELETE", consents + "?subject=ann"}, {"DELETE", consents + "?subject=ann&all=false"}, {"DELETE", consents + "?client=c"},
		{"DELETE", consents + "?client=c&all=true"}, {"DELETE", consents + "?subject=ann&client=c&all=true"}, {"DELETE", consents + "?consent_request_id=x&subject=ann"},
		{"DELETE", "/admin/oauth2/auth/sessions/login"},
	} {
		if status, body := w.call(tt.method, w.admin+tt.at, nil); status != http.StatusBadRequest {
			t.Errorf("%s %s: %d %v", tt.method, tt.at, status, body)
		}
	}
}
