package server_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/server"
)

// load reads a configuration from a file, the environment and flags.
func load(t *testing.T, file string, env map[string]string, args ...string) (server.Config, error) {
	t.Helper()
	for name, value := range env {
		t.Setenv(name, value)
	}
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	server.Flags(fs)
	if file != "" {
		path := filepath.Join(t.TempDir(), "cardea.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return server.LoadConfig(fs)
}

func TestConfigDefaults(t *testing.T) {
	c, err := load(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		c.DSN: "sqlite://./data/cardea.db", c.Serve.Read.Address: "127.0.0.1:4466", c.Serve.Write.Address: "127.0.0.1:4467",
		c.Serve.Public.Address: "localhost:4444", c.Serve.Metrics.Address: "127.0.0.1:4468", c.Serve.OPL.Address: "127.0.0.1:4469",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if c.Limits.Batch != 10_000 || c.Limits.Body != 4<<20 || c.History.Window != 24*time.Hour || c.Log.Level != slog.LevelInfo || c.Expand.Rewrites || c.Dev {
		t.Errorf("got %+v", c)
	}
}

// TestConfigLayers sets one key in each layer: the later one wins.
func TestConfigLayers(t *testing.T) {
	const file = "serve:\n  read: {address: '127.0.0.1:1'}\n  write: {address: '127.0.0.1:1'}\n  metrics: {address: '127.0.0.1:1'}\nlog:\nmodel:\n  poll: 7s\n  location:\nlimits.batch: 9\ndev: true\n"
	c, err := load(t, file, map[string]string{"CARDEA_SERVE_WRITE_ADDRESS": "127.0.0.1:2", "CARDEA_SERVE_METRICS_ADDRESS": "127.0.0.1:2", "CARDEA_DEV": "0", "CARDEA_READ_REMOTE": "x"},
		"--metrics", "127.0.0.1:3", "--insecure", "--log-level=debug")
	if err != nil {
		t.Fatal(err)
	}
	if c.Serve.Read.Address != "127.0.0.1:1" || c.Serve.Write.Address != "127.0.0.1:2" || c.Serve.Metrics.Address != "127.0.0.1:3" {
		t.Errorf("got %+v", c.Serve)
	}
	if c.Dev || !c.Insecure || c.Log.Level != slog.LevelDebug || c.Model.Poll != 7*time.Second || c.Limits.Batch != 9 || c.Serve.OPL.Address != "" {
		t.Errorf("got %+v", c)
	}
}

// TestConfigAsHydra: what Hydra's documentation writes in its own way.
func TestConfigAsHydra(t *testing.T) {
	c, err := load(t, "oauth:\n  ttl: {refresh_token: -1}\n  oauth2:\n    token_hook: https://hook.test/a\n    refresh_token_hook: {url: 'https://hook.test/b'}\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if o := c.OAuth; o.TTL.RefreshToken >= 0 || o.Hooks.Token.URL != "https://hook.test/a" || o.Hooks.Refresh.URL != "https://hook.test/b" {
		t.Errorf("got %+v", c.OAuth)
	}
	if _, err := load(t, "oauth:\n  oauth2:\n    token_hook: 5\n  ttl: {id_token: -1}\n", nil); err == nil || !strings.Contains(err.Error(), "expected a section") || !strings.Contains(err.Error(), "oauth.ttl.id_token") {
		t.Errorf("got %v", err)
	}
}

// TestConfigMistakes makes every kind of mistake at once: all are reported, each
// with its key, where it was made and what was expected.
func TestConfigMistakes(t *testing.T) {
	_, err := load(t, `
dsn: 5
serv: {}
serve:
  read: 127.0.0.1:4466
  write:
    address: localhost
    tls: true
model:
  poll: 3
  location: ftp://x
compat: hydra
expand: {rewrites: perhaps}
limits:
  batch: many
  work: 0
  message: 99999999999
log:
  level: [loud]
  format: xml
`, map[string]string{"CARDEA_HISTORY_WINDOW": "long", "CARDEA_LOG_LEVLE": "debug"}, "--metrics", "4468")
	if errs.KindOf(err) != errs.Invalid {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{
		"dsn (", "expected a text, got 5",
		"serv (", "there is no such key; the file has dsn, serve,",
		"serve.read (", "expected a section with address, got \"127.0.0.1:4466\"",
		"serve.write.address (", "expected host:port, such as 127.0.0.1:4466, got \"localhost\"",
		"serve.write.tls (", "there is no such key; serve.write has address",
		"serve.metrics.address (--metrics): expected host:port",
		"model.poll (", "expected a duration such as 30s or 24h, got 3",
		"model.location (", "expected a path, or a URL with file, http, https or base64, got \"ftp://x\"",
		"compat (", "expected keto, got \"hydra\"",
		"expand.rewrites (", "expected true or false, got \"perhaps\"",
		"limits.batch (", "expected a whole number, got \"many\"",
		"limits.work (", "expected more than 0",
		"limits.message (", "expected between 1 and 2147483647",
		"log.level (", "expected debug, info, warn or error, got a list",
		"log.format (", "expected json or text, got \"xml\"",
		"history.window (CARDEA_HISTORY_WINDOW): expected a duration",
		"CARDEA_LOG_LEVLE: there is no such setting; log has level, format",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
}

func TestConfigFileMistakes(t *testing.T) {
	for name, tt := range map[string]struct{ file, want string }{
		"no YAML":    {"a: [", "expected YAML"},
		"no section": {"- a", "expected YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := load(t, tt.file, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := load(t, "", nil, "--config", filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a missing file gives %v", err)
	}
}

// TestConfigMistakesTogether: a listener that is open to others is named beside
// mistakes of other kinds, and a malformed address once.
func TestConfigMistakesTogether(t *testing.T) {
	_, err := load(t, "limits: {batch: many}\nserve: {read: {address: '0.0.0.0:1'}, write: {address: nonsense}}\n", nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, key := range []string{"limits.batch", "serve.read.address", "serve.write.address"} {
		if n := strings.Count(err.Error(), "\n  "+key); n != 1 {
			t.Errorf("%s is named %d times in %v", key, n, err)
		}
	}
}

// TestConfigLoopback names every listener that is open to others at once.
func TestConfigLoopback(t *testing.T) {
	args := []string{"--read", "0.0.0.0:4466", "--write", ":4467", "--metrics", "[::1]:4468"}
	_, err := load(t, "", nil, args...)
	if err == nil {
		t.Fatal("no error")
	}
	for _, key := range []string{"serve.read.address", "serve.write.address", "serve.opl.address"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("no %s in %v", key, err)
		}
	}
	if strings.Contains(err.Error(), "serve.metrics.address") {
		t.Errorf("the loopback address is in %v", err)
	}
	c, err := load(t, "", nil, append(args, "--insecure")...)
	if err != nil || c.Serve.OPL.Address != "0.0.0.0:4469" {
		t.Errorf("with --insecure: %v, %v", c.Serve, err)
	}
}

// hash is the digest of a key as cardea key new prints it.
const hash = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"

func TestConfigKeysAndNetworks(t *testing.T) {
	c, err := load(t, `
networks: [default, acme]
memory: {budget: 1000000}
store: {max_conns: 7, statement_timeout: 3s}
auth:
  keys:
    - {name: backend, sha256: `+hash+`, roles: [read, write], network: "*"}
    - name: acme
      sha256: `+strings.ToUpper(hash[:63]+"0")+`
      roles: [read]
      network: acme
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Auth.Keys; len(got) != 2 || got[0].Name != "backend" || fmt.Sprintf("%x", got[0].Hash) != hash ||
		!slices.Equal(got[0].Roles, []string{"read", "write"}) || got[0].Network != "*" || got[1].Network != "acme" || !slices.Equal(got[1].Roles, []string{"read"}) {
		t.Errorf("got %+v", got)
	}
	if !slices.Equal(c.Networks, []string{"default", "acme"}) || c.Memory.Budget != 1000000 || c.Store.MaxConns != 7 || c.Store.StatementTimeout != 3*time.Second {
		t.Errorf("got %+v", c)
	}
	c, err = load(t, "", map[string]string{
		"CARDEA_NETWORKS":  "one, two",
		"CARDEA_AUTH_KEYS": `[{"name":"x","sha256":"` + hash + `","roles":["write"],"network":"two"}]`,
	})
	if err != nil || !slices.Equal(c.Networks, []string{"one", "two"}) || len(c.Auth.Keys) != 1 || c.Auth.Keys[0].Network != "two" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestConfigKeyMistakes(t *testing.T) {
	for file, wants := range map[string][]string{
		"networks: []":                         {"networks (", "expected at least one name"},
		"networks: 5":                          {"expected a list of names, got 5"},
		"networks: [a, 5]":                     {"expected a list of names, got 5 in it"},
		"networks: [Acme]":                     {`expected names of 1 to 63 letters a-z, digits, - and _, got "Acme"`},
		"networks: [a, a]":                     {`"a" is there twice`},
		"networks: " + strings.Repeat("a", 64): {"expected names of 1 to 63"},
		"auth: {keys: 5}":                      {"auth.keys (", "expected a list of keys with name, sha256, roles, network, got 5"},
		"auth: {keys: [5, {}]}": {"[0]: expected name, sha256 or certificate, roles and network, got 5", "[1].name: expected a text, got nothing",
			"[1].network: expected a text", "[1].sha256: expected a text", "[1].roles: expected a list of read, write or both, got nothing"},
		"auth: {keys: [{name: a, sha256: zz, roles: [admin], network: x, key: y}]}": {"[0].key: there is no such field; expected name, sha256 or certificate, roles, network",
			"[0].sha256: expected the 64 hexadecimal digits that cardea key new printed, got 2 characters", "[0].roles: expected a list of read, write or both, got [admin]"},
		"auth: {keys: [{name: a, sha256: " + hash + ", roles: read, network: x}]}": {`auth.keys[0].network: "x" is not among networks: expected one of default, or * for all`},
		"auth: {keys: [{name: a, sha256: " + hash + ", roles: read, network: '*'}, {name: b, sha256: " + hash + ", roles: read, network: '*'}]}": {
			`[1] has the name, the key or the certificate of "a"`},
		"memory: {budget: -1}":      {"memory.budget (", "expected 0 or more"},
		"store: {max_conns: -1}":    {"store.max_conns (", "expected 0 or more"},
		"limits: {send: 0s}":        {"limits.send (", "expected more than 0"},
		"auth: {keys: nonsense}":    {"expected a list, as text in JSON"},
		"auth: {keys: '{\"a\":1}'}": {"expected a list of keys with name, sha256, roles, network, got a section"},
	} {
		_, err := load(t, file, nil)
		if errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s: got %v", file, err)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: no %q in\n%v", file, want, err)
			}
		}
	}
	// With keys it is the encryption that is missing, and with both nothing.
	reachable := "serve: {read: {address: '0.0.0.0:1'}, public: {address: '0.0.0.0:2'}%s}\nauth: {keys: [{name: a, sha256: " + hash + ", roles: read, network: '*'}]}"
	_, err := load(t, fmt.Sprintf(reachable, ""), nil)
	if err == nil || !strings.Contains(err.Error(), "serve.read.address") || !strings.Contains(err.Error(), "serve.public.address") ||
		!strings.Contains(err.Error(), "nothing is encrypted") || !strings.Contains(err.Error(), "--insecure") || strings.Contains(err.Error(), "not authenticated") {
		t.Errorf("got %v", err)
	}
	if _, err := load(t, fmt.Sprintf(reachable, ", tls: {cert: {path: a}, key: {path: b}}"), nil); err != nil {
		t.Errorf("with TLS: %v", err)
	}
	if _, err := load(t, fmt.Sprintf(reachable, ", tls: {cert: {path: a}, key: {path: b}, except: [public]}"), nil); err == nil || strings.Contains(err.Error(), "serve.read") {
		t.Errorf("with TLS for all but public: %v", err)
	}
}
