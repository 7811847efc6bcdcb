package identity_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/secret"
	"github.com/cardea-iam/cardea/store"
)

// An authenticator keeps one key (ES256) and attests nothing. Tests bend its fields.
type authenticator struct {
	*testing.T
	key    *ecdsa.PrivateKey
	id     []byte
	handle []byte
	origin string
	rp     string // "": as it is asked for
	count  uint32
	flags  byte
	kind   string // of the client's data; "": the right one
}

const (
	userPresent  = 1
	userVerified = 4
	attested     = 0x40
)

func (h *house) authenticator() *authenticator {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.Fatal(err)
	}
	id := make([]byte, 32)
	_, _ = rand.Read(id)
	return &authenticator{T: h.T, key: key, id: id, origin: strings.Replace(h.URL, "127.0.0.1", "localhost", 1), flags: userPresent | userVerified}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// cbor encodes what an attestation needs (RFC 8949): maps as pairs in order.
func cbor(v any) []byte {
	head := func(major byte, n int) []byte {
		switch {
		case n < 24:
			return []byte{major<<5 | byte(n)}
		case n < 256:
			return []byte{major<<5 | 24, byte(n)}
		default:
			return binary.BigEndian.AppendUint16([]byte{major<<5 | 25}, uint16(n))
		}
	}
	switch v := v.(type) {
	case int:
		if v < 0 {
			return head(1, -1-v)
		}
		return head(0, v)
	case []byte:
		return append(head(2, len(v)), v...)
	case string:
		return append(head(3, len(v)), v...)
	case []any:
		out := head(5, len(v)/2)
		for _, one := range v {
			out = append(out, cbor(one)...)
		}
		return out
	default:
		panic("a type that no test uses")
	}
}

func (a *authenticator) clientData(kind, challenge string) []byte {
	if a.kind != "" {
		kind = a.kind
	}
	text, err := json.Marshal(object{"type": kind, "challenge": challenge, "origin": a.origin, "crossOrigin": false})
	if err != nil {
		a.Fatal(err)
	}
	return text
}

func (a *authenticator) data(rp string, extra byte) []byte {
	if a.rp != "" {
		rp = a.rp
	}
	sum := sha256.Sum256([]byte(rp))
	return binary.BigEndian.AppendUint32(append(sum[:], a.flags|extra), a.count)
}

func publicKey(options string) object {
	var o object
	if json.Unmarshal([]byte(options), &o) != nil {
		return nil
	}
	if inner, ok := o["credentialOptions"].(object); ok {
		o = inner
	}
	o, _ = o["publicKey"].(object)
	return o
}

// create answers what navigator.credentials.create is asked.
func (a *authenticator) create(options string) string {
	a.Helper()
	o := publicKey(options)
	if o == nil {
		a.Fatalf("options %.200s", options)
	}
	handle, err := base64.RawURLEncoding.DecodeString(o["user"].(object)["id"].(string))
	if err != nil {
		a.Fatal(err)
	}
	a.handle = handle
	point, err := a.key.PublicKey.Bytes()
	if err != nil {
		a.Fatal(err)
	}
	public := cbor([]any{1, 2, 3, -7, -1, 1, -2, point[1:33], -3, point[33:]})
	data := a.data(o["rp"].(object)["id"].(string), attested)
	data = append(data, make([]byte, 16)...) // AAGUID
	data = binary.BigEndian.AppendUint16(data, uint16(len(a.id)))
	data = append(append(data, a.id...), public...)
	attestation := cbor([]any{"fmt", "none", "attStmt", []any{}, "authData", data})
	return a.answer(object{"attestationObject": b64(attestation), "clientDataJSON": b64(a.clientData("webauthn.create", o["challenge"].(string)))})
}

