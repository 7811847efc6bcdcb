package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cardea-iam/cardea/internal/errs"
)

// TestStatuses holds every kind, and the errors of the transport, against their
// codes on both transports and both APIs. A kind without a row fails.
func TestStatuses(t *testing.T) {
	const secret = "secret"
	of := func(kind errs.Kind) error { return errs.Wrap(kind, errors.New(secret), "what is wrong") }
	tests := []struct {
		err     error
		http    int
		grpc    codes.Code
		message string // for callers of cardea.v1
		keto    string // for those of Keto, followed by / and the reason
	}{
		{of(errs.Internal), 500, codes.Internal, "an internal error occurred", "an internal error occurred/"},
		{errors.New(secret), 500, codes.Internal, "an internal error occurred", "an internal error occurred/"},
		{of(errs.Invalid), 400, codes.InvalidArgument, "what is wrong", ketoMessages[errs.Invalid] + "/what is wrong"},
		{said("as Keto says"), 400, codes.InvalidArgument, "as Keto says", "as Keto says/"},
		{of(errs.Unauthenticated), 401, codes.Unauthenticated, "what is wrong", "what is wrong/"},
		{of(errs.Denied), 403, codes.PermissionDenied, "what is wrong", "what is wrong/"},
		{of(errs.NotFound), 404, codes.NotFound, "what is wrong", ketoMessages[errs.NotFound] + "/what is wrong"},
		{of(errs.Conflict), 409, codes.Aborted, "what is wrong", "what is wrong/"},
		{of(errs.Refused), 422, codes.FailedPrecondition, "what is wrong", "what is wrong/"},
		{of(errs.Expired), 410, codes.OutOfRange, "what is wrong", "what is wrong/"},
		{of(errs.Exhausted), 429, codes.ResourceExhausted, "what is wrong", "what is wrong/"},
		{of(errs.Unavailable), 503, codes.Unavailable, "what is wrong", "what is wrong/"},
		{of(errs.Unsupported), 501, codes.Unimplemented, "what is wrong", "what is wrong/"},
		{of(errs.Unknown), 500, codes.Unknown, "what is wrong", "what is wrong/"},
		{fmt.Errorf("%s: %w", secret, context.Canceled), 499, codes.Canceled, "the request was cancelled", "the request was cancelled/"},
		{fmt.Errorf("%s: %w", secret, context.DeadlineExceeded), 504, codes.DeadlineExceeded,
			"the deadline passed before the answer was known", "the deadline passed before the answer was known/"},
		{&http.MaxBytesError{Limit: 4 << 20}, 413, codes.ResourceExhausted,
			"the body is too large: expected at most 4 MiB", "the body is too large: expected at most 4 MiB/"},
	}
	seen := map[errs.Kind]bool{}
	for _, tt := range tests {
		seen[errs.KindOf(tt.err)] = true
		t.Run(tt.err.Error(), func(t *testing.T) {
			st := status.Convert(cardeaDialect.status(tt.err))
			if st.Code() != tt.grpc || st.Message() != tt.message {
				t.Errorf("cardea.v1 over gRPC: %v %q", st.Code(), st.Message())
			}
			message, reason := ketoText(tt.err)
			if st := status.Convert(ketoDialect.status(tt.err)); st.Code() != tt.grpc || message+"/"+reason != tt.keto || st.Message() != message {
				t.Errorf("Keto over gRPC: %v %q %q", st.Code(), message, reason)
			}
			for name, fail := range map[string]errorWriter{"Keto": failKeto, "cardea.v1": failCardea} {
				w := httptest.NewRecorder()
				fail(w, httptest.NewRequest("GET", "/", nil), tt.err)
				if w.Code != tt.http || strings.Contains(w.Body.String(), secret) {
					t.Errorf("%s over REST: %d %s", name, w.Code, w.Body)
				}
			}
			if codeName(tt.grpc) == "" {
				t.Errorf("code %v has no name", tt.grpc)
			}
		})
	}
	for kind := errs.Internal; kind <= errs.Unknown; kind++ {
		if !seen[kind] {
			t.Errorf("no row for the kind %v", kind)
		}
	}
}

// TestPanics sees to it that a panic becomes an internal error, of which the log
// has the stack and the caller nothing.
func TestPanics(t *testing.T) {
	var log strings.Builder
	c := &core{guard: &guard{}, metrics: newMetrics(), log: slog.New(slog.NewTextHandler(&log, nil))}
	mux := http.NewServeMux()
	rs := &routes{mux: mux, guard: c.guard, log: c.log, metrics: c.metrics, body: 1000}
	rs.handle("GET /", failKeto, func(http.ResponseWriter, *http.Request) error { panic("secret") })
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("over REST: %d %s", w.Code, w.Body)
	}
	call := (&rpcServer{guard: c.guard, log: c.log, metrics: c.metrics}).call("cardea.v1.X", "Y", cardeaDialect)
	_, err := call.unary(func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) { panic("secret") })(nil, t.Context(), nil, nil)
	if st := status.Convert(err); st.Code() != codes.Internal || strings.Contains(st.Message(), "secret") {
		t.Errorf("over gRPC: %v", err)
	}
	if strings.Count(log.String(), "errors_test.go") < 2 {
		t.Errorf("the log has no stacks: %s", log.String())
	}
}
