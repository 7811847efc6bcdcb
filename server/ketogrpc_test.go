//lint:file-ignore SA1019 Clients of Keto may use the deprecated fields, so they are served.

package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	ketoopl "github.com/cardea-iam/cardea/proto/ory/keto/opl/v1alpha1"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
	"github.com/cardea-iam/cardea/server"
)

// A grpcCase is one call and what comes of it. want is a message of the
// response's type; nil leaves the response alone.
type grpcCase struct {
	name    string
	method  string
	request proto.Message
	code    codes.Code
	message string
	reason  string // of the ErrorInfo, "" for none
}

// refuse sends each case and checks the error, and that nothing was written.
func (n *node) refuse(address string, cases []grpcCase) {
	n.t.Helper()
	before := n.count()
	conn := n.dial(address)
	for _, c := range cases {
		n.t.Run(c.name, func(t *testing.T) {
			err := conn.Invoke(t.Context(), c.method, c.request, new(raw), grpc.ForceCodec(rawCodec{}))
			st := status.Convert(err)
			if st.Code() != c.code || st.Message() != c.message {
				t.Errorf("got %v %q,\nwant %v %q", st.Code(), st.Message(), c.code, c.message)
			}
			if got := reasonOf(st); got != c.reason {
				t.Errorf("reason %q, want %q", got, c.reason)
			}
		})
	}
	if after := n.count(); after != before {
		n.t.Errorf("%d tuples are stored, before there were %d", after, before)
	}
}

func reasonOf(st *status.Status) string {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.Reason
		}
	}
	return ""
}

// raw is a message as bytes, so that a test can send what is none.
type raw struct{ bytes []byte }

// rawCodec sends messages, raw ones as they are, and receives raw ones.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) {
	if r, ok := v.(rawMessage); ok {
		return r.bytes, nil
	}
	return proto.Marshal(v.(proto.Message))
}

func (rawCodec) Unmarshal(data []byte, v any) error {
	v.(*raw).bytes = slices.Clone(data)
	return nil
}

// rawMessage passes for a message where one is asked for.
type rawMessage struct {
	proto.Message
	bytes []byte
}

const (
	ketoPackage = "/ory.keto.relation_tuples.v1alpha2."
	checkMethod = ketoPackage + "CheckService/Check"
)

