package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// TestGoOIDC uses golang.org/x/oauth2 and go-oidc as their documentation does:
// discovery, code flow with PKCE, ID token by each algorithm, userinfo, refresh, and
// logout by the front and by the back.
func TestGoOIDC(t *testing.T) {
	p := startProvider(t)
	ctx := t.Context()
	op, err := oidc.NewProvider(ctx, p.issuer)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			came, left := make(chan url.Values, 1), make(chan string, 4)
			rp := http.NewServeMux()
			rp.HandleFunc("GET /callback", func(_ http.ResponseWriter, r *http.Request) { came <- r.URL.Query() })
			rp.HandleFunc("GET /bye", func(http.ResponseWriter, *http.Request) {})
			rp.HandleFunc("POST /logout", func(_ http.ResponseWriter, r *http.Request) { left <- r.PostFormValue("logout_token") })
			site := httptest.NewServer(rp)
			defer site.Close()
			id, secret := p.client(site.URL+"/callback", map[string]any{
				"id_token_signed_response_alg": alg, "userinfo_signed_response_alg": alg,
				"backchannel_logout_uri": site.URL + "/logout", "post_logout_redirect_uris": []string{site.URL + "/bye"},
			})
			config := oauth2.Config{
				ClientID: id, ClientSecret: secret, Endpoint: op.Endpoint(), RedirectURL: site.URL + "/callback",
				Scopes: []string{oidc.ScopeOpenID, oidc.ScopeOfflineAccess, "email"},
			}
			verifier := oauth2.GenerateVerifier()
			browser := newBrowser(t)
			visit(t, browser, config.AuthCodeURL("a state", oidc.Nonce("a nonce"), oauth2.S256ChallengeOption(verifier)))
			answer := <-came
			if answer.Get("state") != "a state" || answer.Get("iss") != p.issuer {
				t.Fatalf("the client gets %v", answer)
			}
			token, err := config.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				t.Fatal(err)
			}
			ids := op.Verifier(&oidc.Config{ClientID: id})
			raw := token.Extra("id_token").(string)
			first, err := ids.Verify(ctx, raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := first.VerifyAccessToken(token.AccessToken); err != nil || first.Nonce != "a nonce" || first.Subject != "ann" {
				t.Errorf("%v, %+v", err, first)
			}
			info, err := op.UserInfo(ctx, config.TokenSource(ctx, token))
			if err != nil || info.Subject != "ann" || info.Email != "ann@example.test" || !info.EmailVerified {
				t.Errorf("userinfo: %+v, %v", info, err)
			}
			token.Expiry = time.Now().Add(-time.Hour)
			again, err := config.TokenSource(ctx, token).Token()
			if err != nil || again.AccessToken == token.AccessToken || again.RefreshToken == token.RefreshToken {
				t.Fatalf("refresh: %+v, %v", again, err)
			}
			if second, err := ids.Verify(ctx, again.Extra("id_token").(string)); err != nil || second.Subject != first.Subject {
				t.Errorf("after a refresh: %+v, %v", second, err)
			}
			p.logOut(t, browser, op, url.Values{"id_token_hint": {raw}, "post_logout_redirect_uri": {site.URL + "/bye"}, "state": {"s"}}, site.URL+"/bye?state=s")
			select {
			case got := <-left:
				if token, err := ids.VerifyLogout(ctx, got); err != nil || token.Subject != "ann" {
					t.Errorf("logout token: %+v, %v", token, err)
				}
			case <-time.After(patience):
				t.Error("no logout token has come")
			}
		})
	}
}

// logOut sends a browser to the end_session_endpoint.
func (p *provider) logOut(t *testing.T, browser *http.Client, op *oidc.Provider, params url.Values, want string) {
	t.Helper()
	var more struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := op.Claims(&more); err != nil {
		t.Fatal(err)
	}
	if _, end := visit(t, browser, more.EndSession+"?"+params.Encode()); end.String() != want {
		t.Errorf("the logout ends at %s: expected %s", end, want)
	}
}
