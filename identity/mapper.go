package identity

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A Mapping says which claims of a provider become which traits. Its keys are places in
// an identity, such as traits.name.first or metadata_public.login; its values paths of
// claims, such as email or address.country, the first of which that is there is copied.
// Claims are never computed, so that no claim can be code.
type Mapping map[string]ClaimPaths

// ClaimPaths are one path or more. In JSON one of them is a text.
type ClaimPaths []string

// UnmarshalJSON reads a text or a list of texts.
func (c *ClaimPaths) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*c = ClaimPaths{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(c))
}

// usualMapping is of OpenID Connect's standard claims to traits that are often there.
// Those that the schema does not have are left out.
var usualMapping = Mapping{
	"traits.email": {"email"}, "traits.name.first": {"given_name"}, "traits.name.last": {"family_name"}, "traits.name": {"name"},
	"traits.username": {"preferred_username", "nickname"}, "traits.picture": {"picture"}, "traits.website": {"website"},
	"traits.phone": {"phone_number"}, "traits.locale": {"locale"},
}

// Places in an identity that a mapping fills.
var mappingRoots = []string{"traits", "metadata_public", "metadata_admin"}

func (m Mapping) validate() error {
	for to, from := range m {
		path := strings.Split(to, ".")
		if !slices.Contains(mappingRoots, path[0]) || len(path) == 1 || slices.Contains(path, "") || len(from) == 0 || slices.Contains(from, "") {
			return fmt.Errorf("mapper: %q: expected a place such as traits.email, metadata_public.x or metadata_admin.x, and a path of claims", to)
		}
		for n := range path[1:] { // or it would depend on chance which of them is there
			if outer := strings.Join(path[:n+1], "."); m[outer] != nil {
				return fmt.Errorf("mapper: %q lies within %q, which is mapped as well", to, outer)
			}
		}
	}
	return nil
}

// mapped is what a mapping makes of claims.
type mapped struct {
	traits, public, admin map[string]any
}

// apply copies the claims. Traits that the schema does not have are left out if the
// mapping is the usual one.
func (m Mapping) apply(claims map[string]any, schema *Schema, usual bool) mapped {
	out := map[string]map[string]any{}
	for _, root := range mappingRoots {
		out[root] = map[string]any{}
	}
	for to, from := range m {
		path := strings.Split(to, ".")
		if usual && schema.kindOf(path[1:]) != "string" {
			continue
		}
		for _, one := range from {
			if v := claimAt(claims, strings.Split(one, ".")); v != nil && v != "" {
				putAt(out[path[0]], path[1:], v)
				break
			}
		}
	}
	return mapped{out["traits"], out["metadata_public"], out["metadata_admin"]}
}

// claimAt returns the value at a path, nil if there is none.
func claimAt(claims map[string]any, path []string) any {
	v, ok := claims[path[0]]
	if !ok || len(path) == 1 {
		return v
	}
	object, _ := v.(map[string]any)
	if object == nil {
		return nil
	}
	return claimAt(object, path[1:])
}

func putAt(object map[string]any, path []string, v any) {
	for _, step := range path[:len(path)-1] {
		next, ok := object[step].(map[string]any)
		if !ok {
			next = map[string]any{}
			object[step] = next
		}
		object = next
	}
	object[path[len(path)-1]] = v
}

// under puts the values of more into object, which keeps those that it has.
func under(object, more map[string]any) {
	for name, v := range more {
		have, ok := object[name]
		if !ok {
			object[name] = v
			continue
		}
		a, isObject := have.(map[string]any)
		b, too := v.(map[string]any)
		if isObject && too {
			under(a, b)
		}
	}
}

// encoded is JSON, nil for an empty object.
func encoded(object map[string]any) (json.RawMessage, error) {
	if len(object) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(object)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "claims cannot be encoded")
	}
	return text, nil
}
