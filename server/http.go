package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// httpTime bounds how long a client may take to send a request and to read its
// answer.
const httpTime = time.Minute

// A restHandler answers a REST request, or returns why it could not before it
// has written anything.
type restHandler func(w http.ResponseWriter, r *http.Request) error

// routes registers REST handlers; each is wrapped in what every request needs:
// the size limit, errors turned into a status in the words of the API, panics
// too, and a count.
type routes struct {
	mux      *http.ServeMux
	guard    *guard
	role     string
	draining context.Context // its end ends the streams
	log      *slog.Logger
	metrics  *metrics
	body     int64         // bytes of a body at most
	sendTime time.Duration // that a client may leave a piece of a stream untaken
	local    bool          // only this machine can connect, and only operators have reason to
}

// An errorWriter writes an error in the form of one API.
type errorWriter func(w http.ResponseWriter, r *http.Request, err error)

// handle registers h for a pattern of http.ServeMux. It is called for those who
// may call it, and with the network in the context.
func (rs *routes) handle(pattern string, fail errorWriter, h restHandler) {
	rs.open(pattern, fail, func(w http.ResponseWriter, r *http.Request) error {
		admitted, err := rs.guard.admitHTTP(r, rs.role)
		if err != nil {
			return err
		}
		return h(w, admitted)
	})
}

// open is handle for what everybody may call.
func (rs *routes) open(pattern string, fail errorWriter, h restHandler) {
	count := rs.metrics.route(pattern)
	rs.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		if r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, r.Body, rs.body)
		}
		err := rs.safely(rec, r, pattern, h)
		if err != nil {
			logFailure(rs.log, r.Context(), requestIDOf(r.Context()), pattern, err)
			if !rec.wrote {
				fail(rec, r, err)
			}
		}
		count.observe(rec.status, time.Since(start))
	})
}

// operators registers what tells of the process: for those who have an API key, if
// there are any, but on the metrics listener of this machine for everybody.
func (rs *routes) operators(pattern string, h http.Handler) {
	register := rs.handle
	if rs.local {
		register = rs.open
	}
	register(pattern, failCardea, func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	})
}

// safely runs h and turns a panic into an error.
func (rs *routes) safely(w http.ResponseWriter, r *http.Request, pattern string, h restHandler) (err error) {
	defer func() {
		p := recover()
		switch {
		case p == nil:
		case p == http.ErrAbortHandler:
			panic(p)
		default:
			err = panicked(rs.log, pattern, p)
		}
	}()
	return h(w, r)
}

// A recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (r *recorder) WriteHeader(status int) {
	if !r.wrote {
		r.status, r.wrote = status, true
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.wrote = true
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find the methods of the writer inside.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// reply writes a JSON body and, unless it is "", the snaptoken of the answer.
func reply(w http.ResponseWriter, status int, token engine.Token, body any) error {
	text, err := encodeJSON(body)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the answer cannot be encoded")
	}
	setToken(w, token)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may be gone, and there is nobody else to tell
	return nil
}

func setToken(w http.ResponseWriter, token engine.Token) {
	if token != "" {
		w.Header().Set(tokenHeader, string(token))
	}
}

// encodeJSON leaves <, > and & as they are.
func encodeJSON(body any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(body)
	return b.Bytes(), err
}

// readBody reads a body of text.
//
// Invalid: it is not UTF-8, or the client broke off. An *http.MaxBytesError
// passes through.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, large
	case err != nil:
		return nil, errs.Wrap(errs.Invalid, err, "the body ended early")
	case !utf8.Valid(body):
		return nil, errs.New(errs.Invalid, "the body is not valid UTF-8")
	default:
		return body, nil
	}
}

// queryOf returns the query parameters. A broken one is an error rather than
// left out: a filter that is lost selects too much.
func queryOf(r *http.Request) (url.Values, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errs.New(errs.Invalid, "the query parameters cannot be read: %v", err)
	}
	return v, nil
}

// ketoErrorBody is the form of errors of Ory's services.
type ketoErrorBody struct {
	Error struct {
		Code    int    `json:"code"`
		Status  string `json:"status,omitempty"`
		Request string `json:"request,omitempty"`
		Reason  string `json:"reason,omitempty"`
		Message string `json:"message"`
	} `json:"error"`
}

// failKeto writes an error as Keto does.
func failKeto(w http.ResponseWriter, r *http.Request, err error) {
	status := codeOf(err).http
	var body ketoErrorBody
	body.Error.Code = status
	body.Error.Status = http.StatusText(status)
	body.Error.Request = sentRequestID(r)
	body.Error.Message, body.Error.Reason = ketoDialect.text(err)
	w.Header()["Ory-Error-Id"] = []string{""}
	writeError(w, status, body)
}

// cardeaErrorBody is the form of errors under /v1/, that of Google's APIs: code
// is the status, status the name of the gRPC code.
type cardeaErrorBody struct {
	Error struct {
		Code    int    `json:"code"`
		Status  string `json:"status"`
		Message string `json:"message"`
		Request string `json:"request"`
	} `json:"error"`
}

func failCardea(w http.ResponseWriter, r *http.Request, err error) {
	body := cardeaError(r, err)
	writeError(w, body.Error.Code, body)
}

func cardeaError(r *http.Request, err error) (body cardeaErrorBody) {
	c := codeOf(err)
	body.Error.Code = c.http
	body.Error.Status = codeName(c.grpc)
	body.Error.Message = text(err)
	body.Error.Request = requestIDOf(r.Context())
	return body
}

func writeError(w http.ResponseWriter, status int, body any) {
	text, err := encodeJSON(body)
	if err != nil { // strings and numbers only
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(status)
	_, _ = w.Write(text)
}
