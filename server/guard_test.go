package server_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
	"github.com/cardea-iam/cardea/server"
)

func key(name, network string, roles ...string) (string, server.Key) {
	secret := server.NewKey()
	return secret, server.Key{Name: name, Hash: sha256.Sum256([]byte(secret)), Roles: roles, Network: network}
}

// as returns a context whose calls have headers, given as names and values.
func as(ctx context.Context, headers ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, headers...)
}

// TestKeys asks by gRPC, Connect and REST, with keys of all kinds.
func TestKeys(t *testing.T) {
	all, allKey := key("all", "*", "read", "write")
	reader, readerKey := key("reader", "*", "read")
	writer, writerKey := key("writer", "*", "write")
	bound, boundKey := key("bound", "two", "read", "write")
	n := start(t, func(c *server.Config) {
		c.Networks = []string{"one", "default", "two"}
		c.Auth.Keys = []server.Key{allKey, readerKey, writerKey, boundKey}
	})
	for _, tt := range []struct {
		auth, network string
		read, write   codes.Code
		lands         string // in this network, if it is let in
	}{
		{"", "", codes.Unauthenticated, codes.Unauthenticated, ""},
		{"", "one", codes.Unauthenticated, codes.Unauthenticated, ""},
		{"Bearer ", "", codes.Unauthenticated, codes.Unauthenticated, ""},
		{"Bearer wrong", "", codes.Unauthenticated, codes.Unauthenticated, ""},
		{"Bearer " + all + "x", "", codes.Unauthenticated, codes.Unauthenticated, ""},
		{"Bearer " + all[:len(all)-1], "", codes.Unauthenticated, codes.Unauthenticated, ""},
		{"Basic " + all, "", codes.Unauthenticated, codes.Unauthenticated, ""},
		{all, "", codes.Unauthenticated, codes.Unauthenticated, ""},
		{"Bearer " + all, "", codes.OK, codes.OK, "default"},
		{"bearer " + all, "one", codes.OK, codes.OK, "one"},
		{"Bearer " + all, "three", codes.NotFound, codes.NotFound, ""},
		{"Bearer " + reader, "two", codes.OK, codes.PermissionDenied, "two"},
		{"Bearer " + writer, "", codes.PermissionDenied, codes.OK, "default"},
		{"Bearer " + bound, "", codes.OK, codes.OK, "two"},
		{"Bearer " + bound, "two", codes.OK, codes.OK, "two"},
		{"Bearer " + bound, "one", codes.PermissionDenied, codes.PermissionDenied, ""},
		{"Bearer " + bound, "three", codes.PermissionDenied, codes.PermissionDenied, ""},
	} {
		var headers, lines []string
		if tt.auth != "" {
			headers, lines = append(headers, "authorization", tt.auth), append(lines, "Authorization: "+tt.auth)
		}
		if tt.network != "" {
			headers, lines = append(headers, "cardea-network", tt.network), append(lines, "Cardea-Network: "+tt.network)
		}
		name := strings.Join(lines, ", ")
		for address, want := range map[string]codes.Code{n.read: tt.read, n.write: tt.write} {
			got, err := cardeav1.NewStatusServiceClient(n.dial(address)).GetStatus(as(t.Context(), headers...), &cardeav1.GetStatusRequest{})
			if status.Code(err) != want || want == codes.OK && got.Network != tt.lands {
				t.Errorf("%s: gRPC gives %v, %v, want %v in %s", name, got, err, want, tt.lands)
			}
			request := connect.NewRequest(&cardeav1.GetStatusRequest{})
			for i := 0; i < len(headers); i += 2 {
				request.Header().Set(headers[i], headers[i+1])
			}
			c := connect.NewClient[cardeav1.GetStatusRequest, cardeav1.GetStatusResponse](http.DefaultClient, "http://"+address+"/cardea.v1.StatusService/GetStatus")
			bridged, err := c.CallUnary(t.Context(), request)
			if err == nil && (want != codes.OK || bridged.Msg.Network != tt.lands) || err != nil && connect.CodeOf(err) != connect.Code(want) {
				t.Errorf("%s: Connect gives %v, want %v", name, err, want)
			}
			http := map[codes.Code]int{codes.OK: 200, codes.Unauthenticated: 401, codes.PermissionDenied: 403, codes.NotFound: 404}[want]
			rest := n.do("GET", address, "/v1/status", "", lines...)
			if rest.status != http || want == codes.OK && !strings.Contains(rest.body, `"network":"`+tt.lands+`"`) || http == 401 && rest.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: REST gives %d %s, want %d", name, rest.status, rest.body, http)
			}
			if all := rest.body; strings.Contains(all, reader) || strings.Contains(all, bound) {
				t.Errorf("%s: the answer shows a key: %s", name, all)
			}
		}
	}
}

// TestKeysEverywhere: with keys, every service and path asks for one, but for those
// that are open.
func TestKeysEverywhere(t *testing.T) {
	_, k := key("x", "*", "read", "write")
	n := start(t, func(c *server.Config) { c.Auth.Keys = []server.Key{k} })
	for address, services := range doors(n) {
		conn := n.dial(address)
		for _, service := range services {
			want := codes.Unauthenticated
			if strings.HasSuffix(service, ".VersionService") {
				want = codes.OK
			}
			for method, stream := range methods(t, service) {
				if err := callEmpty(t.Context(), conn, "/"+service+"/"+method, stream); status.Code(err) != want {
					t.Errorf("%s/%s gives %v, want %v", service, method, err, want)
				}
			}
		}
		if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
			t.Errorf("health gives %v", err)
		}
		for path, want := range map[string]int{"/health/alive": 200, "/health/ready": 200, "/version": 200, "/metrics/prometheus": 401} {
			if got := n.do("GET", address, path, ""); got.status != want {
				t.Errorf("%s gives %d", path, got.status)
			}
		}
	}
	for _, row := range apiRows(t) {
		open := strings.HasPrefix(row.path, "/health") || row.path == "/version"
		for name, address := range map[string]string{"read": n.read, "write": n.write, "opl": n.opl} {
			if !row.on(name) {
				continue
			}
			if got := n.do(row.method, address, row.path, ""); (got.status == 401) == open {
				t.Errorf("%s %s on %s gives %d", row.method, row.path, name, got.status)
			}
		}
	}
	own := n.server.OwnKey()
	if got := n.do("GET", n.read, "/v1/status", "", "Authorization: Bearer "+own); got.status != 200 {
		t.Errorf("the server's own key gives %d", got.status)
	}
}

