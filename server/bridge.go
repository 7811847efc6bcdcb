package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// A bridge serves the methods of gRPC services by gRPC-Web, by Connect, and by
// gRPC on connections that net/http has. It calls the same handlers as the gRPC
// server does. connect reads and writes the protocols; the messages pass it as
// parcels, since their types are known to the handlers only.
type bridge struct {
	mux     *http.ServeMux
	message int // bytes of a message at most

	// sendTime is how long a client may leave a piece of a stream untaken.
	sendTime time.Duration
}

// register adds the methods of a service. Unknown fields in JSON are ignored if
// lenient is true, else refused.
func (b *bridge) register(sd *grpc.ServiceDesc, impl any, lenient bool) {
	options := []connect.HandlerOption{
		connect.WithReadMaxBytes(b.message),
		connect.WithCodec(binaryCodec{}),
		connect.WithCodec(jsonCodec{"json", lenient}),
		connect.WithCodec(jsonCodec{"json; charset=utf-8", lenient}),
	}
	methods := http.NewServeMux()
	for _, m := range sd.Methods {
		procedure := "/" + sd.ServiceName + "/" + m.MethodName
		methods.Handle(procedure, connect.NewUnaryHandler(procedure, bridgeUnary(m.Handler, impl, procedure), options...))
	}
	for _, s := range sd.Streams {
		procedure := "/" + sd.ServiceName + "/" + s.StreamName
		methods.Handle(procedure, b.withoutDeadlines(bridgeStream(s, impl, procedure, options)))
	}
	b.mux.Handle("/"+sd.ServiceName+"/", methods)
}

// withoutDeadlines lets a stream last longer than a request may.
func (b *bridge) withoutDeadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(paced(w, b.sendTime), r)
	})
}

// A pacedWriter has no deadline for the whole answer, but one for each piece of
// it.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	each    time.Duration
}

func paced(w http.ResponseWriter, each time.Duration) *pacedWriter {
	c := http.NewResponseController(w)
	_, _ = c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{})
	return &pacedWriter{w, c, each}
}

// begin sets the deadline of a piece, and its result takes it away: HTTP/2 would
// end the stream at it even while nothing is to be written.
func (w *pacedWriter) begin() (end func()) {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.each))
	return func() { _ = w.control.SetWriteDeadline(time.Time{}) }
}

func (w *pacedWriter) Write(b []byte) (int, error) {
	defer w.begin()()
	return w.ResponseWriter.Write(b)
}

func (w *pacedWriter) FlushError() error {
	defer w.begin()()
	return w.control.Flush()
}

func (w *pacedWriter) Flush() { _ = w.FlushError() }

// Unwrap lets http.ResponseController find the methods of the writer inside.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func bridgeUnary(handle grpc.MethodHandler, impl any, procedure string) func(context.Context, *connect.Request[parcel]) (*connect.Response[parcel], error) {
	return func(ctx context.Context, req *connect.Request[parcel]) (*connect.Response[parcel], error) {
		headers := &bridgedHeaders{procedure: procedure, header: http.Header{}, trailer: http.Header{}}
		ctx = grpc.NewContextWithServerTransportStream(callerHeaders(ctx, req.Header()), headers)
		message, err := handle(impl, ctx, req.Msg.unpack, nil)
		if err != nil {
			return nil, connectError(err, headers.header)
		}
		response := connect.NewResponse(&parcel{message: message.(proto.Message)})
		for name, values := range headers.header {
			response.Header()[name] = values
		}
		return response, nil
	}
}

func bridgeStream(s grpc.StreamDesc, impl any, procedure string, options []connect.HandlerOption) http.Handler {
	if s.ClientStreams {
		return connect.NewBidiStreamHandler(procedure, func(ctx context.Context, stream *connect.BidiStream[parcel, parcel]) error {
			b := &bridgedStream{ctx: callerHeaders(ctx, stream.RequestHeader()), send: stream.Send, receive: stream.Receive}
			b.header, b.trailer = stream.ResponseHeader(), stream.ResponseTrailer()
			return connectError(s.Handler(impl, b), nil)
		}, options...)
	}
	return connect.NewServerStreamHandler(procedure, func(ctx context.Context, req *connect.Request[parcel], stream *connect.ServerStream[parcel]) error {
		only := req.Msg
		b := &bridgedStream{ctx: callerHeaders(ctx, req.Header()), send: stream.Send, receive: func() (*parcel, error) {
			p := only
			if only = nil; p == nil {
				return nil, io.EOF
			}
			return p, nil
		}}
		b.header, b.trailer = stream.ResponseHeader(), stream.ResponseTrailer()
		return connectError(s.Handler(impl, b), nil)
	}, options...)
}