// get answers what navigator.credentials.get is asked.
func (a *authenticator) get(options string) string {
	a.Helper()
	o := publicKey(options)
	if o == nil {
		a.Fatalf("options %.200s", options)
	}
	a.count++
	client := a.clientData("webauthn.get", o["challenge"].(string))
	data := a.data(o["rpId"].(string), 0)
	sum := sha256.Sum256(client)
	sum = sha256.Sum256(append(bytes.Clone(data), sum[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, a.key, sum[:])
	if err != nil {
		a.Fatal(err)
	}
	return a.answer(object{"authenticatorData": b64(data), "clientDataJSON": b64(client), "signature": b64(signature), "userHandle": b64(a.handle)})
}

func (a *authenticator) answer(response object) string {
	text, err := json.Marshal(object{"id": b64(a.id), "rawId": b64(a.id), "type": "public-key", "response": response})
	if err != nil {
		a.Fatal(err)
	}
	return string(text)
}

func (s *heard) value(node string) string {
	s.Helper()
	n := s.node(node)
	if n == nil {
		s.Fatalf("node %s is missing: %s", node, s.text)
	}
	text, _ := n["value"].(string)
	return text
}

// registerPasskey makes an account without a password.
func (g *guest) registerPasskey(a *authenticator, email string) *heard {
	g.Helper()
	flow := g.open("registration", "").is(200)
	return g.send(flow, object{"passkey_register": a.create(flow.value("passkey_create_data")), "traits": object{"email": email}})
}

func (g *guest) logout() {
	g.Helper()
	g.ask("GET", g.ask("GET", "/self-service/logout/browser", nil).is(200).str("logout_url"), nil).is(204)
}

func (g *guest) passkeyLogin(a *authenticator) *heard {
	g.Helper()
	flow := g.open("login", "").is(200)
	return g.send(flow, object{"passkey_login": a.get(flow.value("passkey_challenge"))})
}

func TestPasskeys(t *testing.T) {
	h := newHouse(t)
	h.guest(false).open("login", "").is(200).hides("passkey_challenge", "passkey_login_trigger", "webauthn_script")
	g, a := h.guest(true), h.authenticator()
	flow := g.open("registration", "").is(200).shows("webauthn_script", "passkey_register", "passkey_register_trigger")
	if trigger := flow.node("passkey_register_trigger"); trigger["onclickTrigger"] != "oryPasskeyRegistration" || trigger["type"] != "button" {
		t.Fatalf("trigger %v", trigger)
	}
	if !strings.Contains(flow.value("passkey_create_data"), `"displayNameFieldName":"traits.email"`) {
		t.Fatalf("data %s", flow.value("passkey_create_data"))
	}
	if again := g.ask("GET", "/self-service/registration/flows?id="+flow.str("id"), nil).is(200); again.value("passkey_create_data") != flow.value("passkey_create_data") {
		t.Fatal("the challenge changed between two looks at one flow")
	}
	g.send(flow, object{"passkey_register": a.create(flow.value("passkey_create_data")), "traits": object{"email": "no address"}}).is(400).says(4000040)
	for what, bend := range map[string]func(*authenticator){
		"another origin":  func(a *authenticator) { a.origin = "https://evil.example" },
		"another domain":  func(a *authenticator) { a.rp = "evil.example" },
		"nobody there":    func(a *authenticator) { a.flags = userVerified },
		"of a login":      func(a *authenticator) { a.kind = "webauthn.get" },
		"another port":    func(a *authenticator) { a.origin = "http://localhost:1" },
		"another network": func(a *authenticator) { a.origin = "http://evil.localhost" },
	} {
		bad := h.authenticator()
		bend(bad)
		t.Run(what, func(*testing.T) {
			g.send(flow, object{"passkey_register": bad.create(flow.value("passkey_create_data")), "traits": object{"email": "ann@example.com"}}).is(400).says(4000043)
		})
	}
	for _, text := range []string{"x", "{}", `{"id":"x","rawId":"x","type":"public-key","response":{}}`, "null", "[]"} {
		g.send(flow, object{"method": "passkey", "passkey_register": text, "traits": object{"email": "ann@example.com"}}).is(400).says(4000043)
	}
	other := g.open("registration", "").is(200)
	g.send(flow, object{"passkey_register": a.create(other.value("passkey_create_data")), "traits": object{"email": "ann@example.com"}}).is(400).says(4000043)
	g.send(flow, object{"passkey_register": a.create(flow.value("passkey_create_data")), "traits": object{"email": "ann@example.com"}}).is(200).
		has("session.authenticator_assurance_level", "aal1").has("session.authentication_methods.0.method", "passkey")
	g.ask("GET", "/sessions/whoami", nil).is(200).has("identity.traits.email", "ann@example.com")
	g.logout()

	login := g.open("login", "").is(200).shows("passkey_challenge", "passkey_login", "passkey_login_trigger", "identifier")
	if n := login.node("passkey_login"); n["onloadTrigger"] != "oryPasskeyLoginAutocompleteInit" {
		t.Fatalf("passkey_login %v", n)
	}
	if n := login.node("identifier"); n["autocomplete"] != "username webauthn" {
		t.Fatalf("identifier %v", n)
	}
	g.passkeyLogin(a).is(200).has("session.authentication_methods.0.method", "passkey").has("session.identity.traits.email", "ann@example.com")
	g.logout()

	for what, bend := range map[string]func(*authenticator){
		"another origin":  func(a *authenticator) { a.origin = "https://evil.example" },
		"another domain":  func(a *authenticator) { a.rp = "evil.example" },
		"nobody there":    func(a *authenticator) { a.flags = userVerified },
		"of a creation":   func(a *authenticator) { a.kind = "webauthn.create" },
		"another key":     func(a *authenticator) { a.key = h.authenticator().key },
		"another id":      func(a *authenticator) { a.id = []byte("another") },
		"a copy":          func(a *authenticator) { a.count = 0 },
		"a backup":        func(a *authenticator) { a.flags |= 8 },
		"without account": func(a *authenticator) { a.handle = nil },
	} {
		bad := *a
		bend(&bad)
		t.Run(what, func(*testing.T) {
			got := g.passkeyLogin(&bad).is(400)
			if what != "without account" {
				got.says(4000043)
			}
		})
	}
	unknown := *a
	unknown.handle = []byte("nobody")
	g.passkeyLogin(&unknown).is(400).says(4000015)
	g.passkeyLogin(a).is(200)
	g.logout()

	// An answer is good for one flow, and once.
	flow, other = g.open("login", "").is(200), g.open("login", "").is(200)
	answer := a.get(flow.value("passkey_challenge"))
	g.send(other, object{"passkey_login": answer}).is(400).says(4000043)
	g.send(flow, object{"passkey_login": answer}).is(200)
	g.send(flow, object{"passkey_login": answer}).is(400).has("error.id", "session_already_available")
	thief := h.guest(true)
	thief.send(thief.open("login", "").is(200), object{"passkey_login": answer}).is(400).says(4000043)
}

func TestPasskeyAnswersWorkOnce(t *testing.T) {
	h := newHouse(t)
	g, a := h.guest(true), h.authenticator()
	g.registerPasskey(a, "ann@example.com").is(200)
	g.logout()
	flow := g.open("login", "").is(200)
	answer, token := a.get(flow.value("passkey_challenge")), flow.value("csrf_token")
	if n := race(h, []*guest{g, g, g, g}, []*heard{flow, flow, flow, flow}, func() object { return object{"passkey_login": answer, "csrf_token": token} }); n != 1 {
		t.Errorf("an answer let %d in", n)
	}
}

func TestPasskeySettings(t *testing.T) {
	h := newHouse(t)
	g, a, b := h.guest(true), h.authenticator(), h.authenticator()
	g.registerPasskey(a, "ann@example.com").is(200)
	flow := g.open("settings", "").is(200).shows("passkey_remove", "passkey_create_data", "passkey_settings_register", "passkey_register_trigger")
	if n := flow.node("passkey_remove"); n["disabled"] != true {
		t.Fatalf("the last passkey can be removed: %v", n)
	}
	g.send(flow, object{"passkey_remove": flow.value("passkey_remove")}).is(400).says(4000001)
	if !strings.Contains(flow.value("passkey_create_data"), b64(a.id)) {
		t.Fatal("the key that is there is not excluded")
	}
	g.send(flow, object{"passkey_settings_register": a.create(flow.value("passkey_create_data"))}).is(400).says(4000043)
	created := b.create(flow.value("passkey_create_data"))
	next := g.send(flow, object{"passkey_settings_register": created}).is(200).has("state", "success")
	g.send(flow, object{"passkey_settings_register": created}).is(400).says(4000043) // the challenge was met
	if next.value("passkey_create_data") == flow.value("passkey_create_data") {
		t.Fatal("a challenge is shown again")
	}
	g.logout()
	g.passkeyLogin(b).is(200)
	flow = g.open("settings", "").is(200)
	if n := flow.node("passkey_remove"); n["disabled"] != false {
		t.Fatalf("one of two passkeys cannot be removed: %v", n)
	}
	g.send(flow, object{"passkey_remove": "ffff"}).is(400).says(4000013)
	g.send(flow, object{"passkey_remove": flow.value("passkey_remove")}).is(200).has("state", "success")
	g.send(flow, object{"passkey_remove": b64(b.id)}).is(400)

	h.seconds.Add(16 * 60) // and a passkey refreshes a session
	g.send(flow, object{"method": "password", "password": password}).is(403).has("error.id", "session_refresh_required")
	refresh := g.open("login", "?refresh=true").is(200).shows("passkey_challenge").hides("password")
	if !strings.Contains(refresh.value("passkey_challenge"), b64(b.id)) {
		t.Fatal("the form does not name the key of the account")
	}
	g.send(refresh, object{"passkey_login": a.get(refresh.value("passkey_challenge"))}).is(400).says(4000043)
	refresh = g.open("login", "?refresh=true").is(200)
	g.send(refresh, object{"passkey_login": b.get(refresh.value("passkey_challenge"))}).is(200)
	flow = g.open("settings", "").is(200)
	g.send(flow, object{"method": "password", "password": password}).is(200)
	flow = g.open("settings", "").is(200)
	g.send(flow, object{"passkey_remove": flow.value("passkey_remove")}).is(200).hides("passkey_remove")
}

func TestSecurityKeys(t *testing.T) {
	h := newHouse(t)
	g, a := h.guest(true), h.authenticator()
	a.flags = userPresent
	g.register("ann@example.com")
	flow := g.open("settings", "").is(200).shows("webauthn_register_displayname", "webauthn_register", "webauthn_script")
	if n := flow.node("webauthn_register_trigger"); n["onclickTrigger"] != "oryWebAuthnRegistration" || n["onclick"] != "window.oryWebAuthnRegistration("+n["value"].(string)+")" {
		t.Fatalf("trigger %v", n)
	}
	created := a.create(flow.value("webauthn_register_trigger"))
	g.send(flow, object{"webauthn_register": created, "webauthn_register_displayname": strings.Repeat("x", 101)}).is(400).says(4000017)
	g.send(flow, object{"webauthn_register": created, "webauthn_register_displayname": "blue one"}).is(200).shows("webauthn_remove").says(1050018)
	g.ask("GET", "/sessions/whoami", nil).is(200).has("authenticator_assurance_level", "aal2")
	g.logout()
	g.send(g.open("login", "").is(200), object{"method": "password", "identifier": "ann@example.com", "password": password}).is(422)
	up := g.open("login", "?aal=aal2").is(200).shows("webauthn_login_trigger", "webauthn_login")
	g.send(up, object{"webauthn_login": "x"}).is(400).says(4000043)
	g.send(up, object{"webauthn_login": h.authenticator().get(up.value("webauthn_login_trigger"))}).is(400).says(4000043)
	first := *a
	g.send(up, object{"webauthn_login": a.get(up.value("webauthn_login_trigger"))}).is(200).has("session.authenticator_assurance_level", "aal2")
	up = g.open("login", "?aal=aal2&refresh=true").is(200)
	g.send(up, object{"webauthn_login": first.get(up.value("webauthn_login_trigger"))}).is(400).says(4000043) // its counter stands still
	flow = g.open("settings", "").is(200)
	g.send(flow, object{"webauthn_remove": flow.value("webauthn_remove")}).is(200).hides("webauthn_remove")
	g.logout()
	g.send(g.open("login", "").is(200), object{"method": "password", "identifier": "ann@example.com", "password": password}).is(200)
}

// Names of keys are told in characters, and are shown as they are.
func TestNamesOfKeys(t *testing.T) {
	h := newHouse(t)
	g := h.guest(true)
	g.register("ann@example.com")
	add := func(name string) *heard {
		t.Helper()
		flow := g.open("settings", "").is(200)
		return g.send(flow, object{"webauthn_register": h.authenticator().create(flow.value("webauthn_register_trigger")), "webauthn_register_displayname": name})
	}
	if said := add(strings.Repeat("\u9375", 500)).is(400).says(4000017); !strings.Contains(said.text, "length must be <= 100, but got 500") {
		t.Errorf("a long name is answered by %s", said.text)
	}
	for _, name := range []string{`"blue" <b onclick=x>\`, strings.Repeat("\u9375", 100)} {
		said := add(name).is(200).says(1050018)
		texts := []string{}
		for _, n := range said.at("ui.nodes").([]any) {
			if n := n.(object); n["attributes"].(object)["name"] == "webauthn_remove" {
				texts = append(texts, n["meta"].(object)["label"].(object)["text"].(string))
			}
		}
		if !slices.Contains(texts, `Remove security key "`+name+`"`) {
			t.Errorf("the buttons are called %q", texts)
		}
	}
}

// However many keys somebody adds, their identity stays one that can be read.
func TestTooManyKeys(t *testing.T) {
	h := newHouse(t)
	g := h.guest(true)
	who := g.registerPasskey(h.authenticator(), "ann@example.com").is(200).str("identity.id")
	admin := h.guest(false)
	ring := admin.ask("GET", "/admin/identities/"+who+"?include_credential=passkey", nil).is(200).at("credentials.passkey.config").(object)
	keys := ring["credentials"].([]any)
	for len(keys) < 100 {
		one := maps.Clone(keys[0].(object))
		one["id"] = base64.StdEncoding.EncodeToString(h.authenticator().id)
		keys = append(keys, one)
	}
	create := func(email string) *heard {
		return admin.ask("POST", "/admin/identities", object{"schema_id": "default", "traits": object{"email": email}, "credentials": object{"passkey": object{"config": ring}}})
	}
	ring["credentials"] = append(slices.Clone(keys), keys[1])
	create("bob@example.com").is(400)
	ring["credentials"] = keys
	admin.ask("DELETE", "/admin/identities/"+who, nil).is(204)
	a := create("ann@example.com").is(201)
	admin.ask("PUT", "/admin/identities/"+a.str("id"), object{"schema_id": "default", "traits": object{"email": "ann@example.com"}, "state": "active",
		"credentials": object{"password": object{"config": object{"password": password}}}}).is(200)
	fresh := h.guest(true)
	fresh.login("ann@example.com").is(200)
	flow := fresh.open("settings", "").is(200)
	said := fresh.send(flow, object{"passkey_settings_register": h.authenticator().create(flow.value("passkey_create_data"))}).is(400)
	if !strings.Contains(said.text, "too many keys") {
		t.Errorf("one key too many is answered by %s", said.text)
	}
	flow = fresh.open("settings", "").is(200)
	flow = fresh.send(flow, object{"passkey_remove": flow.value("passkey_remove")}).is(200)
	fresh.send(flow, object{"passkey_settings_register": h.authenticator().create(flow.value("passkey_create_data"))}).is(200)
}

func TestClonesCanBeLetIn(t *testing.T) {
	h := newHouse(t, func(o *identity.Options) { o.Passkey.Clones = true })
	g, a := h.guest(true), h.authenticator()
	g.registerPasskey(a, "ann@example.com").is(200)
	g.logout()
	old := *a
	g.passkeyLogin(a).is(200)
	g.logout()
	g.passkeyLogin(&old).is(200)
}

func TestImportedPasskeys(t *testing.T) {
	h := newHouse(t)
	g, a := h.guest(true), h.authenticator()
	made := g.registerPasskey(a, "ann@example.com").is(200)
	admin := h.guest(false)
	shown := admin.ask("GET", "/admin/identities/"+made.str("identity.id")+"?include_credential=passkey", nil).is(200)
	ring := shown.at("credentials.passkey.config").(object)
	delete(ring["credentials"].([]any)[0].(object), "flags") // as older servers kept them
	admin.ask("DELETE", "/admin/identities/"+made.str("identity.id"), nil).is(204)
	create := func(config any) *heard {
		return admin.ask("POST", "/admin/identities", object{"schema_id": "default", "traits": object{"email": "ann@example.com"},
			"credentials": object{"passkey": object{"config": config}}})
	}
	for _, bad := range []any{object{}, "x", object{"credentials": ring["credentials"]}, object{"credentials": []object{{}}, "user_handle": ring["user_handle"]}} {
		create(bad).is(400)
	}
	create(ring).is(201)
	fresh := h.guest(true)
	fresh.passkeyLogin(a).is(200).has("session.identity.traits.email", "ann@example.com")
}

func TestKeyOptions(t *testing.T) {
	keys, err := secret.New("a secret of the system")
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), "mem:", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	people, err := db.People(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	for base, want := range map[string]errs.Kind{"https://id.example": errs.OK, "http://127.0.0.1:4444": errs.Invalid} {
		if _, err := identity.New(people, keys, identity.Options{BaseURL: base}); errs.KindOf(err) != want {
			t.Errorf("%s: %v", base, err)
		}
	}
	off := map[identity.CredentialType]bool{identity.WebAuthn: true, identity.Passkey: true}
	if _, err := identity.New(people, keys, identity.Options{BaseURL: "http://127.0.0.1:4444", Disabled: off}); err != nil {
		t.Error(err)
	}
}

func TestWebAuthnScript(t *testing.T) {
	h := newHouse(t, func(o *identity.Options) { o.Script = []byte("a script") })
	flow := h.guest(true).open("login", "").is(200)
	n, sum := flow.node("webauthn_script"), sha512.Sum512([]byte("a script"))
	if n["integrity"] != "sha512-"+base64.StdEncoding.EncodeToString(sum[:]) || n["crossorigin"] != "anonymous" {
		t.Errorf("script %v", n)
	}
	if strings.Count(flow.text, `"type":"script"`) != 1 {
		t.Errorf("scripts in %s", flow.text)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, h.URL+"/.well-known/ory/webauthn.js", nil)
	r.RequestURI = ""
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%s %v", res.Status, res.Header)
	}
}
