package identity

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/cardea-iam/cardea/internal/egress"
	"github.com/cardea-iam/cardea/internal/errs"
)

// fetch reads a JSON document, as who has the token if there is one.
//
// Unavailable: it cannot be had.
func (u *upstream) fetch(ctx context.Context, at, token string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "%.200q is no URL", at)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return u.do(r, into)
}

// do sends a request, whose answer must be 200 and JSON. Errors have nothing of the
// query or the body, which may be secret.
func (u *upstream) do(r *http.Request, into any) error {
	where := r.URL.Host + r.URL.Path
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "cardea")
	resp, err := u.http.Do(r)
	if err != nil {
		if inner, ok := err.(*url.Error); ok { // which has the URL
			err = inner.Err
		}
		return errs.Wrap(errs.Unavailable, err, "%.200s does not answer", where)
	}
	text, err := egress.Body(resp)
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "%.200s cannot be read", where)
	}
	if resp.StatusCode != http.StatusOK {
		var said struct{ Error string }
		_ = json.Unmarshal(text, &said)
		return errs.New(errs.Unavailable, "%.200s answers %d %.60q", where, resp.StatusCode, said.Error)
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return errs.New(errs.Unavailable, "%.200s answers with something that is not the JSON expected", where)
	}
	return nil
}
