//lint:file-ignore SA1019 Clients may use v1alpha of reflection, so it is served.

package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionalpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"

	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
	"github.com/cardea-iam/cardea/server"
)

// doors are the services of each port.
func doors(n *node) map[string][]string {
	const k = "ory.keto.relation_tuples.v1alpha2."
	return map[string][]string{
		n.read: {"cardea.v1.CheckService", "cardea.v1.ExpandService", "cardea.v1.ListService", "cardea.v1.StatusService", "cardea.v1.TupleService",
			"ory.keto.opl.v1alpha1.SyntaxService", k + "CheckService", k + "ExpandService", k + "NamespacesService", k + "ReadService", k + "VersionService"},
		n.write: {"cardea.v1.ModelService", "cardea.v1.StatusService", "cardea.v1.TupleWriteService", k + "VersionService", k + "WriteService"},
		n.opl:   {"ory.keto.opl.v1alpha1.SyntaxService", k + "VersionService"},
	}
}

func TestGRPCHealth(t *testing.T) {
	n := start(t)
	for address, services := range doors(n) {
		client := healthpb.NewHealthClient(n.dial(address))
		for _, service := range append(services, "", "grpc.health.v1.Health") {
			got, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: service})
			if err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("%s: %v, %v", service, got, err)
			}
		}
		_, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{Service: "Nope"})
		if st := status.Convert(err); st.Code() != codes.NotFound || st.Message() != "unknown service Nope" {
			t.Errorf("an unknown service gives %v", err)
		}
	}
}

func TestReflection(t *testing.T) {
	n := start(t)
	for address, want := range doors(n) {
		want = append(want, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
		slices.Sort(want)
		conn := n.dial(address)
		v1, err := reflectionpb.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = v1.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}})
		list, err := v1.Recv()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range list.GetListServicesResponse().GetService() {
			got = append(got, s.Name)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("services %v,\nwant %v", got, want)
		}
		_ = v1.CloseSend()
		alpha, err := reflectionalpha.NewServerReflectionClient(conn).ServerReflectionInfo(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = alpha.Send(&reflectionalpha.ServerReflectionRequest{MessageRequest: &reflectionalpha.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: want[len(want)-1]}})
		if file, err := alpha.Recv(); err != nil || len(file.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
			t.Errorf("v1alpha: %v, %v", file, err)
		}
		_ = alpha.CloseSend()
	}
}

func TestMetrics(t *testing.T) {
	n := startWithModel(t)
	n.insert("Doc:a#owners@User:ann")
	_, _ = keto.NewCheckServiceClient(n.dial(n.read)).Check(t.Context(), &keto.CheckRequest{Tuple: ketoTuple(t, "Doc:a#view@x"), Latest: true})
	_, _ = keto.NewCheckServiceClient(n.dial(n.read)).Check(t.Context(), &keto.CheckRequest{})
	n.do("GET", n.read, "/namespaces", "")
	for _, at := range []string{n.metrics + "/metrics", n.metrics + "/metrics/prometheus", n.read + "/metrics/prometheus", n.write + "/metrics/prometheus", n.opl + "/metrics/prometheus"} {
		address, path, _ := strings.Cut(at, "/")
		got := n.do("GET", address, "/"+path, "")
		for _, want := range []string{
			`cardea_rpc_duration_seconds_count{code="OK",method="/ory.keto.relation_tuples.v1alpha2.CheckService/Check"} 1`,
			`cardea_rpc_duration_seconds_count{code="InvalidArgument",method="/ory.keto.relation_tuples.v1alpha2.CheckService/Check"} 1`,
			`cardea_http_request_duration_seconds_count{code="200",route="GET /namespaces"} 1`,
			`cardea_consistency_total{mode="fully_consistent",network="default"} 1`,
			`cardea_checks_total{network="default"} 1`, `cardea_tuples{network="default"} 1`, `cardea_model_version{network="default"} 1`, `cardea_bounded{network="default"} 0`, "cardea_watches 0", "cardea_model_reload_failing 0", "go_goroutines ", "cardea_build_info{",
		} {
			if !strings.Contains(got.body, want) {
				t.Errorf("%s does not have %s", at, want)
			}
		}
	}
	if got := n.do("GET", n.read, "/metrics", ""); got.status != 404 {
		t.Errorf("/metrics on the read port gives %d", got.status)
	}
}

