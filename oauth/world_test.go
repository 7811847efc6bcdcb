package oauth_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/secret"
	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/store/grants"
	"github.com/cardea-iam/cardea/store/sqlite"
)

// A world is a provider with its two APIs over HTTP, a clock that tests move, and an
// app that answers challenges.
type world struct {
	t        *testing.T
	store    oauth.Store
	provider *oauth.Provider
	public   string // URLs
	admin    string

	mu  sync.Mutex
	now time.Time
}

func start(t *testing.T, edit ...func(*oauth.Options)) *world {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	runner, err := db.Runner(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, grants.New(runner), edit...)
}

// sealedBy are the system secrets, the newest first.
func sealedBy(secrets ...string) func(*oauth.Options) {
	return func(o *oauth.Options) { o.Secrets = must(secret.New(secrets...)) }
}

func startOn(t *testing.T, s oauth.Store, edit ...func(*oauth.Options)) *world {
	t.Helper()
	w := &world{t: t, store: s, now: time.Now().Truncate(time.Second)}
	keys, err := secret.New("the secret of the tests")
	if err != nil {
		t.Fatal(err)
	}
	publicMux, adminMux := http.NewServeMux(), http.NewServeMux()
	public, admin := httptest.NewServer(publicMux), httptest.NewServer(adminMux)
	t.Cleanup(public.Close)
	t.Cleanup(admin.Close)
	w.public, w.admin = public.URL, admin.URL
	issuer, err := url.Parse(public.URL)
	if err != nil {
		t.Fatal(err)
	}
	o := oauth.Options{
		Issuer: issuer, Secrets: keys, HTTP: http.DefaultClient, Now: w.clock, Hints: true,
		URLs: oauth.URLs{Login: "http://app.test/login", Consent: "http://app.test/consent", Error: "http://app.test/error", Logout: "http://app.test/logout"},
	}
	for _, e := range edit {
		e(&o)
	}
	if w.provider, err = oauth.New(s, o); err != nil {
		t.Fatal(err)
	}
	for mux, routes := range map[*http.ServeMux][]oauth.Route{publicMux: w.provider.Public(), adminMux: w.provider.Admin()} {
		for _, route := range routes {
			mux.HandleFunc(route.Pattern, func(rw http.ResponseWriter, r *http.Request) {
				if err := route.Serve(rw, r); err != nil {
					oauth.Fail(rw, r, err)
				}
			})
		}
	}
	if o.Secrets == keys {
		w.shareKeys()
	}
	return w
}

// usual are the keys of the first world. Others take them, since it takes long to make
// some.
var usual struct {
	sync.Mutex
	keys []oauth.Key
}

