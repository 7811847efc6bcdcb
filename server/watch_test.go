package server_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	"github.com/cardea-iam/cardea/server"
)

// A receiver returns the next message of a watch.
type receiver func() (*cardeav1.WatchTuplesResponse, error)

// A protocol opens a watch. The context ends it. Its errors are those of gRPC.
type protocol func(ctx context.Context, n *node, req *cardeav1.WatchTuplesRequest) (receiver, error)

// protocols are all ways to watch.
var protocols = map[string]protocol{
	"gRPC": func(ctx context.Context, n *node, req *cardeav1.WatchTuplesRequest) (receiver, error) {
		stream, err := cardeav1.NewTupleServiceClient(n.dial(n.read)).Watch(ctx, req)
		if err != nil {
			return nil, err
		}
		return stream.Recv, nil
	},
	"Connect":              connectWatch(1),
	"gRPC-Web over HTTP/2": connectWatch(2, connect.WithGRPCWeb()),
	"events":               eventWatch(1),
	"events over HTTP/2":   eventWatch(2),
}

// newClient returns an HTTP client with connections of its own.
func newClient(n *node, version int) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetHTTP1(version == 1)
	transport.Protocols.SetUnencryptedHTTP2(version == 2)
	n.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func connectWatch(version int, options ...connect.ClientOption) protocol {
	return func(ctx context.Context, n *node, req *cardeav1.WatchTuplesRequest) (receiver, error) {
		c := connect.NewClient[cardeav1.WatchTuplesRequest, cardeav1.WatchTuplesResponse](newClient(n, version),
			"http://"+n.read+"/cardea.v1.TupleService/Watch", options...)
		stream, err := c.CallServerStream(ctx, connect.NewRequest(req))
		if err != nil {
			return nil, err
		}
		return func() (*cardeav1.WatchTuplesResponse, error) {
			if stream.Receive() {
				return stream.Msg(), nil
			}
			if err := stream.Err(); err != nil {
				return nil, status.Error(codes.Code(connect.CodeOf(err)), err.Error())
			}
			return nil, io.EOF
		}, nil
	}
}

func eventWatch(version int) protocol {
	return func(ctx context.Context, n *node, req *cardeav1.WatchTuplesRequest) (receiver, error) {
		v := url.Values{}
		for i, q := range req.Queries {
			for name, value := range map[string]*string{"namespace": q.Namespace, "object": q.Object, "relation": q.Relation} {
				if value != nil {
					v.Set(fmt.Sprintf("queries.%d.%s", i, name), *value)
				}
			}
		}
		if req.Heartbeat != nil {
			v.Set("heartbeat", fmt.Sprintf("%gs", req.Heartbeat.AsDuration().Seconds()))
		}
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+n.read+"/v1/tuples/watch?"+v.Encode(), nil)
		if err != nil {
			return nil, err
		}
		if req.Snaptoken != "" {
			r.Header.Set("Last-Event-ID", req.Snaptoken)
		}
		response, err := newClient(n, version).Do(r)
		if err != nil {
			return nil, err
		}
		n.t.Cleanup(func() { response.Body.Close() })
		if response.StatusCode != 200 {
			body, _ := io.ReadAll(response.Body)
			return nil, eventError(body)
		}
		if got := response.Header.Get("Content-Type"); got != "text/event-stream; charset=utf-8" {
			n.t.Errorf("the content type is %q", got)
		}
		return eventReceiver(response.Body), nil
	}
}

// eventReceiver reads server-sent events.
func eventReceiver(body io.Reader) receiver {
	lines := bufio.NewReader(body)
	return func() (*cardeav1.WatchTuplesResponse, error) {
		var event, id, data string
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return nil, status.Error(codes.Unavailable, err.Error())
			}
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch name {
			case "event":
				event = value
			case "id":
				id = value
			case "data":
				data = value
			case "":
				if event == "end" {
					return nil, eventError([]byte(data))
				}
				m := &cardeav1.WatchTuplesResponse{}
				if err := protojson.Unmarshal([]byte(data), m); err != nil {
					return nil, err
				}
				if m.Snaptoken != id || m.Heartbeat != (event == "heartbeat") {
					return nil, fmt.Errorf("event %q with id %q has the data %s", event, id, data)
				}
				return m, nil
			}
		}
	}
}

