package server

import (
	"mime"
	"net/http"
	"strings"

	"connectrpc.com/vanguard"
	"google.golang.org/grpc"

	"github.com/cardea-iam/cardea/internal/errs"
)

// bridgeTo translates gRPC-Web and Connect to gRPC.
func bridgeTo(s *grpc.Server, l Limits) (http.Handler, error) {
	var services []*vanguard.Service
	for name := range s.GetServiceInfo() {
		services = append(services, vanguard.NewService(name, s,
			vanguard.WithTargetProtocols(vanguard.ProtocolGRPC),
			vanguard.WithTargetCodecs(vanguard.CodecProto),
			vanguard.WithMaxMessageBufferBytes(uint32(l.Message)),
		))
	}
	bridge, err := vanguard.NewTranscoder(services)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the bridge to gRPC cannot be built")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assumeConnect(r.Header)
		bridge.ServeHTTP(w, r)
	}), nil
}

// assumeConnect marks a request that has the content type of a unary Connect
// call as one. The protocol lets clients leave the mark out, and the bridge would
// take the request for REST, which it does not do here.
func assumeConnect(h http.Header) {
	const mark = "Connect-Protocol-Version"
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != "application/json" && kind != "application/proto" {
		return
	}
	h.Set("Content-Type", kind) // without parameters such as a charset
	if strings.TrimSpace(h.Get(mark)) == "" {
		h.Set(mark, "1")
	}
}
