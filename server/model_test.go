package server_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	"github.com/cardea-iam/cardea/server"
)

func class(name string) string { return "class " + name + " implements Namespace {}\n" }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace does what careful editors do.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// until asks a path until the body is want. It gives up when the test's deadline
// nears, so that a slow machine does not fail it.
func (n *node) until(path, want string) {
	n.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for {
		got := n.do("GET", n.read, path, "")
		if begins(got.body, want) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			n.t.Fatalf("%s stays %s, want %s", path, got.body, want)
		}
	}
}

func withModel(location string, poll time.Duration) func(*server.Config) {
	return func(c *server.Config) {
		c.Model.Location = location
		c.Model.Poll = poll
	}
}

const (
	userOnly = `{"namespaces":[{"name":"User"}]}`
	userDoc  = `{"namespaces":[{"name":"User"},{"name":"Doc"}]}`
	ready    = `{"status":"ok"}`
)

// TestModelFile changes a file in every way, once with the file system telling
// of changes and once by polling only.
func TestModelFile(t *testing.T) {
	for name, poll := range map[string]time.Duration{"watched": time.Hour, "polled": 5 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model.ts")
			write(t, path, class("User"))
			n := start(t, withModel("file://"+path, poll))
			n.until("/namespaces", userOnly)
			write(t, path, class("User")+class("Doc"))
			n.until("/namespaces", userDoc)
			replace(t, path, class("User"))
			n.until("/namespaces", userOnly)

			write(t, path, "class Broken {")
			n.until("/health/ready", `{"errors":{"model":"the newest model of `+path+` is not in use:...`)
			n.until("/namespaces", userOnly)
			metrics := n.do("GET", n.metrics, "/metrics", "").body
			for _, want := range []string{"cardea_model_reload_failing 1", "cardea_model_reloads_total 3"} {
				if !strings.Contains(metrics, want) {
					t.Errorf("the metrics do not have %s", want)
				}
			}
			replace(t, path, class("User")+class("Doc"))
			n.until("/health/ready", ready)
			n.until("/namespaces", userDoc)
		})
	}
}

func TestModelDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.ts"), class("User"))
	write(t, filepath.Join(dir, ".hidden.ts"), "nonsense")
	write(t, filepath.Join(dir, "notes.txt"), "nonsense")
	n := start(t, withModel(dir, time.Hour))
	n.until("/namespaces", userOnly)
	write(t, filepath.Join(dir, "b.opl"), "class Doc implements Namespace { related: { owners: User[] } }")
	n.until("/namespaces", userDoc)
	if err := os.Remove(filepath.Join(dir, "b.opl")); err != nil {
		t.Fatal(err)
	}
	n.until("/namespaces", userOnly)
	got, err := cardeav1.NewModelServiceClient(n.dial(n.write)).Get(t.Context(), &cardeav1.GetModelRequest{})
	if err != nil || got.Model.Location != dir || got.Model.Source != class("User") || got.Model.Version != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = cardeav1.NewModelServiceClient(n.dial(n.write)).Apply(t.Context(), &cardeav1.ApplyModelRequest{Source: testModel})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), dir) {
		t.Errorf("applying a model over a configured one gives %v", err)
	}
}

// TestModelChangedAtStart changes files after they were read and before they are watched,
// and leaves one empty for good, of which the file system tells once.
func TestModelChangedAtStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.ts")
	write(t, path, class("User"))
	c := testConfig(t)
	withModel(path, time.Hour)(&c)
	s, err := server.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, class("User")+class("Doc"))
	n := run(t, s)
	n.until("/namespaces", userDoc)
	write(t, path, "")
	n.until("/health/ready", `{"errors":{"model":"the newest model of `+path+` is not in use: it is empty...`)
}

// TestModelEmptied: a file that is cut before it is written again takes nothing away.
func TestModelEmptied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.ts")
	write(t, path, class("User"))
	n := start(t, withModel(path, 5*time.Millisecond))
	write(t, path, "")
	n.until("/health/ready", `{"errors":{"model":"the newest model of `+path+` is not in use: it is empty...`)
	n.until("/namespaces", userOnly)
	write(t, path, class("User")+class("Doc"))
	n.until("/health/ready", ready)
	n.until("/namespaces", userDoc)
}

// TestModelGone removes the file, which must not take the model away.
func TestModelGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.ts")
	write(t, path, class("User"))
	n := start(t, withModel(path, 5*time.Millisecond))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	n.until("/health/ready", `{"errors":{"model":...`)
	n.until("/namespaces", userOnly)
	write(t, path, class("User"))
	n.until("/health/ready", ready)
}

func TestModelURL(t *testing.T) {
	var text atomic.Value
	text.Store(class("User"))
	unchanged := make(chan struct{})
	once := sync.OnceFunc(func() { close(unchanged) })
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := text.Load().(string)
		etag := `"` + base64.StdEncoding.EncodeToString([]byte(body)) + `"`
		if r.Header.Get("If-None-Match") == etag {
			once()
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", etag)
		_, _ = w.Write([]byte(body))
	}))
	defer web.Close()
	n := start(t, withModel(web.URL, 5*time.Millisecond))
	n.until("/namespaces", userOnly)
	<-unchanged
	text.Store(class("User") + class("Doc"))
	n.until("/namespaces", userDoc)
	text.Store("nonsense")
	n.until("/health/ready", `{"errors":{"model":...`)
	text.Store(class("User"))
	n.until("/health/ready", ready)
	n.until("/namespaces", userOnly)
	web.Close()
	n.until("/health/ready", `{"errors":{"model":...`)
}

func TestModelBase64(t *testing.T) {
	n := start(t, withModel("base64://"+base64.URLEncoding.EncodeToString([]byte(class("User"))), time.Hour))
	n.until("/namespaces", userOnly)
}

// TestModelAtStart refuses to start without the model that is asked for.
func TestModelAtStart(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.ts")
	write(t, broken, "class User {}")
	for name, tt := range map[string]struct{ location, want string }{
		"missing file":    {filepath.Join(dir, "none.ts"), "no such file"},
		"broken model":    {broken, "broken.ts:1:12"},
		"empty directory": {t.TempDir(), "holds no .ts or .opl file"},
		"bad base64":      {"base64://*", "expected base64"},
		"no server":       {"http://127.0.0.1:1/", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			c := testConfig(t)
			c.Model.Location = tt.location
			_, err := server.New(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "model.location") {
				t.Errorf("got %v", err)
			}
		})
	}
}