// eventError returns an error body as gRPC would have it.
func eventError(body []byte) error {
	var v struct {
		Error struct{ Status, Message string }
	}
	if err := json.Unmarshal(body, &v); err != nil {
		return fmt.Errorf("%s: %w", body, err)
	}
	for _, c := range []codes.Code{codes.InvalidArgument, codes.OutOfRange, codes.Unavailable, codes.Unauthenticated, codes.NotFound} {
		if strings.EqualFold(strings.ReplaceAll(v.Error.Status, "_", ""), c.String()) {
			return status.Error(c, v.Error.Message)
		}
	}
	return fmt.Errorf("unexpected error %s", body)
}

// describe prints what a message says.
func describe(m *cardeav1.WatchTuplesResponse) string {
	var all []string
	for _, c := range m.Changes {
		sign := map[cardeav1.TupleUpdate_Action]string{cardeav1.TupleUpdate_ACTION_INSERT: "+", cardeav1.TupleUpdate_ACTION_DELETE: "-"}[c.Action]
		set := c.Tuple.Subject.GetSet()
		all = append(all, sign+c.Tuple.Namespace+":"+c.Tuple.Object+"#"+c.Tuple.Relation+"@"+c.Tuple.Subject.GetId()+set.GetNamespace()+":"+set.GetObject())
	}
	if m.Model != nil {
		all = append(all, fmt.Sprintf("model %d", m.Model.Version))
	}
	return strings.Join(all, " ")
}

// open opens a watch and reads its first message.
func (p protocol) open(t *testing.T, n *node, req *cardeav1.WatchTuplesRequest) (next receiver, stop func(), token string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	next, err := p(ctx, n, req)
	if err != nil {
		t.Fatal(err)
	}
	first, err := next()
	if err != nil || !first.Heartbeat || first.Snaptoken == "" || len(first.Changes) > 0 {
		t.Fatalf("the first message is %v, %v", first, err)
	}
	return next, cancel, first.Snaptoken
}

// must returns the next message that has changes.
func (r receiver) must(t *testing.T) *cardeav1.WatchTuplesResponse {
	t.Helper()
	for {
		m, err := r()
		if err != nil {
			t.Fatal(err)
		}
		if !m.Heartbeat {
			return m
		}
	}
}

// expect reads messages until they say as much as want, in whatever pieces they
// come.
func (r receiver) expect(t *testing.T, want []string) {
	t.Helper()
	all, got, token := strings.Join(want, " "), "", ""
	for len(got) < len(all) {
		m := r.must(t)
		got = strings.TrimSpace(got + " " + describe(m))
		token = m.Snaptoken
	}
	if got != all || token == "" {
		t.Errorf("got %q up to %q, want %q", got, token, all)
	}
}

