package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// ask asks the admin API as the administrator who visits, and decodes the answer into what
// into points to, unless that is nil. next is the token of the next page of a list.
//
// An *apiError: the API refuses.
func (v *visit) ask(method, path string, query url.Values, body, into any) (next string, err error) {
	return v.askOf(v.api, method, path, query, body, into)
}

// askReader asks what the read listener answers.
func (v *visit) askReader(method, path string, query url.Values, body, into any) (next string, err error) {
	return v.askOf(v.read, method, path, query, body, into)
}

func (v *visit) askOf(api http.Handler, method, path string, query url.Values, body, into any) (next string, err error) {
	var sent []byte
	if body != nil {
		if sent, err = encodeJSON(body); err != nil {
			return "", errs.Wrap(errs.Internal, err, "a question to the admin API cannot be encoded")
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(context.WithValue(v.r.Context(), callersName{}, v.by), method, path, bytes.NewReader(sent))
	if err != nil {
		return "", errs.Wrap(errs.Invalid, err, "there is no such page")
	}
	r.RemoteAddr, r.Host = v.r.RemoteAddr, v.r.Host
	for _, name := range []string{"X-Forwarded-For", "User-Agent"} { // the audit log knows who it was
		r.Header[name] = v.r.Header[name]
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(authHeader, "Bearer "+v.ownKey)
	r.Header.Set(networkHeader, v.network)
	a := &apiAnswer{header: http.Header{}, status: http.StatusOK}
	api.ServeHTTP(a, r)
	if a.status >= 400 {
		return "", a.refusal()
	}
	if into != nil {
		if err := json.Unmarshal(a.body.Bytes(), into); err != nil {
			return "", errs.Wrap(errs.Internal, err, "the admin API answers what the console cannot read")
		}
	}
	return nextPage(a.header), nil
}

var nextLink = regexp.MustCompile(`<([^>]*)>; rel="next"`)

// nextPage reads the token of the next page (RFC 8288).
func nextPage(h http.Header) string {
	found := nextLink.FindStringSubmatch(strings.Join(h.Values("Link"), ","))
	if found == nil {
		return ""
	}
	u, err := url.Parse(found[1])
	if err != nil {
		return ""
	}
	return u.Query().Get("page_token")
}

// An apiAnswer is an answer to a question of this process.
type apiAnswer struct {
	header http.Header
	status int
	wrote  bool
	body   bytes.Buffer
}

func (a *apiAnswer) Header() http.Header { return a.header }

func (a *apiAnswer) WriteHeader(status int) {
	if !a.wrote {
		a.status, a.wrote = status, true
	}
}

func (a *apiAnswer) Write(b []byte) (int, error) {
	a.wrote = true
	return a.body.Write(b)
}

// An apiError is a refusal of the admin API.
type apiError struct {
	status  int
	message string
}

func (e *apiError) Error() string { return e.message }

// refusal reads an error, in the form of either admin API.
func (a *apiAnswer) refusal() error {
	var keto ketoErrorBody
	if json.Unmarshal(a.body.Bytes(), &keto) == nil && keto.Error.Message != "" {
		message := keto.Error.Message
		if keto.Error.Reason != "" {
			message = keto.Error.Reason
		}
		return &apiError{a.status, message}
	}
	var oauth struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(a.body.Bytes(), &oauth) == nil && oauth.Description != "" {
		return &apiError{a.status, oauth.Description}
	}
	return &apiError{a.status, http.StatusText(a.status)}
}

// mistake is the message of a refusal that the administrator can mend in a form, and "" if
// err is something else.
func mistake(err error) string {
	var answer *apiError
	mendable := []int{http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity}
	if errors.As(err, &answer) && slices.Contains(mendable, answer.status) {
		return sentence(answer.message)
	}
	return ""
}
