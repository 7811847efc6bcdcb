package server_test

import (
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/server"
)

// TestSocialLink: who has an account with the address logs in once more, and both belong
// together.
func TestSocialLink(t *testing.T) {
	s := startSocial(t, "ann@example.com", true)
	ann := s.rp.known(t, "ann@example.com")
	s.rp.known(t, "eve@example.com")
	v := s.rp.visitor(t, true)
	begin := func() *said {
		t.Helper()
		at := v.get(s.through(s.at, v.leave(v.get("/self-service/registration/browser", asProgram...).is(200), "provider", "house"))).is(303).header.Get("Location")
		if !strings.Contains(at, "/login?flow=") {
			t.Fatalf("sent to %s", at)
		}
		return v.get("/self-service/login/flows?id=" + flowOf(at)).is(200).says(1010016)
	}
	f := begin()
	if f.nodes()["identifier"]["attributes"].(map[string]any)["value"] != "ann@example.com" {
		t.Errorf("the form has %s", f.text)
	}
	in := map[string]any{"csrf_token": f.csrf(), "method": "password", "identifier": "eve@example.com", "password": goodPassword}
	v.do("POST", f.str("ui.action"), in).is(400).says(4000001)
	v.get("/sessions/whoami").is(401)
	in["identifier"] = "ann@example.com"
	v.do("POST", f.str("ui.action"), in).is(200)
	v.get("/sessions/whoami").is(200).has("identity.id", ann)

	again := s.rp.visitor(t, true)
	again.get(s.through(s.at, again.leave(again.get("/self-service/login/browser", asProgram...).is(200), "provider", "house"))).is(303)
	again.get("/sessions/whoami").is(200).has("identity.id", ann)
}

// TestSocialAutomaticLink needs an address that both sides have verified.
func TestSocialAutomaticLink(t *testing.T) {
	automatic := func(c *server.Config) { c.Identity.OIDC.Providers[0].Linking = "automatic" }
	for _, tt := range []struct{ there, here bool }{{true, true}, {true, false}, {false, true}} {
		s := startSocial(t, "ann@example.com", tt.there, automatic)
		ann := s.rp.admin(t).do("POST", "/admin/identities", map[string]any{"schema_id": "default", "traits": map[string]any{"email": "ann@example.com"},
			"verifiable_addresses": []any{map[string]any{"value": "ann@example.com", "via": "email", "verified": tt.here, "status": "completed"}}}).is(201)
		v := s.rp.visitor(t, true)
		got := v.get(s.through(s.at, v.leave(v.get("/self-service/registration/browser", asProgram...).is(200), "provider", "house")), asProgram...)
		if !tt.there || !tt.here {
			got.is(400).says(1010016)
			v.get("/sessions/whoami").is(401)
			continue
		}
		got.is(200)
		v.get("/sessions/whoami").is(200).has("identity.id", ann.str("id"))
	}
}

// TestSocialMissingTraits: what the claims lack is asked for.
func TestSocialMissingTraits(t *testing.T) {
	s := startSocial(t, "ann@example.com", true, func(c *server.Config) { c.Identity.OIDC.Providers[0].Scope = []string{"profile"} })
	v := s.rp.visitor(t, true)
	at := v.get(s.through(s.at, v.leave(v.get("/self-service/login/browser", asProgram...).is(200), "provider", "house"))).is(303).header.Get("Location")
	f := v.get("/self-service/registration/flows?id=" + flowOf(at)).is(200).says(4000002)
	nodes := f.nodes()
	if nodes["traits.name.first"]["attributes"].(map[string]any)["value"] != "Ann" || nodes["provider=house"] == nil {
		t.Fatalf("the form is %s", f.text)
	}
	form := url.Values{"csrf_token": {f.csrf()}, "provider": {"house"}, "traits.email": {"no address"}}
	v.do("POST", f.str("ui.action"), form, asProgram...).is(400).says(4000040)
	form.Set("traits.email", "other@example.com")
	v.do("POST", f.str("ui.action"), form, asProgram...).is(200).has("identity.traits.email", "other@example.com").has("identity.traits.name.last", "Lee").
		has("identity.verifiable_addresses.0.verified", false).has("session.authentication_methods.0.provider", "house")
}

