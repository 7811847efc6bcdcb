package oauth

import (
	"net/http"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Scripts in a browser may call these endpoints, if their client is registered with
// the origin that they come from (allowed_cors_origins). A preflight names no client,
// so it is answered to all: what it allows, anybody can do without a browser. Cookies
// are never part of it.
var shared = []string{"/oauth2/token", "/oauth2/revoke", "/oauth2/introspect", "/oauth2/par", "/oauth2/device/auth", "/userinfo"}

// sharing adds to routes what browsers ask before and after a script's request.
func (p *Provider) sharing(routes []Route) []Route {
	for i, route := range routes {
		_, path, _ := strings.Cut(route.Pattern, " ")
		if slices.Contains(shared, path) {
			routes[i].Serve = p.share(route.Serve)
		}
	}
	for _, path := range shared {
		if slices.ContainsFunc(routes, func(r Route) bool { return strings.HasSuffix(r.Pattern, " "+path) }) {
			routes = append(routes, Route{"OPTIONS " + path, servePreflight})
		}
	}
	return routes
}

// allowAll answers the preflight of what scripts of every site may use.
func allowAll(w http.ResponseWriter, methods, headers string) error {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", headers)
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func servePreflight(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// share lets the browser show an answer to the script that asked for it, if the client
// is registered with its origin.
func (p *Provider) share(serve func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin == "" {
			return serve(w, r)
		}
		if err := readForm(r); err != nil {
			return err
		}
		c, err := p.named(r)
		if err != nil {
			return err
		}
		if c != nil && slices.Contains(c.CORS, origin) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", "WWW-Authenticate, DPoP-Nonce")
		}
		return serve(w, r)
	}
}

// named returns the client that a request names, or whose token it has; nil if there
// is none. It need not be true: what the client may do is decided later.
func (p *Provider) named(r *http.Request) (*Client, error) {
	id := r.Form.Get("client_id")
	if user, _, ok := r.BasicAuth(); ok {
		id = user
	}
	if _, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && id == "" {
		t, err := p.store.Token(r.Context(), Access, hashOf(token))
		if err != nil && !isKind(err, errs.NotFound) {
			return nil, err
		}
		id = t.Client
	}
	if id == "" {
		return nil, nil
	}
	c, err := p.client(r.Context(), id)
	if isKind(err, errs.NotFound) {
		return nil, nil
	}
	return c, err
}
