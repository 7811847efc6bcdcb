package server_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
)

// TestBridge asks by every protocol, over HTTP/1.1 and HTTP/2.
func TestBridge(t *testing.T) {
	n := startWithModel(t)
	n.insert("Doc:a#owners@User:ann")
	for name, options := range map[string][]connect.ClientOption{
		"Connect":            nil,
		"Connect with JSON":  {connect.WithProtoJSON()},
		"Connect with gzip":  {connect.WithSendGzip()},
		"gRPC-Web":           {connect.WithGRPCWeb()},
		"gRPC-Web with gzip": {connect.WithGRPCWeb(), connect.WithSendGzip()},
		"gRPC":               {connect.WithGRPC()},
	} {
		// A client for each protocol: the first request of a connection decides.
		h2 := &http.Transport{Protocols: new(http.Protocols)}
		h2.Protocols.SetUnencryptedHTTP2(true)
		t.Cleanup(h2.CloseIdleConnections)
		for version, client := range map[string]*http.Client{"1.1": http.DefaultClient, "2": {Transport: h2}} {
			if name == "gRPC" && version == "1.1" {
				continue // needs HTTP/2
			}
			t.Run(name+" over HTTP "+version, func(t *testing.T) {
				c := connect.NewClient[keto.CheckRequest, keto.CheckResponse](client, "http://"+n.read+checkMethod, options...)
				got, err := c.CallUnary(t.Context(), connect.NewRequest(&keto.CheckRequest{Tuple: ketoTuple(t, "Doc:a#view@User:ann"), Latest: true}))
				if err != nil || !got.Msg.Allowed || got.Msg.Snaptoken == "" {
					t.Errorf("got %v, %v", got, err)
				}
				_, err = c.CallUnary(t.Context(), connect.NewRequest(&keto.CheckRequest{Tuple: ketoTuple(t, "Nope:a#view@User:ann")}))
				checkNotFound(t, err)
				big := &keto.RelationTuple{Namespace: "Doc", Object: string(make([]byte, 5<<20))}
				_, err = c.CallUnary(t.Context(), connect.NewRequest(&keto.CheckRequest{Tuple: big}))
				if connect.CodeOf(err) != connect.CodeResourceExhausted {
					t.Errorf("a message of 5 MiB gives %v", err)
				}
			})
		}
	}
}

func checkNotFound(t *testing.T, err error) {
	t.Helper()
	failed, ok := err.(*connect.Error)
	if !ok || failed.Code() != connect.CodeNotFound || failed.Message() != notFound || len(failed.Details()) != 1 {
		t.Fatalf("got %v", err)
	}
	detail, err := failed.Details()[0].Value()
	if info, ok := detail.(*errdetails.ErrorInfo); err != nil || !ok || info.Reason != `Unknown namespace with name "Nope".` {
		t.Errorf("detail %v, %v", detail, err)
	}
}

// TestBridgePlain sends what curl would: JSON without the mark of Connect.
func TestBridgePlain(t *testing.T) {
	n := startWithModel(t)
	const json = "Content-Type: application/json"
	for _, tt := range []struct {
		name, path, body, header string
		status                   int
		want                     string
	}{
		{"denied", checkMethod, `{"tuple":{"namespace":"Doc","object":"a","relation":"view","subject":{"id":"x"}},"latest":true,"more":1}`, json + "; charset=utf-8", 200, `{"snaptoken":"...`},
		{"unknown namespace", checkMethod, `{"tuple":{"namespace":"Nope","object":"a","relation":"view","subject":{"id":"x"}}}`, json, 404,
			`{"code":"not_found","message":"` + notFound + `","details":[{"type":"google.rpc.ErrorInfo",...`},
		{"no JSON", checkMethod, `{`, json, 400, `{"code":"invalid_argument","message":"` + malformed + `",...`},
		{"wrong type", checkMethod, `{"latest":"maybe"}`, json, 400, `{"code":"invalid_argument","message":"` + malformed + `",...`},
		{"unknown field of ours", "/cardea.v1.CheckService/Check", `{"more":1}`, json, 400, `{"code":"invalid_argument","message":"the request is not a valid message: (line 1:2): unknown field \"more\"",...`},
		{"unknown method", ketoPackage + "CheckService/Nope", `{}`, json, 404, `...`},
		{"service of the write port", ketoPackage + "WriteService/DeleteRelationTuples", `{}`, json, 404, nowhere(ketoPackage + "WriteService/DeleteRelationTuples")},
		{"no content type", checkMethod, `{}`, "X: y", 415, `...`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := n.do("POST", n.read, tt.path, tt.body, tt.header)
			if got.status != tt.status || !begins(got.body, tt.want) {
				t.Errorf("got %d %s, want %d %s", got.status, got.body, tt.status, tt.want)
			}
		})
	}
}

// TestMixedConnection sends gRPC on a connection that began with REST, as a proxy
// may.
func TestMixedConnection(t *testing.T) {
	n := startWithModel(t)
	connections := 0
	h2 := &http.Transport{Protocols: new(http.Protocols), DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		connections++
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	h2.Protocols.SetUnencryptedHTTP2(true)
	defer h2.CloseIdleConnections()
	client := &http.Client{Transport: h2}
	response, err := client.Get("http://" + n.read + "/namespaces")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	c := connect.NewClient[keto.CheckRequest, keto.CheckResponse](client, "http://"+n.read+checkMethod, connect.WithGRPC())
	got, err := c.CallUnary(t.Context(), connect.NewRequest(&keto.CheckRequest{Tuple: ketoTuple(t, "Doc:a#view@x")}))
	if err != nil || got.Msg.Snaptoken == "" || connections != 1 {
		t.Errorf("got %v, %v over %d connections", got, err, connections)
	}
}
