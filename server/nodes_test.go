package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/testdb"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
	"github.com/cardea-iam/cardea/server"
)

// on lets a server use a database, whose schema the first one brings up to date.
func on(dsn string) func(*server.Config) {
	return func(c *server.Config) { c.DSN, c.Dev = dsn, true }
}

// twoNodes starts two servers on one database, which both know the model.
func twoNodes(t *testing.T) (a, b *node) {
	t.Helper()
	dsn := testdb.Postgres(t)
	a, b = start(t, on(dsn)), start(t, on(dsn))
	a.apply(testModel)
	b.count() // asks for the newest revision
	return a, b
}

// TestTwoNodes writes at one server and asks another on the same database, by
// Keto's gRPC and REST: with the token of the write, and with latest, the write is
// seen at once. What was written before a token is answered without one too.
func TestTwoNodes(t *testing.T) {
	a, b := twoNodes(t)
	checks := keto.NewCheckServiceClient(b.dial(b.read))
	for i := range 20 {
		tuple := fmt.Sprintf("Open:o%d#r@x", i)
		token := a.insert(tuple)
		query := url.Values{"namespace": {"Open"}, "object": {fmt.Sprintf("o%d", i)}, "relation": {"r"}, "subject_id": {"x"}}
		path := "/relation-tuples/check/openapi?" + query.Encode()
		var allowed bool
		var shown string
		switch i % 4 {
		case 0, 1:
			req := &keto.CheckRequest{Tuple: ketoTuple(t, tuple), Snaptoken: token}
			if i%4 == 1 {
				req.Snaptoken, req.Latest = "", true
			}
			got, err := checks.Check(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			allowed, shown = got.Allowed, got.Snaptoken
		case 2:
			got := b.do("GET", b.read, path+"&snaptoken="+url.QueryEscape(token), "")
			allowed, shown = got.body == `{"allowed":true}`, got.header.Get("Cardea-Snaptoken")
		default:
			got := b.do("GET", b.read, path+"&latest=true", "")
			allowed, shown = got.body == `{"allowed":true}`, got.header.Get("Cardea-Snaptoken")
		}
		if !allowed || shown == "" {
			t.Errorf("write %d is not seen on the other node", i)
		}
		// The answer's token shows no less than the write's, on the first node.
		back := a.do("GET", a.read, path+"&snaptoken="+url.QueryEscape(shown), "")
		if back.body != `{"allowed":true}` {
			t.Errorf("with the token of the answer, the first node says %s", back.body)
		}
	}
	before := a.insert("Open:gone#r@x")
	a.post(a.write, "/v1/tuples/delete", `{"query":{"object":"gone"}}`, "deleted")
	for at, want := range map[string]string{`"exact":"` + before + `"`: "true", `"fully_consistent":true`: "false"} {
		got := b.post(b.read, "/v1/check", `{"tuple":{"namespace":"Open","object":"gone","relation":"r","subject":{"id":"x"}},"consistency":{`+at+`}}`, "allowed")
		if got != want {
			t.Errorf("on the other node, at %s: %s", at, got)
		}
	}
}

// TestWatchTwoNodes: while both servers are written to, a watch that moves from one
// to the other with each message sees every change once.
func TestWatchTwoNodes(t *testing.T) {
	a, b := twoNodes(t)
	nodes := []*node{a, b}
	for name, p := range protocols {
		t.Run(name, func(t *testing.T) {
			next, stop, _ := p.open(t, nodes[0], &cardeav1.WatchTuplesRequest{})
			const writers, each = 3, 10
			var all sync.WaitGroup
			for w := range writers {
				all.Go(func() {
					for i := range each {
						nodes[(w+i)%2].insert(fmt.Sprintf("Open:%s %d %d#r@x", name, w, i))
					}
				})
			}
			seen := map[string]bool{}
			for moves := 1; len(seen) < writers*each; moves++ {
				m := next.must(t)
				for _, c := range m.Changes {
					if seen[c.Tuple.Object] {
						t.Fatalf("%s comes twice", c.Tuple.Object)
					}
					seen[c.Tuple.Object] = true
				}
				if m.Snaptoken != "" {
					stop()
					next, stop, _ = p.open(t, nodes[moves%2], &cardeav1.WatchTuplesRequest{Snaptoken: m.Snaptoken})
				}
			}
			all.Wait()
		})
	}
}

// TestKeyAcrossNodes: a write that is repeated on another server is one write.
func TestKeyAcrossNodes(t *testing.T) {
	a, b := twoNodes(t)
	send := func(n *node) map[string]any {
		got := n.do("POST", n.write, "/v1/tuples", `{`+inserting("k")+`}`, "Idempotency-Key: k")
		var fields map[string]any
		if err := json.Unmarshal([]byte(got.body), &fields); err != nil || got.status != 200 {
			t.Fatal(got.status, got.body)
		}
		return fields
	}
	first, second := send(a), send(b)
	if first["snaptoken"] != second["snaptoken"] || second["inserted"] != "1" || b.count() != 1 {
		t.Errorf("the first write gives %v, the second %v", first, second)
	}
}

// TestSchema: without --dev a server does not touch the schema, and says what to do.
func TestSchema(t *testing.T) {
	c := testConfig(t)
	c.DSN = testdb.Postgres(t)
	if s, err := server.New(t.Context(), c); errs.KindOf(err) != errs.Refused || !strings.Contains(err.Error(), "cardea migrate up") {
		t.Errorf("a new database gives %v, %v", s, err)
	}
}

// TestDatabaseStops: while the database does not answer, the server says that it is
// not ready, goes on with what needs no database, refuses the rest, and recovers by
// itself.
func TestDatabaseStops(t *testing.T) {
	database := testdb.NewServer(t)
	n := start(t, on(database.Database()), func(c *server.Config) { c.Store.StatementTimeout = time.Second })
	n.apply(testModel)
	n.insert("Open:o#r@x")
	checks := keto.NewCheckServiceClient(n.dial(n.read))
	ask := func(latest bool) error {
		_, err := checks.Check(t.Context(), &keto.CheckRequest{Tuple: ketoTuple(t, "Open:o#r@x"), Latest: latest})
		return err
	}
	watch, err := cardeav1.NewTupleServiceClient(n.dial(n.read)).Watch(t.Context(), &cardeav1.WatchTuplesRequest{Heartbeat: durationpb.New(100 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	database.Pause()
	if err := ask(true); status.Code(err) != codes.Unavailable {
		t.Errorf("latest gives %v", err)
	}
	if err := ask(false); err != nil {
		t.Errorf("what is at hand gives %v", err)
	}
	if got := n.do("GET", n.read, "/health/ready", ""); got.status != 503 || !strings.Contains(got.body, `"database"`) {
		t.Errorf("readiness is %d %s", got.status, got.body)
	}
	if got := n.do("GET", n.read, "/v1/status", ""); got.status != 200 || !strings.Contains(got.body, `"ready":false`) {
		t.Errorf("the status is %d %s", got.status, got.body)
	}
	for err == nil {
		_, err = watch.Recv()
	}
	if status.Code(err) != codes.Unavailable && err != io.EOF {
		t.Errorf("the watch ends with %v", err)
	}
	database.Resume()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for got := 0; got != 200; got = n.do("GET", n.read, "/health/ready", "").status {
		<-tick.C
	}
	if err := ask(true); err != nil {
		t.Errorf("after recovery: %v", err)
	}
}