// TestPprof: profiles are there if asked for, and on the metrics port only.
func TestPprof(t *testing.T) {
	const heap = "/debug/pprof/heap?debug=1"
	n := start(t, func(c *server.Config) { c.Serve.Pprof = true })
	if got := n.do("GET", n.metrics, heap, ""); got.status != 200 || !strings.Contains(got.body, "heap profile") {
		t.Errorf("%d, %s", got.status, got.body)
	}
	if got := n.do("GET", n.read, heap, ""); got.status != 404 {
		t.Errorf("the read port gives %d", got.status)
	}
	if n = start(t); n.do("GET", n.metrics, heap, "").status != 404 {
		t.Error("profiles nobody asked for")
	}
}

// TestAddresses refuses what other machines could reach.
func TestAddresses(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "10.0.0.1:0", "example.com:80"} {
		c := testConfig(t)
		c.Serve.Read.Address = address
		_, err := server.New(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), "serve.read.address") || !strings.Contains(err.Error(), "--insecure") {
			t.Errorf("%s gives %v", address, err)
		}
	}
	start(t, func(c *server.Config) {
		c.Serve.Read.Address = "0.0.0.0:0"
		c.Insecure = true
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := testConfig(t)
	c.Serve.Write.Address = l.Addr().String()
	if _, err := server.New(t.Context(), c); err == nil || !strings.Contains(err.Error(), "serve.write.address: cannot listen") {
		t.Errorf("an address in use gives %v", err)
	}
}

// TestShutdown ends a server while requests are under way on every protocol: each
// is answered, later ones are refused, and Run returns nil.
func TestShutdown(t *testing.T) {
	n := startWithModel(t)
	// The body is sent once the handler asks for it, so that then it is under way.
	h1 := &http.Transport{ExpectContinueTimeout: time.Hour}
	h2 := &http.Transport{ExpectContinueTimeout: time.Hour, Protocols: new(http.Protocols)}
	h2.Protocols.SetUnencryptedHTTP2(true)
	defer h2.CloseIdleConnections()
	type pending struct {
		body *io.PipeWriter
		done chan error
	}
	var all []pending
	for _, client := range []*http.Client{{Transport: h1}, {Transport: h2}} {
		reader, writer := io.Pipe()
		p := pending{writer, make(chan error, 1)}
		req, err := http.NewRequest("PUT", "http://"+n.write+"/admin/relation-tuples", reader)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Expect", "100-continue")
		go func() {
			response, err := client.Do(req)
			if err == nil {
				response.Body.Close()
				if response.StatusCode != 201 {
					err = errors.New(response.Status)
				}
			}
			p.done <- err
		}()
		_, _ = io.WriteString(writer, `{"namespace":"Open",`) // returns when the body is under way
		all = append(all, p)
	}
	idle := n.dial(n.read)
	idle.Connect()
	watch, err := healthpb.NewHealthClient(n.dial(n.read)).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- n.stop() }()
	for err == nil {
		_, err = watch.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a stream ends with %v", err)
	}
	for refused := false; !refused; {
		c, err := net.Dial("tcp", n.write)
		if refused = err != nil; !refused {
			c.Close()
		}
	}
	for _, p := range all {
		_, _ = io.WriteString(p.body, `"object":"o","relation":"r","subject_id":"x"}`)
		p.body.Close()
		if err := <-p.done; err != nil {
			t.Errorf("a request under way ends with %v", err)
		}
	}
	if err := <-stopped; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestDrainTime ends a server that has a request which never ends.
func TestDrainTime(t *testing.T) {
	n := startWithModel(t, func(c *server.Config) { c.Serve.Drain = time.Millisecond })
	reader, writer := io.Pipe()
	req, err := http.NewRequestWithContext(context.Background(), "PUT", "http://"+n.write+"/admin/relation-tuples", reader)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		response, err := http.DefaultClient.Do(req)
		if err == nil {
			response.Body.Close()
		}
		done <- err
	}()
	_, _ = io.WriteString(writer, `{`)
	if err := n.stop(); err != nil {
		t.Errorf("Run returned %v", err)
	}
	writer.Close() // else the client waits for its own body
	if err := <-done; err == nil {
		t.Error("a request that never ended was answered")
	}
}
