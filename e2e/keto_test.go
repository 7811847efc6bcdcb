package e2e

import (
	"strings"
	"testing"

	opl "github.com/ory/keto/proto/ory/keto/opl/v1alpha1"
	keto "github.com/ory/keto/proto/ory/keto/relation_tuples/v1alpha2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/cardea-iam/cardea/examples"
)

func dial(t testing.TB, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// subject reads a subject as the text form of tuples has it.
func subject(text string) *keto.Subject {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "("), ")")
	namespace, rest, set := strings.Cut(text, ":")
	if !set {
		return keto.NewSubjectID(text)
	}
	object, relation, _ := strings.Cut(rest, "#")
	return keto.NewSubjectSet(namespace, object, relation)
}

// tuple reads the text form of tuples.
func tuple(text string) *keto.RelationTuple {
	object, rest, _ := strings.Cut(text, "#")
	relation, s, _ := strings.Cut(rest, "@")
	namespace, id, _ := strings.Cut(object, ":")
	return &keto.RelationTuple{Namespace: namespace, Object: id, Relation: relation, Subject: subject(s)}
}

// load starts a server that holds an example.
func load(t testing.TB, name string) *instance {
	t.Helper()
	s := start(t, t.TempDir(), "--example", name)
	if !strings.Contains(s.Banner, "Loaded the example "+name) {
		t.Fatalf("the example was not loaded:\n%s", s.Banner)
	}
	return s
}

