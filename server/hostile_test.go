package server_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/server"
)

// TestHostileForms sends what costs a server more than its sender, or what it could stumble
// over later.
func TestHostileForms(t *testing.T) {
	n := start(t, withIdentity)
	v := n.visitor(t, false)
	at := v.get("/self-service/registration/api").is(200).str("ui.action")
	deep := func(n int, open, end string) json.RawMessage {
		return json.RawMessage(`{"method":"password","traits":` + strings.Repeat(open, n) + "1" + strings.Repeat(end, n) + "}")
	}
	for name, body := range map[string]any{
		"deep names":             url.Values{"method": {"password"}, "traits." + strings.Repeat("a.", 100_000) + "a": {"1"}},
		"deep objects":           deep(9_000, `{"a":`, "}"),
		"deep lists":             deep(9_000, "[", "]"),
		"objects that are many":  deep(32, `{"a":`, "}"),
		"a number of no type":    json.RawMessage(`{"method":"password","traits":{"email":1e400}}`),
		"a payload of megabytes": map[string]any{"method": "password", "transient_payload": map[string]any{"x": strings.Repeat("x", 1<<20)}},
		"a number in a list":     json.RawMessage(`{"method":"password","traits":{"email":[-1e400]}}`),
	} {
		if got := v.do("POST", at, body).is(400); got.at("error.code") != 400.0 || len(got.text) > 200 {
			t.Errorf("%s: %.300s", name, got.text)
		}
	}
	v.do("POST", at, deep(31, `{"a":`, "}")).is(400).says(4000002)
	// The flow is as good as before.
	v.do("POST", at, map[string]any{"method": "password", "password": goodPassword, "traits": map[string]any{"email": "ann@example.com"}}).is(200)
}

// TestLittleIsKept: what visitors send does not stay in the database with their flows.
func TestLittleIsKept(t *testing.T) {
	folder := t.TempDir()
	n, _ := startWithMail(t, func(c *server.Config) { c.DSN = "sqlite://" + filepath.Join(folder, "cardea.db") })
	v := n.visitor(t, false)
	long := strings.Repeat("long ", 100_000)
	at := v.get("/self-service/registration/api").is(200).str("ui.action")
	answers := []*said{
		v.do("POST", at, map[string]any{"method": "password", "traits": map[string]any{"email": long}}),
		v.do("POST", at, map[string]any{"method": long, "traits": map[string]any{"email": "x"}}),
		v.do("POST", at, map[string]any{"method": "password", "password": long, "traits": map[string]any{"email": "x"}}),
	}
	login := v.get("/self-service/login/api").is(200).str("ui.action")
	answers = append(answers,
		v.do("POST", login, map[string]any{"method": "password", "identifier": long, "password": "x"}),
		v.do("POST", login, map[string]any{"method": "password", "identifier": "ann@example.com", "password": long}),
		v.do("POST", login, map[string]any{"method": "totp", "totp_code": long}),
		v.do("POST", login, map[string]any{"method": "code", "code": long, "identifier": long}),
	)
	for _, kind := range []string{"recovery", "verification"} {
		at := v.get("/self-service/" + kind + "/api").is(200).str("ui.action")
		answers = append(answers, v.do("POST", at, map[string]any{"method": "code", "email": long}))
	}
	for i, got := range answers {
		if got.status >= 500 || len(got.text) > 50_000 {
			t.Errorf("answer %d: %d with %d bytes: %.200s", i, got.status, len(got.text), got.text)
		}
	}
	files, err := filepath.Glob(filepath.Join(folder, "cardea.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the database is %v, %v", files, err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte(long[:5000])); n > 0 {
			t.Errorf("what was sent is in %s %d times", filepath.Base(name), n)
		}
	}
}