// TestWatch follows a few writes by every protocol, resumes at the token of each,
// and filters.
func TestWatch(t *testing.T) {
	for name, p := range protocols {
		t.Run(name, func(t *testing.T) {
			n := startWithModel(t)
			next, _, from := p.open(t, n, &cardeav1.WatchTuplesRequest{})
			written := []string{n.insert("Doc:a#owners@User:ann", "Group:g#members@User:ann"), n.insert("Doc:b#owners@User:bob")}
			n.apply(testModel + "class More implements Namespace {}")
			want := []string{"+Doc:a#owners@User:ann +Group:g#members@User:ann", "+Doc:b#owners@User:bob", "model 2"}
			next.expect(t, want)
			for i, token := range []string{from, written[0], written[1]} {
				next, stop, _ := p.open(t, n, &cardeav1.WatchTuplesRequest{Snaptoken: token})
				next.expect(t, want[i:])
				stop()
			}
			group, b := "Group", "b"
			next, _, _ = p.open(t, n, &cardeav1.WatchTuplesRequest{
				Snaptoken: written[1], Heartbeat: durationpb.New(100 * time.Millisecond),
				Queries: []*cardeav1.TupleQuery{{Namespace: &group}, {Object: &b}},
			})
			if got := describe(next.must(t)); got != "model 2" {
				t.Errorf("the filter lets %q pass", got)
			}
			last := n.insert("Doc:c#owners@User:ann")
			for m, err := next(); m.GetSnaptoken() != last; m, err = next() {
				if err != nil || len(m.Changes) > 0 {
					t.Fatalf("got %v, %v while waiting for a heartbeat at the write", m, err)
				}
			}
			n.insert("Doc:b#owners@User:ann")
			if got := describe(next.must(t)); got != "+Doc:b#owners@User:ann" {
				t.Errorf("the filter lets %q pass", got)
			}
		})
	}
}

// TestWatchPieces cuts a large write into messages of which the last alone has a
// token.
func TestWatchPieces(t *testing.T) {
	const size = 1234
	for name, p := range protocols {
		t.Run(name, func(t *testing.T) {
			n := startWithModel(t)
			next, _, _ := p.open(t, n, &cardeav1.WatchTuplesRequest{})
			var tuples []string
			for i := range size {
				tuples = append(tuples, fmt.Sprintf("Open:o%d#r@x", i))
			}
			token := n.insert(tuples...)
			for seen := 0; seen < size; {
				m := next.must(t)
				seen += len(m.Changes)
				if (m.Snaptoken == token) != (seen == size) || seen < size && m.Snaptoken != "" {
					t.Fatalf("after %d changes the token is %q, that of the write %q", seen, m.Snaptoken, token)
				}
			}
		})
	}
}

func TestWatchRefused(t *testing.T) {
	n := startWithModel(t)
	many := slices.Repeat([]*cardeav1.TupleQuery{{}}, 101)
	for i := range many {
		many[i] = &cardeav1.TupleQuery{Namespace: new(string)}
	}
	for name, p := range protocols {
		for _, tt := range []struct {
			req  *cardeav1.WatchTuplesRequest
			code codes.Code
			text string
		}{
			{&cardeav1.WatchTuplesRequest{Snaptoken: "zzz"}, codes.InvalidArgument, "malformed"},
			{&cardeav1.WatchTuplesRequest{Heartbeat: durationpb.New(time.Millisecond)}, codes.InvalidArgument, "heartbeat is 1ms"},
			{&cardeav1.WatchTuplesRequest{Heartbeat: durationpb.New(time.Hour)}, codes.InvalidArgument, "heartbeat is 1h"},
			{&cardeav1.WatchTuplesRequest{Queries: many}, codes.InvalidArgument, "queries has 101 items"},
		} {
			next, err := p(t.Context(), n, tt.req)
			if err == nil {
				_, err = next()
			}
			if status.Code(err) != tt.code || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%s: %v gives %v", name, tt.req, err)
			}
		}
	}
	n.run(n.read, []restCase{
		{"no index", "GET", "/v1/tuples/watch?queries.namespace=Doc", "", 400, failed(400, "INVALID_ARGUMENT", `query parameter "queries.namespace" is unknown`)},
		{"a wrong index", "GET", "/v1/tuples/watch?queries.01.namespace=Doc", "", 400, failed(400, "INVALID_ARGUMENT", `query parameter "queries.01.namespace" is unknown`)},
		{"an index alone", "GET", "/v1/tuples/watch?queries.0=Doc", "", 400, failed(400, "INVALID_ARGUMENT", `query parameter "queries.0" is unknown`)},
		{"a list alone", "GET", "/v1/tuples/watch?queries=Doc", "", 400, failed(400, "INVALID_ARGUMENT", `query parameter "queries" is unknown`)},
		{"no duration", "GET", "/v1/tuples/watch?heartbeat=5", "", 400, failed(400, "INVALID_ARGUMENT", "the query parameters are not as expected: ...")[:70] + "..."},
	})
}

