package oauth

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// openIDClaims are the claims that a scope stands for (OpenID Connect Core, section
// 5.4).
var openIDClaims = map[string][]string{
	"profile": {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website",
		"gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	"email":   {"email", "email_verified"},
	"phone":   {"phone_number", "phone_number_verified"},
	"address": {"address"},
}

// scopesByClaim turns scopes with their claims round.
func scopesByClaim(claims map[string][]string) map[string][]string {
	out := map[string][]string{}
	for scope, names := range claims {
		for _, name := range names {
			out[name] = append(out[name], scope)
		}
	}
	return out
}

// scopesOf returns the scopes that a claim, in whatever language, belongs to; none if
// the consent alone decides on it.
func (p *Provider) scopesOf(claim string) []string {
	name, _, _ := strings.Cut(claim, "#")
	return p.claimScopes[name]
}

// covers reports whether scopes let a claim out.
func (p *Provider) covers(scopes []string, claim string) bool {
	of := p.scopesOf(claim)
	return len(of) == 0 || slices.ContainsFunc(of, func(s string) bool { return slices.Contains(scopes, s) })
}

// restrict takes away what the client may not have by the scopes that it is registered
// with: a name is no way around them.
func (p *Provider) restrict(c *Client, asked *ClaimsRequest) *ClaimsRequest {
	for _, place := range []map[string]*ClaimRequest{asked.userinfo(), asked.idToken()} {
		maps.DeleteFunc(place, func(claim string, _ *ClaimRequest) bool {
			of := p.scopesOf(claim)
			return len(of) > 0 && !slices.ContainsFunc(of, func(s string) bool { return p.scopeMatches(c.GetScopes(), s) })
		})
	}
	return asked
}

// inUserinfo reports whether userinfo has a claim that the consent gave.
func (p *Provider) inUserinfo(s *Session, claim string) bool {
	return p.covers(s.Scopes, claim) || asksFor(s.Claims.userinfo(), claim)
}

// userinfoOnly reports whether a claim was asked for, but not for ID tokens.
func (p *Provider) userinfoOnly(s *Session, claim string) bool {
	return !p.covers(s.Scopes, claim) && asksFor(s.Claims.userinfo(), claim) && !asksFor(s.Claims.idToken(), claim)
}

// MoreScopes returns the scopes of claims that the client asks for by name (the claims
// parameter) without asking for the scope. People must hear of them, too.
func (p *Provider) MoreScopes(q *ConsentRequest) []string {
	var out []string
	for _, claim := range q.OIDC.Claims.names() {
		for _, scope := range p.scopesOf(claim) {
			if !p.covers(q.Scopes, claim) && !slices.Contains(out, scope) {
				out = append(out, scope)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Lets reports whether the client of a consent may have a claim: by a scope that was
// granted, or because it asks for it by name, and not by a scope that was denied.
func (p *Provider) Lets(q *ConsentRequest, granted []string, claim string) bool {
	return p.covers(granted, claim) || slices.Contains(q.OIDC.Claims.names(), claim) && !p.covers(q.Scopes, claim)
}

// allowedBefore reports whether a grant has all the claims that a request asks for by
// name: by its scopes, or because it was asked for them, too.
func (p *Provider) allowedBefore(g Grant, asked *ClaimsRequest) (bool, error) {
	var more []string
	for _, claim := range asked.names() {
		if !p.covers(g.Scopes, claim) {
			more = append(more, claim)
		}
	}
	if len(more) == 0 {
		return true, nil
	}
	f := &flow{}
	if err := p.unseal(sealGrant, g.ID, g.Data, f); err != nil {
		if isKind(err, errs.NotFound) {
			return false, nil // so people are asked again
		}
		return false, err
	}
	had := f.request().claims.names()
	return !slices.ContainsFunc(more, func(claim string) bool { return !slices.Contains(had, claim) }), nil
}

// renew brings the claims of somebody up to date when tokens are refreshed. What belongs
// to no scope stays: it is not of the account, but of a hook. By name the client has what
// it had.
func (p *Provider) renew(ctx context.Context, x *exchange) error {
	if p.o.Claims == nil || !x.Follow || x.grant != grantRefresh {
		return nil
	}
	scopes := slices.Clone(x.Scopes)
	for claim := range x.IDClaims {
		scopes = append(scopes, p.scopesOf(claim)...)
	}
	now, err := p.o.Claims(ctx, x.Account, distinct(scopes))
	if isKind(err, errs.NotFound) {
		return errGrant
	}
	if err != nil {
		return err
	}
	claims := map[string]any{}
	for claim, value := range x.IDClaims {
		if len(p.scopesOf(claim)) == 0 {
			claims[claim] = value
		}
	}
	for claim, value := range now {
		if _, had := x.IDClaims[claim]; had || p.covers(x.Scopes, claim) {
			claims[claim] = value
		}
	}
	x.IDClaims = claims
	return nil
}

// names are those of all claims that are asked for.
func (c *ClaimsRequest) names() []string {
	return slices.Concat(slices.Collect(maps.Keys(c.userinfo())), slices.Collect(maps.Keys(c.idToken())))
}

func asksFor(claims map[string]*ClaimRequest, name string) bool {
	_, ok := claims[name]
	return ok
}

func (c *ClaimsRequest) userinfo() map[string]*ClaimRequest {
	if c == nil {
		return nil
	}
	return c.Userinfo
}

func (c *ClaimsRequest) idToken() map[string]*ClaimRequest {
	if c == nil {
		return nil
	}
	return c.IDToken
}

// texts are the values that are asked for, as far as they are texts.
func (c *ClaimRequest) texts() []string {
	if c == nil {
		return nil
	}
	var out []string
	for _, value := range append([]any{c.Value}, c.Values...) {
		if text, ok := value.(string); ok {
			out = append(out, text)
		}
	}
	return out
}

// maxClaims bounds how many claims may be asked for in one place, and maxClaimName the
// name of one, in bytes.
const (
	maxClaims    = 100
	maxClaimName = 200
)

// parseClaims reads the claims parameter (OpenID Connect Core, section 5.5), nil for
// none. Members that are not known count for nothing; those that are known must have
// their form.
func parseClaims(text string) (*ClaimsRequest, error) {
	if text == "" {
		return nil, nil
	}
	var places map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &places); err != nil || places == nil {
		return nil, fosite.ErrInvalidRequest.WithHint("The parameter \"claims\" must be a JSON object.")
	}
	out := &ClaimsRequest{}
	for name, into := range map[string]*map[string]*ClaimRequest{"userinfo": &out.Userinfo, "id_token": &out.IDToken} {
		raw, ok := places[name]
		if !ok {
			continue
		}
		var err error
		if *into, err = parsePlace(name, raw); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func parsePlace(place string, text []byte) (map[string]*ClaimRequest, error) {
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(text, &claims); err != nil {
		return nil, fosite.ErrInvalidRequest.WithHintf("The parameter \"claims\" has a member %q that is no JSON object.", place)
	}
	if len(claims) > maxClaims {
		return nil, fosite.ErrInvalidRequest.WithHintf("The parameter \"claims\" asks for more than %d claims in %q.", maxClaims, place)
	}
	out := map[string]*ClaimRequest{}
	for name, raw := range claims {
		c, ok := parseClaim(raw)
		if !ok || name == "" || len(name) > maxClaimName {
			return nil, fosite.ErrInvalidRequest.WithHintf("The parameter \"claims\" asks for %.100q in %q: expected null, or an object whose members are \"essential\" (a boolean), \"value\", or \"values\" (an array).", name, place)
		}
		out[name] = c
	}
	return out, nil
}

// parseClaim reads null or an object. encoding/json would take members whose names
// differ in case, too, so they are picked by hand.
func parseClaim(text []byte) (*ClaimRequest, bool) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, false
	}
	if members == nil {
		return nil, true
	}
	c := &ClaimRequest{}
	for name, into := range map[string]any{"essential": &c.Essential, "value": &c.Value, "values": &c.Values} {
		raw, ok := members[name]
		if !ok {
			continue
		}
		if string(raw) == "null" || json.Unmarshal(raw, into) != nil {
			return nil, false
		}
	}
	return c, true
}
