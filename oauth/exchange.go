package oauth

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Types of tokens (RFC 8693, section 3).
const (
	typePrefix  = "urn:ietf:params:oauth:token-type:"
	typeAccess  = typePrefix + "access_token"
	typeRefresh = typePrefix + "refresh_token"
	typeID      = typePrefix + "id_token"
	typeJWT     = typePrefix + "jwt"
)

// maxActors bounds the chain of those who act for each other.
const maxActors = 10

// A tokenExchange gives a client a token for one that it was given (RFC 8693). The new
// one is never good for more than the old one, nor for longer, and ends with it.
type tokenExchange struct{ grantHandler }

// HandleTokenEndpointRequest implements fosite.TokenEndpointHandler.
func (g *tokenExchange) HandleTokenEndpointRequest(ctx context.Context, r fosite.AccessRequester) error {
	x, err := g.begin(r)
	if err != nil {
		return err
	}
	if x.client.IsPublic() {
		return fosite.ErrUnauthorizedClient.WithHint("A client without authentication may not exchange tokens.")
	}
	form := r.GetRequestForm()
	if x.want, err = wanted(form); err != nil {
		return err
	}
	subject, err := g.party(ctx, form, "subject_token")
	if err != nil {
		return err
	}
	if subject == nil {
		return fosite.ErrInvalidRequest.WithHint("The parameter \"subject_token\" is missing.")
	}
	actor, err := g.party(ctx, form, "actor_token")
	if err != nil {
		return err
	}
	act, err := g.mayExchange(x, subject, actor)
	if err != nil {
		return err
	}
	scopes, err := g.exchangeScopes(x.client, subject, r.GetRequestedScopes())
	if err != nil {
		return err
	}
	targets, err := exchangeTargets(x.client, subject, form)
	if err != nil {
		return err
	}
	x.Session = g.exchanged(x, subject, act, scopes, targets)
	x.until = subject.expires
	return g.checkWanted(x)
}

// wanted returns the type of token that is asked for.
func wanted(form url.Values) (string, error) {
	switch t := form.Get("requested_token_type"); t {
	case "":
		return typeAccess, nil
	case typeAccess, typeRefresh, typeJWT:
		return t, nil
	default:
		return "", fosite.ErrInvalidRequest.WithHintf("The parameter \"requested_token_type\" must be %q, %q or %q.", typeAccess, typeRefresh, typeJWT)
	}
}

// checkWanted reports why there can be no refresh token, if that is what is wanted.
func (p *Provider) checkWanted(x *exchange) error {
	switch {
	case x.want != typeRefresh:
		return nil
	case !x.client.may(grantRefresh):
		return fosite.ErrUnauthorizedClient.WithHint("The client may not use the grant type \"refresh_token\".")
	case x.Grant == "" || !slices.Contains(x.Scopes, scopeOffline) && !slices.Contains(x.Scopes, oldOffline):
		return fosite.ErrInvalidRequest.WithHintf("A refresh token needs the scope %q, which a person has granted.", scopeOffline)
	}
	return nil
}

// A party is the one whom a token in an exchange is about.
type party struct {
	*Session
	issuer  string         // of the token
	clients []string       // that the token is for
	expires time.Time      // when the token does
	mayAct  map[string]any // who may act for the subject; nil: it does not say

	// vouched: a trusted issuer says so. The scopes are those that it is trusted with.
	vouched bool
}

// party reads a token of an exchange; nil if there is none.
func (p *Provider) party(ctx context.Context, form url.Values, name string) (*party, error) {
	token, kind := form.Get(name), form.Get(name+"_type")
	if token == "" && kind == "" {
		return nil, nil
	}
	var who *party
	var err error
	switch kind {
	case typeAccess:
		who, err = p.accessParty(ctx, token)
	case typeID:
		who, err = p.idParty(ctx, token)
	case typeJWT:
		if p.looksOwn(token) {
			who, err = p.accessParty(ctx, token)
		} else {
			who, err = p.vouchedParty(ctx, token)
		}
	default:
		return nil, fosite.ErrInvalidRequest.WithHintf("The parameter \"%s_type\" must be %q, %q or %q.", name, typeAccess, typeID, typeJWT)
	}
	if isKind(err, errs.Invalid) {
		return nil, fosite.ErrInvalidRequest.WithHintf("The parameter %q is refused: %s.", name, said(err))
	}
	return who, err
}