// TestSocialUnverified: of an address that the provider does not vouch for nothing is told.
func TestSocialUnverified(t *testing.T) {
	idp := startSocial(t, "ann@example.com", false)
	n, box := startWithMail(t, func(c *server.Config) {
		c.Identity.OIDC.Providers = idp.config
		c.Identity.OIDC.DisallowPrivate = false
	})
	idp.rp = n
	idp.client()
	n.known(t, "ann@example.com")
	v := n.visitor(t, true)
	got := v.get(idp.through(idp.at, v.leave(v.get("/self-service/registration/browser", asProgram...).is(200), "provider", "house")), asProgram...).
		is(200).has("session", nil).has("continue_with.0.action", "show_verification_ui")
	if l := box.take("ann@example.com"); l.subject != "You have an account already" || l.code != "" {
		t.Errorf("the message is %+v, after %s", l, got.text)
	}
	v.get("/sessions/whoami").is(401)
}

// TestSocialExchange: an app gets its session for two codes, once.
func TestSocialExchange(t *testing.T) {
	s := startSocial(t, "ann@example.com", true)
	app := s.rp.visitor(t, false)
	plain := app.get("/self-service/login/api").is(200)
	if plain.str("session_token_exchange_code") != "" {
		t.Error("a code that nobody has asked for")
	}
	app.do("POST", plain.str("ui.action"), map[string]any{"method": "oidc", "provider": "house"}).is(400)
	f := app.get("/self-service/login/api?return_session_token_exchange_code=true&return_to=app://done").is(200)
	init := f.str("session_token_exchange_code")
	to := app.do("POST", f.str("ui.action"), map[string]any{"method": "oidc", "provider": "house"}).is(422).str("redirect_browser_to")
	exchange := func(code string) *said {
		return app.get("/sessions/token-exchange?" + url.Values{"init_code": {init}, "return_to_code": {code}}.Encode())
	}
	exchange("x").is(404)
	exchange("").is(403)
	browser := s.rp.visitor(t, true)
	done, err := url.Parse(browser.get(s.through(s.at, to)).is(303).header.Get("Location"))
	if err != nil || done.Scheme != "app" || done.Query().Get("code") == "" {
		t.Fatalf("sent to %v", done)
	}
	browser.get("/sessions/whoami").is(401)
	code := done.Query().Get("code")
	app.get("/sessions/token-exchange?" + url.Values{"init_code": {plain.str("id")}, "return_to_code": {code}}.Encode()).is(403)
	exchange(code + "x").is(404)
	var wg sync.WaitGroup
	tokens := make(chan string, 8)
	for range cap(tokens) {
		wg.Go(func() { tokens <- exchange(code).str("session_token") })
	}
	wg.Wait()
	close(tokens)
	for token := range tokens {
		if token != "" && app.token != "" {
			t.Error("the codes worked twice")
		}
		app.token = app.token + token
	}
	exchange(code).is(410)
	app.get("/sessions/whoami").is(200).has("identity.traits.email", "ann@example.com").has("authentication_methods.0.provider", "house")
}

