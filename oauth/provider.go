package oauth

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/egress"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A Provider is the authorization server of one network. Its methods may be called
// from many goroutines at once.
type Provider struct {
	o      Options
	store  Store
	fosite *fosite.Config
	keys   *keyring
	own    endpoints
	wake   chan struct{} // there are messages to send

	claimScopes map[string][]string

	proven     *provenSecrets
	clientKeys *fetchedKeys
	clients    *knownClients
	private    *http.Client // goes to private addresses, too
}

// New returns a provider that keeps its state in s.
//
// Invalid: the options make no sense.
func New(s Store, o Options) (*Provider, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Provider{o: o, store: s, own: endpointsOf(o), wake: make(chan struct{}, 1), claimScopes: scopesByClaim(o.ScopeClaims), proven: newProvenSecrets(), clientKeys: newFetchedKeys(), clients: newKnownClients(), private: egress.Client(true, fetchRedirects)}
	p.keys = &keyring{p: p}
	p.fosite = p.fositeConfig()
	return p, nil
}

// issuer is the name of the provider in tokens.
func (p *Provider) issuer() string { return strings.TrimSuffix(p.o.Issuer.String(), "/") }

// path is that of the issuer, "" for none. It is not part of routes: who gives the
// issuer a path has a proxy that takes it away.
func (p *Provider) path() string {
	if path := strings.Trim(p.o.Issuer.EscapedPath(), "/"); path != "" {
		return "/" + path
	}
	return ""
}

// A Route is a handler for a pattern of http.ServeMux. An error that Serve returns
// before it has written anything goes to Fail.
type Route struct {
	Pattern string
	Serve   func(http.ResponseWriter, *http.Request) error
}

// Public returns what browsers and clients use.
func (p *Provider) Public() []Route {
	return p.plain(p.sharing(slices.Concat([]Route{
		{"GET /oauth2/auth", p.serveAuthorize},
		{"POST /oauth2/auth", p.serveAuthorize},
		{"POST /oauth2/token", p.serveToken},
		{"POST /oauth2/par", p.servePushed},
		{"GET /userinfo", p.serveUserinfo},
		{"POST /userinfo", p.serveUserinfo},
	}, p.tokenRoutes(), p.logoutRoutes(), p.discoveryRoutes(), p.registerRoutes())))
}

// Admin returns what operators, and apps that ask people, use. Paths are Hydra's.
func (p *Provider) Admin() []Route {
	const requests = "/admin/oauth2/auth/requests"
	return slices.Concat([]Route{
		{"GET " + requests + "/login", p.serveLoginRequest},
		{"PUT " + requests + "/login/accept", p.serveAcceptLogin},
		{"PUT " + requests + "/login/reject", p.serveRejectLogin},
		{"GET " + requests + "/consent", p.serveConsentRequest},
		{"PUT " + requests + "/consent/accept", p.serveAcceptConsent},
		{"PUT " + requests + "/consent/reject", p.serveRejectConsent},
	}, p.logoutAdminRoutes(), p.tokenAdminRoutes(), p.clientRoutes(), p.keyRoutes())
}

// endpoints are the URLs of the public API.
type endpoints struct {
	authorize, token, pushed, jwks, userinfo, logout, register string
	device                                                     string // where people enter the code of a device
}

func endpointsOf(o Options) endpoints {
	base := strings.TrimSuffix(o.Issuer.String(), "/")
	return endpoints{
		authorize: base + "/oauth2/auth",
		token:     base + "/oauth2/token",
		device:    base + "/oauth2/device/verify",
		pushed:    base + "/oauth2/par",
		jwks:      base + "/.well-known/jwks.json",
		userinfo:  base + "/userinfo",
		logout:    base + "/oauth2/sessions/logout",
		register:  base + "/oauth2/register",
	}
}

// client returns a client. NotFound: there is none.
func (p *Provider) client(ctx context.Context, id string) (*Client, error) {
	row, err := p.store.Client(ctx, id)
	if err != nil {
		return nil, err
	}
	c, err := clientOf(row)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "what is stored of the client %q cannot be read", id)
	}
	return c, nil
}

// isKind reports whether an error is of a kind, whatever was wrapped around it.
func isKind(err error, kind errs.Kind) bool {
	var e *errs.Error
	return errors.As(err, &e) && e.Kind == kind
}