func TestKetoGRPCBadReads(t *testing.T) {
	n := startWithModel(t)
	check := func(t2 *keto.RelationTuple) *keto.CheckRequest { return &keto.CheckRequest{Tuple: t2} }
	ok := ketoTuple(t, "Doc:a#view@User:ann")
	list, expand, batch := ketoPackage+"ReadService/ListRelationTuples", ketoPackage+"ExpandService/Expand", ketoPackage+"CheckService/BatchCheck"
	badToken := "snaptoken is malformed: expected one that this server returned"
	empty := &keto.Subject{}
	invalidUTF8 := rawMessage{bytes: protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "\xff")}
	n.refuse(n.read, []grpcCase{
		{"empty request", checkMethod, &keto.CheckRequest{}, codes.InvalidArgument, nilSubj, ""},
		{"empty subject", checkMethod, check(&keto.RelationTuple{Namespace: "Doc", Subject: empty}), codes.InvalidArgument, nilSubj, ""},
		{"unknown namespace", checkMethod, check(ketoTuple(t, "Nope:a#view@x")), codes.NotFound, notFound, `Unknown namespace with name "Nope".`},
		{"unknown namespace of the subject", checkMethod, check(ketoTuple(t, "Doc:a#view@Nope:x")), codes.NotFound, notFound, `Unknown namespace with name "Nope".`},
		{"empty namespace", checkMethod, check(&keto.RelationTuple{Subject: ok.Subject}), codes.NotFound, notFound, `Unknown namespace with name "".`},
		{"empty namespace of the subject", checkMethod, check(&keto.RelationTuple{Namespace: "Doc", Subject: ketoSet("", "x", "")}), codes.NotFound, notFound, `Unknown namespace with name "".`},
		{"unknown relation", checkMethod, check(ketoTuple(t, "Doc:a#zzz@x")), codes.InvalidArgument, malformed, `relation "zzz" does not exist`},
		{"malformed token", checkMethod, &keto.CheckRequest{Tuple: ok, Snaptoken: "x"}, codes.InvalidArgument, malformed, badToken},
		{"malformed token with latest", checkMethod, &keto.CheckRequest{Tuple: ok, Latest: true, Snaptoken: "not yet implemented"}, codes.InvalidArgument, malformed, badToken},
		{"huge name", checkMethod, check(&keto.RelationTuple{Namespace: "Doc", Object: huge, Relation: "view", Subject: ok.Subject}), codes.InvalidArgument, malformed, "object has 100000 bytes: expected at most 1000"},
		{"invalid UTF-8", checkMethod, invalidUTF8, codes.InvalidArgument, malformed,
			"the request is not a valid message: string field contains invalid UTF-8"},
		{"no message", checkMethod, rawMessage{bytes: []byte{0xff}}, codes.InvalidArgument, malformed, "the request is not a valid message: cannot parse invalid wire-format data"},
		{"too large", checkMethod, rawMessage{bytes: make([]byte, 5<<20)}, codes.ResourceExhausted, "grpc: received message larger than max (5242880 vs. 4194304)", ""},
		{"unknown method", ketoPackage + "CheckService/Nope", ok, codes.Unimplemented, "unknown method Nope for service ory.keto.relation_tuples.v1alpha2.CheckService", ""},
		{"service of the write port", ketoPackage + "WriteService/TransactRelationTuples", ok, codes.Unimplemented, "unknown service ory.keto.relation_tuples.v1alpha2.WriteService", ""},

		{"batch that is too long", batch, &keto.BatchCheckRequest{Tuples: slices.Repeat([]*keto.RelationTuple{ok}, 10_001)}, codes.InvalidArgument, "batch exceeds max size of 10000", ""},
		{"batch with a malformed token", batch, &keto.BatchCheckRequest{Snaptoken: "x"}, codes.InvalidArgument, malformed, badToken},

		{"list without query", list, &keto.ListRelationTuplesRequest{}, codes.InvalidArgument, "you must provide a query", ""},
		{"list of an unknown namespace", list, &keto.ListRelationTuplesRequest{RelationQuery: &keto.RelationQuery{Namespace: proto.String("Nope")}}, codes.NotFound, notFound, `Unknown namespace with name "Nope".`},
		{"list of the empty namespace", list, &keto.ListRelationTuplesRequest{RelationQuery: &keto.RelationQuery{Namespace: proto.String("")}}, codes.NotFound, notFound, `Unknown namespace with name "".`},
		{"list with an empty subject", list, &keto.ListRelationTuplesRequest{RelationQuery: &keto.RelationQuery{Subject: empty}}, codes.InvalidArgument, nilSubj, ""},
		{"list with a bad page token", list, &keto.ListRelationTuplesRequest{RelationQuery: &keto.RelationQuery{}, PageToken: "x"}, codes.InvalidArgument, "invalid pagination token", ""},
		{"list with a malformed token", list, &keto.ListRelationTuplesRequest{RelationQuery: &keto.RelationQuery{}, Snaptoken: "x"}, codes.InvalidArgument, malformed, badToken},

		{"expand nothing", expand, &keto.ExpandRequest{}, codes.InvalidArgument, nilSubj, ""},
		{"expand an empty subject", expand, &keto.ExpandRequest{Subject: empty}, codes.InvalidArgument, nilSubj, ""},
		{"expand an unknown namespace", expand, &keto.ExpandRequest{Subject: ketoSet("Nope", "x", "y")}, codes.NotFound, notFound, `Unknown namespace with name "Nope".`},
	})
}

