package server

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/gzip" // lets clients compress
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/cardea-iam/cardea/internal/errs"
	keto "github.com/cardea-iam/cardea/proto/ory/keto/relation_tuples/v1alpha2"
)

// maxStreams bounds the calls under way on one connection; a client queues those
// beyond.
const maxStreams = 1000

// streamWorkers is how many goroutines of a listener wait for calls. A call that finds
// none gets one of its own, whose stack grows, and is copied, on its way into the
// handler. Measured, in µs of processor time of a check with 16 and 64 callers: without
// workers 24.3 and 22.1, with 8 of them 23.4 and 21.1, with 64 19.8 and 17.2, with 256
// 20.2 and 17.6. (Shared write buffers make no difference; neither does a larger
// buffer for reading or writing.)
const streamWorkers = 64

// grpcOptions are those of every gRPC server of a listener.
func grpcOptions(l Limits) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(int(l.Message)),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.InTapHandle(keepHeaders),
		grpc.ForceServerCodecV2(serverCodec{encoding.GetCodecV2(grpcproto.Name)}),
		grpc.ConnectionTimeout(peekTime),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
}

// A rpcServer is a gRPC server whose methods, as they are registered, are
// wrapped in what every call needs: no panic gets out, errors become a status in
// the words of the service's API, and calls are counted. It is done here rather
// than in interceptors because those are not called for a request that cannot be
// decoded, and because everything that depends on the method is found once.
type rpcServer struct {
	*grpc.Server
	bridge   *bridge
	draining context.Context // its end ends the streams
	sendTime time.Duration   // that a client may leave a message of a stream untaken
	guard    *guard
	role     string
	log      *slog.Logger
	metrics  *metrics
}

// isOpen reports whether a service asks nobody for a key: it tells nothing of what
// is stored.
func isOpen(service string) bool {
	return strings.HasPrefix(service, "grpc.") || service == keto.VersionService_ServiceDesc.ServiceName
}

// RegisterService registers a service, with its methods wrapped, here and with
// the bridge.
func (s *rpcServer) RegisterService(sd *grpc.ServiceDesc, impl any) {
	d := ketoDialect
	if strings.HasPrefix(sd.ServiceName, "cardea.") {
		d = cardeaDialect
	}
	wrapped := *sd
	wrapped.Methods = make([]grpc.MethodDesc, len(sd.Methods))
	for i, m := range sd.Methods {
		call := s.call(sd.ServiceName, m.MethodName, d)
		wrapped.Methods[i] = grpc.MethodDesc{MethodName: m.MethodName, Handler: call.unary(m.Handler)}
	}
	wrapped.Streams = make([]grpc.StreamDesc, len(sd.Streams))
	for i, stream := range sd.Streams {
		call := s.call(sd.ServiceName, stream.StreamName, d)
		wrapped.Streams[i] = stream
		wrapped.Streams[i].Handler = call.stream(s.draining, s.sendTime, stream.Handler)
	}
	s.Server.RegisterService(&wrapped, impl)
	s.bridge.register(&wrapped, impl, d == ketoDialect)
}

// A rpcCall is what the calls of one method have in common.
type rpcCall struct {
	method  string
	dialect *dialect
	admit   func(context.Context) (context.Context, error)
	log     *slog.Logger
	timer   rpcTimer
}

func (s *rpcServer) call(service, name string, d *dialect) *rpcCall {
	method := "/" + service + "/" + name
	admit := func(ctx context.Context) (context.Context, error) { return s.guard.admitRPC(ctx, s.role) }
	if isOpen(service) {
		admit = func(ctx context.Context) (context.Context, error) { return ctx, nil }
	}
	return &rpcCall{method, d, admit, s.log, s.metrics.rpc(method)}
}

