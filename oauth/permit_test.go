package oauth_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

// writers may have the scope write.
type writers map[string]bool

func (m writers) permitted(_ context.Context, scopes []string, account string) ([]string, error) {
	if account == "nobody" {
		return nil, errs.New(errs.Unavailable, "the graph is not there")
	}
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return s == "write" && !m[account] }), nil
}

// TestPermitted: a scope that somebody may not have is in no access token of theirs,
// whatever grant it comes of and whoever asked for the consent; and it is there again
// when they may.
func TestPermitted(t *testing.T) {
	m := writers{}
	w := start(t, func(o *oauth.Options) {
		o.Permitted = m.permitted
		o.ScopeClaims = map[string][]string{"write": {"pen"}, "read": {"glasses"}}
	})
	c := w.client(map[string]any{"grant_types": []string{"authorization_code", "refresh_token", "client_credentials", exchangeType}, "access_token_strategy": "jwt"})
	a := ann()
	a.consent["session"] = map[string]any{"id_token": map[string]any{"pen": "blue", "glasses": "red"}}
	got := w.tokens(c, a, "scope", "openid offline_access read write")
	check := func(step string, body map[string]any, want string) {
		t.Helper()
		token, _ := body["access_token"].(string)
		_, claims := w.verify(token)
		if in := w.introspect(token, c); text(body, "scope") != want || claims["scope"] != want || in["scope"] != want {
			t.Errorf("%s: the answer has %q, the token %q, introspection %q: expected %q", step, text(body, "scope"), claims["scope"], in["scope"], want)
		}
		if id, _ := body["id_token"].(string); id != "" {
			said := w.claims("RS256", id)
			info := w.must("GET", w.public+"/userinfo", nil, bearer(token))
			if may := strings.Contains(want, "write"); said["glasses"] != "red" || (said["pen"] != nil) != may || (info["pen"] != nil) != may {
				t.Errorf("%s: the ID token says %v, userinfo %v", step, said, info)
			}
		}
	}
	const little, all = "openid offline_access read", "openid offline_access read write"
	check("code", got, little)
	for _, may := range []bool{true, false, true} {
		m["ann"] = may
		want := little
		if may {
			want = all
		}
		status, body := w.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}, basic(c))
		if status != 200 {
			t.Fatalf("refresh: %d %v", status, body)
		}
		got = body
		check("refresh", got, want)
	}
	m["ann"] = false
	_, body := w.token(url.Values{
		"grant_type": {exchangeType}, "subject_token": {got["access_token"].(string)}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
	}, basic(c))
	check("exchange", body, little)
	_, body = w.token(url.Values{"grant_type": {"client_credentials"}, "scope": {"write"}}, basic(c))
	check("a client of its own", body, "write")
}

func TestPermittedElsewhere(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.Permitted = writers{}.permitted })
	browser := w.client(map[string]any{"profile": "legacy", "grant_types": []string{"implicit"}, "response_types": []string{"token"}})
	if got := w.browser().authorize(codeRequest(browser, "response_type", "token", "scope", "read write"), ann()); got.Get("scope") != "read" || w.introspect(got.Get("access_token"), nil)["scope"] != "read" {
		t.Errorf("implicit: %v", got)
	}
	k := key(t, jose.ES256, "k")
	w.trust(k)
	c := w.client(map[string]any{"grant_types": []string{bearerType}, "response_types": []string{}})
	for _, tt := range []struct {
		subject string
		status  int
		want    string
	}{{"bob", 200, "read"}, {"nobody", 503, ""}} {
		status, body := w.token(vouch(signed(t, jose.ES256, k, "JWT", w.voucher("sub", tt.subject)), "scope", "read write"), basic(c))
		if status != tt.status || text(body, "scope") != tt.want {
			t.Errorf("the assertion of %s: %d %v", tt.subject, status, body)
		}
	}
}
