package oauth_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/cardea-iam/cardea/oauth"
)

// A hook is a server that is asked before tokens are made.
type hook struct {
	*httptest.Server

	mu     sync.Mutex
	asked  []map[string]any
	header http.Header
	answer func(http.ResponseWriter)
}

func openHook(t *testing.T) *hook {
	h := &hook{answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != "POST" {
			t.Errorf("the hook is asked by %s: %v", r.Method, err)
		}
		h.mu.Lock()
		h.asked, h.header = append(h.asked, body), r.Header
		answer := h.answer
		h.mu.Unlock()
		answer(w)
	}))
	t.Cleanup(h.Close)
	return h
}

// says changes what the hook answers.
func (h *hook) says(answer func(http.ResponseWriter)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

func says(status int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// TestTokenHook: a hook sees what tokens are to say, and changes it.
func TestTokenHook(t *testing.T) {
	h := openHook(t)
	w := start(t, func(o *oauth.Options) {
		o.Hooks.Token = oauth.Hook{URL: h.URL, Auth: oauth.HookAuth{Name: "X-Key", Value: "k"}}
	})
	c := w.client(nil)
	a := ann()
	a.consent["session"] = map[string]any{"access_token": map[string]any{"tier": "gold"}, "id_token": map[string]any{"team": "a"}}
	first := w.tokens(c, a, "scope", "openid offline_access read")
	if len(h.asked) != 1 || h.header.Get("X-Key") != "k" {
		t.Fatalf("the hook was asked %d times, with %v", len(h.asked), h.header)
	}
	got := encoded(t, h.asked[0])
	for _, want := range []string{
		`"session":{`, `"id_token":{`, `"subject":"ann"`, `"extra":{"tier":"gold"}`, `"ext":{"team":"a"}`, `"client_id":"` + text(c, "client_id"),
		`"granted_scopes":["openid","offline_access","read"]`, `"granted_audience":[]`, `"grant_types":["authorization_code"]`, `"payload":{"grant_type":["authorization_code"]}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the hook is not told %s: %s", want, got)
		}
	}
	for _, secret := range []string{"ory_ac_", verifier, text(c, "client_secret")} {
		if strings.Contains(got, secret) {
			t.Errorf("the hook is told %s", secret)
		}
	}
	if in := w.introspect(text(first, "access_token"), nil); encoded(t, in["ext"]) != `{"tier":"gold"}` {
		t.Errorf("204: the token is %v", in)
	}

	h.says(says(200, `{"session":{"access_token":{"tier":"lead"},"id_token":{"team":"b","sub":"eve"}}}`))
	status, second := w.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(first, "refresh_token")}}, basic(c))
	if status != 200 {
		t.Fatalf("got %d %v", status, second)
	}
	if in := w.introspect(text(second, "access_token"), nil); encoded(t, in["ext"]) != `{"tier":"lead"}` {
		t.Errorf("200: the token is %v", in)
	}
	if _, id := w.verify(text(second, "id_token")); id["team"] != "b" || id["sub"] != "ann" {
		t.Errorf("the ID token is %v", id)
	}
	// What it said once stays.
	h.says(says(204, ""))
	_, third := w.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(second, "refresh_token")}}, basic(c))
	if in := w.introspect(text(third, "access_token"), nil); encoded(t, in["ext"]) != `{"tier":"lead"}` {
		t.Errorf("the next token is %v", in)
	}
	w.token(url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}, basic(c))
	if last := encoded(t, h.asked[len(h.asked)-1]); !strings.Contains(last, `"grant_types":["client_credentials"]`) || !strings.Contains(last, `"requested_scopes":["read"]`) {
		t.Errorf("for a client the hook is asked %s", last)
	}
}

// TestTokenHookFails: without a yes there are no tokens, and the code is still good.
func TestTokenHookFails(t *testing.T) {
	h := openHook(t)
	w := start(t, func(o *oauth.Options) { o.Hooks.Token.URL = h.URL })
	c := w.client(nil)
	code := w.browser().authorize(codeRequest(c), ann()).Get("code")
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter)
		status int
		want   string
	}{
		{"no", says(403, "{}"), 403, "access_denied"},
		{"broken", says(500, "{}"), 500, "server_error"},
		{"elsewhere", func(w http.ResponseWriter) { w.Header().Set("Location", "/x"); w.WriteHeader(307) }, 500, "server_error"},
		{"no JSON", says(200, "yes"), 500, "server_error"},
		{"too much", says(200, `{"session":{"access_token":{"x":"`+strings.Repeat("x", 2<<20)+`"}}}`), 500, "server_error"},
		{"hangs up", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, 503, "temporarily_unavailable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h.says(tt.answer)
			status, body := w.token(codeExchange(code), basic(c))
			if status != tt.status || body["error"] != tt.want || strings.Contains(encoded(t, body), h.URL) {
				t.Errorf("got %d %v", status, body)
			}
		})
	}
	h.says(says(204, ""))
	if status, body := w.token(codeExchange(code), basic(c)); status != 200 {
		t.Errorf("the code gives %d %v", status, body)
	}
}

// TestRefreshHook is asked for refresh tokens only.
func TestRefreshHook(t *testing.T) {
	h := openHook(t)
	w := start(t, func(o *oauth.Options) {
		o.Hooks.Refresh = oauth.Hook{URL: h.URL, Auth: oauth.HookAuth{In: "cookie", Name: "key", Value: "k"}}
	})
	c := w.client(nil)
	first := w.tokens(c, ann())
	if len(h.asked) != 0 {
		t.Fatal("the hook is asked for a code")
	}
	h.says(says(200, `{"session":{"access_token":{"tier":"lead"}}}`))
	_, next := w.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(first, "refresh_token")}}, basic(c))
	if in := w.introspect(text(next, "access_token"), nil); encoded(t, in["ext"]) != `{"tier":"lead"}` {
		t.Errorf("the token is %v", in)
	}
	got := encoded(t, h.asked[0])
	for _, want := range []string{`"subject":"ann"`, `"session":{`, `"requester":{"client_id":`, `"grant_types":["refresh_token"]`, `"granted_scopes":["openid","offline_access"]`} {
		if !strings.Contains(got, want) {
			t.Errorf("the hook is not told %s: %s", want, got)
		}
	}
	if h.header.Get("Cookie") != "key=k" {
		t.Errorf("the hook gets %v", h.header)
	}
}

// TestHookAtPrivateAddress: a hook may be at a private address where a setting says so.
func TestHookAtPrivateAddress(t *testing.T) {
	h := openHook(t)
	for _, allowed := range []bool{false, true} {
		w := start(t, func(o *oauth.Options) {
			o.HTTP, o.Hooks.Token.URL = nil, h.URL
			if allowed {
				o.Hooks.Private = []string{h.URL}
			}
		})
		want := map[bool]int{false: 503, true: 200}[allowed]
		if status, body := w.token(url.Values{"grant_type": {"client_credentials"}}, basic(w.client(nil))); status != want {
			t.Errorf("allowed %v: %d %v", allowed, status, body)
		}
	}
	if len(h.asked) != 1 {
		t.Errorf("the hook was asked %d times", len(h.asked))
	}
}
