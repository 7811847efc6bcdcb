package identity

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Route is a pattern of http.ServeMux and what answers it.
type Route struct {
	Pattern string
	Handle  func(s *Service, w http.ResponseWriter, r *http.Request) error
}

// SchemaRoutes are for both, people and administrators.
func SchemaRoutes() []Route {
	return []Route{
		{"GET /schemas", (*Service).listSchemas},
		{"GET /schemas/{id}", (*Service).getSchema},
	}
}

// PublicRoutes are what people and applications may reach without a key.
func PublicRoutes() []Route {
	routes := []Route{
		{"GET /sessions", (*Service).mySessions},
		{"DELETE /sessions", (*Service).revokeMyOthers},
		{"DELETE /sessions/{id}", (*Service).revokeMine},
		{"GET /self-service/logout/browser", (*Service).logoutURL},
		{"GET /self-service/logout", (*Service).logout},
		{"DELETE /self-service/logout/api", (*Service).logoutNative},
		{"GET /self-service/errors", (*Service).flowError},
		{"GET /.well-known/change-password", (*Service).changePassword},
		{"GET " + scriptPath, (*Service).webauthnScript},
		{"DELETE /self-service/login/test", noTestLogins},
		{"GET " + invitationPath, (*Service).invitationPage},
		{"POST " + invitationPath, (*Service).acceptNow},
	}
	routes = append(routes, SchemaRoutes()...)
	routes = append(routes, oidcRoutes()...)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} { // proxies ask with the method of what they protect
		routes = append(routes, Route{method + " /sessions/whoami", (*Service).whoami})
	}
	for _, k := range kinds {
		if ends(k) == nil {
			continue
		}
		at := "/self-service/" + string(k)
		routes = append(routes,
			Route{"GET " + at + "/browser", func(s *Service, w http.ResponseWriter, r *http.Request) error { return s.open(w, r, k, false) }},
			Route{"GET " + at + "/api", func(s *Service, w http.ResponseWriter, r *http.Request) error { return s.open(w, r, k, true) }},
			Route{"GET " + at + "/flows", func(s *Service, w http.ResponseWriter, r *http.Request) error { return s.fetch(w, r, k) }},
			Route{"POST " + at, func(s *Service, w http.ResponseWriter, r *http.Request) error { return s.submit(w, r, k) }})
		routes = append(routes, Route{"GET " + at, func(s *Service, w http.ResponseWriter, r *http.Request) error { return s.resume(w, r, k) }})
	}
	return routes
}

// changePassword is where password managers send people.
func (s *Service) changePassword(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, s.options.BaseURL+"/self-service/settings/browser", http.StatusSeeOther)
	return nil
}

// wantsJSON reports whether the client is a program: it prefers JSON, or sends it.
func wantsJSON(r *http.Request) bool {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return true
	}
	best, json := 0.0, false
	for _, one := range strings.Split(r.Header.Get("Accept"), ",") {
		kind, params, _ := strings.Cut(one, ";")
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			weight, _ = strconv.ParseFloat(q, 64)
		}
		if weight <= best {
			continue
		}
		switch strings.TrimSpace(kind) {
		case "application/json", "application/*":
			best, json = weight, true
		case "text/html", "text/*", "*/*":
			best, json = weight, false
		}
	}
	return json
}

// reply writes JSON.
func reply(w http.ResponseWriter, status int, body any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(body); err != nil {
		return errs.Wrap(errs.Internal, err, "the answer cannot be encoded")
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "private, no-cache, no-store, must-revalidate")
	}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client may be gone, and there is nobody else to tell
	return nil
}

// errorBody is the form of Kratos's errors.
type errorBody struct {
	Error struct {
		ID      string         `json:"id,omitempty"`
		Code    int            `json:"code"`
		Status  string         `json:"status"`
		Request string         `json:"request,omitempty"`
		Reason  string         `json:"reason,omitempty"`
		Message string         `json:"message"`
		Details map[string]any `json:"details,omitempty"`
	} `json:"error"`
	RedirectTo string        `json:"redirect_browser_to,omitempty"`
	UseFlow    string        `json:"use_flow_id,omitempty"`
	ExpiredAt  time.Time     `json:"expired_at,omitzero"`
	Since      time.Duration `json:"since,omitempty"`
}

func (s *Service) errorBody(err error, status int, text string) errorBody {
	var body errorBody
	body.Error.Code, body.Error.Status, body.Error.Message = status, http.StatusText(status), text
	var p *Problem
	if errors.As(err, &p) {
		body.Error.ID, body.Error.Message, body.Error.Reason, body.Error.Details = p.ID, p.Message, p.Reason, p.Details
		body.RedirectTo, body.UseFlow, body.ExpiredAt = p.RedirectTo, p.UseFlow, p.ExpiredAt
		if !p.ExpiredAt.IsZero() {
			body.Since = s.now().Sub(p.ExpiredAt)
		}
	}
	return body
}

