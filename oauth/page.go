package oauth

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"

	"github.com/cardea-iam/cardea/internal/errs"
)

const (
	usualPage = 100
	maxPage   = 500
)

// pageOf returns how many things a request wants, and after which one.
//
// Invalid: it says so in no form that is known.
func pageOf(r *http.Request) (size int, after string, err error) {
	q := r.URL.Query()
	size = usualPage
	if text := q.Get("page_size"); text != "" {
		if size, err = strconv.Atoi(text); err != nil || size < 0 {
			return 0, "", errs.New(errs.Invalid, "page_size: %.50q: expected a number from 1 to %d", text, maxPage)
		}
		if size == 0 {
			size = usualPage
		}
	}
	last, err := base64.RawURLEncoding.DecodeString(q.Get("page_token"))
	if err != nil {
		return 0, "", errs.New(errs.Invalid, "page_token: expected one from the header Link of another page")
	}
	return min(size, maxPage), string(last), nil
}

// linkPages says where the first and the next page are (RFC 8288), as Hydra does. An
// empty last is the end.
func linkPages(h http.Header, r *http.Request, last string) {
	link := func(rel, token string) string {
		u := url.URL{Path: r.URL.Path}
		q := r.URL.Query()
		q.Del("page_token")
		if token != "" {
			q.Set("page_token", token)
		}
		u.RawQuery = q.Encode()
		return "<" + u.String() + `>; rel="` + rel + `"`
	}
	links := link("first", "")
	if last != "" {
		links += "," + link("next", base64.RawURLEncoding.EncodeToString([]byte(last)))
	}
	h.Set("Link", links)
}
