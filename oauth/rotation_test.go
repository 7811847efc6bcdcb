package oauth_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// A lazy client keeps the JWKS as long as it may, and does not ask again for a key
// that it does not know.
type lazy struct {
	w    *world
	read time.Time
	set  jose.JSONWebKeySet
}

func (l *lazy) knows(kid string) bool {
	l.w.t.Helper()
	if now := l.w.clock(); now.Sub(l.read) >= 30*time.Second {
		_, h, text := l.w.raw("GET", l.w.public+"/.well-known/jwks.json", nil)
		if h.Get("Cache-Control") != "public, max-age=30" {
			l.w.t.Errorf("the JWKS has Cache-Control %q", h.Get("Cache-Control"))
		}
		l.set = jose.JSONWebKeySet{}
		if err := json.Unmarshal([]byte(text), &l.set); err != nil {
			l.w.t.Fatal(err)
		}
		l.read = now
	}
	return len(l.set.Key(kid)) == 1
}

// TestRotation: a new key begins to sign without a failed request, also where one node
// signs and another one, which learns of the key late, publishes it; old ID tokens stay
// good as hints.
func TestRotation(t *testing.T) {
	w := start(t)
	other := startOn(t, w.store)
	other.pass(w.clock().Sub(other.clock()))
	c := w.client(nil)
	b := w.browser()
	first := b.logIn(c)["id_token"].(string)
	ctx := context.Background()
	eager := oidc.NewRemoteKeySet(ctx, other.public+"/.well-known/jwks.json")
	client := &lazy{w: other}
	// The worst that can be: the other node looks just before the key is made, and the
	// client just before that node looks again.
	(&lazy{w: other}).knows("")
	w.must("POST", w.admin+"/admin/keys/hydra.openid.id-token", map[string]any{"alg": "RS256", "use": "sig", "kid": "new"})
	w.pass(29 * time.Second)
	other.pass(29 * time.Second)
	client.knows("")
	signed := map[string]int{}
	for range 40 {
		w.pass(5 * time.Second)
		other.pass(5 * time.Second)
		answer := b.authorize(codeRequest(c, "prompt", "none", "id_token_hint", first), by("1"))
		if answer.Get("code") == "" {
			t.Fatalf("with the first ID token as a hint: %v", answer)
		}
		id := w.exchange(c, answer.Get("code"))["id_token"].(string)
		header, _ := w.verify(id)
		kid := header["kid"].(string)
		signed[kid]++
		if !client.knows(kid) {
			t.Errorf("a client that keeps the JWKS does not know the key %s", kid)
		}
		if _, err := eager.VerifySignature(ctx, id); err != nil {
			t.Errorf("go-oidc: %v", err)
		}
	}
	if len(signed) != 2 || signed["new"] == 0 {
		t.Errorf("keys that signed: %v: expected an old one, and new", signed)
	}
}
