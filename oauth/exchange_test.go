package oauth_test

import (
	"fmt"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/oauth"
)

const (
	exchangeType = "urn:ietf:params:oauth:grant-type:token-exchange"
	tokenType    = "urn:ietf:params:oauth:token-type:"
)

// swap is a token exchange.
func swap(subject, kind string, more ...string) url.Values {
	form := url.Values{"grant_type": {exchangeType}, "subject_token": {subject}, "subject_token_type": {tokenType + kind}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Add(more[i], more[i+1])
	}
	return form
}

// A market is a shop, whose customers' tokens are also for a service, which may
// exchange them.
type market struct {
	*world
	shop, service map[string]any
	tokens        map[string]any // of ann at the shop
}

func openMarket(t *testing.T, a app, edit ...func(*oauth.Options)) market {
	w := start(t, edit...)
	service := w.client(map[string]any{
		"client_id": "service", "grant_types": []string{exchangeType, "refresh_token", "client_credentials"}, "response_types": []string{},
		"audience": []string{"https://stock.test", "service"},
	})
	shop := w.client(map[string]any{
		"client_id": "shop", "audience": []string{"service", "https://stock.test"},
		"grant_types": []string{"authorization_code", "refresh_token", exchangeType},
	})
	code := codeRequest(shop, "scope", "openid offline_access read write")
	code["audience"] = []string{"service https://stock.test"}
	status, tokens := w.token(codeExchange(w.browser().authorize(code, a).Get("code")), basic(shop))
	if status != 200 {
		t.Fatalf("the shop gets %d %v", status, tokens)
	}
	return market{w, shop, service, tokens}
}

func (m market) access() string { return text(m.tokens, "access_token") }

// TestExchange: a service exchanges a token that is for it, and is named as the actor.
func TestExchange(t *testing.T) {
	m := openMarket(t, ann())
	status, body := m.token(swap(m.access(), "access_token", "scope", "read", "audience", "https://stock.test", "resource", "https://stock.test/items"), basic(m.service))
	if status != 200 || body["issued_token_type"] != tokenType+"access_token" || body["token_type"] != "bearer" || body["scope"] != "read" || body["refresh_token"] != nil || body["id_token"] != nil {
		t.Fatalf("the service gets %d %v", status, body)
	}
	token := text(body, "access_token")
	in := m.introspect(token, nil)
	if in["sub"] != "ann" || in["client_id"] != "service" || fmt.Sprint(in["aud"]) != "[https://stock.test https://stock.test/items]" || !reflect.DeepEqual(in["act"], map[string]any{"sub": "service"}) {
		t.Errorf("its token is %v", in)
	}
	// A refresh of the shop leaves it alone, the end of the shop's grant does not.
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(m.tokens, "refresh_token")}}
	status, next := m.token(refresh, basic(m.shop))
	if status != 200 || m.introspect(token, nil)["active"] != true {
		t.Errorf("after a refresh %d: %v", status, m.introspect(token, nil))
	}
	m.must("POST", m.public+"/oauth2/revoke", url.Values{"token": {text(next, "access_token")}}, basic(m.shop))
	if m.introspect(token, nil)["active"] != false {
		t.Error("it outlives the grant")
	}
}

// TestExchangeEnds: what a service revokes is its own, and what it has does not outlive
// what it had.
func TestExchangeEnds(t *testing.T) {
	m := openMarket(t, ann())
	m.pass(59 * time.Minute)
	_, body := m.token(swap(m.access(), "access_token"), basic(m.service))
	if body["expires_in"] != 60.0 {
		t.Errorf("the token of a token that ends in a minute: %v", body)
	}
	m.must("POST", m.public+"/oauth2/revoke", url.Values{"token": {text(body, "access_token")}}, basic(m.service))
	if m.introspect(text(body, "access_token"), nil)["active"] != false || m.introspect(m.access(), nil)["active"] != true {
		t.Error("the wrong token is revoked")
	}
}

// TestExchangeOwn: a client narrows its own token, whose actor stays what it was.
func TestExchangeOwn(t *testing.T) {
	m := openMarket(t, ann())
	for _, kind := range []string{"access_token", "id_token"} {
		status, body := m.token(swap(text(m.tokens, kind), kind, "scope", "read", "requested_token_type", tokenType+"jwt"), basic(m.shop))
		if status != 200 || body["issued_token_type"] != tokenType+"jwt" {
			t.Fatalf("%s: %d %v", kind, status, body)
		}
		header, claims := m.verify(text(body, "access_token"))
		if header["typ"] != "at+jwt" || claims["sub"] != "ann" || claims["act"] != nil || claims["scope"] != "read" {
			t.Errorf("%s: the token is %v %v", kind, header, claims)
		}
		if in := m.introspect(text(body, "access_token"), nil); in["active"] != true {
			t.Errorf("%s: it is %v", kind, in)
		}
	}
	m.must("POST", m.public+"/oauth2/revoke", url.Values{"token": {m.access()}}, basic(m.shop))
	if status, body := m.token(swap(text(m.tokens, "id_token"), "id_token"), basic(m.shop)); status != 400 {
		t.Errorf("an ID token of a revoked grant: %d %v", status, body)
	}
}