// looksOwn reports whether a JWT says that it is ours.
func (p *Provider) looksOwn(token string) bool {
	signed, err := jwt.ParseSigned(token, asymmetricAlgs)
	var claims jwt.Claims
	return err == nil && signed.UnsafeClaimsWithoutVerification(&claims) == nil && claims.Issuer == p.issuer()
}

// accessParty reads an access token of ours.
func (p *Provider) accessParty(ctx context.Context, token string) (*party, error) {
	t, s, err := p.lookup(ctx, token)
	if err != nil {
		return nil, err
	}
	if s == nil || t.Kind != Access {
		return nil, errs.New(errs.Invalid, "it is no access token that is active")
	}
	return &party{Session: s, issuer: p.issuer(), clients: s.Audience, mayAct: mayActOf(s.AccessClaims), expires: t.Expires}, nil
}

// idParty reads an ID token of ours. What it is good for is what the person has granted
// to its audience in the same login.
func (p *Provider) idParty(ctx context.Context, token string) (*party, error) {
	claims, typ, err := p.verifyOwn(ctx, token)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "claims cannot be encoded")
	}
	var id struct {
		jwt.Claims
		Login string `json:"sid"`
	}
	if json.Unmarshal(text, &id) != nil || !strings.EqualFold(typ, "JWT") || id.Issuer != p.issuer() || len(id.Audience) != 1 || id.Login == "" || id.IssuedAt == nil {
		return nil, errs.New(errs.Invalid, "it is no ID token of this server")
	}
	if id.Expiry == nil || !p.o.Now().Before(id.Expiry.Time()) {
		return nil, errs.New(errs.Invalid, "it has expired")
	}
	s, err := p.grantedTo(ctx, id.Audience[0], id.Login, id.Subject, id.IssuedAt.Time())
	if err != nil {
		return nil, err
	}
	return &party{Session: s, issuer: p.issuer(), clients: id.Audience, expires: id.Expiry.Time(), mayAct: mayActOf(claims)}, nil
}

// grantedTo returns what a subject had granted to a client in a login at a time.
//
// Invalid: nothing that is still granted.
func (p *Provider) grantedTo(ctx context.Context, client, login, subject string, at time.Time) (*Session, error) {
	gone := errs.New(errs.Invalid, "what the person had granted is revoked")
	c, err := p.client(ctx, client)
	if isKind(err, errs.NotFound) {
		return nil, gone
	}
	if err != nil {
		return nil, err
	}
	grants, err := p.store.Grants(ctx, GrantQuery{Client: client, Login: login})
	if err != nil {
		return nil, err
	}
	for _, g := range grants { // the newest first
		if !g.Revoked.IsZero() || g.Created.Truncate(time.Second).After(at) {
			continue
		}
		f := &flow{}
		if err := p.unseal(sealGrant, g.ID, g.Data, f); err != nil {
			if isKind(err, errs.NotFound) {
				continue
			}
			return nil, err
		}
		if s := p.consented(c, f, grantExchange); s.Subject == subject {
			return s, nil
		}
	}
	return nil, gone
}

// vouchedParty reads the JWT of a trusted issuer.
func (p *Provider) vouchedParty(ctx context.Context, token string) (*party, error) {
	v, err := p.vouched(ctx, token)
	if err != nil {
		return nil, err
	}
	s := &Session{Account: v.claims.Subject, Subject: v.claims.Subject, Scopes: v.issuer.Scopes}
	s.Actor, _ = v.all["act"].(map[string]any)
	return &party{Session: s, issuer: v.claims.Issuer, expires: v.claims.Expiry.Time(), mayAct: mayActOf(v.all), vouched: true}, nil
}

// mayActOf returns the claim may_act (RFC 8693, section 4.4). One that cannot be read
// names nobody.
func mayActOf(claims map[string]any) map[string]any {
	value, ok := claims["may_act"]
	if !ok {
		return nil
	}
	if names, ok := value.(map[string]any); ok && names != nil {
		return names
	}
	return map[string]any{}
}

// allows reports whether may_act names somebody with these claims.
func allows(mayAct, who map[string]any) bool {
	if mayAct["sub"] == nil && mayAct["client_id"] == nil {
		return false
	}
	for name, value := range mayAct {
		text, ok := value.(string)
		if !ok || who[name] != text {
			return false
		}
	}
	return true
}

