package server

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/cardea-iam/cardea/engine"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
)

// quiet starts a server that listens nowhere anybody asks, with a model and a tuple.
func quiet(t *testing.T) *Server {
	t.Helper()
	c, err := LoadConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.DSN, c.Log.Level = "mem:", slog.LevelError+1
	c.Serve.Read.Address, c.Serve.Write.Address = "127.0.0.1:0", "127.0.0.1:0"
	c.Serve.Metrics.Address, c.Serve.OPL.Address = "", ""
	s, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	e := s.core.networks[0].engine
	const model = `class User implements Namespace {}
		class Doc implements Namespace {
			related: { viewers: User[] }
			permits = { view: (ctx: Context): boolean => this.related.viewers.includes(ctx.subject) }
		}`
	if _, _, err := e.ApplyModel(t.Context(), model, engine.ApplyModel{}); err != nil {
		t.Fatal(err)
	}
	tuple := engine.Tuple{Object: engine.Object{Namespace: "Doc", ID: "plan"}, Relation: "viewers", Subject: engine.SubjectSet("User", "ann", "")}
	if _, err := e.Write(t.Context(), engine.Write{Updates: []engine.Update{{Op: engine.Insert, Tuple: tuple}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Head(t.Context()); err != nil { // it has arrived
		t.Fatal(err)
	}
	return s
}

// method returns what a gRPC server would call for a method of the read listener.
func method(t *testing.T, s *Server, sd *grpc.ServiceDesc, name string) func(context.Context, func(any) error) (any, error) {
	t.Helper()
	rpc := &rpcServer{guard: s.core.guard, role: readRole, log: s.core.log, metrics: s.core.metrics}
	var impl any = &ketoService{core: s.core}
	d := ketoDialect
	if strings.HasPrefix(sd.ServiceName, "cardea.") {
		impl, d = &checkService{core: s.core}, cardeaDialect
	}
	for _, m := range sd.Methods {
		if m.MethodName == name {
			handle := rpc.call(sd.ServiceName, name, d).unary(m.Handler)
			return func(ctx context.Context, decode func(any) error) (any, error) { return handle(impl, ctx, decode, nil) }
		}
	}
	t.Fatalf("no method %s", name)
	return nil
}

// TestAllocationsOfACheck: what a check allocates on its way through the server, from
// the bytes of the request to those of the answer, does not grow. (gRPC allocates some
// forty times more for the call.)
func TestAllocationsOfACheck(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	s := quiet(t)
	const items = 100
	question := &cardeav1.Tuple{Namespace: "Doc", Object: "plan", Relation: "view",
		Subject: &cardeav1.Subject{Ref: &cardeav1.Subject_Set{Set: &cardeav1.SubjectSet{Namespace: "User", Object: "ann"}}}}
	batch := &cardeav1.BatchCheckRequest{}
	for range items {
		batch.Tuples = append(batch.Tuples, question)
	}
	ketoQuestion := &keto.CheckRequest{Tuple: &keto.RelationTuple{Namespace: "Doc", Object: "plan", Relation: "view",
		Subject: &keto.Subject{Ref: &keto.Subject_Set{Set: &keto.SubjectSet{Namespace: "User", Object: "ann"}}}}}
	ketoBatch := &keto.BatchCheckRequest{}
	for range items {
		ketoBatch.Tuples = append(ketoBatch.Tuples, ketoQuestion.Tuple)
	}
	for _, tt := range []struct {
		service *grpc.ServiceDesc
		method  string
		request proto.Message
		most    float64
	}{
		{&cardeav1.CheckService_ServiceDesc, "Check", &cardeav1.CheckRequest{Tuple: question}, 12},
		{&cardeav1.CheckService_ServiceDesc, "BatchCheck", batch, 18},
		{&keto.CheckService_ServiceDesc, "Check", ketoQuestion, 13},
		{&keto.CheckService_ServiceDesc, "BatchCheck", ketoBatch, 18},
	} {
		t.Run(fmt.Sprintf("%s/%s", tt.service.ServiceName, tt.method), func(t *testing.T) {
			call := method(t, s, tt.service, tt.method)
			codec := serverCodec{encoding.GetCodecV2(grpcproto.Name)}
			wire, err := proto.Marshal(tt.request)
			if err != nil {
				t.Fatal(err)
			}
			ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(":authority", "localhost:4466",
				"content-type", "application/grpc", "user-agent", "grpc-go/1.85.0", "grpc-accept-encoding", "gzip"))
			got := testing.AllocsPerRun(200, func() {
				response, err := call(ctx, func(v any) error { return codec.Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire)}, v) })
				if err != nil {
					t.Fatal(err)
				}
				out, err := codec.Marshal(response)
				if err != nil {
					t.Fatal(err)
				}
				out.Free()
			})
			if got > tt.most {
				t.Errorf("%v allocations, want %v at most", got, tt.most)
			}
			t.Logf("%v allocations", got)
		})
	}
}