func (c *rpcCall) unary(handle grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, dec func(any) error, between grpc.UnaryServerInterceptor) (response any, err error) {
		start := time.Now()
		id := echoRequestID(ctx)
		defer func() {
			if p := recover(); p != nil {
				err = panicked(c.log, c.method, p)
			}
			err = c.end(ctx, id, err)
			c.timer.observe(status.Code(err), time.Since(start))
		}()
		admitted, err := c.admit(ctx)
		if err != nil {
			return nil, err
		}
		return handle(srv, admitted, func(v any) error { return decode(dec, v) }, between)
	}
}

// stream does for streams what unary does, and ends them when draining ends, or
// when the client leaves a message untaken for sendTime.
func (c *rpcCall) stream(draining context.Context, sendTime time.Duration, handle grpc.StreamHandler) grpc.StreamHandler {
	return func(srv any, stream grpc.ServerStream) (err error) {
		start := time.Now()
		id := echoRequestID(stream.Context())
		ctx, cancel := context.WithCancel(stream.Context())
		defer cancel()
		defer context.AfterFunc(draining, cancel)()
		defer func() {
			if p := recover(); p != nil {
				err = panicked(c.log, c.method, p)
			}
			if err != nil && draining.Err() != nil {
				err = errDraining
			}
			err = c.end(ctx, id, err)
			c.timer.observe(status.Code(err), time.Since(start))
		}()
		if ctx, err = c.admit(ctx); err != nil {
			return err
		}
		return handle(srv, decodingStream{stream, ctx, sendTime})
	}
}

// end turns err into a status. One of the transport, or of a service that is not
// ours, is a status already.
func (c *rpcCall) end(ctx context.Context, id string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := err.(interface{ GRPCStatus() *status.Status }); ok {
		return err
	}
	logFailure(c.log, ctx, id, c.method, err)
	return c.dialect.status(err)
}

// errDraining ends streams.
var errDraining = errs.New(errs.Unavailable, "the server is shutting down")

// A decodingStream decodes as unary calls do, has a context of its own, and does
// not wait for ever for a client to take a message.
type decodingStream struct {
	grpc.ServerStream
	ctx      context.Context
	sendTime time.Duration
}

func (s decodingStream) Context() context.Context { return s.ctx }

// SendMsg returns when the message is under way, or the client has left no room
// for it for sendTime. Nothing else makes gRPC give up waiting for room but the
// end of the call, so what waits is left behind then, and ends with the call.
func (s decodingStream) SendMsg(m any) error {
	if b, ok := s.ServerStream.(*bridgedStream); ok {
		return b.SendMsg(m) // has deadlines
	}
	sent := make(chan error, 1)
	go func() { sent <- s.ServerStream.SendMsg(m) }()
	late := time.NewTimer(s.sendTime)
	defer late.Stop()
	select {
	case err := <-sent:
		return err
	case <-late.C:
		return errs.New(errs.Unavailable, "the client took no message for %v", s.sendTime)
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s decodingStream) RecvMsg(v any) error { return decode(s.ServerStream.RecvMsg, v) }

// A received message carries out of the codec why it could not be decoded: gRPC
// calls that an internal error, although the client is at fault.
type received struct {
	message any
	err     error
}

// decode receives into v.
//
// Invalid: the bytes are not a message of v's type, or a text is not UTF-8.
func decode(receive func(any) error, v any) error {
	r := received{message: v}
	if err := receive(&r); err != nil {
		return err
	}
	if r.err != nil {
		return errs.New(errs.Invalid, "the request is not a valid message: %s", protoMistake(r.err))
	}
	return nil
}

// serverCodec is gRPC's codec for servers that receive with decode.
type serverCodec struct{ encoding.CodecV2 }

func (c serverCodec) Marshal(v any) (mem.BufferSlice, error) {
	if out, ok := encodeQuick(v); ok {
		return out, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c serverCodec) Unmarshal(data mem.BufferSlice, v any) error {
	r, ok := v.(*received)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	if decodeQuick(buf.ReadOnlyData(), r.message) {
		return nil
	}
	m := r.message.(proto.Message)
	proto.Reset(m)
	r.err = proto.Unmarshal(buf.ReadOnlyData(), m)
	return nil
}
