package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
)

// newKeyFor runs key new and returns the key, and its entry for the configuration.
func newKeyFor(t *testing.T, name, network string, roles ...string) (key, entry string) {
	t.Helper()
	code, out, errs := try(t, "", "key", "new", "-o", "json")
	var made struct{ Key, SHA256 string }
	if err := json.Unmarshal([]byte(out), &made); code != exitYes || err != nil {
		t.Fatalf("%d, %q, %q, %v", code, out, errs, err)
	}
	if sum := sha256.Sum256([]byte(made.Key)); made.SHA256 != fmt.Sprintf("%x", sum) || !strings.HasPrefix(made.Key, "cardea_") || len(made.Key) < 50 {
		t.Errorf("the key is %+v", made)
	}
	list, err := json.Marshal(roles)
	if err != nil {
		t.Fatal(err)
	}
	return made.Key, fmt.Sprintf(`{"name":%q,"sha256":%q,"roles":%s,"network":%q}`, name, made.SHA256, list, network)
}

// serveHere runs cardea serve in this process until the test ends, and returns
// what its banner says.
func serveHere(t *testing.T, args ...string) (banner string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	var errs bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		args := append([]string{"serve", "--dsn", "mem:", "--read", "127.0.0.1:0", "--write", "127.0.0.1:0", "--public", "127.0.0.1:0", "--metrics", "", "--opl", ""}, args...)
		code := run(ctx, args, strings.NewReader(""), in, &errs)
		in.Close()
		ended <- code
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != exitYes {
			t.Errorf("serve ends with %d: %s", code, &errs)
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		banner += lines.Text() + "\n"
		if strings.Contains(lines.Text(), " model show") {
			break
		}
	}
	go io.Copy(io.Discard, out)
	for _, listener := range []string{"read", "write", "public"} {
		found := regexp.MustCompile(`(?m)^  ` + listener + ` +(\S+)`).FindStringSubmatch(banner)
		if found == nil {
			t.Fatalf("the banner is %q", banner)
		}
		t.Setenv("CARDEA_"+strings.ToUpper(listener)+"_REMOTE", found[1])
	}
	return banner
}

// TestKeys serves with keys and two networks: the example loads, and the commands
// get in with a key, into the network that they name.
func TestKeys(t *testing.T) {
	all, allEntry := newKeyFor(t, "all", "*", "read", "write")
	acme, acmeEntry := newKeyFor(t, "acme", "acme", "read")
	t.Setenv("CARDEA_AUTH_KEYS", "["+allEntry+","+acmeEntry+"]")
	banner := serveHere(t, "--networks", "default,acme", "--example", "drive")
	if !strings.Contains(banner, "Loaded the example drive") {
		t.Errorf("the banner is %q", banner)
	}
	for _, tt := range []struct {
		key, network, args string
		code               int
		want               string
	}{
		{"", "", "check User:ann view Document:plan", exitError, "wants an API key: give it one in CARDEA_API_KEY"},
		{"wrong", "", "check User:ann view Document:plan", exitError, "does not know the API key"},
		{all, "", "check User:ann view Document:plan", exitYes, "allowed"},
		{all, "acme", "check User:ann view Document:plan", exitError, `Unknown namespace with name "Document"`},
		{all, "nowhere", "check User:ann view Document:plan", exitError, `no network "nowhere"`},
		{acme, "", "status", exitYes, "ready"},
		{acme, "", "tuples create A:b#c@d", exitError, "role write"},
		{acme, "default", "tuples list", exitError, "another network"},
		{acme, "", "tuples list", exitYes, ""},
	} {
		t.Setenv("CARDEA_API_KEY", tt.key)
		t.Setenv("CARDEA_NETWORK", tt.network)
		code, out, errs := try(t, "", strings.Fields(tt.args)...)
		if code != tt.code || !strings.Contains(out+errs, tt.want) {
			t.Errorf("%s in %q: %d, %q, %q; want %d and %q", tt.args, tt.network, code, out, errs, tt.code, tt.want)
		}
	}
	t.Setenv("CARDEA_API_KEY", "")
	if code, out, errs := try(t, "", "tuples", "list", "--api-key", acme, "--network", "acme"); code != exitYes || out != "" {
		t.Errorf("by flags: %d, %q, %q", code, out, errs)
	}
	t.Setenv("CARDEA_API_KEY", all)
	if _, out, _ := try(t, "", "tuples", "list", "--help"); strings.Contains(out, all) {
		t.Error("the help shows the key")
	}
}
