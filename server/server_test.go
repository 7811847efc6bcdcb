package server_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
	"github.com/cardea-iam/cardea/server"
)

// testModel is what most tests have as their model.
const testModel = `
class User implements Namespace {}
class Open implements Namespace {}
class Group implements Namespace {
  related: { members: (User | SubjectSet<Group, "members">)[] }
}
class Doc implements Namespace {
  related: { owners: User[]; viewers: (User | SubjectSet<Group, "members">)[] }
  permits = {
    view: (ctx: Context): boolean => this.related.viewers.includes(ctx.subject) || this.related.owners.includes(ctx.subject),
  }
}
`

// A node is a running server.
type node struct {
	t       *testing.T
	server  *server.Server
	read    string // addresses
	write   string
	public  string // "" if it is closed
	opl     string
	metrics string
	stop    func() error // asks Run to end and returns what it returned
}

// testConfig returns a configuration for one test: in memory, on free ports,
// quiet.
func testConfig(t *testing.T) server.Config {
	t.Helper()
	c, err := server.LoadConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.DSN = "mem:"
	c.Log.Level = slog.LevelError + 1
	for _, l := range []*server.Listener{&c.Serve.Read, &c.Serve.Write, &c.Serve.Public, &c.Serve.Metrics, &c.Serve.OPL} {
		l.Address = "127.0.0.1:0"
	}
	return c
}

// start runs a server until the test ends.
func start(t *testing.T, edit ...func(*server.Config)) *node {
	t.Helper()
	c := testConfig(t)
	for _, e := range edit {
		e(&c)
	}
	s, err := server.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, s)
}

// run is start for a server that was built.
func run(t *testing.T, s *server.Server) *node {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var result error
	go func() {
		result = s.Run(ctx)
		close(ended)
	}()
	n := &node{t: t, server: s, stop: func() error {
		cancel()
		<-ended
		return result
	}}
	n.read, n.write = s.Address("read").String(), s.Address("write").String()
	n.opl, n.metrics = s.Address("opl").String(), s.Address("metrics").String()
	if public := s.Address("public"); public != nil {
		n.public = public.String()
	}
	t.Cleanup(func() {
		if err := n.stop(); err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	return n
}

// startWithModel is start, and testModel applied.
func startWithModel(t *testing.T, edit ...func(*server.Config)) *node {
	t.Helper()
	n := start(t, edit...)
	n.apply(testModel)
	return n
}

func (n *node) apply(source string) {
	n.t.Helper()
	_, err := cardeav1.NewModelServiceClient(n.dial(n.write)).Apply(n.t.Context(), &cardeav1.ApplyModelRequest{Source: source})
	if err != nil {
		n.t.Fatal(err)
	}
}

// dial returns a gRPC connection.
func (n *node) dial(address string) *grpc.ClientConn {
	n.t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// insert writes tuples in the notation of engine.ParseTuple.
func (n *node) insert(tuples ...string) string {
	n.t.Helper()
	return n.update(cardeav1.TupleUpdate_ACTION_INSERT, tuples...)
}

func (n *node) update(action cardeav1.TupleUpdate_Action, tuples ...string) string {
	n.t.Helper()
	req := &cardeav1.WriteTuplesRequest{}
	for _, text := range tuples {
		req.Updates = append(req.Updates, &cardeav1.TupleUpdate{Action: action, Tuple: cardeaTuple(n.t, text)})
	}
	response, err := cardeav1.NewTupleWriteServiceClient(n.dial(n.write)).Write(n.t.Context(), req)
	if err != nil {
		n.t.Fatal(err)
	}
	return response.Snaptoken
}

// count returns how many tuples are stored.
func (n *node) count() int {
	n.t.Helper()
	list, err := cardeav1.NewTupleServiceClient(n.dial(n.read)).List(n.t.Context(), &cardeav1.ListTuplesRequest{
		PageSize: 500, Consistency: &cardeav1.Consistency{Mode: &cardeav1.Consistency_FullyConsistent{FullyConsistent: true}},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return len(list.Tuples)
}

// A reply is what came back over HTTP.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request; header is "Name: value" lines.
func (n *node) do(method, address, path, body string, header ...string) reply {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), method, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(bytes.TrimSpace(text))}
}

// ketoTuple and cardeaTuple read the notation of engine.ParseTuple.
func ketoTuple(t *testing.T, text string) *keto.RelationTuple {
	p := parse(t, text)
	out := &keto.RelationTuple{Namespace: p.Object.Namespace, Object: p.Object.ID, Relation: p.Relation}
	if p.Subject.IsID() {
		out.Subject = &keto.Subject{Ref: &keto.Subject_Id{Id: p.Subject.ID}}
	} else {
		out.Subject = ketoSet(p.Subject.Namespace, p.Subject.ID, p.Subject.Relation)
	}
	return out
}

func ketoSet(namespace, object, relation string) *keto.Subject {
	return &keto.Subject{Ref: &keto.Subject_Set{Set: &keto.SubjectSet{Namespace: namespace, Object: object, Relation: relation}}}
}

func cardeaTuple(t *testing.T, text string) *cardeav1.Tuple {
	k := ketoTuple(t, text)
	out := &cardeav1.Tuple{Namespace: k.Namespace, Object: k.Object, Relation: k.Relation}
	switch ref := k.Subject.Ref.(type) {
	case *keto.Subject_Id:
		out.Subject = &cardeav1.Subject{Ref: &cardeav1.Subject_Id{Id: ref.Id}}
	case *keto.Subject_Set:
		out.Subject = &cardeav1.Subject{Ref: &cardeav1.Subject_Set{Set: &cardeav1.SubjectSet{
			Namespace: ref.Set.Namespace, Object: ref.Set.Object, Relation: ref.Set.Relation,
		}}}
	}
	return out
}

// begins reports whether text is want, or begins as a want that ends in ... does.
func begins(text, want string) bool {
	prefix, open := strings.CutSuffix(want, "...")
	return text == want || open && strings.HasPrefix(text, prefix)
}
