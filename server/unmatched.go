package server

import (
	"net/http"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

// verbs are the methods that a request for nothing may have meant.
var verbs = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

// everything is the pattern of what no other is for.
const everything = "/"

// unmatched answers what no route is for, as the API does that has the path.
func (c *core) unmatched(rs *routes, door string) {
	rs.open(everything, c.failUnmatched(door), func(w http.ResponseWriter, r *http.Request) error {
		if there := rs.allowed(r); len(there) > 0 {
			w.Header().Set("Allow", strings.Join(there, ", "))
			return oauth.ErrMethod
		}
		return nothingAt(r)
	})
}

// failUnmatched is how a door says that there is nothing.
func (c *core) failUnmatched(door string) errorWriter {
	return func(w http.ResponseWriter, r *http.Request, err error) { c.styleOf(door, r)(w, r, err) }
}

func nothingAt(r *http.Request) error {
	return errs.New(errs.NotFound, "there is nothing at %.200q", r.URL.Path)
}

// allowed returns the methods for which the path of a request has a route.
func (rs *routes) allowed(r *http.Request) (there []string) {
	for _, method := range verbs {
		as := *r
		as.Method = method
		if _, pattern := rs.mux.Handler(&as); pattern != everything && pattern != "" {
			there = append(there, method)
		}
	}
	return there
}

// styleOf is how errors look at a path of a door.
func (c *core) styleOf(door string, r *http.Request) errorWriter {
	under := func(prefixes ...string) bool {
		for _, p := range prefixes {
			if r.URL.Path == p || strings.HasPrefix(r.URL.Path, p+"/") {
				return true
			}
		}
		return false
	}
	switch {
	case under("/v1"):
		return failCardea
	case under("/admin/oauth2", "/admin/clients", "/admin/keys"):
		return oauth.Fail
	case door != "public" || under("/self-service", "/sessions", "/schemas", "/health", "/version"):
		return failKeto
	case c.pages != nil && strings.Contains(r.Header.Get("Accept"), "text/html"):
		return c.failPage
	default:
		return oauth.Fail
	}
}