// TestExchangeRefresh: a refresh token in place of an access token.
func TestExchangeRefresh(t *testing.T) {
	m := openMarket(t, ann())
	status, body := m.token(swap(m.access(), "access_token", "requested_token_type", tokenType+"refresh_token"), basic(m.service))
	if status != 200 || body["token_type"] != "N_A" || body["access_token"] != body["refresh_token"] || body["expires_in"] != nil {
		t.Fatalf("got %d %v", status, body)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {text(body, "access_token")}}
	status, next := m.token(refresh, basic(m.service))
	if status != 200 || next["id_token"] != nil {
		t.Fatalf("it gives %d %v", status, next)
	}
	if in := m.introspect(text(next, "access_token"), nil); in["sub"] != "ann" || fmt.Sprint(in["act"]) != "map[sub:service]" {
		t.Errorf("the token is %v", in)
	}
	if m.introspect(m.access(), nil)["active"] != true {
		t.Error("the shop's token is dead")
	}
	if status, body := m.token(swap(m.access(), "access_token", "requested_token_type", tokenType+"refresh_token", "scope", "read"), basic(m.service)); status != 400 {
		t.Errorf("without offline_access: %d %v", status, body)
	}
}

// TestExchangeActors: who acts for whom.
func TestExchangeActors(t *testing.T) {
	m := openMarket(t, ann())
	status, own := m.token(url.Values{"grant_type": {"client_credentials"}, "audience": {"service"}}, basic(m.service))
	if status != 200 {
		t.Fatal(status, own)
	}
	actor := []string{"actor_token", text(own, "access_token"), "actor_token_type", tokenType + "access_token"}
	status, body := m.token(swap(m.access(), "access_token", actor...), basic(m.service))
	if status != 200 {
		t.Fatalf("got %d %v", status, body)
	}
	chain := map[string]any{"sub": "service"}
	for range 9 {
		if status, body = m.token(swap(text(body, "access_token"), "access_token", actor...), basic(m.service)); status != 200 {
			t.Fatalf("got %d %v", status, body)
		}
		chain = map[string]any{"sub": "service", "act": chain}
	}
	if in := m.introspect(text(body, "access_token"), nil); !reflect.DeepEqual(in["act"], chain) {
		t.Errorf("the chain is %v", in["act"])
	}
	if status, body = m.token(swap(text(body, "access_token"), "access_token", actor...), basic(m.service)); status != 400 || body["error"] != "invalid_request" {
		t.Errorf("an endless chain: %d %v", status, body)
	}
	// The token of a client: its subject stays the client.
	_, body = m.token(swap(text(own, "access_token"), "access_token"), basic(m.service))
	if in := m.introspect(text(body, "access_token"), nil); in["sub"] != "service" || in["act"] != nil {
		t.Errorf("of a client: %v", in)
	}
}

// TestMayAct: a token that says who may act lets nobody else, and these without a
// name.
func TestMayAct(t *testing.T) {
	for _, tt := range []struct {
		name   string
		mayAct any
		status int
	}{
		{"by client", map[string]any{"client_id": "service"}, 200},
		{"by subject", map[string]any{"sub": "service"}, 200},
		{"another", map[string]any{"sub": "other"}, 400},
		{"more is asked", map[string]any{"sub": "service", "org": "x"}, 400},
		{"other issuer", map[string]any{"sub": "service", "iss": "https://eve.test"}, 400},
		{"nobody", map[string]any{}, 400},
		{"no object", "service", 400},
		{"null", nil, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := ann()
			a.consent["session"] = map[string]any{"access_token": map[string]any{"may_act": tt.mayAct}}
			m := openMarket(t, a)
			status, body := m.token(swap(m.access(), "access_token"), basic(m.service))
			if status != tt.status {
				t.Fatalf("got %d %v", status, body)
			}
			if status != 200 {
				return
			}
			if in := m.introspect(text(body, "access_token"), nil); in["sub"] != "ann" || in["act"] != nil {
				t.Errorf("the token is %v", in)
			}
		})
	}
}