// Fail answers a request that failed. status is that of err's kind, text what the
// caller may know of it. Programs get JSON; browsers go where they can do something
// about it, or see the error.
func (s *Service) Fail(w http.ResponseWriter, r *http.Request, err error, status int, text string) {
	body := s.errorBody(err, status, text)
	if !strings.HasPrefix(r.URL.Path, "/self-service/") || strings.HasSuffix(r.URL.Path, "/api") || strings.HasSuffix(r.URL.Path, "/flows") ||
		r.URL.Path == "/self-service/errors" || r.URL.Path == "/self-service/logout/browser" || isNative(r) || wantsJSON(r) {
		if w.Header().Get("Retry-After") == "" && (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) {
			w.Header().Set("Retry-After", "2")
		}
		_ = reply(w, status, body)
		return
	}
	http.Redirect(w, r, s.afterFailure(w, r, err, body), http.StatusSeeOther)
}

// afterFailure is where a browser goes.
func (s *Service) afterFailure(w http.ResponseWriter, r *http.Request, err error, body errorBody) string {
	if to := s.Elsewhere(r, err); to != "" {
		return to
	}
	return withQuery(s.options.ErrorUI, "id", s.keepError(w, r, body))
}

// kindOf is the kind of flow that a request is about.
func kindOf(r *http.Request) Kind {
	name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/self-service"), "/"), "/")
	return Kind(name)
}

// self is the URL of the request, as browsers see it.
func (s *Service) self(r *http.Request) string {
	u := url.URL{Path: r.URL.Path, RawQuery: r.URL.RawQuery}
	return s.options.BaseURL + u.String()
}

// An error that a browser shall see is sealed into its own cookie, so that nobody else
// sees it, and nothing is stored. A page that is elsewhere may ask without the browser's
// cookies, as Ory's does, so the error is in the id itself then.
const (
	errorCookie = "cardea_error"
	errorLife   = 10 * time.Minute
)

type keptError struct {
	ID      string
	At      time.Time
	Browser []byte // if it is known; of one that is in its id
	Error   json.RawMessage
}

func (s *Service) keepError(w http.ResponseWriter, r *http.Request, body errorBody) string {
	kept := keptError{ID: NewID(), At: s.now()}
	elsewhere := s.options.ErrorUI != s.options.ownErrorUI()
	if elsewhere {
		kept.Browser = s.browser(r)
	}
	text, err := json.Marshal(body.Error)
	if err == nil && len(text) > maxSealed/2 { // what the client sent is part of it
		body.Error.Details, body.Error.Reason = nil, ""
		text, err = json.Marshal(body.Error)
	}
	if err == nil {
		kept.Error = text
		text, err = json.Marshal(kept)
	}
	switch {
	case err != nil: // the page says that there is no such error
	case elsewhere:
		return s.seal(errorCookie, text)
	default:
		s.setCookie(w, s.cookiePrefix()+errorCookie, s.seal(errorCookie, text), errorLife)
	}
	return kept.ID
}

// FlowError returns the error with an id that this browser was sent to see.
//
// NotFound: it is not of this browser, or too old.
func (s *Service) FlowError(r *http.Request, id string) (json.RawMessage, time.Time, error) {
	var kept keptError
	text, ok := s.unseal(errorCookie, id)
	itself := ok
	if !ok {
		text, ok = s.unsealCookie(r, errorCookie)
	}
	ok = ok && json.Unmarshal(text, &kept) == nil && s.now().Sub(kept.At) <= errorLife
	if asks := s.browser(r); itself {
		ok = ok && (asks == nil || kept.Browser == nil || subtle.ConstantTimeCompare(asks, kept.Browser) == 1)
	} else {
		ok = ok && kept.ID == id
	}
	if !ok {
		return nil, time.Time{}, errs.New(errs.NotFound, "there is no such error, or another browser has met it")
	}
	return kept.Error, kept.At, nil
}

func (s *Service) flowError(w http.ResponseWriter, r *http.Request) error {
	id := r.URL.Query().Get("id")
	if id == "stub:500" {
		return reply(w, http.StatusOK, map[string]any{"id": NewID(), "created_at": s.now(), "updated_at": s.now(),
			"error": map[string]any{"code": 500, "status": "Internal Server Error", "reason": "This is a stub error.", "message": "An internal server error occurred, please contact the system administrator"}})
	}
	text, at, err := s.FlowError(r, id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"id": id, "error": text, "created_at": at, "updated_at": at})
}