// methods returns the methods of a service, and which of them are streams.
func methods(t *testing.T, service string) map[string]bool {
	t.Helper()
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for list, i := d.(protoreflect.ServiceDescriptor).Methods(), 0; i < list.Len(); i++ {
		out[string(list.Get(i).Name())] = list.Get(i).IsStreamingServer()
	}
	return out
}

// callEmpty calls a method with an empty message.
func callEmpty(ctx context.Context, conn *grpc.ClientConn, method string, stream bool) error {
	if !stream {
		return conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
	}
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return err
	}
	if err := errors.Join(s.SendMsg(&emptypb.Empty{}), s.CloseSend()); err != nil {
		return err
	}
	return s.RecvMsg(&emptypb.Empty{})
}

// TestNetworks writes the same and other tuples into three networks, by header: no
// answer, list, watch or token of one shows anything of another.
func TestNetworks(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	names := []string{"default", "one", "two"}
	n := start(t, func(c *server.Config) { c.Networks = names })
	tuples, writes := cardeav1.NewTupleServiceClient(n.dial(n.read)), cardeav1.NewTupleWriteServiceClient(n.dial(n.write))
	oracle := map[string]map[string]bool{}
	tokens := map[string]string{}
	watches := map[string]cardeav1.TupleService_WatchClient{}
	for _, name := range names {
		oracle[name] = map[string]bool{}
		ctx := as(t.Context(), "cardea-network", name)
		model, err := cardeav1.NewModelServiceClient(n.dial(n.write)).Apply(ctx, &cardeav1.ApplyModelRequest{Source: testModel})
		if err != nil || model.Model.Version != 1 {
			t.Fatalf("%s: the first model is %v, %v", name, model, err)
		}
		if watches[name], err = tuples.Watch(ctx, &cardeav1.WatchTuplesRequest{Snaptoken: model.Snaptoken}); err != nil {
			t.Fatal(err)
		}
	}
	for range 90 {
		name := names[r.IntN(len(names))]
		text := fmt.Sprintf("Open:o%d#r@x", r.IntN(5))
		up := &cardeav1.TupleUpdate{Action: cardeav1.TupleUpdate_ACTION_INSERT, Tuple: cardeaTuple(t, text)}
		inserted, deleted := int64(1), int64(0)
		if oracle[name][text] {
			up.Action = cardeav1.TupleUpdate_ACTION_DELETE
			inserted, deleted = 0, 1
		}
		got, err := writes.Write(as(t.Context(), "cardea-network", name), &cardeav1.WriteTuplesRequest{Updates: []*cardeav1.TupleUpdate{up}, IdempotencyKey: fmt.Sprint(name, len(tokens), r.Uint64())})
		if err != nil || got.Inserted != inserted || got.Deleted != deleted {
			t.Fatalf("%s: %v gives %v, %v", name, up, got, err)
		}
		oracle[name][text] = inserted == 1
		tokens[name] = got.Snaptoken
	}
	for _, name := range names {
		ctx := as(t.Context(), "cardea-network", name)
		list, err := tuples.List(ctx, &cardeav1.ListTuplesRequest{Consistency: &cardeav1.Consistency{Mode: &cardeav1.Consistency_Exact{Exact: tokens[name]}}})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for m := (&cardeav1.WatchTuplesResponse{}); m.Snaptoken != tokens[name]; {
			if m, err = watches[name].Recv(); err != nil {
				t.Fatal(err)
			}
			for _, c := range m.Changes {
				seen[c.Tuple.Object] = c.Action == cardeav1.TupleUpdate_ACTION_INSERT
			}
		}
		listed := map[string]bool{}
		for _, tuple := range list.Tuples {
			listed[tuple.Object] = true
		}
		for i := range 5 {
			o := fmt.Sprintf("o%d", i)
			want := oracle[name]["Open:"+o+"#r@x"]
			if listed[o] != want || seen[o] != want {
				t.Errorf("%s: %s is listed %t, watched %t, want %t", name, o, listed[o], seen[o], want)
			}
		}
		for other, token := range tokens {
			_, err := keto.NewCheckServiceClient(n.dial(n.read)).Check(ctx, &keto.CheckRequest{Tuple: ketoTuple(t, "Open:o1#r@x"), Snaptoken: token})
			if want := map[bool]codes.Code{true: codes.OK, false: codes.InvalidArgument}[other == name]; status.Code(err) != want {
				t.Errorf("the token of %s in %s gives %v", other, name, err)
			}
		}
	}
	if got := n.do("GET", n.read, "/relation-tuples/check?namespace=Open&object=o&relation=r&subject_id=x", "", "Cardea-Network: nowhere"); got.status != 404 || !strings.Contains(got.body, "no network") {
		t.Errorf("a check in an unknown network gives %d %s", got.status, got.body)
	}
}
