package oauth_test

import (
	"context"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/oauth"
)

// TestExpiredSession: a login ends when it is used after the session that it was made
// from has ended by time: its tokens are revoked, clients hear of it, and people are asked
// anew. Until the session may have ended nobody asks about it.
func TestExpiredSession(t *testing.T) {
	var asked atomic.Int32
	var active atomic.Bool
	w := start(t, func(o *oauth.Options) {
		o.SessionActive = func(_ context.Context, subject, session string) (bool, error) {
			if subject != "ann" || session != "their session" {
				t.Errorf("asked for %q of %q", session, subject)
			}
			asked.Add(1)
			return active.Load(), nil
		}
	})
	rc := w.receiver()
	c := w.client(map[string]any{"backchannel_logout_uri": rc.URL})
	b := w.browser()
	begin := func() string {
		return b.open(w.public + "/oauth2/auth?" + codeRequest(c, "scope", "openid").Encode()).Query().Get("login_challenge")
	}
	to, err := w.provider.AcceptLogin(begin(), oauth.AcceptLogin{
		Subject: "ann", Remember: true, ProviderSession: "their session", ProviderSessionEnds: w.clock().Add(10 * time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	active.Store(true)
	at := b.open(to)
	back, err := url.Parse(b.answer("consent", at.Query().Get("consent_challenge"), map[string]any{"grant_scope": []string{"openid"}}, nil))
	if err != nil {
		t.Fatal(err)
	}
	code := b.open(back.String()).Query().Get("code")
	_, tokens := w.token(codeExchange(code), basic(c))
	asked.Store(0)

	known := func() bool {
		q, err := w.provider.LoginRequest(t.Context(), begin())
		if err != nil {
			t.Fatal(err)
		}
		return q.Skip
	}
	live := func() bool {
		return w.must("POST", w.admin+"/admin/oauth2/introspect", url.Values{"token": {tokens["access_token"].(string)}})["active"].(bool)
	}
	w.pass(9 * time.Minute)
	if !known() || asked.Load() != 0 {
		t.Errorf("before the end: asked %d times", asked.Load())
	}
	w.pass(2 * time.Minute)
	if !known() || asked.Load() != 1 || !live() {
		t.Errorf("a session that was used: asked %d times", asked.Load())
	}
	active.Store(false)
	if known() || live() {
		t.Error("the login outlasts the session")
	}
	w.run()
	rc.next(t)
}
