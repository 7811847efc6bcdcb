package oauth

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/ory/fosite"
)

// scopeClaims are the claims that a scope stands for (OpenID Connect Core, section
// 5.4).
var scopeClaims = map[string][]string{
	"profile": {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website",
		"gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	"email":   {"email", "email_verified"},
	"phone":   {"phone_number", "phone_number_verified"},
	"address": {"address"},
}

// claimScopes is scopeClaims the other way round.
var claimScopes = func() map[string]string {
	out := map[string]string{}
	for scope, names := range scopeClaims {
		for _, name := range names {
			out[name] = scope
		}
	}
	return out
}()

// scopeOf returns the scope that a claim, in whatever language, belongs to; "" if the
// consent alone decides on it.
func scopeOf(claim string) string {
	name, _, _ := strings.Cut(claim, "#")
	return claimScopes[name]
}

// covered reports whether the scopes of the session let a claim out.
func (s *Session) covered(claim string) bool {
	scope := scopeOf(claim)
	return scope == "" || slices.Contains(s.Scopes, scope)
}

// inUserinfo reports whether userinfo has a claim that the consent gave.
func (s *Session) inUserinfo(claim string) bool {
	return s.covered(claim) || asksFor(s.Claims.userinfo(), claim)
}

// userinfoOnly reports whether a claim was asked for, but not for ID tokens.
func (s *Session) userinfoOnly(claim string) bool {
	return !s.covered(claim) && asksFor(s.Claims.userinfo(), claim) && !asksFor(s.Claims.idToken(), claim)
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
