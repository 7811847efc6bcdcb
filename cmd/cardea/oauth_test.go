package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// ok runs the program, which must end with 0, and returns what it printed.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := try(t, "", args...)
	if code != exitYes {
		t.Fatalf("%s: %d, %q, %q", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// okJSON is ok with -o json, read into into.
func okJSON(t *testing.T, into any, args ...string) {
	t.Helper()
	out := ok(t, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("%s: %v in %s", strings.Join(args, " "), err, out)
	}
}

func TestClientCommands(t *testing.T) {
	serveHere(t)
	var made, got map[string]any
	okJSON(t, &made, "client", "create", "--id", "worker", "--name", "a worker", "--grant-type", "client_credentials", "--scope", "read write", "--owner", "ann")
	secret, _ := made["client_secret"].(string)
	if made["client_id"] != "worker" || secret == "" {
		t.Fatalf("made: %v", made)
	}
	t.Setenv("CARDEA_CLIENT_ID", "worker")
	t.Setenv("CARDEA_CLIENT_SECRET", secret)

	token := strings.TrimSpace(ok(t, "token", "client-credentials", "--scope", "read"))
	if out := ok(t, "token", "introspect", token, "--scope", "read"); !strings.HasPrefix(out, "active\n") || !strings.Contains(out, `"worker"`) {
		t.Errorf("introspected: %q", out)
	}
	if code, out, _ := try(t, token+"\n", "token", "introspect", "-", "--scope", "write", "-o", "json"); code != exitNo || !strings.Contains(out, `"active": false`) {
		t.Errorf("introspected for another scope: %d, %q", code, out)
	}
	ok(t, "token", "revoke", token)
	if code, out, _ := try(t, "", "token", "introspect", token); code != exitNo || out != "not active\n" {
		t.Errorf("introspected after it was revoked: %d, %q", code, out)
	}

	ok(t, "client", "update", "worker", "--name", "the worker", "--audience", "https://api.example", "--metadata", `{"a":1}`)
	okJSON(t, &got, "client", "get", "worker")
	if got["client_name"] != "the worker" || fmt.Sprint(got["audience"], got["metadata"]) != "[https://api.example] map[a:1]" || got["owner"] != "ann" {
		t.Errorf("updated: %v", got)
	}
	file := filepath.Join(t.TempDir(), "client.json")
	if err := os.WriteFile(file, []byte(`{"client_name":"from a file","grant_types":["client_credentials"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	okJSON(t, &got, "client", "update", "worker", "--file", file, "--owner", "bob")
	if got["client_name"] != "from a file" || got["owner"] != "bob" || got["scope"] != "" {
		t.Errorf("replaced: %v", got)
	}
	okJSON(t, &made, "client", "rotate-secret", "worker")
	ok(t, "token", "client-credentials") // with the old one
	ok(t, "client", "rotate-secret", "worker", "--forget-old")
	if code, _, errs := try(t, "", "token", "client-credentials"); code != exitError || !strings.Contains(errs, "invalid_client") {
		t.Errorf("with the forgotten secret: %d, %q", code, errs)
	}
	t.Setenv("CARDEA_CLIENT_SECRET", made["client_secret"].(string))
	ok(t, "token", "client-credentials", "--auth-method", "client_secret_basic")

	for i := range 3 {
		ok(t, "client", "create", "--id", fmt.Sprintf("c%d", i), "--public", "--redirect-uri", "http://127.0.0.1/callback")
	}
	code, out, errs := try(t, "", "client", "list", "--page-size", "2")
	next := regexp.MustCompile(`--page-token (\S+)`).FindStringSubmatch(errs)
	if code != exitYes || !strings.Contains(out, "c1") || strings.Contains(out, "worker") || next == nil {
		t.Fatalf("listed: %d, %q, %q", code, out, errs)
	}
	if out := ok(t, "client", "list", "--page-token", next[1]); !strings.Contains(out, "worker") || strings.Contains(out, "c1") {
		t.Errorf("the next page: %q", out)
	}
	if out := ok(t, "client", "list", "--owner", "bob"); strings.Count(out, "\n") != 2 {
		t.Errorf("of one owner: %q", out)
	}
	if code, out, errs := try(t, "", "client", "delete", "c0", "c0", "c1"); code != exitError || out != "deleted c0\ndeleted c1\n" || !strings.Contains(errs, "cardea: c0: not_found") {
		t.Errorf("deleted, one of them twice: %d, %q, %q", code, out, errs)
	}
	var gone struct {
		Deleted []string
		Failed  []struct {
			ID    string
			Error struct{ Code, Message string }
		}
	}
	code, out, errs = try(t, "", "client", "delete", "c1", "c2", "-o", "json")
	if err := json.Unmarshal([]byte(out), &gone); err != nil || code != exitError || !strings.Contains(errs, `"code":"NOT_FOUND"`) {
		t.Fatalf("deleted: %v, %d, %q, %q", err, code, out, errs)
	}
	if len(gone.Failed) != 1 || gone.Failed[0].ID != "c1" || gone.Failed[0].Error.Code != "NOT_FOUND" || len(gone.Deleted) != 1 || gone.Deleted[0] != "c2" {
		t.Errorf("deleted: %+v", gone)
	}
	if out := ok(t, "janitor"); !regexp.MustCompile(`^removed (1 row|(0|[2-9]|\d\d+) rows)\n`).MatchString(out) {
		t.Errorf("janitor: %q", out)
	}
	var cleaned map[string]any
	okJSON(t, &cleaned, "janitor")
	if cleaned["purged"] != 0.0 {
		t.Errorf("janitor, again: %v", cleaned)
	}
}

func TestKeysCommands(t *testing.T) {
	serveHere(t)
	const set = "hydra.openid.id-token"
	count := func() int { return strings.Count(ok(t, "keys", "list", set), set) }
	if n := count(); n != 4 {
		t.Fatalf("%d keys at first", n)
	}
	if out := ok(t, "keys", "rotate", set); !strings.HasPrefix(out, "4 new keys, for ES256, EdDSA, PS256, RS256") || count() != 8 {
		t.Errorf("rotated: %q, and now %d keys", out, count())
	}
	ok(t, "keys", "rotate", set, "--alg", "ES256")
	ok(t, "keys", "create", set, "--alg", "EdDSA", "--kid", "mine")
	if out := ok(t, "keys", "get", set, "mine"); !strings.Contains(out, `"kid": "mine"`) || strings.Contains(out, `"d"`) {
		t.Errorf("got %q", out)
	}
	ok(t, "keys", "delete", set, "mine")

	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if code, out, errs := try(t, string(text), "keys", "import", "mine", "-", "--kid", "first", "--alg", "ES256"); code != exitYes || !strings.Contains(out, `"kid": "first"`) || strings.Contains(out, `"d"`) {
		t.Errorf("imported: %d, %q, %q", code, out, errs)
	}
	public := ok(t, "keys", "get", set)
	if code, _, errs := try(t, public, "keys", "import", "copies", "-"); code != exitYes {
		t.Errorf("a set imported: %d, %q", code, errs)
	}
	if out := ok(t, "keys", "list", "copies"); !strings.Contains(out, "verifies only") {
		t.Errorf("listed: %q", out)
	}
	ok(t, "keys", "delete", "mine", "--force")
	if out := ok(t, "keys", "reseal"); out != "encrypted 0 keys, 0 secrets of clients and 0 credentials of people anew\n" {
		t.Errorf("resealed: %q", out)
	}
}

func TestOAuthErrors(t *testing.T) {
	serveHere(t)
	closed := "127.0.0.1:1"
	for _, tt := range []struct {
		args, stdin string
		want        string
	}{
		{args: "client get nobody", want: "not_found"},
		{args: "client create --redirect-uri javascript:x", want: "redirect_uris: "},
		{args: "client create --metadata {", want: "--metadata"},
		{args: "client create --public --auth-method none", want: "expected one of the two"},
		{args: "client create --file -", stdin: "[]", want: "cardea: -: it is no JSON object\n"},
		{args: "client create --name x --file -", stdin: "null", want: "cardea: -: it is no JSON object\n"},
		{args: "client create --file -", stdin: "{", want: "it is no JSON: unexpected end"},
		{args: "client create --file nowhere.json", want: "nowhere.json"},
		{args: "client update nobody", want: "nothing to change"},
		{args: "client list --page-size -1", want: "page_size"},
		{args: "client delete", want: "at least 1 arg"},
		{args: "client list --write-remote " + closed, want: "cannot reach the server at " + closed},
		{args: "client list --write-remote ftp://x", want: "expected host:port"},
		{args: "client create --write-remote " + os.Getenv("CARDEA_READ_REMOTE"), want: "is --write-remote right"},
		{args: "keys create mine --alg HS256", want: "alg: "},
		{args: "keys delete mine", want: "--force"},
		{args: "keys rotate nothing", want: "no key to rotate"},
		{args: "keys import mine -", stdin: "x", want: "JSON Web Key"},
		{args: "keys import mine -", stdin: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", want: "CERTIFICATE"},
		{args: "token client-credentials", want: "--client-id is missing"},
		{args: "token client-credentials --client-id x --auth-method magic", want: "--auth-method"},
		{args: "token client-credentials --client-id x --client-secret y", want: "invalid_client"},
		{args: "token client-credentials --client-id x --public-url " + closed, want: "--public-url"},
		{args: "token introspect -", want: "no token"},
		{args: "token introspect x -o xml", want: "expected one of text, json"},
		{args: "oauth code --public-url " + closed, want: "cannot reach"},
		{args: "oauth code --wait 1ms --port 0", want: "did not come back"},
		{args: "janitor --batch 0", want: "batch: "},
	} {
		code, out, errs := try(t, tt.stdin, strings.Fields(tt.args)...)
		if code != exitError || out != "" || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: %d, %q, %q; want 2 and %q", tt.args, code, out, errs, tt.want)
		}
	}
	if out := ok(t, "client", "list"); strings.Contains(out, "cardea oauth code") {
		t.Errorf("a client that was made for one run stays: %s", out)
	}
}

// TestCode plays the browser, and the app that logs people in, of a code flow.
func TestCode(t *testing.T) {
	t.Setenv("CARDEA_OAUTH_URLS_LOGIN", "http://app.test/login")
	t.Setenv("CARDEA_OAUTH_URLS_CONSENT", "http://app.test/consent")
	serveHere(t)
	for _, tt := range []struct {
		name   string
		reject bool
		code   int
		want   string
	}{
		{"accepted", false, exitYes, `"sub": "ann"`},
		{"rejected", true, exitError, "access_denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			errs, in := io.Pipe()
			var out bytes.Buffer
			ended := make(chan int, 1)
			go func() {
				code := run(t.Context(), []string{"oauth", "code", "--port", "0", "-o", "json"}, strings.NewReader(""), &out, in)
				in.Close()
				ended <- code
			}()
			said := browseFor(t, errs, tt.reject)
			if code := <-ended; code != tt.code || !strings.Contains(out.String()+said, tt.want) {
				t.Errorf("%d, %q, %q: want %d and %q", code, &out, said, tt.code, tt.want)
			}
		})
	}
	if out := ok(t, "client", "list"); strings.Count(out, "\n") != 1 {
		t.Errorf("a client that was made for one run stays: %s", out)
	}
}

// browseFor opens the address that the program prints, logs ann in, and returns what
// the program printed after that.
func browseFor(t *testing.T, stderr io.Reader, reject bool) string {
	t.Helper()
	lines := bufio.NewScanner(stderr)
	at := ""
	for at == "" && lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "http://") {
			at = line
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for at != "" {
		resp, err := browser.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		at = resp.Header.Get("Location")
		if strings.HasPrefix(at, "http://app.test/") {
			at = answerChallenge(t, at, reject)
		}
	}
	rest := ""
	for lines.Scan() {
		rest += lines.Text()
	}
	return rest
}

// answerChallenge is the app: it returns where the browser goes on.
func answerChallenge(t *testing.T, page string, reject bool) string {
	t.Helper()
	u, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	kind := strings.TrimPrefix(u.Path, "/")
	verb, body := "accept", `{"subject":"ann","grant_scope":["openid","offline_access"]}`
	if reject {
		verb, body = "reject", `{"error":"access_denied"}`
	}
	q := url.Values{kind + "_challenge": {u.Query().Get(kind + "_challenge")}}
	req, err := http.NewRequestWithContext(t.Context(), "PUT", "http://"+os.Getenv("CARDEA_WRITE_REMOTE")+"/admin/oauth2/auth/requests/"+kind+"/"+verb+"?"+q.Encode(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		To string `json:"redirect_to"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.To == "" {
		t.Fatalf("%s %s: %d, %v", verb, kind, resp.StatusCode, err)
	}
	return answer.To
}
