package server

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/url"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

// openIdentity makes the identity service of each network. base is where browsers reach
// the public listener.
func (s *Server) openIdentity(ctx context.Context, base *url.URL) error {
	var err error
	if s.core.pages, err = openPages(s.config.Pages, base); err != nil {
		return err
	}
	if s.core.console, err = s.core.pages.under(consoleBase, "console"); err != nil {
		return err
	}
	for _, n := range s.core.networks {
		n.pages = s.core.pages
	}
	if !s.config.hasIdentity() {
		return nil
	}
	o, err := s.config.identityOptions(base)
	if err != nil {
		return err
	}
	if o.Courier, err = s.config.courierOptions(s.log); err != nil {
		return err
	}
	o.Log, s.core.mailbox = s.log, folderOf(o.Courier.Carrier)
	if o.Script, err = fs.ReadFile(s.core.pages.web.Static(), "webauthn.js"); err != nil {
		return errs.Wrap(errs.Internal, err, "the script for WebAuthn is missing")
	}
	o.Pages, o.Client, o.LoginPage = s.core.pages, s.core.origin.of, o.BaseURL+loginPage
	o.Administrator = callerOf
	s.core.flows = newFlowGate(s.config.Identity.Limits, s.core.origin.of, s.log)
	o.Guessed = s.core.flows.guessed
	for _, n := range s.core.networks {
		people, err := s.db.People(ctx, n.name)
		if err != nil {
			return err
		}
		n.joint = &joint{people, n.engine, s.config.Identity.Namespace, o.Groups}
		o.CanJoin = n.joint.modelled
		o.Network = n.name
		o.LoggedOut = func(w http.ResponseWriter, r *http.Request, identity string) error {
			if n.oauth == nil {
				return nil
			}
			return n.oauth.EndLogin(w, r, identity)
		}
		o.SessionsEnded = func(ctx context.Context, identity string, sessions []string) error {
			switch {
			case n.oauth == nil:
				return nil
			case len(sessions) == 0:
				_, err := n.joint.Identity(ctx, identity, false)
				gone := errs.KindOf(err) == errs.NotFound
				if err != nil && !gone {
					return err
				}
				return n.oauth.EndSubject(ctx, identity, gone)
			default:
				return n.oauth.EndSessions(ctx, identity, sessions)
			}
		}
		o.LoginRequest = n.loginRequest
		if n.people, err = identity.New(n.joint, s.core.secrets, o); err != nil {
			return err
		}
	}
	return nil
}

// A loginRequest is what a page for logins may show of an OAuth2 request to whoever opens it:
// what Kratos's has, without what a client keeps for itself.
type loginRequest struct {
	Challenge  string            `json:"challenge"`
	Client     loginClient       `json:"client"`
	OIDC       oauth.OIDCContext `json:"oidc_context"`
	RequestURL string            `json:"request_url"`
	Audience   []string          `json:"requested_access_token_audience"`
	Scopes     []string          `json:"requested_scope"`
	Skip       bool              `json:"skip"`
}

type loginClient struct {
	ID     string `json:"client_id"`
	Name   string `json:"client_name,omitempty"`
	URI    string `json:"client_uri,omitempty"`
	Logo   string `json:"logo_uri,omitempty"`
	Policy string `json:"policy_uri,omitempty"`
	Terms  string `json:"tos_uri,omitempty"`
}

// loginRequest is identity.Options.LoginRequest.
func (n *network) loginRequest(ctx context.Context, challenge string) (any, error) {
	if n.oauth == nil {
		return nil, errs.New(errs.Unsupported, "login_challenge: this server has no OAuth2")
	}
	asked, err := n.oauth.LoginRequest(ctx, challenge)
	if err != nil {
		return nil, err
	}
	c := asked.Client
	return loginRequest{
		Challenge: challenge, OIDC: asked.OIDC, RequestURL: asked.RequestURL, Audience: asked.Audience, Scopes: asked.Scopes, Skip: asked.Skip,
		Client: loginClient{ID: c.ID, Name: c.Name, URI: c.URI, Logo: c.LogoURI, Policy: c.PolicyURI, Terms: c.TermsURI},
	}, nil
}

// identityRoutes are Kratos's public API, of the network that requests are about which
// name none: a browser has no header to name one with.
func (c *core) identityRoutes(rs *routes) {
	if c.pages == nil { // nothing is public
		return
	}
	for _, route := range identity.PublicRoutes() {
		serve := func(w http.ResponseWriter, r *http.Request) error {
			people, err := c.peopleOf(c.guard.usual)
			if err != nil {
				return err
			}
			return route.Handle(people, w, r)
		}
		if c.flows != nil {
			serve = c.flows.limited(route.Pattern, serve)
		}
		rs.open(route.Pattern, c.failIdentity, serve)
	}
}

// identityAdminRoutes are Kratos's admin API.
func (c *core) identityAdminRoutes(rs *routes) {
	for _, route := range append(identity.AdminRoutes(), identity.SchemaRoutes()...) {
		rs.handle(route.Pattern, c.failIdentityAdmin, func(w http.ResponseWriter, r *http.Request) error {
			people, err := c.peopleOf(networkOf(r.Context()))
			if err != nil {
				return err
			}
			return route.Handle(people, w, r)
		})
	}
}

// failIdentityAdmin keeps the ids that Kratos's clients know errors by.
func (c *core) failIdentityAdmin(w http.ResponseWriter, r *http.Request, err error) {
	var known *identity.Problem
	if errors.As(err, &known) {
		c.failIdentity(w, r, err)
		return
	}
	failKeto(w, r, err)
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
