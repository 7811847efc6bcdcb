package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

// TestZitadelRP uses zitadel/oidc as its documentation does, with a secret, and with a
// key of its own (private_key_jwt).
func TestZitadelRP(t *testing.T) {
	p := startProvider(t)
	t.Run("secret", func(t *testing.T) {
		testZitadel(t, p, nil)
	})
	t.Run("RSA key", func(t *testing.T) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		testZitadel(t, p, &clientKey{jose.JSONWebKey{Key: key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}, pkcs8(t, key)})
	})
	t.Run("EC key", func(t *testing.T) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		testZitadel(t, p, &clientKey{jose.JSONWebKey{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}, pkcs8(t, key)})
	})
}

// A clientKey authenticates a client.
type clientKey struct {
	public  jose.JSONWebKey
	private []byte
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func testZitadel(t *testing.T, p *provider, key *clientKey) {
	ctx := t.Context()
	mux := http.NewServeMux()
	site := httptest.NewServer(mux)
	defer site.Close()
	more := map[string]any{"post_logout_redirect_uris": []string{site.URL + "/bye"}, "token_endpoint_auth_method": "client_secret_post"}
	if key != nil {
		more["token_endpoint_auth_method"] = "private_key_jwt"
		more["token_endpoint_auth_signing_alg"] = key.public.Algorithm
		more["jwks"] = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.public}}
	}
	id, secret := p.client(site.URL+"/callback", more)
	cookies := httphelper.NewCookieHandler([]byte("a key of cookies"), nil, httphelper.WithUnsecure())
	options := []rp.Option{
		rp.WithPKCE(cookies), rp.WithSigningAlgsFromDiscovery(),
		rp.WithAuthStyle(oauth2.AuthStyleInParams), // which it does by itself for some requests only
	}
	if key != nil {
		secret = ""
		options = append(options, rp.WithJWTProfile(rp.SignerFromKeyAndKeyID(key.private, key.public.KeyID)))
	}
	party, err := rp.NewRelyingPartyOIDC(ctx, p.issuer, id, secret, site.URL+"/callback", []string{"openid", "offline_access", "email"}, options...)
	if err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		tokens *oidc.Tokens[*oidc.IDTokenClaims]
		info   *oidc.UserInfo
	}
	came := make(chan outcome, 1)
	mux.Handle("GET /login", rp.AuthURLHandler(func() string { return "a state" }, party))
	mux.Handle("GET /callback", rp.CodeExchangeHandler(rp.UserinfoCallback(func(_ http.ResponseWriter, _ *http.Request, tokens *oidc.Tokens[*oidc.IDTokenClaims], _ string, _ rp.RelyingParty, info *oidc.UserInfo) {
		came <- outcome{tokens, info}
	}), party))
	browser := newBrowser(t)
	if text, _ := visit(t, browser, site.URL+"/login"); len(came) == 0 {
		t.Fatal(text)
	}
	got := <-came
	if got.info.Subject != "ann" || got.info.Email != "ann@example.test" || got.tokens.IDTokenClaims.Subject != "ann" || got.tokens.RefreshToken == "" {
		t.Errorf("got %+v %+v", got.tokens, got.info)
	}
	assertion := ""
	if key != nil {
		assertion = assertionOf(t, p, id, key)
	}
	again, err := rp.RefreshTokens[*oidc.IDTokenClaims](ctx, party, got.tokens.RefreshToken, assertion, assertionType(assertion))
	if err != nil || again.IDTokenClaims.Subject != "ann" || again.AccessToken == got.tokens.AccessToken {
		t.Fatalf("refresh: %+v, %v", again, err)
	}
	end, err := rp.EndSession(ctx, party, again.IDToken, site.URL+"/bye", "s", "", nil)
	if err != nil || end == nil || end.Query().Get("logout_challenge") == "" {
		t.Errorf("the logout goes on at %v, %v", end, err)
	}
	if err := rp.RevokeToken(ctx, party, again.RefreshToken, "refresh_token"); err != nil {
		t.Errorf("revocation: %v", err)
	}
	if _, err := rp.Userinfo[*oidc.UserInfo](ctx, again.AccessToken, "Bearer", "ann", party); err == nil {
		t.Error("a token that is revoked is good for userinfo")
	}
}

func assertionType(assertion string) string {
	if assertion == "" {
		return ""
	}
	return oidc.ClientAssertionTypeJWTAssertion
}

// assertionOf proves that a client has a key, once.
func assertionOf(t *testing.T, p *provider, id string, key *clientKey) string {
	t.Helper()
	signer, err := rp.SignerFromKeyAndKeyID(key.private, key.public.KeyID)()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": id, "sub": id, "aud": p.issuer, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": now.String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