// mayExchange decides whether the client may have a token for another, and returns who
// acts for the subject in it. A client may narrow its own tokens, and exchange those
// that are for it, in which it is named as the actor. Without a name it can act for
// somebody only if may_act names it, or an operator says so in its metadata.
func (p *Provider) mayExchange(x *exchange, subject, actor *party) (map[string]any, error) {
	c := x.client
	own := subject.Client == c.ID
	who := map[string]any{"sub": c.ID, "client_id": c.ID, "iss": p.issuer()}
	if actor != nil {
		who = map[string]any{"sub": actor.about(), "client_id": actor.Client, "iss": actor.issuer}
	}
	named := subject.mayAct != nil && allows(subject.mayAct, who)
	if subject.mayAct != nil && !named && (actor != nil || !own) {
		return nil, fosite.ErrInvalidRequest.WithHint("The subject token names somebody else who may act for its subject.")
	}
	trusted := c.mayImpersonate()
	if !own && !named && !trusted && !subject.vouched && !slices.Contains(subject.clients, c.ID) {
		return nil, fosite.ErrInvalidRequest.WithHint("The subject token was neither issued to this client nor for it, and does not name it in may_act.")
	}
	switch {
	case actor == nil && (own || named || trusted):
		return subject.Actor, nil
	case actor != nil && !named && actor.Client != c.ID && !slices.Contains(actor.clients, c.ID):
		return nil, fosite.ErrInvalidRequest.WithHint("The actor token was neither issued to this client nor for it.")
	}
	act := map[string]any{"sub": c.ID}
	if actor != nil {
		act["sub"] = actor.subjectOr(actor.Client)
		if actor.vouched {
			act["iss"] = actor.issuer
		}
	}
	if len(subject.Actor) > 0 {
		act["act"] = subject.Actor
	}
	depth := 0
	for link := act; link != nil; link, _ = link["act"].(map[string]any) {
		if depth++; depth > maxActors {
			return nil, fosite.ErrInvalidRequest.WithHintf("More than %d would act for each other.", maxActors)
		}
	}
	return act, nil
}

// mayImpersonate reports whether the client's metadata has
// {"token_exchange":{"impersonation":true}}.
func (c *Client) mayImpersonate() bool {
	var m struct {
		Exchange struct {
			Impersonation bool `json:"impersonation"`
		} `json:"token_exchange"`
	}
	return len(c.Metadata) > 0 && json.Unmarshal(c.Metadata, &m) == nil && m.Exchange.Impersonation
}

// exchangeScopes returns those of the new token: what is asked for, and else all that
// the client may have of those of the subject token.
func (p *Provider) exchangeScopes(c *Client, subject *party, asked []string) ([]string, error) {
	if len(asked) == 0 && !subject.vouched {
		return slices.DeleteFunc(slices.Clone(subject.Scopes), func(s string) bool { return !p.scopeMatches(c.GetScopes(), s) }), nil
	}
	for _, scope := range asked {
		if !p.scopeMatches(subject.Scopes, scope) {
			return nil, fosite.ErrInvalidScope.WithHintf("The subject token does not have the scope %q.", scope)
		}
	}
	return p.allowedScopes(c, asked)
}

// exchangeTargets returns the audience of the new token: what is asked for as audience
// or resource, and else that of the subject token.
func exchangeTargets(c *Client, subject *party, form url.Values) ([]string, error) {
	asked, err := targets(form)
	if err != nil {
		return nil, err
	}
	if len(asked) == 0 {
		return subject.Audience, nil
	}
	for _, t := range asked {
		covers := func(s string) bool { return audienceCovers(s, t) }
		if len(subject.Audience) > 0 && !slices.ContainsFunc(subject.Audience, covers) {
			return nil, errNoTarget.WithHintf("The subject token is not for %.100q.", t)
		}
		if !slices.ContainsFunc(c.Audience, covers) {
			return nil, errNoTarget.WithHintf("The client may not ask for %.100q.", t)
		}
	}
	return asked, nil
}

// exchanged is what the new token says: that of the subject token, as its new client
// may know it.
func (p *Provider) exchanged(x *exchange, subject *party, act map[string]any, scopes, targets []string) Session {
	s := *subject.Session
	if s.Client != x.client.ID {
		s.Confirm = nil                 // that of the other client, which this one cannot show
		s.IDClaims, s.Claims = nil, nil // the person told them to the other client
		s.Subject = subject.subjectOr(subject.Client)
		if s.Account != "" {
			s.Subject = p.subject(x.client, s.Account, "")
		}
	}
	s.AccessClaims = maps.Clone(s.AccessClaims)
	s.Client, s.Type, s.Scopes, s.Audience, s.Actor = x.client.ID, grantExchange, scopes, targets, act
	s.Nonce, s.RedirectURI, s.Challenge = "", "", ""
	return s
}