func TestKetoGRPCBadWrites(t *testing.T) {
	n := startWithModel(t)
	n.insert("Doc:a#owners@User:ann", "Open:o#any@someone")
	transact, remove := ketoPackage+"WriteService/TransactRelationTuples", ketoPackage+"WriteService/DeleteRelationTuples"
	good := &keto.RelationTupleDelta{Action: keto.RelationTupleDelta_ACTION_INSERT, RelationTuple: ketoTuple(t, "Open:new#r@x")}
	after := func(d *keto.RelationTupleDelta) *keto.TransactRelationTuplesRequest {
		return &keto.TransactRelationTuplesRequest{RelationTupleDeltas: []*keto.RelationTupleDelta{good, d}}
	}
	insert := func(t2 *keto.RelationTuple) *keto.TransactRelationTuplesRequest {
		return after(&keto.RelationTupleDelta{Action: keto.RelationTupleDelta_ACTION_INSERT, RelationTuple: t2})
	}
	query := func(q *keto.RelationQuery) *keto.DeleteRelationTuplesRequest {
		return &keto.DeleteRelationTuplesRequest{RelationQuery: q}
	}
	n.refuse(n.write, []grpcCase{
		{"unspecified action", transact, after(&keto.RelationTupleDelta{RelationTuple: good.RelationTuple}), codes.InvalidArgument, malformed,
			"relation_tuple_deltas[1].action is ACTION_UNSPECIFIED: expected ACTION_INSERT or ACTION_DELETE"},
		{"unknown action", transact, after(&keto.RelationTupleDelta{Action: 7, RelationTuple: good.RelationTuple}), codes.InvalidArgument, malformed,
			"relation_tuple_deltas[1].action is 7: expected ACTION_INSERT or ACTION_DELETE"},
		{"no tuple", transact, insert(nil), codes.InvalidArgument, nilSubj, ""},
		{"no subject", transact, insert(&keto.RelationTuple{Namespace: "Doc"}), codes.InvalidArgument, nilSubj, ""},
		{"unknown namespace", transact, insert(ketoTuple(t, "Nope:a#b@c")), codes.NotFound, notFound, `update 1: Unknown namespace with name "Nope".`},
		{"delete of an unknown namespace", transact, after(&keto.RelationTupleDelta{Action: keto.RelationTupleDelta_ACTION_DELETE, RelationTuple: ketoTuple(t, "Nope:a#b@c")}),
			codes.NotFound, notFound, `update 1: Unknown namespace with name "Nope".`},
		{"unknown relation", transact, insert(ketoTuple(t, "Doc:a#zzz@x")), codes.InvalidArgument, malformed, `update 1: relation "zzz" does not exist in namespace "Doc"`},
		{"huge name", transact, insert(&keto.RelationTuple{Namespace: "Open", Object: huge, Subject: good.RelationTuple.Subject}), codes.InvalidArgument, malformed,
			"update 1: object has 100000 bytes: expected at most 1000"},
		{"delete without query", remove, &keto.DeleteRelationTuplesRequest{}, codes.InvalidArgument, malformed, "invalid request"},
		{"delete everything", remove, query(&keto.RelationQuery{}), codes.InvalidArgument, malformed,
			"the query is empty: expected at least one of namespace, object, relation, subject"},
		{"delete everything by the old query", remove, &keto.DeleteRelationTuplesRequest{Query: &keto.DeleteRelationTuplesRequest_Query{}}, codes.InvalidArgument, malformed,
			"the query is empty: expected at least one of namespace, object, relation, subject"},
		{"delete of an unknown namespace by query", remove, query(&keto.RelationQuery{Namespace: proto.String("Nope")}), codes.NotFound, notFound, `Unknown namespace with name "Nope".`},
		{"delete with an empty subject", remove, query(&keto.RelationQuery{Subject: &keto.Subject{}}), codes.InvalidArgument, nilSubj, ""},
	})
}

