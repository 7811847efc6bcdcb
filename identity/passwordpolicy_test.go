package identity_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// breaches is a service that knows passwords by how often they were seen.
func breaches(t *testing.T, known map[string]int, asked *atomic.Value, code int) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.Path)
		w.WriteHeader(code)
		for password, count := range known {
			sum := sha1.Sum([]byte(password))
			hash := strings.ToUpper(hex.EncodeToString(sum[:]))
			if strings.HasSuffix(r.URL.Path, hash[:5]) {
				fmt.Fprintf(w, "00000000000000000000000000000000000:7\r\n%s:%d\r\n", hash[5:], count)
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestBreachedPasswords(t *testing.T) {
	known := map[string]int{"a password that leaked": 3, "padding of an answer": 0, "seen as often as is allowed": 2}
	var asked atomic.Value
	service := breaches(t, known, &asked, 200)
	broken := breaches(t, known, &asked, 500)
	for _, tt := range []struct {
		policy   identity.PolicyOptions
		password string
		status   int
		says     int
	}{
		{identity.PolicyOptions{}, "a password that leaked", 200, 0},
		{identity.PolicyOptions{Service: service}, "a password that leaked", 400, 4000034},
		{identity.PolicyOptions{Service: service}, "padding of an answer", 200, 0},
		{identity.PolicyOptions{Service: service}, "a password that nobody knows", 200, 0},
		{identity.PolicyOptions{Service: service, Breaches: 2}, "seen as often as is allowed", 200, 0},
		{identity.PolicyOptions{Service: service, Breaches: 2}, "a password that leaked", 400, 4000034},
		{identity.PolicyOptions{Service: broken}, "a password that leaked", 200, 0},
		{identity.PolicyOptions{Service: broken, Needed: true}, "a password that leaked", 503, 0},
		{identity.PolicyOptions{Service: "http://127.0.0.1:1"}, "a password that leaked", 200, 0},
		{identity.PolicyOptions{}, "ann@example.com", 400, 4000031},
		{identity.PolicyOptions{Similar: true}, "ann@example.com", 200, 0},
		{identity.PolicyOptions{}, strings.Repeat("x", 1025), 400, 4000033},
		{identity.PolicyOptions{}, "1234567", 400, 4000032},
	} {
		h := newHouse(t, func(o *identity.Options) { o.PasswordPolicy = tt.policy })
		g := h.guest(false)
		got := g.send(g.open("registration", "").is(200), object{"method": "password", "password": tt.password, "traits": object{"email": "ann@example.com"}}).is(tt.status)
		if tt.says != 0 {
			got.says(tt.says)
		}
	}
	if path, _ := asked.Load().(string); len(path) != len("/range/")+5 {
		t.Errorf("the service learned %q", path)
	}
}

func TestPasswordFilter(t *testing.T) {
	b, err := identity.NewFilter(1000, 0.01)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum([]byte("known by its hash"))
	for n := range 997 {
		b.AddLine(fmt.Sprintf("password %d\r", n))
	}
	b.AddLine(strings.ToUpper(hex.EncodeToString(sum[:])) + ":12")
	b.AddLine("it has:a colon")
	if b.AddLine("\r\n") {
		t.Error("an empty line is a password")
	}
	var text bytes.Buffer
	if _, err := b.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	if text.Len() > 32+1000*10/8 {
		t.Errorf("the filter has %d bytes", text.Len())
	}
	path := filepath.Join(t.TempDir(), "known")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	has := func(password string) bool {
		found, err := identity.Filter{Path: path}.Has(sha1.Sum([]byte(password)))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for n := range 997 {
		if !has(fmt.Sprintf("password %d", n)) {
			t.Fatalf("password %d is not found", n)
		}
	}
	if !has("known by its hash") || !has("it has:a colon") {
		t.Error("what was added is not found")
	}
	wrong := 0
	for n := range 10_000 {
		if has(fmt.Sprintf("another %d", n)) {
			wrong++
		}
	}
	if wrong > 300 {
		t.Errorf("%d of 10000 others are found", wrong)
	}

	h := newHouse(t, func(o *identity.Options) { o.PasswordPolicy.Filter = path })
	g := h.guest(false)
	flow := g.open("registration", "").is(200)
	g.send(flow, object{"method": "password", "password": "password 17", "traits": object{"email": "ann@example.com"}}).is(400).says(4000034)
	g.send(flow, object{"method": "password", "password": password, "traits": object{"email": "ann@example.com"}}).is(200)
	g.send(g.open("settings", "").is(200), object{"method": "password", "password": "password 18"}).is(400).says(4000034)

	for name, content := range map[string][]byte{"empty": nil, "other": []byte("a list of passwords, and a long one at that, of text"), "short": text.Bytes()[:text.Len()-1]} {
		bad := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(bad, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := (identity.PolicyOptions{Filter: bad}).Validate(); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (identity.PolicyOptions{Filter: path + ".no"}).Validate(); err == nil {
		t.Error("a missing file is no mistake")
	}
	for _, rate := range []float64{0, 1, -1} {
		if _, err := identity.NewFilter(10, rate); errs.KindOf(err) != errs.Invalid {
			t.Errorf("rate %g: %v", rate, err)
		}
	}
}
