package server_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/server"
)

// TestJanitor: tokens that have served their time are removed by themselves, and on
// demand.
func TestJanitor(t *testing.T) {
	client := func(n *node) (id, secret string) {
		var c struct {
			ID     string `json:"client_id"`
			Secret string `json:"client_secret"`
		}
		got := n.do("POST", n.write, "/admin/clients", `{"grant_types":["client_credentials"]}`)
		if err := json.Unmarshal([]byte(got.body), &c); err != nil || got.status != http.StatusCreated {
			t.Fatalf("%d %s: %v", got.status, got.body, err)
		}
		return c.ID, c.Secret
	}
	short := func(c *server.Config) { c.OAuth.TTL.AccessToken = time.Nanosecond }

	n := start(t, short, func(c *server.Config) { c.Janitor.Interval, c.Janitor.Batch = 10*time.Millisecond, 1 })
	id, secret := client(n)
	for range 3 {
		if status, body := n.token(id, secret); status != 200 {
			t.Fatalf("%d %v", status, body)
		}
	}
	purged := regexp.MustCompile(`(?m)^cardea_purged_rows_total\{network="default",part="oauth"\} 3$`)
	deadline := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !purged.MatchString(n.do("GET", n.metrics, "/metrics", "").body) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the tokens are not removed")
		}
	}

	n = start(t, short)
	id, secret = client(n)
	for range 2 {
		n.token(id, secret)
	}
	for _, want := range []string{`{"purged":1}`, `{"purged":1}`, `{"purged":0}`} {
		if got := n.do("POST", n.write, "/admin/oauth2/purge?batch=1", ""); got.status != 200 || strings.TrimSpace(got.body) != want {
			t.Errorf("%d %s, want %s", got.status, got.body, want)
		}
	}
	for _, batch := range []string{"0", "x", "10001"} {
		if got := n.do("POST", n.write, "/admin/oauth2/purge?batch="+batch, ""); got.status != 400 {
			t.Errorf("a batch of %s: %d %s", batch, got.status, got.body)
		}
	}
}