// TestSocialIDToken: an app submits a token that it got by itself.
func TestSocialIDToken(t *testing.T) {
	s := startSocial(t, "ann@example.com", true, func(c *server.Config) { c.Identity.OIDC.Providers[0].Audiences = []string{"app"} })
	token := func(client string) string {
		t.Helper()
		c := s.idp.rp(`,"skip_consent":true,"client_id":"` + client + `"`)
		to := c.request("nonce", "a nonce of the app", "scope", "openid email profile")
		for range 10 {
			if to = s.at.get(to).header.Get("Location"); strings.HasPrefix(to, "https://client.test") {
				break
			}
		}
		at, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := c.tokens(at.Query().Get("code"))
		return body["id_token"].(string)
	}
	app := s.rp.visitor(t, false)
	f := app.get("/self-service/login/api").is(200)
	submit := func(token, nonce string) *said {
		return app.do("POST", f.str("ui.action"), map[string]any{"method": "oidc", "provider": "house", "id_token": token, "id_token_nonce": nonce})
	}
	good, other := token("app"), token("someone-else")
	parts := strings.Split(good, ".")
	for name, bad := range map[string][2]string{
		"no nonce": {good, ""}, "another nonce": {good, "x"}, "another client": {other, "a nonce of the app"}, "no token": {"x", "a nonce of the app"},
		"no signature": {parts[0] + "." + parts[1] + ".", "a nonce of the app"}, "none": {"eyJhbGciOiJub25lIn0." + parts[1] + ".", "a nonce of the app"},
		"another payload": {parts[0] + "." + strings.Split(other, ".")[1] + "." + parts[2], "a nonce of the app"},
	} {
		if got := submit(bad[0], bad[1]); got.status != 400 || !slices.ContainsFunc(got.messages(), func(id int) bool { return id == 4000001 || id == 4000002 }) {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
	}
	done := submit(good, "a nonce of the app").is(200).has("session.identity.traits.email", "ann@example.com")
	if done.str("session_token") == "" {
		t.Error("there is no token")
	}
}

// TestSocialUpdate: a login brings traits up to date, but for addresses; and says what
// the provider has seen, which may be two factors.
func TestSocialUpdate(t *testing.T) {
	s := startSocial(t, "ann@example.com", true, func(c *server.Config) {
		p := &c.Identity.OIDC.Providers[0]
		p.Update, p.AMR2 = "automatic", []string{"mfa", "pwd"}
	})
	in := func() *said {
		t.Helper()
		v := s.rp.visitor(t, true)
		v.get(s.through(s.at, v.leave(v.get("/self-service/login/browser", asProgram...).is(200), "provider", "house"))).is(303)
		return v.get("/sessions/whoami").is(200)
	}
	first := in().has("identity.traits.name.first", "Ann").has("authenticator_assurance_level", "aal2").
		has("authentication_methods.0.aal", "aal2").has("authentication_methods.0.upstream_amr.0", "pwd")
	there := s.idp.admin(t).get("/admin/identities").is(200).list()[0]["id"].(string)
	s.idp.admin(t).do("PATCH", "/admin/identities/"+there, []any{
		map[string]any{"op": "replace", "path": "/traits/name/first", "value": "Anna"}, map[string]any{"op": "replace", "path": "/traits/email", "value": "anna@example.com"},
	}).is(200)
	in().has("identity.id", first.str("identity.id")).has("identity.traits.name.first", "Anna").has("identity.traits.name.last", "Lee").
		has("identity.traits.email", "ann@example.com").has("identity.verifiable_addresses.0.verified", true)
}

// Claims that the schema refuses do not keep anybody out, and change nothing, not even
// in part: who has a name that is too long at the provider keeps the names they had here.
func TestSocialUpdateThatDoesNotFit(t *testing.T) {
	s := startSocial(t, "ann@example.com", true, func(c *server.Config) {
		p := &c.Identity.OIDC.Providers[0]
		p.Update = "automatic"
		p.Mapping = identity.Mapping{"traits.email": {"email"}, "traits.name.first": {"given_name"}, "traits.name.last": {"family_name"}, "metadata_public.name": {"given_name"}}
		narrow := strings.ReplaceAll(identity.DefaultSchema, `"maxLength": 200`, `"maxLength": 5`)
		if err := c.Identity.Schemas.Add("default", narrow); err != nil {
			t.Fatal(err)
		}
	})
	in := func() *said {
		t.Helper()
		v := s.rp.visitor(t, true)
		v.get(s.through(s.at, v.leave(v.get("/self-service/login/browser", asProgram...).is(200), "provider", "house"))).is(303)
		return v.get("/sessions/whoami").is(200)
	}
	there := s.idp.admin(t).get("/admin/identities").is(200).list()[0]["id"].(string)
	called := func(first, last string) {
		s.idp.admin(t).do("PATCH", "/admin/identities/"+there, []any{
			map[string]any{"op": "replace", "path": "/traits/name", "value": map[string]any{"first": first, "last": last}},
		}).is(200)
	}
	who := in().has("identity.traits.name.first", "Ann").str("identity.id")
	before := s.rp.admin(t).get("/admin/identities/" + who).is(200).str("updated_at")
	called("Anna", "Leeeeee")
	in().has("identity.id", who).has("identity.traits.name.first", "Ann").has("identity.traits.name.last", "Lee").has("identity.metadata_public.name", "Ann")
	s.rp.admin(t).get("/admin/identities/"+who).is(200).has("updated_at", before)
	called("Anna", "Lee")
	in().has("identity.id", who).has("identity.traits.name.first", "Anna").has("identity.metadata_public.name", "Anna")
}
