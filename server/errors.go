package server

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

// A code is what an error becomes on the two transports.
type code struct {
	http int
	grpc codes.Code
}

// statuses is the only place where a kind becomes a status code.
var statuses = map[errs.Kind]code{
	errs.OK:              {http.StatusOK, codes.OK},
	errs.Internal:        {http.StatusInternalServerError, codes.Internal},
	errs.Invalid:         {http.StatusBadRequest, codes.InvalidArgument},
	errs.Unauthenticated: {http.StatusUnauthorized, codes.Unauthenticated},
	errs.Denied:          {http.StatusForbidden, codes.PermissionDenied},
	errs.NotFound:        {http.StatusNotFound, codes.NotFound},
	errs.Conflict:        {http.StatusConflict, codes.Aborted},
	errs.Refused:         {http.StatusUnprocessableEntity, codes.FailedPrecondition},
	errs.Expired:         {http.StatusGone, codes.OutOfRange},
	errs.Exhausted:       {http.StatusTooManyRequests, codes.ResourceExhausted},
	errs.Unavailable:     {http.StatusServiceUnavailable, codes.Unavailable},
	errs.Unsupported:     {http.StatusNotImplemented, codes.Unimplemented},
	errs.Unknown:         {http.StatusInternalServerError, codes.Unknown},
}

// Four errors come from the transport and have no kind.
var (
	tooLarge    = code{http.StatusRequestEntityTooLarge, codes.ResourceExhausted}
	wrongMethod = code{http.StatusMethodNotAllowed, codes.Unimplemented}
	cancelled   = code{statusClientClosed, codes.Canceled}
	outOfTime   = code{http.StatusGatewayTimeout, codes.DeadlineExceeded}
)

// statusClientClosed is nginx's code for a client that went away. Nobody reads
// it but the metrics.
const statusClientClosed = 499

// codeOf returns the status of err on both transports.
func codeOf(err error) code {
	var large *http.MaxBytesError
	kind := errs.KindOf(err)
	switch {
	case errors.As(err, &large):
		return tooLarge
	case kind != errs.Internal:
		return statuses[kind]
	case errors.Is(err, oauth.ErrMethod):
		return wrongMethod
	case errors.Is(err, context.Canceled):
		return cancelled
	case errors.Is(err, context.DeadlineExceeded):
		return outOfTime
	default:
		return statuses[errs.Internal]
	}
}

// text returns what the caller may know about err.
func text(err error) string {
	var large *http.MaxBytesError
	var e *errs.Error
	switch {
	case errors.As(err, &large):
		return "the body is too large: expected at most " + byteCount(large.Limit)
	case errors.As(err, &e) && e.Kind != errs.Internal:
		return e.Msg
	case errors.Is(err, oauth.ErrMethod):
		return "the method is not one of those in the header Allow"
	case errors.Is(err, context.Canceled):
		return "the request was cancelled"
	case errors.Is(err, context.DeadlineExceeded):
		return "the deadline passed before the answer was known"
	default:
		return "an internal error occurred"
	}
}

// A ketoError is an error whose message on the wire is one that Keto's clients
// know. The reason, if there is one, says more.
type ketoError struct {
	kind    errs.Kind
	message string
	reason  string
}

func (e *ketoError) Error() string { return e.message }

// Unwrap gives the error its kind.
func (e *ketoError) Unwrap() error {
	return &errs.Error{Kind: e.kind, Msg: e.message}
}

// said returns an Invalid error with a message that Keto's clients know.
func said(message string) error { return &ketoError{kind: errs.Invalid, message: message} }

// ketoMessages are what Keto says for a kind; what is particular to an error is
// then its reason.
var ketoMessages = map[errs.Kind]string{
	errs.Invalid:  "The request was malformed or contained invalid parameters",
	errs.NotFound: "The requested resource could not be found",
}

// ketoText splits what the caller may know about err into the message and the
// reason of Keto's errors.
func ketoText(err error) (message, reason string) {
	var e *ketoError
	if errors.As(err, &e) {
		return e.message, e.reason
	}
	reason = text(err)
	if codeOf(err) == tooLarge {
		return reason, ""
	}
	if message, ok := ketoMessages[errs.KindOf(err)]; ok {
		return message, reason
	}
	return reason, ""
}

// A dialect puts an error into words for the clients of one API.
type dialect struct {
	// text returns the message and, if there is one, the reason.
	text func(error) (message, reason string)
	// domain is that of the ErrorInfo which carries the reason over gRPC.
	domain string
}

var (
	// ketoDialect has Keto's messages, so that its clients find what they look for.
	ketoDialect = &dialect{text: ketoText}
	// cardeaDialect says what is wrong, and gives the kind as the reason.
	cardeaDialect = &dialect{text: cardeaText, domain: "cardea"}
)

func cardeaText(err error) (message, reason string) {
	return text(err), codeName(codeOf(err).grpc)
}

// status returns err as gRPC sends it.
func (d *dialect) status(err error) error {
	message, reason := d.text(err)
	st := status.New(codeOf(err).grpc, message)
	if reason == "" {
		return st.Err()
	}
	detailed, failed := st.WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: d.domain})
	if failed != nil { // a reason that is not UTF-8
		return st.Err()
	}
	return detailed.Err()
}