// TestImpersonation: an operator lets a client take the place of people.
func TestImpersonation(t *testing.T) {
	m := openMarket(t, ann())
	fields := map[string]any{"grant_types": []string{exchangeType}, "response_types": []string{}}
	for metadata, want := range map[string]int{"": 400, "null": 400, "false": 400, "true": 200} {
		more := fields
		switch metadata {
		case "":
		case "null":
			more = with(fields, "metadata", map[string]any{"token_exchange": nil})
		default:
			more = with(fields, "metadata", map[string]any{"token_exchange": map[string]any{"impersonation": metadata == "true"}})
		}
		c := m.client(more)
		status, body := m.token(swap(m.access(), "access_token"), basic(c))
		if status != want {
			t.Errorf("%q: %d %v", metadata, status, body)
		}
		if want != 200 {
			continue
		}
		if in := m.introspect(text(body, "access_token"), nil); in["sub"] != "ann" || in["act"] != nil {
			t.Errorf("the token is %v", in)
		}
	}
}

// TestExchangeVouched: the JWT of a trusted issuer.
func TestExchangeVouched(t *testing.T) {
	m := openMarket(t, ann())
	k := key(t, jose.ES256, "k")
	m.trust(k)
	token := signed(t, jose.ES256, k, "JWT", m.voucher("act", map[string]any{"sub": "robot"}))
	for range 2 {
		status, body := m.token(swap(token, "jwt", "scope", "read", "audience", "https://stock.test"), basic(m.service))
		if status != 200 || body["expires_in"] != 60.0 {
			t.Fatalf("got %d %v", status, body)
		}
		if in := m.introspect(text(body, "access_token"), nil); in["sub"] != "bob" || fmt.Sprint(in["act"]) != "map[act:map[sub:robot] sub:service]" {
			t.Errorf("the token is %v", in)
		}
	}
	status, body := m.token(swap(m.access(), "access_token", "actor_token", token, "actor_token_type", tokenType+"jwt"), basic(m.service))
	if status != 400 {
		t.Errorf("an actor that is not the client's: %d %v", status, body)
	}
	if status, body := m.token(swap(token, "jwt", "requested_token_type", tokenType+"refresh_token", "scope", "read"), basic(m.service)); status != 400 {
		t.Errorf("a refresh token: %d %v", status, body)
	}
}

// TestExchangeSubjects: another client knows a person by another name.
func TestExchangeSubjects(t *testing.T) {
	m := openMarket(t, ann(), func(o *oauth.Options) {
		o.Subjects = oauth.Subjects{Types: []string{"public", "pairwise"}, Salt: "salt"}
	})
	c := m.client(map[string]any{
		"grant_types": []string{exchangeType}, "response_types": []string{}, "subject_type": "pairwise", "redirect_uris": []string{"https://other.test/"},
		"metadata": map[string]any{"token_exchange": map[string]any{"impersonation": true}},
	})
	status, body := m.token(swap(m.access(), "access_token"), basic(c))
	if status != 200 {
		t.Fatalf("got %d %v", status, body)
	}
	if in := m.introspect(text(body, "access_token"), c); in["sub"] == "ann" || in["sub"] == "" {
		t.Errorf("the client gets %v", in)
	}
	if in := m.introspect(text(body, "access_token"), nil); in["sub"] != "ann" {
		t.Errorf("the operator gets %v", in)
	}
}

