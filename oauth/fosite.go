package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// fositeConfig is how requests are read. Of its handlers it has ours only, of its
// strategies those for scopes and audiences.
func (p *Provider) fositeConfig() *fosite.Config {
	return &fosite.Config{
		ScopeStrategy:                p.scopeMatches,
		AudienceMatchingStrategy:     anyAudience,
		AccessTokenIssuer:            p.issuer(),
		ResponseModeHandlerExtension: ourModes{},
		TokenEndpointHandlers: fosite.TokenEndpointHandlers{
			&codeGrant{grantHandler{p, grantCode}},
			&refreshGrant{grantHandler{p, grantRefresh}},
			&credentialsGrant{grantHandler{p, grantCredentials}},
			&deviceGrant{grantHandler{p, grantDevice}},
			&bearerGrant{grantHandler{p, grantBearer}},
			&tokenExchange{grantHandler{p, grantExchange}},
		},
	}
}

// A tokenConfig is the configuration of one request at the token endpoint: its client is
// authenticated by a look at what it wants to exchange, too.
type tokenConfig struct {
	*fosite.Config
	authenticate fosite.ClientAuthenticationStrategy
}

// GetClientAuthenticationStrategy implements fosite.Configurator.
func (c tokenConfig) GetClientAuthenticationStrategy(context.Context) fosite.ClientAuthenticationStrategy {
	return c.authenticate
}

// accessRequest reads a request at the token endpoint, and lets the handler of its grant
// fill in x.
func (p *Provider) accessRequest(ctx context.Context, r *http.Request, x *exchange) error {
	f := fosite.Fosite{Store: clientManager{p: p}, Config: tokenConfig{p.fosite, func(ctx context.Context, r *http.Request, form url.Values) (fosite.Client, error) {
		if x.trusting {
			if c, mark := p.trust(r, form); c != nil {
				x.trusted = mark
				return c, nil
			}
		}
		c, seen, err := p.authenticate(ctx, r, form, presented(form))
		if err != nil {
			return nil, err
		}
		x.presented = seen.Token
		return c, nil
	}}}
	_, err := f.NewAccessRequest(ctx, r, x)
	return err
}

// presented is the token that a request wants to exchange.
func presented(form url.Values) Look {
	switch form.Get("grant_type") {
	case grantCode:
		return Look{Kind: Code, Hash: hashOf(form.Get("code"))}
	case grantRefresh:
		return Look{Kind: Refresh, Hash: hashOf(form.Get("refresh_token"))}
	default:
		return Look{}
	}
}

// anyAudience leaves the question to allowedTargets, which tells audiences from resources.
func anyAudience([]string, []string) error { return nil }

// scopeMatches reports whether a scope is among those that are allowed. A wildcard does
// not allow what is no scope at all (RFC 6749, section 3.3).
func (p *Provider) scopeMatches(allowed []string, scope string) bool {
	if !isScope(scope) {
		return false
	}
	if slices.Contains(allowed, scope) {
		return true
	}
	return p.o.Strategies.Scope != "exact" && fosite.WildcardScopeStrategy(allowed, scope)
}

// A clientManager is fosite.Storage: the way in which fosite finds clients. That
// client assertions are used once is seen to in assertion.go.
type clientManager struct {
	p     *Provider
	found *Client // was read before; nil: none
}

// GetClient implements fosite.ClientManager.
func (m clientManager) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	if m.found != nil && m.found.ID == id {
		return m.found, nil
	}
	c, _, err := m.p.look(ctx, Look{Client: id})
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, fosite.ErrNotFound
	}
	return c, nil
}

// ClientAssertionJWTValid implements fosite.ClientManager.
func (clientManager) ClientAssertionJWTValid(context.Context, string) error {
	return errs.New(errs.Internal, "fosite does not check assertions here")
}

// SetClientAssertionJWT implements fosite.ClientManager.
func (clientManager) SetClientAssertionJWT(context.Context, string, time.Time) error {
	return errs.New(errs.Internal, "fosite does not check assertions here")
}

// A grantHandler is a fosite.TokenEndpointHandler for one grant type, whose tokens are
// made by issue.
type grantHandler struct {
	*Provider
	grant string
}

// CanHandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (h grantHandler) CanHandleTokenEndpointRequest(_ context.Context, r fosite.AccessRequester) bool {
	return r.GetGrantTypes().ExactOne(h.grant)
}

// CanSkipClientAuth implements fosite.TokenEndpointHandler.
func (grantHandler) CanSkipClientAuth(context.Context, fosite.AccessRequester) bool { return false }

// PopulateTokenEndpointResponse implements fosite.TokenEndpointHandler.
func (grantHandler) PopulateTokenEndpointResponse(context.Context, fosite.AccessRequester, fosite.AccessResponder) error {
	return nil
}

// begin returns what every grant fills in, for a client that may use it.
func (h grantHandler) begin(r fosite.AccessRequester) (*exchange, error) {
	x := r.GetSession().(*exchange)
	x.client = r.GetClient().(*Client)
	x.grant = h.grant
	if !x.client.may(h.grant) {
		return nil, fosite.ErrUnauthorizedClient.WithHintf("The client may not use the grant type %q.", h.grant)
	}
	return x, nil
}

// authorizeRequest reads and checks a request whose parameters are form. The client is
// read unless it is the one that was found.
func (p *Provider) authorizeRequest(ctx context.Context, form url.Values, found *Client) (*fosite.AuthorizeRequest, error) {
	r := (&http.Request{Method: http.MethodGet, URL: &url.URL{}, Form: form, PostForm: url.Values{}}).WithContext(ctx)
	f := fosite.Fosite{Store: clientManager{p, found}, Config: p.fosite}
	requested, err := f.NewAuthorizeRequest(ctx, r)
	if errors.Is(err, fosite.ErrInvalidState) {
		err = nil // its last check, that of the length of state, which is the client's business
	}
	if errors.Is(err, fosite.ErrUnsupportedResponseType) && strings.TrimSpace(form.Get("response_type")) == "" {
		err = fosite.ErrInvalidRequest.WithHint("The parameter \"response_type\" is missing.")
	}
	return requested.(*fosite.AuthorizeRequest), err
}
