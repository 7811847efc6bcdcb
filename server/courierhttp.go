package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/jsonfill"
)

// usualBody is what Kratos sends unless told otherwise.
const usualBody = `{"recipient":"${recipient}","subject":"${subject}","body":"${body}","template_type":"${template_type}","template_data":"${template_data}","message_type":"${message_type}"}`

// An httpCarrier has letters sent by somebody else's server.
type httpCarrier struct {
	request requestConfig
	body    *jsonfill.Template
	client  *http.Client
}

// newHTTPCarrier reads how the request is made; setting names it in errors.
//
// Invalid: there are mistakes.
func newHTTPCarrier(setting string, r requestConfig) (*httpCarrier, error) {
	if r.URL == "" || isURLOrEmpty(&r.URL) != nil {
		return nil, errs.New(errs.Invalid, "%s.url: expected an http(s) URL, got %q", setting, r.URL)
	}
	if r.Method == "" {
		r.Method = http.MethodPost
	}
	text := []byte(usualBody)
	var err error
	if r.Body != "" {
		if text, err = textOf(setting+".body", r.Body); err != nil {
			return nil, err
		}
	}
	c := &httpCarrier{request: r, client: &http.Client{Timeout: 25 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if c.body, err = jsonfill.Parse(text); err != nil {
		return nil, errs.New(errs.Invalid, "%s.body: %v; it is not a Jsonnet program, but JSON with ${recipient} and the like", setting, err)
	}
	switch r.Auth.Type {
	case "", "basic_auth", "api_key":
	default:
		return nil, errs.New(errs.Invalid, "%s.auth.type is %q: expected basic_auth or api_key", setting, r.Auth.Type)
	}
	return c, nil
}

// Carry implements identity.Carrier.
func (c *httpCarrier) Carry(ctx context.Context, l *identity.Letter) error {
	kind := "email"
	if l.Phone {
		kind = "phone"
	}
	body, err := c.body.Fill(map[string]any{
		"recipient": l.Recipient, "subject": l.Subject, "body": l.Text, "html": l.HTML, "template_type": l.Template,
		"template_data": l.Data, "message_type": kind, "message_id": l.ID,
	})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, c.request.Method, c.request.URL, bytes.NewReader(body))
	if err != nil {
		return errs.New(errs.Invalid, "the request of a message cannot be made: %v", oneLine(err))
	}
	r.Header.Set("Content-Type", "application/json")
	for name, value := range c.request.Headers {
		r.Header.Set(name, value)
	}
	c.authenticate(r)
	res, err := c.client.Do(r)
	if err != nil {
		var at *url.Error
		if errors.As(err, &at) {
			err = at.Err // administrators see it, and the URL may have a secret
		}
		return errs.New(errs.Unavailable, "the server that sends messages cannot be reached: %v", oneLine(err))
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	if res.StatusCode/100 != 2 {
		return errs.New(errs.Unavailable, "the server that sends messages answers %d", res.StatusCode)
	}
	return nil
}

// Reaches implements identity.Carrier.
func (*httpCarrier) Reaches(bool) bool { return true }

func (c *httpCarrier) authenticate(r *http.Request) {
	a := c.request.Auth
	switch {
	case a.Type == "basic_auth":
		r.SetBasicAuth(a.Config.User, a.Config.Password)
	case a.Type == "api_key" && a.Config.In == "cookie":
		r.AddCookie(&http.Cookie{Name: a.Config.Name, Value: a.Config.Value})
	case a.Type == "api_key":
		r.Header.Set(a.Config.Name, a.Config.Value)
	}
}