// TestKetoGRPC uses every RPC of Keto's public Go package, unchanged.
func TestKetoGRPC(t *testing.T) {
	s := load(t, "drive")
	read, write := dial(t, s.Read), dial(t, s.Write)
	check := keto.NewCheckServiceClient(read)
	allowed := func(t *testing.T, question string) bool {
		t.Helper()
		resp, err := check.Check(t.Context(), &keto.CheckRequest{Tuple: tuple(question)})
		if err != nil {
			t.Fatalf("%s: %v", question, err)
		}
		return resp.Allowed
	}

	t.Run("check", func(t *testing.T) {
		resp, err := check.Check(t.Context(), &keto.CheckRequest{Tuple: tuple("Document:plan#view@User:ann")})
		if err != nil {
			t.Fatal(err)
		}
		if !resp.Allowed || resp.Snaptoken == "" || resp.Snaptoken == "not yet implemented" {
			t.Errorf("got %v, want allowed with a snaptoken", resp)
		}
		again, err := check.Check(t.Context(), &keto.CheckRequest{Tuple: tuple("Document:plan#view@User:ann"), Snaptoken: resp.Snaptoken})
		if err != nil || !again.Allowed {
			t.Errorf("with the snaptoken: %v, %v", again, err)
		}
		//lint:ignore SA1019 old clients send these fields
		old, err := check.Check(t.Context(), &keto.CheckRequest{Namespace: "Document", Object: "plan", Relation: "view", Subject: subject("User:ann"), Latest: true})
		if err != nil || !old.Allowed {
			t.Errorf("with the fields of old clients: %v, %v", old, err)
		}
	})
	t.Run("check errors", func(t *testing.T) {
		for question, want := range map[string]codes.Code{
			"Nope:plan#view@User:ann":     codes.NotFound,
			"Document:plan#nope@User:ann": codes.InvalidArgument,
		} {
			_, err := check.Check(t.Context(), &keto.CheckRequest{Tuple: tuple(question)})
			if status.Code(err) != want {
				t.Errorf("%s: %v, want %v", question, err, want)
			}
		}
		_, err := check.Check(t.Context(), &keto.CheckRequest{Tuple: tuple("Document:plan#view@User:ann"), Snaptoken: "garbage"})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("a malformed snaptoken: %v", err)
		}
	})
	t.Run("expand", func(t *testing.T) {
		resp, err := keto.NewExpandServiceClient(read).Expand(t.Context(), &keto.ExpandRequest{Subject: subject("Folder:engineering#editors")})
		if err != nil {
			t.Fatal(err)
		}
		leaves := map[string]bool{}
		var walk func(*keto.SubjectTree)
		walk = func(n *keto.SubjectTree) {
			if n.NodeType == keto.NodeType_NODE_TYPE_LEAF {
				leaves[n.GetTuple().GetSubject().GetSet().GetObject()] = true
			}
			for _, c := range n.Children {
				walk(c)
			}
		}
		walk(resp.Tree)
		for _, name := range []string{"ann", "bob", "cat", "mallory"} {
			if !leaves[name] {
				t.Errorf("%s is missing in %v", name, resp.Tree)
			}
		}
	})
	t.Run("list", func(t *testing.T) {
		reader := keto.NewReadServiceClient(read)
		seen := map[string]bool{}
		ns := "Document"
		req := &keto.ListRelationTuplesRequest{RelationQuery: &keto.RelationQuery{Namespace: &ns}, PageSize: 300}
		for {
			resp, err := reader.ListRelationTuples(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			for _, rt := range resp.RelationTuples {
				seen[rt.String()] = true
			}
			if req.PageToken = resp.NextPageToken; req.PageToken == "" {
				break
			}
		}
		want := 0
		drive, _ := examples.Get("drive")
		for _, text := range drive.Tuples {
			if strings.HasPrefix(text, "Document:") {
				want++
			}
		}
		if len(seen) != want {
			t.Errorf("listed %d distinct tuples, want %d", len(seen), want)
		}
	})
	t.Run("namespaces", func(t *testing.T) {
		resp, err := keto.NewNamespacesServiceClient(read).ListNamespaces(t.Context(), &keto.ListNamespacesRequest{})
		if err != nil || len(resp.Namespaces) != 4 {
			t.Errorf("%v, %v; want 4 namespaces", resp, err)
		}
	})
	t.Run("version", func(t *testing.T) {
		for _, conn := range []*grpc.ClientConn{read, write} {
			resp, err := keto.NewVersionServiceClient(conn).GetVersion(t.Context(), &keto.GetVersionRequest{})
			if err != nil || resp.Version == "" {
				t.Errorf("%v, %v", resp, err)
			}
		}
	})
	t.Run("transact and delete", func(t *testing.T) {
		writer := keto.NewWriteServiceClient(write)
		const question = "Document:plan#edit@User:new"
		resp, err := writer.TransactRelationTuples(t.Context(), &keto.TransactRelationTuplesRequest{
			RelationTupleDeltas: keto.RelationTupleToDeltas([]*keto.RelationTuple{tuple("Document:plan#editors@User:new")}, keto.RelationTupleDelta_ACTION_INSERT),
		})
		if err != nil || len(resp.Snaptokens) != 1 || resp.Snaptokens[0] == "" {
			t.Fatalf("%v, %v", resp, err)
		}
		if !allowed(t, question) {
			t.Error("not allowed after the insert")
		}
		_, err = writer.TransactRelationTuples(t.Context(), &keto.TransactRelationTuplesRequest{
			RelationTupleDeltas: []*keto.RelationTupleDelta{
				{Action: keto.RelationTupleDelta_ACTION_DELETE, RelationTuple: tuple("Document:plan#editors@User:new")},
				{Action: keto.RelationTupleDelta_ACTION_INSERT, RelationTuple: tuple("Nope:plan#editors@User:new")},
			},
		})
		if status.Code(err) != codes.NotFound || !allowed(t, question) {
			t.Errorf("a refused transaction: %v, want NotFound and nothing changed", err)
		}
		object := "plan"
		relation := "editors"
		if _, err := writer.DeleteRelationTuples(t.Context(), &keto.DeleteRelationTuplesRequest{
			RelationQuery: &keto.RelationQuery{Namespace: ptr("Document"), Object: &object, Relation: &relation},
		}); err != nil || allowed(t, question) {
			t.Errorf("after the delete: %v, or still allowed", err)
		}
		if _, err := writer.DeleteRelationTuples(t.Context(), &keto.DeleteRelationTuplesRequest{RelationQuery: &keto.RelationQuery{}}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("an empty query: %v, want InvalidArgument", err)
		}
	})
	t.Run("syntax", func(t *testing.T) {
		syntax := opl.NewSyntaxServiceClient(read)
		good, err := syntax.Check(t.Context(), &opl.CheckRequest{Content: []byte("class User implements Namespace {}")})
		if err != nil || len(good.ParseErrors) != 0 {
			t.Errorf("a good text: %v, %v", good, err)
		}
		bad, err := syntax.Check(t.Context(), &opl.CheckRequest{Content: []byte("class User implements Nope {}")})
		if err != nil || len(bad.ParseErrors) == 0 || bad.ParseErrors[0].Start.Line != 1 {
			t.Errorf("a bad text: %v, %v", bad, err)
		}
	})
	t.Run("wrong listener", func(t *testing.T) {
		_, err := keto.NewWriteServiceClient(read).TransactRelationTuples(t.Context(), &keto.TransactRelationTuplesRequest{})
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("a write to the read listener: %v, want Unimplemented", err)
		}
	})
}

func ptr[T any](v T) *T { return &v }