func (w *world) shareKeys() {
	w.t.Helper()
	usual.Lock()
	defer usual.Unlock()
	ctx := w.t.Context()
	if usual.keys == nil {
		w.must("GET", w.public+"/.well-known/jwks.json", nil)
		var err error
		if usual.keys, err = w.store.Keys(ctx, ""); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	sets := map[string][]oauth.Key{}
	for _, k := range usual.keys {
		sets[k.Set] = append(sets[k.Set], k)
	}
	for set, keys := range sets {
		if err := w.store.PutKeys(ctx, set, oauth.FirstOfSet, keys...); err != nil && errs.KindOf(err) != errs.Conflict {
			w.t.Fatal(err)
		}
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// pass lets time go by.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// send makes a request and reads the answer. It follows no redirect.
func (w *world) send(method, address string, body any, edit ...func(*http.Request)) (*http.Response, []byte) {
	w.t.Helper()
	var reader io.Reader
	kind := ""
	switch body := body.(type) {
	case nil:
	case url.Values:
		if body != nil {
			reader, kind = strings.NewReader(body.Encode()), "application/x-www-form-urlencoded"
		}
	default:
		text, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		reader, kind = bytes.NewReader(text), "application/json"
	}
	r, err := http.NewRequestWithContext(context.Background(), method, address, reader)
	if err != nil {
		w.t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	for _, e := range edit {
		e(r)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, text
}

// call makes a request and decodes the JSON answer.
func (w *world) call(method, address string, body any, edit ...func(*http.Request)) (int, map[string]any) {
	w.t.Helper()
	resp, text := w.send(method, address, body, edit...)
	out := map[string]any{}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &out); err != nil {
			w.t.Fatalf("%s %s answers %d %q", method, address, resp.StatusCode, text)
		}
	}
	return resp.StatusCode, out
}

// must is call that expects a status below 300.
func (w *world) must(method, address string, body any, edit ...func(*http.Request)) map[string]any {
	w.t.Helper()
	status, out := w.call(method, address, body, edit...)
	if status >= 300 {
		w.t.Fatalf("%s %s answers %d %v", method, address, status, out)
	}
	return out
}

const callback = "https://client.test/callback"

// client registers a client with the fields given over useful ones.
func (w *world) client(fields map[string]any) map[string]any {
	w.t.Helper()
	c := map[string]any{
		"redirect_uris": []string{callback}, "scope": "openid offline_access profile read write",
		"grant_types": []string{"authorization_code", "refresh_token", "client_credentials"}, "response_types": []string{"code"},
	}
	for name, value := range fields {
		c[name] = value
	}
	return w.must("POST", w.admin+"/admin/clients", c)
}

func basic(c map[string]any) func(*http.Request) {
	return func(r *http.Request) {
		r.SetBasicAuth(url.QueryEscape(c["client_id"].(string)), url.QueryEscape(c["client_secret"].(string)))
	}
}

// token calls the token endpoint.
func (w *world) token(form url.Values, edit ...func(*http.Request)) (int, map[string]any) {
	w.t.Helper()
	return w.call("POST", w.public+"/oauth2/token", form, edit...)
}

// A browser keeps cookies and follows no redirects by itself.
type browser struct {
	w *world
	http.Client
	form http.Header // of the last page that was a form, which posts itself
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{w: w, Client: http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// open gets a page and returns where it redirects to, nil if it does not. What a form
// posts is in the query of the URL.
func (b *browser) open(address string) *url.URL {
	b.w.t.Helper()
	resp, err := b.Get(address)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 300 || resp.StatusCode > 399 {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			b.w.t.Fatal(err)
		}
		b.form = resp.Header
		return postedBy(b.w.t, string(body))
	}
	b.form = nil
	to, err := resp.Location()
	if err != nil {
		b.w.t.Fatal(err)
	}
	return to
}

var (
	formAction = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
	formInput  = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// postedBy returns where a page posts what, nil if it has no form.
func postedBy(t *testing.T, page string) *url.URL {
	t.Helper()
	action := formAction.FindStringSubmatch(page)
	if action == nil {
		return nil
	}
	to, err := url.Parse(html.UnescapeString(action[1]))
	if err != nil {
		t.Fatal(err)
	}
	posted := url.Values{}
	for _, in := range formInput.FindAllStringSubmatch(page, -1) {
		posted.Add(html.UnescapeString(in[1]), html.UnescapeString(in[2]))
	}
	to.RawQuery = posted.Encode()
	return to
}

// An app answers challenges. A nil body rejects.
type app struct{ login, consent map[string]any }

// ann is an app where ann logs in and allows everything.
func ann() app {
	return app{login: map[string]any{"subject": "ann", "acr": "1", "amr": []string{"pwd"}}, consent: map[string]any{}}
}

// authorize takes a browser through login and consent, and returns the parameters
// that the client gets.
func (b *browser) authorize(params url.Values, a app) url.Values {
	b.w.t.Helper()
	at := b.open(b.w.public + "/oauth2/auth?" + params.Encode())
	for range 10 {
		if at == nil {
			b.w.t.Fatal("a page that redirects nowhere")
		}
		q := at.Query()
		switch {
		case q.Get("login_challenge") != "":
			at = b.open(b.answer("login", q.Get("login_challenge"), a.login, nil))
		case q.Get("consent_challenge") != "":
			at = b.open(b.answer("consent", q.Get("consent_challenge"), a.consent, func(asked map[string]any) map[string]any {
				out := map[string]any{"grant_scope": asked["requested_scope"], "grant_access_token_audience": asked["requested_access_token_audience"]}
				for name, value := range a.consent {
					out[name] = value
				}
				return out
			}))
		default:
			if at.Fragment != "" {
				fragment, err := url.ParseQuery(at.Fragment)
				if err != nil {
					b.w.t.Fatal(err)
				}
				return fragment
			}
			return q
		}
	}
	b.w.t.Fatal("too many redirects")
	return nil
}

// answer accepts or rejects a challenge, and returns where the browser goes on.
func (b *browser) answer(kind, challenge string, body map[string]any, fill func(map[string]any) map[string]any) string {
	b.w.t.Helper()
	at := b.w.admin + "/admin/oauth2/auth/requests/" + kind
	query := "?" + url.Values{kind + "_challenge": {challenge}}.Encode()
	asked := b.w.must("GET", at+query, nil)
	verb := "accept"
	if body == nil {
		verb, body = "reject", map[string]any{"error": "access_denied", "error_description": "no"}
	} else if fill != nil {
		body = fill(asked)
	}
	return b.w.must("PUT", at+"/"+verb+query, body)["redirect_to"].(string)
}

const verifier = "a-verifier-that-is-long-enough-for-rfc-7636-aaaa"

// codeRequest are the parameters of an authorization request with PKCE.
func codeRequest(c map[string]any, more ...string) url.Values {
	sum := sha256.Sum256([]byte(verifier))
	params := url.Values{
		"client_id": {c["client_id"].(string)}, "redirect_uri": {callback}, "response_type": {"code"}, "state": {"st"},
		"scope": {"openid offline_access"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		params.Set(more[i], more[i+1])
	}
	return params
}

func codeExchange(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}
