package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Roles of an API key: each is for the listener of its name.
const (
	readRole  = "read"
	writeRole = "write"
)

// anyNetwork is the network of a key that is for all of them.
const anyNetwork = "*"

// A Key is what a caller shows: an API key, which is known to the caller only, or a
// client certificate.
type Key struct {
	Name        string            // for logs and messages
	Hash        [sha256.Size]byte // of the API key
	Certificate string            // a name in the certificate; "": an API key
	Roles       []string          // read, write
	Network     string            // "*": any

	itself bool // of this process, for as long as it lives
}

func (k *Key) String() string {
	if k.Certificate != "" {
		return fmt.Sprintf("the client certificate %q", k.Name)
	}
	return fmt.Sprintf("the API key %q", k.Name)
}

// parseNames reads a list of names, or a text with commas between them.
func parseNames(raw any) ([]string, error) {
	list, isList := raw.([]any)
	if text, ok := raw.(string); ok {
		if strings.TrimSpace(text) == "" {
			return nil, nil
		}
		for name := range strings.SplitSeq(text, ",") {
			list = append(list, strings.TrimSpace(name))
		}
		isList = true
	}
	if !isList {
		return nil, fmt.Errorf("expected a list of names, got %s", describe(raw))
	}
	names := make([]string, len(list))
	for i, item := range list {
		name, ok := item.(string)
		if !ok {
			return nil, fmt.Errorf("expected a list of names, got %s in it", describe(item))
		}
		names[i] = name
	}
	return names, nil
}

// areNetworks takes the names that a store takes.
func areNetworks(value any) error {
	names := *value.(*[]string)
	if len(names) == 0 {
		return errors.New("expected at least one name")
	}
	for i, name := range names {
		bad := func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' }
		if name == "" || len(name) > 63 || strings.ContainsFunc(name, bad) {
			return fmt.Errorf("expected names of 1 to 63 letters a-z, digits, - and _, got %q", name)
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("%q is there twice", name)
		}
	}
	return nil
}

// parseKeys reads a list of keys, or a text that is one in JSON, as in the
// environment. It reports all mistakes.
func parseKeys(raw any) ([]Key, error) {
	if text, ok := raw.(string); ok {
		if strings.TrimSpace(text) == "" {
			return nil, nil
		}
		raw = nil
		if err := json.Unmarshal([]byte(text), &raw); err != nil {
			return nil, fmt.Errorf("expected a list, as text in JSON: %v", err)
		}
	}
	list, ok := raw.([]any)
	if !ok {
		return nil, fmt.Errorf("expected a list of keys with name, sha256, roles, network, got %s", describe(raw))
	}
	keys := make([]Key, len(list))
	var bad []string
	for i, item := range list {
		k, mistakes := parseKey(item)
		keys[i] = k
		for _, m := range mistakes {
			bad = append(bad, fmt.Sprintf("[%d]%s", i, m))
		}
	}
	if len(bad) > 0 {
		return nil, errors.New(strings.Join(bad, "; "))
	}
	return keys, nil
}

func parseKey(raw any) (k Key, mistakes []string) {
	fields, ok := raw.(map[string]any)
	if !ok {
		return k, []string{fmt.Sprintf(": expected name, sha256 or certificate, roles and network, got %s", describe(raw))}
	}
	mistake := func(format string, args ...any) { mistakes = append(mistakes, fmt.Sprintf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains([]string{"name", "sha256", "certificate", "roles", "network"}, name) {
			mistake(".%s: there is no such field; expected name, sha256 or certificate, roles, network", name)
		}
	}
	text := func(name string) string {
		value, ok := fields[name].(string)
		if !ok || value == "" {
			mistake(".%s: expected a text, got %s", name, describeField(fields[name]))
		}
		return value
	}
	k.Name, k.Network = text("name"), text("network")
	if _, ok := fields["certificate"]; ok {
		k.Certificate = text("certificate")
		if fields["sha256"] != nil {
			mistake(".sha256: expected either this or certificate")
		}
	} else if digest := text("sha256"); digest != "" {
		sum, err := hex.DecodeString(digest)
		if err != nil || len(sum) != len(k.Hash) {
			mistake(".sha256: expected the 64 hexadecimal digits that cardea key new printed, got %d characters", len(digest))
		}
		copy(k.Hash[:], sum)
	}
	roles, err := parseNames(fields["roles"])
	if err != nil || len(roles) == 0 || slices.ContainsFunc(roles, func(r string) bool { return r != readRole && r != writeRole }) {
		mistake(".roles: expected a list of read, write or both, got %s", describeField(fields["roles"]))
	}
	k.Roles = roles
	return k, mistakes
}

func describeField(raw any) string {
	if raw == nil {
		return "nothing"
	}
	if list, ok := raw.([]any); ok {
		return fmt.Sprint(list)
	}
	return describe(raw)
}

// areKeys refuses two keys of one name, and one key twice.
func areKeys(value any) error {
	keys := *value.(*[]Key)
	for i, k := range keys {
		for _, other := range keys[:i] {
			if other.Name == k.Name || other.Hash == k.Hash && other.Certificate == k.Certificate {
				return fmt.Errorf("[%d] has the name, the key or the certificate of %q: expected another", i, other.Name)
			}
		}
	}
	return nil
}
