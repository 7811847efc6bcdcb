package server

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Names of headers, and in lower case of gRPC metadata.
const (
	requestIDHeader = "X-Request-Id"
	requestIDKey    = "x-request-id"
	tokenHeader     = "Cardea-Snaptoken"
	tokenKey        = "cardea-snaptoken"

	idempotencyHeader = "Idempotency-Key"
	idempotencyKey    = "idempotency-key"
)

// maxRequestID bounds the ids that are taken from callers, in bytes.
const maxRequestID = 128

type requestID struct{}

// validRequestID reports whether an id from outside may go to the log and back:
// 1 to 128 letters, digits and any of - _ . : / + =.
func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for _, c := range []byte(id) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' && c != ':' && c != '/' && c != '+' && c != '=' {
			return false
		}
	}
	return true
}

// requestIDOf returns the id of an HTTP request, "" outside of one.
func requestIDOf(ctx context.Context) string {
	id, _ := ctx.Value(requestID{}).(string)
	return id
}

// sentRequestID returns the id that the caller sent, "" if it sent none that is
// valid.
func sentRequestID(r *http.Request) string {
	if id := r.Header.Get(requestIDHeader); validRequestID(id) {
		return id
	}
	return ""
}

// withRequestID puts the caller's request id, or else a new one, into the
// context and the response.
func withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := sentRequestID(r)
		if id == "" {
			id = rand.Text()
		}
		w.Header().Set(requestIDHeader, id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestID{}, id)))
	})
}

type sentHeaders struct{}

// keepHeaders puts the headers of a call where sentHeader finds them.
func keepHeaders(ctx context.Context, call *tap.Info) (context.Context, error) {
	return context.WithValue(ctx, sentHeaders{}, call.Header), nil
}

// sentHeader returns the values that a call has for a header, whose name is in lower
// case, as HTTP/2 has all names. Package metadata, which calls from elsewhere have to
// do with, goes through all headers for one that is not there: three of those took 4 %
// of a check's processor time.
func sentHeader(ctx context.Context, name string) []string {
	if h, ok := ctx.Value(sentHeaders{}).(metadata.MD); ok {
		return h[name]
	}
	return metadata.ValueFromIncomingContext(ctx, name)
}

// echoRequestID sends a caller of gRPC its own request id back and returns it.
// Without one it returns that of the HTTP request that carries the call, if there
// is one, else "".
func echoRequestID(ctx context.Context) string {
	for _, id := range sentHeader(ctx, requestIDKey) {
		if validRequestID(id) {
			// Fails only after the headers went out, which is no matter here.
			_ = grpc.SetHeader(ctx, metadata.Pairs(requestIDKey, id))
			return id
		}
	}
	return requestIDOf(ctx)
}

// onlyKey returns the idempotency key that a request has in its headers, "" if
// there is none.
//
// Invalid: there are several.
func onlyKey(values []string) (string, error) {
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	default:
		return "", errs.New(errs.Invalid, "%s is given more than once", idempotencyHeader)
	}
}

// logFailure records what the caller may not see of err: only server errors are
// the operator's concern.
func logFailure(log *slog.Logger, ctx context.Context, id, method string, err error) {
	switch codeOf(err).grpc {
	case codes.Internal, codes.Unavailable, codes.Unknown:
		if !refused(err) {
			log.ErrorContext(ctx, "request failed", "request", id, "method", method, "err", err)
			return
		}
	}
	log.DebugContext(ctx, "request refused", "request", id, "method", method, "err", err)
}

// refused reports whether err is an error of OAuth 2, which has no kind, and what the
// caller has brought about.
func refused(err error) bool {
	var rfc interface{ StatusCode() int }
	return errs.KindOf(err) == errs.Internal && errors.As(err, &rfc) && rfc.StatusCode() > 0 && rfc.StatusCode() < http.StatusInternalServerError
}

// panicked turns a recovered panic into an error. The stack goes to the log.
func panicked(log *slog.Logger, method string, p any) error {
	log.Error("panic: this is a bug", "method", method, "panic", p, "stack", string(debug.Stack()))
	return errs.New(errs.Internal, "panic: %v", p)
}

// byteCount prints a size for people.
func byteCount(n int64) string {
	if n > 0 && n%(1<<20) == 0 {
		return strconv.FormatInt(n>>20, 10) + " MiB"
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