// connectError turns a status into connect's form of it.
func connectError(err error, header http.Header) error {
	if err == nil {
		return nil
	}
	st := status.Convert(err)
	out := connect.NewError(connect.Code(st.Code()), errors.New(st.Message()))
	for _, d := range st.Proto().GetDetails() {
		if detail, err := connect.NewErrorDetail(d); err == nil {
			out.AddDetail(detail)
		}
	}
	for name, values := range header {
		out.Meta()[name] = values
	}
	return out
}

// A parcel is a message on its way through connect: what came in as bytes, or
// what goes out.
type parcel struct {
	bytes     []byte
	unmarshal func([]byte, proto.Message) error
	message   proto.Message
}

// unpack decodes a parcel into what decode has for it. connect decodes no message
// of a stream that has no bytes: it is the empty one.
func (p *parcel) unpack(v any) error {
	r := v.(*received)
	if p.unmarshal == nil {
		return nil
	}
	r.err = p.unmarshal(p.bytes, r.message.(proto.Message))
	return nil
}

// contents returns what is to be encoded: connect also sends messages of its own,
// for errors.
func contents(v any) proto.Message {
	if p, ok := v.(*parcel); ok {
		return p.message
	}
	return v.(proto.Message)
}

// binaryCodec packs messages as protobuf.
type binaryCodec struct{}

func (binaryCodec) Name() string { return "proto" }

func (binaryCodec) Marshal(v any) ([]byte, error) { return proto.Marshal(contents(v)) }

func (binaryCodec) Unmarshal(data []byte, v any) error {
	p := v.(*parcel)
	p.bytes, p.unmarshal = slices.Clone(data), proto.Unmarshal
	return nil
}

// jsonCodec packs messages as JSON.
type jsonCodec struct {
	name    string
	lenient bool
}

func (c jsonCodec) Name() string { return c.name }

func (c jsonCodec) Marshal(v any) ([]byte, error) { return protojson.Marshal(contents(v)) }

func (c jsonCodec) Unmarshal(data []byte, v any) error {
	p := v.(*parcel)
	p.bytes = slices.Clone(data)
	p.unmarshal = protojson.UnmarshalOptions{DiscardUnknown: c.lenient}.Unmarshal
	return nil
}

// bridgedHeaders lets a handler set headers by way of package grpc.
type bridgedHeaders struct {
	procedure       string
	header, trailer http.Header
}

func (h *bridgedHeaders) Method() string { return h.procedure }

func (h *bridgedHeaders) SetHeader(md metadata.MD) error {
	addHeaders(h.header, md)
	return nil
}

func (h *bridgedHeaders) SendHeader(md metadata.MD) error { return h.SetHeader(md) }

func (h *bridgedHeaders) SetTrailer(md metadata.MD) error {
	addHeaders(h.trailer, md)
	return nil
}

func addHeaders(h http.Header, md metadata.MD) {
	for name, values := range md {
		for _, value := range values {
			h.Add(name, value)
		}
	}
}

// A bridgedStream is a stream of connect in the form that handlers know.
type bridgedStream struct {
	ctx             context.Context
	send            func(*parcel) error
	receive         func() (*parcel, error)
	header, trailer http.Header
}

func (s *bridgedStream) Context() context.Context { return s.ctx }

func (s *bridgedStream) SetHeader(md metadata.MD) error {
	addHeaders(s.header, md)
	return nil
}

func (s *bridgedStream) SendHeader(md metadata.MD) error { return s.SetHeader(md) }

func (s *bridgedStream) SetTrailer(md metadata.MD) { addHeaders(s.trailer, md) }

func (s *bridgedStream) SendMsg(m any) error { return s.send(&parcel{message: m.(proto.Message)}) }

func (s *bridgedStream) RecvMsg(m any) error {
	p, err := s.receive()
	if err != nil {
		return err
	}
	return p.unpack(m)
}