// TestWatchExpired: who was away for longer than the history lasts is told so
// before anything else.
func TestWatchExpired(t *testing.T) {
	n := startWithModel(t, func(c *server.Config) { c.History.Window = time.Millisecond })
	token := n.insert("Open:o#r@x")
	n.post(n.write, "/v1/tuples/delete", `{"query":{"namespace":"Open"}}`, "deleted")
	// It is purged once a second.
	for got := 200; got != 410; {
		response := n.do("GET", n.read, "/v1/tuples?consistency.exact="+url.QueryEscape(token), "")
		if got = response.status; got != 200 && got != 410 {
			t.Fatal(response.body)
		}
	}
	for name, p := range protocols {
		next, err := p(t.Context(), n, &cardeav1.WatchTuplesRequest{Snaptoken: token})
		if err == nil {
			_, err = next()
		}
		if status.Code(err) != codes.OutOfRange || !strings.Contains(err.Error(), "read all tuples anew") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestWatchDrain: the end of the server ends watches with an error that says so,
// and does not wait for them.
func TestWatchDrain(t *testing.T) {
	n := startWithModel(t, func(c *server.Config) { c.Serve.Drain = time.Hour })
	ends := map[string]receiver{}
	for name, p := range protocols {
		ends[name], _, _ = p.open(t, n, &cardeav1.WatchTuplesRequest{})
	}
	stopped := make(chan error, 1)
	go func() { stopped <- n.stop() }()
	for name, next := range ends {
		if _, err := next(); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "shutting down") {
			t.Errorf("%s: ends with %v", name, err)
		}
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// incompressible returns a text of random letters.
func incompressible(size int) string {
	var b strings.Builder
	for b.Len() < size {
		b.WriteString(rand.Text())
	}
	return b.String()
}

// TestWatchSlow: who takes no messages is put out, costs the server nothing from
// then on, and has missed nothing when it comes back.
func TestWatchSlow(t *testing.T) {
	for _, name := range []string{"gRPC", "events", "gRPC-Web over HTTP/2"} {
		p := protocols[name]
		t.Run(name, func(t *testing.T) {
			n := startWithModel(t, func(c *server.Config) { c.Limits.Send = 50 * time.Millisecond })
			next, _, from := p.open(t, n, &cardeav1.WatchTuplesRequest{})
			written := 0
			for !strings.Contains(n.do("GET", n.metrics, "/metrics", "").body, "\ncardea_watches 0\n") {
				var tuples []string
				for range 2000 {
					tuples = append(tuples, fmt.Sprintf("Open:%d%s#r@x", written, incompressible(900)))
					written++
				}
				n.insert(tuples...)
				if written > 200_000 {
					t.Fatal("the watch goes on although nobody reads it")
				}
			}
			var err error
			for err == nil {
				_, err = next()
			}
			if got := status.Code(err); got != codes.Unavailable && (name == "gRPC" || errors.Is(err, io.EOF)) {
				t.Errorf("ends with %v", err)
			}
			// On a machine that is busy this watch may be called slow, too.
			seen := map[string]bool{}
			for next, _, _ = p.open(t, n, &cardeav1.WatchTuplesRequest{Snaptoken: from}); len(seen) < written; {
				m, err := next()
				if err != nil {
					next, _, _ = p.open(t, n, &cardeav1.WatchTuplesRequest{Snaptoken: from})
					continue
				}
				for _, c := range m.Changes {
					seen[c.Tuple.Object] = true
				}
				if m.Snaptoken != "" {
					from = m.Snaptoken
				}
			}
		})
	}
}
