package identity_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pquerna/otp/hotp"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/secret"
	"github.com/cardea-iam/cardea/store"
)

// A house is a service behind HTTP, with a clock that tests move.
type house struct {
	*testing.T
	*httptest.Server
	*identity.Service
	seconds atomic.Int64
	store   *counted
}

// counted is a store that knows how often it was asked: all but reads of identities.
type counted struct {
	identity.Store
	asked, writes atomic.Int64
}

func (c *counted) Write(ctx context.Context, ops ...identity.Op) error {
	c.asked.Add(1)
	c.writes.Add(1)
	return c.Store.Write(ctx, ops...)
}

func (c *counted) SessionByToken(ctx context.Context, hash []byte) (*identity.Session, *identity.Identity, error) {
	c.asked.Add(1)
	return c.Store.SessionByToken(ctx, hash)
}

func (c *counted) Sessions(ctx context.Context, q identity.SessionQuery, after identity.SessionPosition, limit int) ([]*identity.Session, error) {
	c.asked.Add(1)
	return c.Store.Sessions(ctx, q, after, limit)
}

func newHouse(t *testing.T, options ...func(*identity.Options)) *house {
	t.Helper()
	db, err := store.Open(t.Context(), "mem:", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	people, err := db.People(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := secret.New("a secret of the system")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{T: t, store: &counted{Store: people}}
	h.seconds.Store(1_800_000_000)
	mux := http.NewServeMux()
	h.Server = httptest.NewServer(mux)
	t.Cleanup(h.Close)
	o := identity.Options{BaseURL: h.home(), Now: h.now, Hashing: identity.HashOptions{Memory: 64, Iterations: 1}}
	for _, change := range options {
		change(&o)
	}
	if h.Service, err = identity.New(h.store, keys, o); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{} // both have the schemas
	for _, route := range append(identity.PublicRoutes(), identity.AdminRoutes()...) {
		if seen[route.Pattern] {
			continue
		}
		seen[route.Pattern] = true
		mux.HandleFunc(route.Pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := route.Handle(h.Service, w, r); err != nil {
				h.Fail(w, r, err, status(err), err.Error())
			}
		})
	}
	return h
}

func (h *house) now() time.Time { return time.Unix(h.seconds.Load(), 0) }

func status(err error) int {
	switch errs.KindOf(err) {
	case errs.Invalid:
		return 400
	case errs.Unauthenticated:
		return 401
	case errs.Denied:
		return 403
	case errs.NotFound:
		return 404
	case errs.Conflict:
		return 409
	case errs.Expired:
		return 410
	case errs.Refused:
		return 422
	case errs.Unavailable:
		return 503
	default:
		return 500
	}
}

// A guest is a browser's single-page application, or a native app.
type guest struct {
	*house
	client *http.Client
	token  string
}

func (h *house) guest(browser bool) *guest {
	g := &guest{house: h, client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if browser {
		jar, err := cookiejar.New(nil)
		if err != nil {
			h.Fatal(err)
		}
		g.client.Jar = jar
	}
	return g
}

type object = map[string]any

// A heard is an answer.
type heard struct {
	*testing.T
	status int
	header http.Header
	text   string
	object
}

func (g *guest) ask(method, path string, body any) *heard {
	g.Helper()
	s, err := g.try(method, path, body)
	if err != nil {
		g.Fatal(err)
	}
	return s
}

// base is where a guest finds the house.
func (g *guest) base() string {
	if g.client.Jar != nil {
		return strings.Replace(g.URL, "127.0.0.1", "localhost", 1)
	}
	return g.URL
}

func (g *guest) try(method, path string, body any) (*heard, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	base := g.base()
	if i := strings.Index(path, "/self-service/"); i > 0 {
		path = path[i:]
	}
	r, err := http.NewRequestWithContext(g.Context(), method, base+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if g.token != "" {
		r.Header.Set("X-Session-Token", g.token)
	}
	res, err := g.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		return nil, err
	}
	s := &heard{T: g.T, status: res.StatusCode, header: res.Header, text: b.String()}
	_ = json.Unmarshal(b.Bytes(), &s.object)
	return s, nil
}

func (s *heard) is(status int) *heard {
	s.Helper()
	if s.status != status {
		s.Fatalf("status %d, want %d: %s", s.status, status, s.text)
	}
	return s
}

func (s *heard) at(path string) any {
	var v any = s.object
	for name := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case object:
			v = x[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

func (s *heard) has(path string, want any) *heard {
	s.Helper()
	if got := s.at(path); got != want {
		s.Fatalf("%s is %v, want %v: %s", path, got, want, s.text)
	}
	return s
}

func (s *heard) str(path string) string {
	text, _ := s.at(path).(string)
	return text
}

// says asserts that there is a message, of the form or of a node.
func (s *heard) says(id int) *heard {
	s.Helper()
	if !strings.Contains(s.text, fmt.Sprintf(`"id":%d,"text"`, id)) {
		s.Fatalf("message %d is missing: %s", id, s.text)
	}
	return s
}

// node returns the attributes of the node with a name or id, nil if there is none.
func (s *heard) node(name string) object {
	list, _ := s.at("ui.nodes").([]any)
	for _, n := range list {
		a := n.(object)["attributes"].(object)
		if a["name"] == name || a["id"] == name {
			return a
		}
	}
	return nil
}

func (s *heard) shows(names ...string) *heard {
	s.Helper()
	for _, name := range names {
		if s.node(name) == nil {
			s.Fatalf("node %s is missing: %s", name, s.text)
		}
	}
	return s
}

func (s *heard) hides(names ...string) *heard {
	s.Helper()
	for _, name := range names {
		if s.node(name) != nil {
			s.Fatalf("node %s is there: %s", name, s.text)
		}
	}
	return s
}

// open begins a flow.
func (g *guest) open(kind, query string) *heard {
	g.Helper()
	path := "/api"
	if g.client.Jar != nil {
		path = "/browser"
	}
	return g.ask("GET", "/self-service/"+kind+path+query, nil)
}

// send submits a form, and takes over a new token.
func (g *guest) send(flow *heard, form object) *heard {
	g.Helper()
	if token := flow.node("csrf_token")["value"]; token != "" {
		form["csrf_token"] = token
	}
	got := g.ask("POST", flow.str("ui.action"), form)
	g.keep(got)
	return got
}

func (g *guest) keep(got *heard) {
	token := got.str("session_token")
	if token == "" {
		token = got.str("continue_with.0.ory_session_token")
	}
	if token != "" {
		g.token = token
	}
}

const password = "a stone wall of 7 colours"

func (g *guest) register(email string) *heard {
	g.Helper()
	return g.send(g.open("registration", "").is(200), object{"method": "password", "password": password, "traits": object{"email": email}}).is(200)
}

func (g *guest) login(email string) *heard {
	g.Helper()
	g.token = ""
	return g.send(g.open("login", "").is(200), object{"method": "password", "identifier": email, "password": password})
}

// code is the code of an authenticator app, some steps from now.
func (h *house) code(secret string, steps int64) string {
	h.Helper()
	code, err := hotp.GenerateCode(secret, uint64(h.seconds.Load()/30+steps))
	if err != nil {
		h.Fatal(err)
	}
	return code
}

// link adds an authenticator app, and returns its secret.
func (g *guest) link() string {
	g.Helper()
	flow := g.open("settings", "").is(200).shows("totp_qr", "totp_secret_key", "totp_code")
	secret := flow.node("totp_secret_key")["text"].(object)["text"].(string)
	g.send(flow, object{"method": "totp", "totp_code": g.code(secret, 0)}).is(200).has("state", "success").shows("totp_unlink").hides("totp_qr")
	return secret
}

func TestTOTP(t *testing.T) {
	h := newHouse(t)
	g := h.guest(false)
	g.register("ann@example.com")
	flow := g.open("settings", "").is(200)
	secret := flow.node("totp_secret_key")["text"].(object)["text"].(string)
	if again := g.ask("GET", "/self-service/settings/flows?id="+flow.str("id"), nil).is(200); again.node("totp_secret_key")["text"].(object)["text"] != secret {
		t.Fatal("the secret changed between two looks at one flow")
	}
	if other := g.open("settings", "").is(200); other.node("totp_secret_key")["text"].(object)["text"] == secret {
		t.Fatal("two flows have one secret")
	}
	if src := flow.node("totp_qr")["src"].(string); !strings.HasPrefix(src, "data:image/png;base64,iVBOR") || len(src) > 8000 {
		t.Fatalf("the picture has %d bytes: %.40s", len(src), src)
	}
	g.send(flow, object{"method": "totp"}).is(400).says(4000002)
	for _, wrong := range []string{"000000", "x", strings.Repeat("1", 1000), h.code(secret, 2), h.code(secret, -2)} {
		g.send(flow, object{"method": "totp", "totp_code": wrong}).is(400).says(4000008)
	}
	g.send(flow, object{"totp_unlink": true}).is(400).says(4000011)
	before := g.token
	g.send(flow, object{"method": "totp", "totp_code": h.code(secret, -1)}).is(200).has("state", "success").shows("totp_unlink").hides("totp_qr")
	if g.token == before {
		t.Fatal("the session kept its token")
	}
	g.ask("GET", "/sessions/whoami", nil).is(200).has("authenticator_assurance_level", "aal2").has("authentication_methods.1.method", "totp")

	g.login("ann@example.com").is(200).has("session.identity", nil).has("session.authenticator_assurance_level", "aal1")
	who := g.ask("GET", "/sessions/whoami", nil).is(403).has("error.id", "session_aal2_required")
	if !strings.Contains(who.str("redirect_browser_to"), "/self-service/login/browser?aal=aal2") {
		t.Fatalf("sent to %q", who.str("redirect_browser_to"))
	}
	g.open("settings", "").is(403).has("error.id", "session_aal2_required")
	up := g.open("login", "?aal=aal2").is(200).has("requested_aal", "aal2").says(1010004).shows("totp_code").hides("password", "identifier", "lookup_secret")
	g.send(up, object{"method": "totp"}).is(400).says(4000002)
	g.send(up, object{"method": "totp", "totp_code": h.code(secret, -1)}).is(400).says(4000008) // it was used to link
	g.ask("GET", "/sessions/whoami", nil).is(403)
	g.send(up, object{"method": "totp", "totp_code": h.code(secret, 0)}).is(200).has("session.authenticator_assurance_level", "aal2").has("session.identity.traits.email", "ann@example.com")
	g.ask("GET", "/sessions/whoami", nil).is(200)
	g.open("login", "?aal=aal2").is(401).has("error.id", "session_aal_already_fulfilled")

	second := h.guest(false)
	second.login("ann@example.com").is(200)
	second.send(second.open("login", "?aal=aal2").is(200), object{"method": "totp", "totp_code": h.code(secret, 0)}).is(400).says(4000008)
	second.send(second.open("login", "?aal=aal2").is(200), object{"method": "password", "identifier": "ann@example.com", "password": password}).is(400)
	second.send(second.open("login", "?aal=aal2").is(200), object{"method": "totp", "totp_code": h.code(secret, 1)}).is(200)

	settings := second.open("settings", "").is(200)
	second.send(settings, object{"totp_unlink": true}).is(200).shows("totp_qr")
	if again := second.ask("GET", "/self-service/settings/flows?id="+settings.str("id"), nil).is(200); again.node("totp_secret_key")["text"].(object)["text"] == secret {
		t.Fatal("a secret is offered again")
	}
	second.login("ann@example.com").is(200).has("session.identity.traits.email", "ann@example.com")
	h.guest(false).open("login", "?aal=aal2").is(401).has("error.id", "session_aal1_required")
}

// An account whose name no picture holds can have an app all the same, and what cannot be
// drawn is not told.
func TestLongNameOfAnAccount(t *testing.T) {
	schema, err := identity.NewSchema("default", []byte(`{"properties": {"traits": {"type": "object", "properties": {
		"email": {"type": "string", "ory.sh/kratos": {"credentials": {"password": {"identifier": true}}}},
		"nick": {"type": "string", "ory.sh/kratos": {"credentials": {"totp": {"account_name": true}}}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, func(o *identity.Options) { o.Schemas = []*identity.Schema{schema} })
	for email, nick := range map[string]string{"ann@example.com": strings.Repeat(" ", 1500) + "Ann", "bob@example.com": strings.Repeat("\uFB03", 100), "cy@example.com": strings.Repeat("<b>", 500)} {
		g := h.guest(false)
		g.send(g.open("registration", "").is(200), object{"method": "password", "password": password, "traits": object{"email": email, "nick": nick}}).is(200)
		g.link()
	}
	h = newHouse(t, func(o *identity.Options) { o.TOTPIssuer = strings.Repeat("x", 3000) })
	g := h.guest(false)
	g.register("ann@example.com")
	if said := g.ask("GET", "/self-service/settings/api", nil).is(500); strings.Contains(said.text, "secret=") {
		t.Errorf("the mistake has the secret: %s", said.text)
	}
}

// TestSettingsNeedTheFactor: a flow that was opened before the factor was added does not
// go around it.
func TestSettingsNeedTheFactor(t *testing.T) {
	h := newHouse(t)
	g, thief := h.guest(false), h.guest(false)
	g.register("ann@example.com")
	thief.login("ann@example.com")
	open := thief.open("settings", "").is(200)
	g.link()
	thief.ask("GET", "/self-service/settings/flows?id="+open.str("id"), nil).is(403).has("error.id", "session_aal2_required")
	thief.send(open, object{"method": "password", "password": "another stone wall"}).is(403).has("error.id", "session_aal2_required")
}

// race sends a form in several sessions at once, and returns how many were let in.
func race(h *house, gs []*guest, flows []*heard, form func() object) int {
	var in atomic.Int32
	var wg sync.WaitGroup
	for n, g := range gs {
		wg.Go(func() {
			got, err := g.try("POST", flows[n].str("ui.action"), form())
			if err != nil {
				h.Error(err)
				return
			}
			if got.status == 200 {
				in.Add(1)
			}
		})
	}
	wg.Wait()
	return int(in.Load())
}

func (h *house) steppingUp(n int, email string) (gs []*guest, flows []*heard) {
	h.Helper()
	for range n {
		g := h.guest(false)
		g.login(email).is(200)
		gs, flows = append(gs, g), append(flows, g.open("login", "?aal=aal2").is(200))
	}
	return gs, flows
}

func TestSecondFactorsWorkOnce(t *testing.T) {
	h := newHouse(t, func(o *identity.Options) {
		o.LoginLimit = identity.Limit{Free: 1000, Delay: 1, MaxDelay: 1, Forget: time.Hour}
	})
	g := h.guest(false)
	g.register("ann@example.com")
	secret := g.link()
	codes := g.backup()
	gs, flows := h.steppingUp(5, "ann@example.com")
	if n := race(h, gs, flows, func() object { return object{"method": "totp", "totp_code": h.code(secret, 1)} }); n != 1 {
		t.Errorf("a code of an app let %d in", n)
	}
	gs, flows = h.steppingUp(5, "ann@example.com")
	if n := race(h, gs, flows, func() object { return object{"method": "lookup_secret", "lookup_secret": codes[0]} }); n != 1 {
		t.Errorf("a backup code let %d in", n)
	}
	one, flow := h.steppingUp(1, "ann@example.com")
	same := []*guest{one[0], one[0], one[0], one[0]}
	if n := race(h, same, []*heard{flow[0], flow[0], flow[0], flow[0]}, func() object { return object{"method": "lookup_secret", "lookup_secret": codes[1]} }); n != 1 {
		t.Errorf("a flow let %d in", n)
	}
}

// TestSecondFactorsAreLimited: guesses at the second factor are few, and whoever makes
// them does not lock the password.
func TestSecondFactorsAreLimited(t *testing.T) {
	h := newHouse(t)
	g := h.guest(false)
	g.register("ann@example.com")
	secret := g.link()
	gs, flows := h.steppingUp(4, "ann@example.com")
	checked := 0
	for n := range 20 {
		got := gs[n%4].send(flows[n%4], object{"method": "totp", "totp_code": "000000"}).is(400)
		if strings.Contains(got.text, `"id":4000008,`) {
			checked++
		}
	}
	if checked != 5 {
		t.Errorf("%d guesses were looked at", checked)
	}
	gs[0].send(flows[0], object{"method": "totp", "totp_code": h.code(secret, 1)}).is(400).says(4000001)
	g.login("ann@example.com").is(200)
	h.seconds.Add(3600)
	gs, flows = h.steppingUp(1, "ann@example.com")
	gs[0].send(flows[0], object{"method": "totp", "totp_code": h.code(secret, 0)}).is(200)
}

// backup makes backup codes.
func (g *guest) backup() []string {
	g.Helper()
	flow := g.open("settings", "").is(200).shows("lookup_secret_regenerate").hides("lookup_secret_reveal")
	shown := g.send(flow, object{"lookup_secret_regenerate": true}).is(200).shows("lookup_secret_codes", "lookup_secret_confirm")
	g.send(shown, object{"lookup_secret_confirm": true}).is(200).has("state", "success").shows("lookup_secret_reveal", "lookup_secret_disable").hides("lookup_secret_codes")
	return strings.Split(shown.node("lookup_secret_codes")["text"].(object)["text"].(string), ", ")
}

func TestLookupSecrets(t *testing.T) {
	h := newHouse(t)
	g := h.guest(false)
	g.register("ann@example.com")
	flow := g.open("settings", "").is(200)
	for form, id := range map[string]int{"lookup_secret_confirm": 4000001, "lookup_secret_reveal": 4000014, "lookup_secret_disable": 4000014} {
		g.send(flow, object{form: true}).is(400).says(id)
	}
	codes := g.backup()
	if len(codes) != 12 || len(codes[0]) != 8 || codes[0] == codes[1] {
		t.Fatalf("codes %q", codes)
	}
	g.ask("GET", "/sessions/whoami", nil).is(200).has("authenticator_assurance_level", "aal2")
	g.login("ann@example.com").is(200)
	up := g.open("login", "?aal=aal2").is(200).shows("lookup_secret").hides("totp_code")
	g.send(up, object{"method": "lookup_secret"}).is(400).says(4000002)
	g.send(up, object{"method": "lookup_secret", "lookup_secret": "abcdefgh"}).is(400).says(4000016)
	g.send(up, object{"method": "totp", "totp_code": "123456"}).is(400).says(4000011)
	g.send(up, object{"method": "lookup_secret", "lookup_secret": " " + strings.ToUpper(codes[3])}).is(200).has("session.authenticator_assurance_level", "aal2")
	second := h.guest(false)
	second.login("ann@example.com").is(200)
	second.send(second.open("login", "?aal=aal2").is(200), object{"method": "lookup_secret", "lookup_secret": codes[3]}).is(400).says(4000012)
	second.open("settings", "").is(403)

	flow = g.open("settings", "").is(200).shows("lookup_secret_reveal")
	shown := g.send(flow, object{"lookup_secret_reveal": true}).is(200).shows("lookup_secret_codes", "lookup_secret_regenerate", "lookup_secret_disable").says(1050014)
	if text := shown.node("lookup_secret_codes")["text"].(object)["text"].(string); !strings.Contains(text, codes[2]+", used, "+codes[4]) {
		t.Fatalf("revealed %q", text)
	}
	h.seconds.Add(16 * 60) // who comes to the browser later does not see them
	g.ask("GET", "/self-service/settings/flows?id="+flow.str("id"), nil).is(200).hides("lookup_secret_codes")
	for _, button := range []string{"lookup_secret_reveal", "lookup_secret_regenerate", "lookup_secret_disable", "lookup_secret_confirm"} {
		g.send(flow, object{button: true}).is(403).has("error.id", "session_refresh_required")
	}
	again := g.open("login", "?aal=aal2&refresh=true").is(200).shows("lookup_secret")
	g.send(again, object{"method": "lookup_secret", "lookup_secret": codes[0]}).is(200)
	g.send(flow, object{"lookup_secret_disable": true}).is(200).has("state", "success").shows("lookup_secret_regenerate").hides("lookup_secret_reveal")
	g.login("ann@example.com").is(200).has("session.authenticator_assurance_level", "aal1")
	g.open("settings", "").is(200)
}

// TestRefresh: an old session may change credentials after a new login.
func TestRefresh(t *testing.T) {
	h := newHouse(t)
	g := h.guest(false)
	g.register("ann@example.com")
	secret := g.link()
	h.seconds.Add(16 * 60)
	flow := g.open("settings", "").is(200)
	refused := g.send(flow, object{"totp_unlink": true}).is(403).has("error.id", "session_refresh_required")
	if !strings.Contains(refused.str("redirect_browser_to"), "refresh=true") {
		t.Fatalf("sent to %q", refused.str("redirect_browser_to"))
	}
	session := g.ask("GET", "/sessions/whoami", nil).is(200).str("id")
	g.send(g.open("login", "?refresh=true").is(200).has("refresh", true).says(1010003).shows("password").hides("totp_code"),
		object{"method": "password", "identifier": "ann@example.com", "password": password}).is(200).has("session.id", session).has("session.authenticator_assurance_level", "aal2")
	h.seconds.Add(16 * 60)
	g.send(g.open("login", "?refresh=true&aal=aal2").is(200).shows("totp_code"), object{"method": "totp", "totp_code": h.code(secret, 0)}).is(200)
	g.send(flow, object{"totp_unlink": true}).is(200).has("state", "success")
}

// TestImportedFactors come from another server.
func TestImportedFactors(t *testing.T) {
	h := newHouse(t)
	g := h.guest(false)
	make := func(credentials object) *heard {
		credentials["password"] = object{"config": object{"password": password}}
		return g.ask("POST", "/admin/identities", object{"schema_id": "default", "traits": object{"email": "ann@example.com"}, "credentials": credentials})
	}
	for _, bad := range []object{
		{"totp": object{"config": object{}}},
		{"totp": object{"config": object{"totp_url": "https://example.com"}}},
		{"totp": object{"config": object{"totp_url": "otpauth://totp/x?secret=%21"}}},
		{"totp": object{"config": object{"totp_url": "otpauth://totp/x"}}},
		{"totp": object{"config": "x"}},
		{"lookup_secret": object{"config": object{"recovery_codes": []object{}}}},
		{"lookup_secret": object{"config": object{"codes": []object{{"code": "x"}}}}},
		{"lookup_secret": object{"config": object{"recovery_codes": []object{{"code": "x"}}}}},
	} {
		make(bad).is(400)
	}
	const secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	made := make(object{
		"totp":          object{"config": object{"totp_url": "otpauth://totp/Old:ann?secret=" + secret + "&issuer=Old"}},
		"lookup_secret": object{"config": object{"codes": []object{{"code": "abcd1234"}, {"code": "efgh5678", "used_at": "2026-01-02T03:04:05Z"}}}},
	}).is(201)
	shown := g.ask("GET", "/admin/identities/"+made.str("id")+"?include_credential=totp&include_credential=lookup_secret", nil).is(200)
	if strings.Contains(shown.text, "abcd1234") || strings.Contains(shown.text, secret) {
		t.Fatalf("secrets are stored as they are: %s", shown.text)
	}
	if strings.Contains(shown.text, "sealed") || len(shown.at("credentials.lookup_secret.config.recovery_codes").([]any)) != 2 ||
		shown.at("credentials.lookup_secret.config.recovery_codes.1.used_at") != "2026-01-02T03:04:05Z" {
		t.Errorf("an administrator sees %s", shown.text)
	}
	g.login("ann@example.com").is(200).has("session.identity", nil)
	up := g.open("login", "?aal=aal2").is(200).shows("totp_code", "lookup_secret")
	g.send(up, object{"method": "lookup_secret", "lookup_secret": "efgh5678"}).is(400).says(4000012)
	g.send(up, object{"method": "totp", "totp_code": h.code(secret, 0)}).is(200)
}

// TestStepUpOfBrowsers: a login by password leads to the second factor, and then on.
func TestStepUpOfBrowsers(t *testing.T) {
	h := newHouse(t)
	g := h.guest(true)
	g.register("ann@example.com")
	secret := g.link()
	out := g.ask("GET", "/self-service/logout/browser", nil).is(200)
	g.ask("GET", out.str("logout_url"), nil).is(204)
	in := g.send(g.open("login", "?return_to=/settings").is(200), object{"method": "password", "identifier": "ann@example.com", "password": password}).
		is(422).has("error.id", "browser_location_change_required")
	to, err := url.Parse(in.str("redirect_browser_to"))
	if err != nil || to.Query().Get("aal") != "aal2" || !strings.HasSuffix(to.Query().Get("return_to"), "/settings") {
		t.Fatalf("sent to %q: %v", in.str("redirect_browser_to"), err)
	}
	g.ask("GET", "/sessions/whoami", nil).is(403)
	g.send(g.ask("GET", to.RequestURI(), nil).is(200), object{"method": "totp", "totp_code": h.code(secret, 1)}).is(200).has("continue_with.0.action", "redirect_browser_to")
	g.ask("GET", "/sessions/whoami", nil).is(200).has("authenticator_assurance_level", "aal2")
}
