package oauth_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"net/url"
	"reflect"
	"testing"
	"time"
)

// claims returns what a JWT says that must have been signed by an algorithm.
func (w *world) claims(alg, token string) map[string]any {
	w.t.Helper()
	header, claims := w.verify(token)
	if header["alg"] != alg || header["typ"] != "JWT" || header["kid"] == nil {
		w.t.Errorf("the header is %v: expected alg %s, typ JWT and a kid", header, alg)
	}
	return claims
}

func half(alg, text string) string {
	if alg == "EdDSA" {
		sum := sha512.Sum512([]byte(text))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// TestIDToken looks at the claims of the code flow and of a refresh, by every algorithm.
func TestIDToken(t *testing.T) {
	w := start(t)
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			c := w.client(map[string]any{"id_token_signed_response_alg": alg})
			began := w.clock().Unix()
			tokens := w.tokens(c, annTells())
			first := w.claims(alg, tokens["id_token"].(string))
			want := map[string]any{
				"iss": w.public, "sub": "ann", "aud": []any{c["client_id"]}, "nonce": "n", "acr": "1", "amr": []any{"pwd"},
				"auth_time": float64(began), "iat": float64(began), "exp": float64(began + 3600),
				"at_hash": half(alg, tokens["access_token"].(string)), "name": "Ann", "groups": []any{"admins"},
			}
			for name, value := range want {
				if !reflect.DeepEqual(first[name], value) {
					t.Errorf("%s is %v: expected %v", name, first[name], value)
				}
			}
			if first["sid"] == nil || first["c_hash"] != nil || first["s_hash"] != nil {
				t.Errorf("sid %v, c_hash %v, s_hash %v", first["sid"], first["c_hash"], first["s_hash"])
			}
			w.pass(time.Minute)
			_, again := w.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens["refresh_token"].(string)}}, basic(c))
			second := w.claims(alg, again["id_token"].(string))
			for _, name := range []string{"iss", "sub", "aud", "auth_time", "acr", "sid"} {
				if !reflect.DeepEqual(first[name], second[name]) {
					t.Errorf("after a refresh, %s is %v: expected %v", name, second[name], first[name])
				}
			}
			if second["nonce"] != nil || second["iat"] != float64(began+60) || second["at_hash"] != half(alg, again["access_token"].(string)) {
				t.Errorf("after a refresh: nonce %v, iat %v, at_hash %v", second["nonce"], second["iat"], second["at_hash"])
			}
		})
	}
}

// TestIDTokenInBrowser: what comes through the browser is vouched for.
func TestIDTokenInBrowser(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{
		"profile": "legacy", "grant_types": []string{"authorization_code", "implicit"},
		"response_types": []string{"code id_token", "id_token", "id_token token", "code token", "code id_token token"},
	})
	for _, types := range []string{"code id_token", "id_token", "id_token token", "code id_token token"} {
		answer := w.browser().authorize(codeRequest(c, "response_type", types), ann())
		if answer.Get("id_token") == "" {
			t.Fatalf("%s: got %v", types, answer)
		}
		claims := w.claims("RS256", answer.Get("id_token"))
		for name, of := range map[string]string{"at_hash": answer.Get("access_token"), "c_hash": answer.Get("code"), "s_hash": "st"} {
			if want := any(half("RS256", of)); of == "" && claims[name] != nil || of != "" && claims[name] != want {
				t.Errorf("%s: %s is %v", types, name, claims[name])
			}
		}
		if claims["nonce"] != "n" {
			t.Errorf("%s: nonce %v", types, claims["nonce"])
		}
	}
	if answer := w.browser().authorize(codeRequest(c, "response_type", "id_token", "nonce", ""), ann()); answer.Get("error") != "invalid_request" {
		t.Errorf("without a nonce: %v", answer)
	}
}

// TestIDTokenIsOurs: what the consent page says of the login, it does not know.
func TestIDTokenIsOurs(t *testing.T) {
	w := start(t)
	c := w.client(nil)
	a := app{login: map[string]any{"subject": "ann"}, consent: map[string]any{"session": map[string]any{"id_token": map[string]any{
		"iss": "x", "sub": "x", "aud": "x", "exp": 1, "auth_time": 1, "acr": "x", "amr": []string{"x"}, "nonce": "x", "sid": "x", "azp": "x", "at_hash": "x", "name": "Ann",
	}}}}
	tokens := w.tokens(c, a)
	said := w.claims("RS256", tokens["id_token"].(string))
	for name, value := range said {
		if value == "x" || reflect.DeepEqual(value, []any{"x"}) || value == 1.0 {
			t.Errorf("the ID token has %s %v", name, value)
		}
	}
	info := w.must("GET", w.public+"/userinfo", nil, bearer(tokens["access_token"]))
	if said["name"] != "Ann" || said["acr"] != nil || info["acr"] != nil || info["amr"] != nil {
		t.Errorf("the ID token says %v, userinfo %v", said, info)
	}
}
