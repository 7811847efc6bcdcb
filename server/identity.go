package server

import (
	"context"
	"net"
	"net/http"
	"strings"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// openIdentity makes the identity service of each network, once it is known where the
// public listener is.
func (s *Server) openIdentity(ctx context.Context, c Config, public net.Addr) error {
	if !c.hasIdentity() {
		return nil
	}
	o, err := c.identityOptions(public)
	if err != nil {
		return err
	}
	for _, n := range s.core.networks {
		people, err := s.db.People(ctx, n.name)
		if err != nil {
			return err
		}
		o.Network = n.name
		if n.people, err = identity.New(people, s.core.secrets, o); err != nil {
			return err
		}
	}
	return nil
}

// identityRoutes are Kratos's public API, of the network that requests are about which
// name none: a browser has no header to name one with.
func (c *core) identityRoutes(rs *routes) {
	for _, route := range identity.PublicRoutes() {
		rs.open(route.Pattern, c.failIdentity, func(w http.ResponseWriter, r *http.Request) error {
			people, err := c.peopleOf(c.guard.usual)
			if err != nil {
				return err
			}
			return route.Handle(people, w, r)
		})
	}
}

// peopleOf returns the identities of a network.
//
// Unsupported: they are off.
func (c *core) peopleOf(n *network) (*identity.Service, error) {
	if n.people == nil {
		return nil, errs.New(errs.Unsupported, "this server keeps no identities: set identity.enabled")
	}
	return n.people, nil
}

func (c *core) failIdentity(w http.ResponseWriter, r *http.Request, err error) {
	if c.guard.usual.people == nil {
		failKeto(w, r, err)
		return
	}
	c.guard.usual.people.Fail(w, r, err, codeOf(err).http, text(err))
}

// publicURL is where browsers reach the public listener.
func (c Config) publicURL(public net.Addr) string {
	if c.Serve.PublicURL != "" {
		return strings.TrimSuffix(c.Serve.PublicURL, "/")
	}
	return "http://" + public.String()
}
