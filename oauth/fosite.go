package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// newFosite returns what reads requests. Of its handlers it has ours only, of its
// strategies those for scopes and audiences.
func (p *Provider) newFosite() *fosite.Fosite {
	return fosite.NewOAuth2Provider(clientManager{p}, &fosite.Config{
		ScopeStrategy:                p.scopeMatches,
		AudienceMatchingStrategy:     anyAudience,
		ClientAuthenticationStrategy: p.authenticate,
		AccessTokenIssuer:            p.issuer(),
		SendDebugMessagesToClients:   p.o.Dev,
		ResponseModeHandlerExtension: ourModes{},
		TokenEndpointHandlers: fosite.TokenEndpointHandlers{
			&codeGrant{grantHandler{p, grantCode}},
			&refreshGrant{grantHandler{p, grantRefresh}},
			&credentialsGrant{grantHandler{p, grantCredentials}},
			&deviceGrant{grantHandler{p, grantDevice}},
			&bearerGrant{grantHandler{p, grantBearer}},
			&tokenExchange{grantHandler{p, grantExchange}},
		},
	})
}

// anyAudience leaves the question to allowedTargets, which tells audiences from resources.
func anyAudience([]string, []string) error { return nil }

// scopeMatches reports whether a scope is among those that are allowed. A wildcard does
// not allow what is no scope at all (RFC 6749, section 3.3).
func (p *Provider) scopeMatches(allowed []string, scope string) bool {
	if !scopeForm.MatchString(scope) {
		return false
	}
	if p.o.Strategies.Scope == "exact" {
		return fosite.ExactScopeStrategy(allowed, scope)
	}
	return fosite.WildcardScopeStrategy(allowed, scope)
}

// A clientManager is fosite.Storage: the way in which fosite finds clients. That
// client assertions are used once is seen to in assertion.go.
type clientManager struct{ p *Provider }

// GetClient implements fosite.ClientManager.
func (m clientManager) GetClient(ctx context.Context, id string) (fosite.Client, error) {
	c, err := m.p.client(ctx, id)
	if isKind(err, errs.NotFound) {
		return nil, fosite.ErrNotFound
	}
	if err != nil {
		return nil, err
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

// authorizeRequest reads and checks a request whose parameters are form.
func (p *Provider) authorizeRequest(ctx context.Context, form url.Values) (*fosite.AuthorizeRequest, error) {
	r := (&http.Request{Method: http.MethodGet, URL: &url.URL{}, Form: form, PostForm: url.Values{}}).WithContext(ctx)
	requested, err := p.fosite.NewAuthorizeRequest(ctx, r)
	if errors.Is(err, fosite.ErrInvalidState) {
		err = nil // its last check, that of the length of state, which is the client's business
	}
	return requested.(*fosite.AuthorizeRequest), err
}
