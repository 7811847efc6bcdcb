package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A claimRule says which trait a claim has, for a scope.
type claimRule struct{ Claim, Trait, Scope string }

// claimRules are the mapping of traits to claims. Claims are copied, never computed,
// so that no trait can be code.
type claimRules []claimRule

// usualClaims are those of OpenID Connect Core, section 5.4, from the traits that
// people have for them.
var usualClaims = claimRules{
	{"email", "email", "email"},
	{"name", "name", "profile"}, {"given_name", "name.first", "profile"}, {"family_name", "name.last", "profile"},
	{"preferred_username", "username", "profile"}, {"picture", "picture", "profile"}, {"website", "website", "profile"},
	{"locale", "locale", "profile"}, {"zoneinfo", "zoneinfo", "profile"}, {"birthdate", "birthdate", "profile"},
	{"phone_number", "phone", "phone"}, {"address", "address", "address"},
}

// reservedClaims are the provider's to set.
var reservedClaims = []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "auth_time", "nonce", "acr", "amr", "azp", "at_hash", "c_hash", "s_hash", "sid", "act", "cnf"}

func (c *claimRules) parse(raw any) error {
	rows, err := fieldsOf(raw, "claim", "trait", "scope")
	if err != nil {
		return err
	}
	*c = nil
	for _, row := range rows {
		if slices.Contains(reservedClaims, row["claim"]) {
			return fmt.Errorf("the claim %q is the server's to set", row["claim"])
		}
		*c = append(*c, claimRule{row["claim"], row["trait"], row["scope"]})
	}
	return nil
}

// A scopeRule binds a scope to a permission: it is granted to those only who have it.
type scopeRule struct{ Scope, Namespace, Object, Permission string }

type scopeRules []scopeRule

// Set reads rules as the environment has them, in JSON.
func (s *scopeRules) Set(text string) error { return s.parse(text) }

func (s *scopeRules) parse(raw any) error {
	rows, err := fieldsOf(raw, "scope", "namespace", "object", "permission")
	if err != nil {
		return err
	}
	*s = nil
	for _, row := range rows {
		*s = append(*s, scopeRule{row["scope"], row["namespace"], row["object"], row["permission"]})
	}
	return nil
}

