package oauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// errUsed is the answer to a second use of what may be used once.
var errUsed = fosite.ErrInvalidGrant.WithHint("It was used before, so everything that came of it is revoked.")

// ErrMethod tells that an endpoint is there, but not for the method of the request.
var ErrMethod error = &fosite.RFC6749Error{
	ErrorField: "method_not_allowed", CodeField: http.StatusMethodNotAllowed,
	DescriptionField: "The method is not one of those in the header Allow.",
}

// rfcError returns err as fosite has it, nil for nil. Errors with a kind become the
// one of RFC 6749 that is nearest; their text is for the log unless the caller can do
// something about it.
func rfcError(err error) *fosite.RFC6749Error {
	var rfc *fosite.RFC6749Error
	var known *errs.Error
	var large *http.MaxBytesError
	var plain *plainError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &plain):
		return plain.rfc
	case errors.As(err, &large):
		e := fosite.ErrInvalidRequest.WithHintf("The body has more than %d bytes.", large.Limit).WithWrap(err)
		e.CodeField = http.StatusRequestEntityTooLarge
		return e
	case errors.As(err, &known) && known.Kind == errs.Unavailable:
		return fosite.ErrTemporarilyUnavailable.WithWrap(err)
	case errors.As(err, &rfc) && !errors.As(err, &known):
		return rfc
	case known == nil:
		return fosite.ErrServerError.WithWrap(err)
	}
	switch known.Kind {
	case errs.Invalid:
		return fosite.ErrInvalidRequest.WithHint(known.Msg).WithWrap(err)
	case errs.Unauthenticated:
		return fosite.ErrRequestUnauthorized.WithHint(known.Msg).WithWrap(err)
	case errs.Denied:
		return fosite.ErrAccessDenied.WithHint(known.Msg).WithWrap(err)
	case errs.NotFound:
		return fosite.ErrNotFound.WithHint(known.Msg).WithWrap(err)
	case errs.Conflict, errs.Refused:
		e := fosite.ErrInvalidRequest.WithHint(known.Msg).WithWrap(err)
		e.CodeField = http.StatusConflict
		return e
	case errs.Exhausted:
		e := fosite.ErrTemporarilyUnavailable.WithHint(known.Msg).WithWrap(err)
		e.CodeField = http.StatusTooManyRequests
		return e
	default:
		return fosite.ErrServerError.WithWrap(err)
	}
}

// A plainError is an error of which callers learn what its code means, and no more.
type plainError struct {
	error
	rfc *fosite.RFC6749Error
}

func (e *plainError) Unwrap() error { return e.error }

// StatusCode is that of the answer.
func (e *plainError) StatusCode() int { return status(e.rfc) }

// outward returns err as strangers may see it: with hints only if those are on. The log
// has all of it.
func (p *Provider) outward(err error) error {
	e := rfcError(err)
	if e == nil || e.HintField == "" || p.o.Hints {
		return err
	}
	rfc := *e
	rfc.HintField = ""
	return &plainError{err, &rfc}
}

// plain makes routes tell strangers no more than outward.
func (p *Provider) plain(routes []Route) []Route {
	for i, route := range routes {
		routes[i].Serve = func(w http.ResponseWriter, r *http.Request) error { return p.outward(route.Serve(w, r)) }
	}
	return routes
}

// errorBody is the form of errors in JSON.
type errorBody struct {
	Name        string `json:"error"`
	Description string `json:"error_description"`
	Status      int    `json:"status_code,omitempty"`
}

// Fail writes an error that a Route returned.
func Fail(w http.ResponseWriter, _ *http.Request, err error) {
	e := rfcError(err)
	text, encode := json.Marshal(errorBody{Name: e.ErrorField, Description: describe(e)})
	if encode != nil { // strings only
		panic(encode)
	}
	h := w.Header()
	noStore(h)
	if e.CodeField == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", `Basic realm="oauth2"`)
	}
	w.WriteHeader(status(e))
	_, _ = w.Write(text)
}

func status(e *fosite.RFC6749Error) int {
	if e.CodeField == 0 {
		return http.StatusInternalServerError
	}
	return e.CodeField
}

// describe is what a client may read: why its request is wrong, and nothing about
// what is inside. RFC 6749, section 5.2, allows visible ASCII without quotation marks and
// backslashes.
func describe(e *fosite.RFC6749Error) string {
	text := e.DescriptionField
	if e.HintField != "" {
		text += " " + e.HintField
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r == '\\':
			return '/'
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, text)
}

func noStore(h http.Header) {
	// As Set does it, but for the copies.
	h["Content-Type"], h["Cache-Control"], h["Pragma"] = jsonContent, neverStored, neverCached
}

// Values of headers that many answers have. Nobody changes them.
var (
	jsonContent = []string{"application/json;charset=UTF-8"}
	neverStored = []string{"no-store"}
	neverCached = []string{"no-cache"}
	anyOrigin   = []string{"*"}
)

// reply writes a JSON body.
func reply(w http.ResponseWriter, status int, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the answer cannot be encoded")
	}
	noStore(w.Header())
	w.WriteHeader(status)
	_, _ = w.Write(text)
	return nil
}

// readJSON reads a body, which may be empty.
func readJSON(r *http.Request, into any) error {
	d := json.NewDecoder(r.Body)
	if err := d.Decode(into); err != nil && err.Error() != "EOF" {
		return errs.Wrap(errs.Invalid, err, "%s", misread(err))
	}
	return nil
}

// misread says what is wrong with a body.
func misread(err error) string {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field == "":
		return "the body is no JSON object"
	case errors.As(err, &kind):
		return fmt.Sprintf("%s: expected %s, got a JSON %s", strings.TrimPrefix(kind.Field, "Lifespans."), jsonKind(kind.Type), kind.Value)
	default:
		return fmt.Sprintf("the body is no JSON of the expected form: %v", err)
	}
}

// jsonKind is the word of JSON for a type of Go.
func jsonKind(t reflect.Type) string {
	switch kind := t.Kind(); {
	case t == reflect.TypeFor[Duration]():
		return `a duration such as "1h30m", or null`
	case kind == reflect.Slice && t.Elem().Kind() == reflect.String:
		return "a list of strings"
	case kind == reflect.Slice:
		return "a list"
	case kind == reflect.String:
		return "a string"
	case kind == reflect.Bool:
		return "true or false"
	case reflect.Int <= kind && kind <= reflect.Int64:
		return "a whole number"
	default:
		return "an object"
	}
}

// IsGuess reports whether an error says that a secret was wrong which somebody may have
// chosen, so that whoever sent it may be guessing. Nobody guesses a token of 256 bits
// (rule O4): one that is no good has expired.
func IsGuess(err error) bool {
	var e *fosite.RFC6749Error
	return errors.As(err, &e) && (e.ErrorField == fosite.ErrInvalidClient.ErrorField || e == errInitialToken)
}

// IsRefusal reports whether an error says that what was exchanged is no good.
func IsRefusal(err error) bool {
	var e *fosite.RFC6749Error
	return errors.As(err, &e) && (e.ErrorField == fosite.ErrInvalidClient.ErrorField || e.ErrorField == fosite.ErrInvalidGrant.ErrorField)
}
