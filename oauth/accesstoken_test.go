package oauth_test

import (
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/secret"
	"github.com/cardea-iam/cardea/oauth"
)

// TestAccessJWT reads access tokens as RFC 9068 has them.
func TestAccessJWT(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*oauth.Options)
		alg  string
		want map[string]any // beside what all have
	}{
		{"as usual", func(*oauth.Options) {}, "RS256", map[string]any{
			"ext": map[string]any{"tier": "gold", "team": "a"}, "scope": "openid read", "nbf": 0.0,
		}},
		{"list", func(o *oauth.Options) { o.Strategies.ScopeClaim, o.Strategies.AccessAlg = "list", "ES256" }, "ES256", map[string]any{
			"ext": map[string]any{"tier": "gold", "team": "a"}, "scp": []any{"openid", "read"}, "nbf": 0.0,
		}},
		{"both", func(o *oauth.Options) {
			o.Strategies.ScopeClaim, o.Strategies.AccessAlg, o.AccessClaims.NoNBF = "both", "PS256", true
		}, "PS256", map[string]any{
			"ext": map[string]any{"tier": "gold", "team": "a"}, "scope": "openid read", "scp": []any{"openid", "read"},
		}},
		{"top level", func(o *oauth.Options) {
			o.Strategies.AccessAlg, o.AccessClaims.TopLevel = "EdDSA", []string{"tier", "none"}
		}, "EdDSA", map[string]any{
			"ext": map[string]any{"tier": "gold", "team": "a"}, "tier": "gold", "scope": "openid read", "nbf": 0.0,
		}},
		{"top level only", func(o *oauth.Options) {
			o.AccessClaims = oauth.AccessClaims{TopLevel: []string{"tier", "team"}, NoMirror: true}
		}, "RS256", map[string]any{
			"tier": "gold", "team": "a", "scope": "openid read", "nbf": 0.0,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := start(t, func(o *oauth.Options) { o.Strategies.AccessToken = "jwt" }, tt.edit)
			c := w.client(map[string]any{"audience": []string{"https://api.test"}})
			a := ann()
			a.consent["session"] = map[string]any{"access_token": map[string]any{"tier": "gold", "team": "a"}}
			body := w.tokens(c, a, "scope", "openid read", "audience", "https://api.test")
			header, claims := w.verify(text(body, "access_token"))
			if header["typ"] != "at+jwt" || header["alg"] != tt.alg || header["kid"] == "" {
				t.Errorf("the header is %v", header)
			}
			at := float64(w.clock().Unix())
			want := with(tt.want, "iss", w.public, "sub", "ann", "aud", []any{"https://api.test"}, "client_id", c["client_id"],
				"iat", at, "exp", at+3600, "auth_time", at, "acr", "1", "amr", []any{"pwd"})
			if _, ok := want["nbf"]; ok {
				want["nbf"] = at
			}
			if text(claims, "jti") == "" {
				t.Error("no jti")
			}
			delete(claims, "jti")
			if !reflect.DeepEqual(claims, want) {
				t.Errorf("got %v\nwant %v", claims, want)
			}
		})
	}
}

// TestAccessJWTOfClient: it is about the client, and for this server if nobody says for
// whom.
func TestAccessJWTOfClient(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"access_token_strategy": "jwt"})
	_, body := w.token(url.Values{"grant_type": {"client_credentials"}}, basic(c))
	_, claims := w.verify(text(body, "access_token"))
	if claims["sub"] != c["client_id"] || !reflect.DeepEqual(claims["aud"], []any{w.public}) || claims["scope"] != nil || claims["auth_time"] != nil {
		t.Errorf("got %v", claims)
	}
}

// TestAccessJWTSubjects: a client is given its own name for a person.
func TestAccessJWTSubjects(t *testing.T) {
	w := start(t, func(o *oauth.Options) { o.Subjects = oauth.Subjects{Types: []string{"pairwise"}, Salt: "salt"} })
	c := w.client(map[string]any{"subject_type": "pairwise", "access_token_strategy": "jwt"})
	body := w.tokens(c, ann())
	_, access := w.verify(text(body, "access_token"))
	_, id := w.verify(text(body, "id_token"))
	if access["sub"] == "ann" || access["sub"] != id["sub"] {
		t.Errorf("subjects %v and %v", access["sub"], id["sub"])
	}
}

// TestBadOptions: what could not work is refused at the start.
func TestBadOptions(t *testing.T) {
	keys, err := secret.New("the secret of the tests")
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*oauth.Options){
		"reserved claim": func(o *oauth.Options) { o.AccessClaims.TopLevel = []string{"act"} },
		"another":        func(o *oauth.Options) { o.AccessClaims.TopLevel = []string{"tier", "sub"} },
		"unknown alg":    func(o *oauth.Options) { o.Strategies.AccessAlg = "HS256" },
		"hook":           func(o *oauth.Options) { o.Hooks.Token.URL = "ftp://x.test" },
		"hook's key": func(o *oauth.Options) {
			o.Hooks.Refresh = oauth.Hook{URL: "https://x.test", Auth: oauth.HookAuth{In: "query"}}
		},
		"hook's auth": func(o *oauth.Options) {
			o.Hooks.Refresh = oauth.Hook{URL: "https://x.test", Auth: oauth.HookAuth{Type: "basic"}}
		},
		"short user codes": func(o *oauth.Options) { o.Grants.UserCodeLength = 4 },
		"few symbols":      func(o *oauth.Options) { o.Grants.UserCodeSymbols = "AAAAAAAAAB" },
		"small letters":    func(o *oauth.Options) { o.Grants.UserCodeSymbols = "abcdefghijkl" },
	} {
		o := oauth.Options{Issuer: &url.URL{Scheme: "https", Host: "id.test"}, Secrets: keys, Now: time.Now}
		edit(&o)
		if _, err := oauth.New(nil, o); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, length := range []int{8, 32} {
		o := oauth.Options{Issuer: &url.URL{Scheme: "https", Host: "id.test"}, Secrets: keys, Grants: oauth.GrantOptions{UserCodeLength: length, UserCodeSymbols: "0123456789"}}
		if _, err := oauth.New(nil, o); err != nil {
			t.Errorf("%d digits: %v", length, err)
		}
	}
}