// fieldsOf reads a list of sections, each of which has exactly these fields, as texts;
// in the environment it is JSON.
func fieldsOf(raw any, fields ...string) ([]map[string]string, error) {
	form := errors.New("expected a list of " + strings.Join(fields, ", "))
	if text, ok := raw.(string); ok {
		if strings.TrimSpace(text) == "" {
			return nil, nil
		}
		raw = nil
		if json.Unmarshal([]byte(text), &raw) != nil {
			return nil, form
		}
	}
	list, ok := raw.([]any)
	if !ok {
		return nil, form
	}
	var rows []map[string]string
	for i, item := range list {
		section, ok := item.(map[string]any)
		if !ok {
			return nil, form
		}
		row := map[string]string{}
		for _, f := range fields {
			row[f], _ = section[f].(string)
			if row[f] == "" {
				return nil, fmt.Errorf("entry %d: expected a text for %s", i, f)
			}
		}
		if len(section) != len(fields) {
			return nil, fmt.Errorf("entry %d: expected no more than %s", i, strings.Join(fields, ", "))
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// A claimMaker says what tokens say about somebody.
type claimMaker struct {
	claims claimRules
	scopes scopeRules
	groups string // the scope for the claim groups; "": there is no such claim
}

// byScope returns the claims that scopes give.
func (m claimMaker) byScope() map[string][]string {
	out := map[string][]string{}
	for _, rule := range m.claims {
		out[rule.Scope] = append(out[rule.Scope], rule.Claim)
		if verifiable[rule.Claim] != "" {
			out[rule.Scope] = append(out[rule.Scope], rule.Claim+"_verified")
		}
	}
	out["profile"] = append(out["profile"], "updated_at")
	if m.groups != "" {
		out[m.groups] = append(out[m.groups], "groups")
	}
	return out
}

// verifiable are claims that say whether they were verified, by how that is done.
var verifiable = map[string]string{"email": "email", "phone_number": "sms"}

// permitted returns the scopes that somebody may have: those that are bound to no
// permission, or to one that they have now.
func (n *network) permitted(ctx context.Context, scopes []string, subject string) ([]string, error) {
	out := []string{}
	for _, scope := range scopes {
		may := true
		for _, rule := range n.claims.scopes {
			if rule.Scope != scope || !may {
				continue
			}
			answer, err := n.engine.Check(ctx, engine.Tuple{
				Object: engine.Object{Namespace: rule.Namespace, ID: rule.Object}, Relation: rule.Permission, Subject: engine.SubjectID(subject),
			}, engine.Consistency{Mode: engine.FullyConsistent})
			if kind := errs.KindOf(err); kind == errs.Invalid || kind == errs.NotFound { // whoever asks cannot help it
				return nil, errs.Wrap(errs.Internal, err, "the permission of the scope %q cannot be checked", scope)
			}
			if err != nil {
				return nil, err
			}
			may = answer.Allowed
		}
		if may {
			out = append(out, scope)
		}
	}
	return out, nil
}

// claimsNow returns the claims about who has an id that scopes allow.
//
// NotFound: there is nobody, or they may not log in.
func (n *network) claimsNow(ctx context.Context, id string, scopes []string) (map[string]any, error) {
	i, err := n.joint.Identity(ctx, id, false)
	if err != nil {
		return nil, err
	}
	if i.State != identity.Active {
		return nil, errs.New(errs.NotFound, "the identity %s is not active", id)
	}
	if scopes, err = n.permitted(ctx, scopes, id); err != nil {
		return nil, err
	}
	return n.claimsFor(ctx, i, scopes)
}

// claimsFor returns the claims about somebody that scopes allow.
func (n *network) claimsFor(ctx context.Context, i *identity.Identity, scopes []string) (map[string]any, error) {
	var traits map[string]any
	if err := json.Unmarshal(i.Traits, &traits); err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the traits of %s cannot be read", i.ID)
	}
	claims := map[string]any{}
	for _, rule := range n.claims.claims {
		if value, ok := trait(traits, rule.Trait); ok && slices.Contains(scopes, rule.Scope) {
			claims[rule.Claim] = value
		}
	}
	if name, ok := claims["name"].(map[string]any); ok { // {first, last}, which the claim has as one text
		delete(claims, "name")
		if full := strings.TrimSpace(fmt.Sprint(orEmpty(name["first"]), " ", orEmpty(name["last"]))); full != "" {
			claims["name"] = full
		}
	}
	for claim, via := range verifiable {
		if value, ok := claims[claim].(string); ok {
			claims[claim+"_verified"] = slices.ContainsFunc(i.Verifiable, func(a identity.VerifiableAddress) bool {
				return a.Via == via && a.Verified && strings.EqualFold(a.Value, value)
			})
		}
	}
	if slices.Contains(scopes, "profile") {
		claims["updated_at"] = i.UpdatedAt.Unix()
	}
	if slices.Contains(scopes, n.claims.groups) && n.joint.modelled(ctx, identity.OfGroup) == nil {
		groups, err := n.groupsOf(ctx, i.ID)
		if err != nil {
			return nil, err
		}
		claims["groups"] = groups
	}
	return claims, nil
}

func orEmpty(v any) string {
	s, _ := v.(string)
	return s
}

// trait finds a value by its path, which has dots between names.
func trait(traits map[string]any, path string) (any, bool) {
	var at any = traits
	for name := range strings.SplitSeq(path, ".") {
		section, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		if at, ok = section[name]; !ok {
			return nil, false
		}
	}
	return at, at != nil
}

// maxGroups bounds the groups in a token.
const maxGroups = 1000

// groupsOf returns the groups that somebody is in, also by way of other groups.
func (n *network) groupsOf(ctx context.Context, subject string) ([]string, error) {
	g := n.joint.groups[identity.OfGroup]
	objects, _, err := n.engine.Objects(ctx, engine.ObjectQuery{Namespace: g.Namespace, Relation: g.Relation, Subject: engine.SubjectID(subject)}, engine.Consistency{})
	if err != nil {
		return nil, err
	}
	out := []string{}
	for o, err := range objects {
		if err != nil {
			return nil, err
		}
		if len(out) == maxGroups {
			return nil, errs.New(errs.Exhausted, "somebody is in more than %d groups, which no token has room for", maxGroups)
		}
		out = append(out, o.ID)
	}
	slices.Sort(out)
	return out, nil
}