func TestKetoGRPC(t *testing.T) {
	n := startWithModel(t)
	ctx := t.Context()
	read, write := n.dial(n.read), n.dial(n.write)
	checks, writes, reads := keto.NewCheckServiceClient(read), keto.NewWriteServiceClient(write), keto.NewReadServiceClient(read)

	var deltas []*keto.RelationTupleDelta
	for _, text := range []string{"Doc:a#owners@User:ann", "Doc:a#viewers@Group:g#members", "Group:g#members@User:bob", "Open:o#any@someone"} {
		deltas = append(deltas, &keto.RelationTupleDelta{Action: keto.RelationTupleDelta_ACTION_INSERT, RelationTuple: ketoTuple(t, text)})
	}
	written, err := writes.TransactRelationTuples(ctx, &keto.TransactRelationTuplesRequest{RelationTupleDeltas: deltas})
	if err != nil || len(written.Snaptokens) != len(deltas) || written.Snaptokens[0] == "" {
		t.Fatalf("transact: %v, %v", written, err)
	}
	token := written.Snaptokens[0]
	if empty, err := writes.TransactRelationTuples(ctx, &keto.TransactRelationTuplesRequest{}); err != nil || len(empty.Snaptokens) != 0 {
		t.Errorf("an empty transaction: %v, %v", empty, err)
	}

	for _, tt := range []struct {
		tuple string
		want  bool
	}{
		{"Doc:a#view@User:ann", true}, {"Doc:a#view@User:bob", true}, {"Doc:a#view@User:eve", false},
		{"Doc:a#view@ann", false}, {"Open:o#any@someone", true}, {"Doc:a#view@Group:g#members", true},
	} {
		k := ketoTuple(t, tt.tuple)
		for _, req := range []*keto.CheckRequest{
			{Tuple: k, Snaptoken: token},
			{Tuple: k, Latest: true, MaxDepth: 1},
			{Namespace: k.Namespace, Object: k.Object, Relation: k.Relation, Subject: k.Subject, Latest: true, Snaptoken: token},
			{Namespace: "Nope", Tuple: k, MaxDepth: -3},
		} {
			got, err := checks.Check(ctx, req)
			if err != nil || got.Allowed != tt.want || got.Snaptoken != token {
				t.Errorf("%s by %v: %v, %v", tt.tuple, req, got, err)
			}
		}
	}

	batch, err := checks.BatchCheck(ctx, &keto.BatchCheckRequest{Latest: true, Tuples: []*keto.RelationTuple{
		ketoTuple(t, "Doc:a#view@User:ann"), ketoTuple(t, "Nope:a#view@x"), {Namespace: "Doc"}, ketoTuple(t, "Doc:a#zzz@x"), ketoTuple(t, "Doc:a#view@x"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	var answers []string
	for _, r := range batch.Results {
		answers = append(answers, fmt.Sprint(r.Allowed, " ", r.Error))
		if r.Snaptoken != token {
			t.Errorf("a result with token %q, want %q", r.Snaptoken, token)
		}
	}
	if want := []string{"true ", "false " + notFound, "false " + nilSubj, "false " + malformed, "false "}; !slices.Equal(answers, want) {
		t.Errorf("batch %q, want %q", answers, want)
	}

	var header metadata.MD
	list, err := reads.ListRelationTuples(ctx, &keto.ListRelationTuplesRequest{Query: &keto.ListRelationTuplesRequest_Query{Namespace: "Doc", Relation: "owners"}}, grpc.Header(&header))
	if err != nil || len(list.RelationTuples) != 1 || !proto.Equal(list.RelationTuples[0], deltas[0].RelationTuple) || list.NextPageToken != "" {
		t.Errorf("list: %v, %v", list, err)
	}
	if got := header.Get("cardea-snaptoken"); !slices.Equal(got, []string{token}) {
		t.Errorf("a list with the token %q, want %q", got, token)
	}
	all, err := reads.ListRelationTuples(ctx, &keto.ListRelationTuplesRequest{RelationQuery: &keto.RelationQuery{}, PageSize: 3})
	if err != nil || len(all.RelationTuples) != 3 || all.NextPageToken == "" {
		t.Errorf("list of all: %v, %v", all, err)
	}

	_, err = writes.DeleteRelationTuples(ctx, &keto.DeleteRelationTuplesRequest{RelationQuery: &keto.RelationQuery{Object: proto.String("a")}}, grpc.Header(&header))
	if err != nil || n.count() != 2 || len(header.Get("cardea-snaptoken")) != 1 {
		t.Errorf("delete by object: %v, %d tuples are left", err, n.count())
	}
}

func TestKetoGRPCExpand(t *testing.T) {
	n := startWithModel(t)
	n.insert("Group:g#members@User:ann", "Group:g#members@plain", "Group:g#members@Group:g#members")
	client := keto.NewExpandServiceClient(n.dial(n.read))
	var show func(tree *keto.SubjectTree) string
	show = func(tree *keto.SubjectTree) string {
		var children []string
		for _, c := range tree.Children {
			children = append(children, show(c))
		}
		name := tree.Subject.GetId()
		if set := tree.Subject.GetSet(); set != nil {
			name = set.Namespace + ":" + set.Object + "#" + set.Relation
		}
		if tree.Tuple != nil && !proto.Equal(tree.Tuple.Subject, tree.Subject) {
			name += "!"
		}
		return fmt.Sprintf("%s %s(%s)", strings.ToLower(strings.TrimPrefix(tree.NodeType.String(), "NODE_TYPE_")), name, strings.Join(children, ", "))
	}
	for _, tt := range []struct {
		req  *keto.ExpandRequest
		want string
	}{
		{&keto.ExpandRequest{Subject: ketoSet("Group", "g", "members")}, "union Group:g#members(leaf plain(), leaf Group:g#members(), leaf User:ann#())"},
		{&keto.ExpandRequest{Subject: ketoSet("Group", "g", "members"), MaxDepth: 1}, "leaf Group:g#members()"},
		{&keto.ExpandRequest{Subject: &keto.Subject{Ref: &keto.Subject_Id{Id: "x"}}}, "leaf x()"},
		{&keto.ExpandRequest{Subject: ketoSet("Group", "none", "members")}, "leaf Group:none#members()"},
	} {
		got, err := client.Expand(t.Context(), tt.req)
		if err != nil {
			t.Fatal(err)
		}
		if s := show(got.Tree); s != tt.want {
			t.Errorf("%v gives %s, want %s", tt.req, s, tt.want)
		}
		if (got.Tree.Tuple == nil) != (tt.req.Subject.GetSet() == nil) {
			t.Errorf("%v gives the tuple %v", tt.req, got.Tree.Tuple)
		}
	}
}

func TestKetoGRPCSyntaxNamespacesVersion(t *testing.T) {
	n := startWithModel(t)
	for _, address := range []string{n.read, n.opl} {
		got, err := ketoopl.NewSyntaxServiceClient(n.dial(address)).Check(t.Context(), &ketoopl.CheckRequest{Content: []byte("class User implements Names {}")})
		if err != nil || len(got.ParseErrors) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		e := got.ParseErrors[0]
		if want := `expected "Namespace", got "Names"`; e.Message != want || e.Start.Line != 1 || e.Start.Column != 22 || e.End.Column != 27 {
			t.Errorf("got %v", e)
		}
	}
	for _, address := range []string{n.read, n.write, n.opl} {
		v, err := keto.NewVersionServiceClient(n.dial(address)).GetVersion(t.Context(), &keto.GetVersionRequest{})
		if err != nil || v.Version != server.Version() {
			t.Errorf("version %v, %v", v, err)
		}
	}
	list, err := keto.NewNamespacesServiceClient(n.dial(n.read)).ListNamespaces(t.Context(), &keto.ListNamespacesRequest{})
	if err != nil || len(list.Namespaces) != 4 || list.Namespaces[0].Name != "User" {
		t.Errorf("namespaces %v, %v", list, err)
	}
}

func TestGRPCRequestID(t *testing.T) {
	n := start(t)
	for sent, want := range map[string][]string{"abc-123": {"abc-123"}, "no spaces": nil} {
		var header metadata.MD
		ctx := metadata.AppendToOutgoingContext(t.Context(), "x-request-id", sent)
		_, _ = keto.NewCheckServiceClient(n.dial(n.read)).Check(ctx, &keto.CheckRequest{}, grpc.Header(&header))
		if got := header.Get("x-request-id"); !slices.Equal(got, want) {
			t.Errorf("id %q comes back as %q", sent, got)
		}
	}
}

func TestWorkLimit(t *testing.T) {
	n := startWithModel(t, func(c *server.Config) { c.Limits.Work = 3 })
	for i := range 10 {
		n.insert(fmt.Sprintf("Group:g%d#members@Group:g%d#members", i, i+1))
	}
	_, err := keto.NewCheckServiceClient(n.dial(n.read)).Check(t.Context(), &keto.CheckRequest{Tuple: ketoTuple(t, "Group:g0#members@User:x"), Latest: true})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("too much work gives %v", err)
	}
	got := n.do("GET", n.read, "/relation-tuples/check?namespace=Group&object=g0&relation=members&subject_id=x", "")
	if got.status != 429 {
		t.Errorf("too much work gives %d %s", got.status, got.body)
	}
}
