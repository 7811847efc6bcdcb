package oauth

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/errs"
)

// An AccessClaims says how claims that the consent page adds stand in JWT access tokens,
// where they are below ext.
type AccessClaims struct {
	TopLevel []string // these are beside ext, too
	NoMirror bool     // they are there only
	NoNBF    bool     // no claim nbf
}

// notFromSession are claims of access tokens that only the provider knows.
var notFromSession = append([]string{"client_id", "scope", "scp", "cnf", "act", "may_act", "ext"}, notFromConsent...)

func (o *AccessClaims) check() error {
	for _, name := range o.TopLevel {
		if slices.Contains(notFromSession, name) {
			return errs.New(errs.Invalid, "oauth2.allowed_top_level_claims: %q has a meaning of its own, which nobody may change", name)
		}
	}
	return nil
}

func (p *Provider) wantsJWT(c *Client) bool {
	if c.AccessStrategy != "" {
		return c.AccessStrategy == "jwt"
	}
	return p.o.Strategies.AccessToken == "jwt"
}

// accessJWT makes an access token of RFC 9068.
func (p *Provider) accessJWT(ctx context.Context, c *Client, s *Session, life time.Duration) (string, error) {
	now := p.o.Now()
	claims := p.extraClaims(s.AccessClaims)
	maps.Copy(claims, map[string]any{
		"iss": p.issuer(), "sub": s.subjectOr(c.ID), "aud": s.audienceOr(p.issuer()), "client_id": c.ID,
		"iat": now.Unix(), "jti": newID(),
	})
	if life > 0 {
		claims["exp"] = now.Add(life).Unix()
	}
	if !p.o.AccessClaims.NoNBF {
		claims["nbf"] = now.Unix()
	}
	if s.AuthTime != 0 {
		claims["auth_time"] = s.AuthTime
	}
	if s.ACR != "" {
		claims["acr"] = s.ACR
	}
	if len(s.AMR) > 0 {
		claims["amr"] = s.AMR
	}
	if s.Confirm != nil {
		claims["cnf"] = s.Confirm
	}
	if len(s.Actor) > 0 {
		claims["act"] = s.Actor
	}
	if p.o.Strategies.ScopeClaim != "list" && len(s.Scopes) > 0 {
		claims["scope"] = strings.Join(s.Scopes, " ")
	}
	if p.o.Strategies.ScopeClaim != "string" {
		claims["scp"] = list(s.Scopes)
	}
	return p.sign(ctx, accessTokenSet, p.accessAlg(c), "at+jwt", claims)
}

// extraClaims returns what the session of a consent adds to an access token.
func (p *Provider) extraClaims(session map[string]any) map[string]any {
	claims, ext := map[string]any{}, maps.Clone(session)
	for _, name := range p.o.AccessClaims.TopLevel {
		value, ok := session[name]
		if !ok {
			continue
		}
		claims[name] = value
		if p.o.AccessClaims.NoMirror {
			delete(ext, name)
		}
	}
	if len(ext) > 0 {
		claims["ext"] = ext
	}
	return claims
}

// subjectOr returns who a token is about: the client itself, if it is of nobody.
func (s *Session) subjectOr(client string) string {
	if s.Subject == "" {
		return client
	}
	return s.Subject
}

// about is whom tokens are about, for this server: an account, or a client.
func (s *Session) about() string {
	if s.Account != "" {
		return s.Account
	}
	return s.subjectOr(s.Client)
}

// audienceOr returns the audience, which RFC 9068 does not let be empty.
func (s *Session) audienceOr(issuer string) []string {
	if len(s.Audience) == 0 {
		return []string{issuer}
	}
	return s.Audience
}

// accessAlg is how access tokens are signed: as is set, if the profile of the client
// has that.
func (p *Provider) accessAlg(c *Client) string {
	if alg := p.o.Strategies.AccessAlg; slices.Contains(c.rules().algs, jose.SignatureAlgorithm(alg)) {
		return alg
	}
	return c.usualAlg()
}