func TestExchangeRefused(t *testing.T) {
	m := openMarket(t, ann())
	stranger := m.client(map[string]any{"grant_types": []string{exchangeType}, "response_types": []string{}})
	not := m.client(nil)
	dead := m.world.tokens(m.client(map[string]any{"grant_types": []string{"authorization_code"}}), ann(), "scope", "openid")
	m.pass(time.Minute)
	for _, tt := range []struct {
		name   string
		form   url.Values
		client map[string]any
		want   string
	}{
		{"client that may not", swap(m.access(), "access_token"), not, "unauthorized_client"},
		{"stranger", swap(m.access(), "access_token"), stranger, "invalid_request"},
		{"stranger with ID token", swap(text(m.tokens, "id_token"), "id_token"), m.service, "invalid_request"},
		{"no subject", url.Values{"grant_type": {exchangeType}}, m.service, "invalid_request"},
		{"no type", url.Values{"grant_type": {exchangeType}, "subject_token": {m.access()}}, m.service, "invalid_request"},
		{"unknown type", swap(m.access(), "saml2"), m.service, "invalid_request"},
		{"refresh token", swap(text(m.tokens, "refresh_token"), "refresh_token"), m.service, "invalid_request"},
		{"refresh token as access token", swap(text(m.tokens, "refresh_token"), "access_token"), m.service, "invalid_request"},
		{"unknown token", swap("ory_at_x", "access_token"), m.service, "invalid_request"},
		{"access token as ID token", swap(m.access(), "id_token"), m.shop, "invalid_request"},
		{"ID token as access token", swap(text(m.tokens, "id_token"), "access_token"), m.shop, "invalid_request"},
		{"ID token as JWT", swap(text(m.tokens, "id_token"), "jwt"), m.shop, "invalid_request"},
		{"ID token of another", swap(text(dead, "id_token"), "id_token"), m.shop, "invalid_request"},
		{"unknown issuer", swap(signed(t, jose.ES256, key(t, jose.ES256, "k"), "JWT", m.voucher()), "jwt"), m.service, "invalid_request"},
		{"no such token can be had", swap(m.access(), "access_token", "requested_token_type", tokenType+"id_token"), m.service, "invalid_request"},
		{"scope of nobody", swap(m.access(), "access_token", "scope", "admin"), m.service, "invalid_scope"},
		{"scope of the client only", swap(m.access(), "access_token", "scope", "profile"), m.service, "invalid_scope"},
		{"wider audience", swap(m.access(), "access_token", "audience", "https://pay.test"), m.service, "invalid_target"},
		{"one wider audience", swap(m.access(), "access_token", "audience", "service", "audience", "https://pay.test"), m.service, "invalid_target"},
		{"wider resource", swap(m.access(), "access_token", "resource", "https://pay.test"), m.service, "invalid_target"},
		{"resource with fragment", swap(m.access(), "access_token", "resource", "https://stock.test#x"), m.service, "invalid_target"},
		{"relative resource", swap(m.access(), "access_token", "resource", "service"), m.service, "invalid_target"},
		{"actor without type", swap(m.access(), "access_token", "actor_token", m.access()), m.service, "invalid_request"},
		{"actor that is dead", swap(m.access(), "access_token", "actor_token", "ory_at_x", "actor_token_type", tokenType+"access_token"), m.service, "invalid_request"},
		{"actor of another", swap(m.access(), "access_token", "actor_token", text(dead, "access_token"), "actor_token_type", tokenType+"access_token"), m.service, "invalid_request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, body := m.token(tt.form, basic(tt.client)); status != 400 || body["error"] != tt.want {
				t.Errorf("got %d %v: expected %s", status, body, tt.want)
			}
		})
	}
	m.pass(time.Hour)
	for _, kind := range []string{"access_token", "id_token"} {
		if status, body := m.token(swap(text(m.tokens, kind), kind), basic(m.shop)); status != 400 {
			t.Errorf("an expired %s: %d %v", kind, status, body)
		}
	}
}

// TestExchangeIDTokenOfThen: an ID token is good for what was granted when it was made,
// and not for what the same person grants in the same login later.
func TestExchangeIDTokenOfThen(t *testing.T) {
	w := start(t)
	c := w.client(map[string]any{"grant_types": []string{"authorization_code", exchangeType}})
	b, a := w.browser(), ann()
	a.login["remember"] = true
	get := func(scope string) string {
		status, body := w.token(codeExchange(b.authorize(codeRequest(c, "scope", scope), a).Get("code")), basic(c))
		if status != 200 {
			t.Fatalf("got %d %v", status, body)
		}
		return text(body, "id_token")
	}
	first := get("openid read")
	w.pass(time.Minute)
	second := get("openid read write")
	for token, want := range map[string]string{first: "openid read", second: "openid read write"} {
		if status, body := w.token(swap(token, "id_token"), basic(c)); status != 200 || body["scope"] != want {
			t.Errorf("got %d %v: expected %s", status, body, want)
		}
	}
}

// TestExchangeKeepsClaims: what a person told one client at userinfo, another does not
// learn there.
func TestExchangeKeepsClaims(t *testing.T) {
	a := ann()
	a.consent["session"] = map[string]any{"id_token": map[string]any{"name": "Ann", "team": "a"}}
	m := openMarket(t, a)
	_, body := m.token(swap(m.access(), "access_token"), basic(m.service))
	own := m.must("GET", m.public+"/userinfo", nil, bearer(m.access()))
	got := m.must("GET", m.public+"/userinfo", nil, bearer(text(body, "access_token")))
	if own["team"] != "a" || len(got) != 1 || got["sub"] != "ann" {
		t.Errorf("the shop learns %v, and the service %v", own, got)
	}
}
