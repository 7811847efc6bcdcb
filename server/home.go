package server

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// toHome sends browsers that come to an address of this machine to its name, if that is
// where the server is: cookies and passkeys belong to one host. Programs may use both.
func (c *core) toHome(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.pages != nil && isVisit(r) && isOtherHome(r.Host, c.pages.base) {
			w.Header().Set("Cache-Control", "no-store")
			http.Redirect(w, r, originOf(c.pages.base)+r.URL.RequestURI(), http.StatusTemporaryRedirect)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// isVisit reports whether a browser wants to show what it gets.
func isVisit(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") && strings.HasPrefix(r.URL.Path, "/")
}

// isOtherHome reports whether host is an address of this machine at the port of base,
// which names the machine.
func isOtherHome(host, base string) bool {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() != "localhost" {
		return false
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), ""
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsLoopback() && port == u.Port()
}

// originOf is a URL without its path.
func originOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	return u.Scheme + "://" + u.Host
}

// loopbackURLs are the other names of a server on this machine.
func loopbackURLs(base *url.URL) []string {
	if base.Hostname() != "localhost" {
		return nil
	}
	var all []string
	for _, host := range []string{"127.0.0.1", "::1"} {
		if u := *base; u.Port() != "" {
			u.Host = net.JoinHostPort(host, u.Port())
			all = append(all, u.String())
		}
	}
	return all
}

// named refuses requests that name another machine than this one, on a listener that only
// this machine can connect to and that asks nobody for a key: a page whose name leads here
// from one moment to the next can read in a browser what its own name answers. No browser
// speaks HTTP/2 without TLS or leaves out the name, and trusted proxies know whom they let
// through.
func (c *core) named(address string) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		if len(c.guard.keys) > 0 || !isLoopback(address) {
			return h
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor < 2 && r.Host != "" && !namesThisMachine(r.Host) && !c.origin.proxied(r) {
				failKeto(w, r, errs.New(errs.Denied, "this listener is at an address of this machine, such as 127.0.0.1, and not at %.80q: a proxy belongs into serve.trusted_proxies", r.Host))
				return
			}
			h.ServeHTTP(w, r)
		})
	}
}

// fromHere is named, and refuses what a page of another site makes a browser send. A browser
// that sends a form need not be allowed to.
func (c *core) fromHere(address string) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		if len(c.guard.keys) > 0 {
			return h
		}
		var cross http.CrossOriginProtection
		return c.named(address)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if cross.Check(r) != nil {
				failKeto(w, r, errs.New(errs.Denied, "this request is of a page of another site"))
				return
			}
			h.ServeHTTP(w, r)
		}))
	}
}
