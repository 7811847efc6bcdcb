package server

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// An OIDCConfig is about logins at other providers.
type OIDCConfig struct {
	Enabled         bool
	Providers       identityProviders
	Organizations   identityOrganizations
	RedirectBase    string
	DisallowPrivate bool
}

var oidcSettings = []setting{
	{"identity.selfservice.methods.oidc.enabled", "", "true", "let people log in at the providers that the next names",
		func(c *Config) any { return &c.Identity.OIDC.Enabled }, nil},
	{"identity.selfservice.methods.oidc.config.providers", "", "", "the providers, a list of id, provider (generic, google, github, gitlab, microsoft, apple, discord, slack, linkedin, facebook), client_id, client_secret, issuer_url, scope, mapper and more: see docs/identity.md",
		func(c *Config) any { return &c.Identity.OIDC.Providers }, nil},
	{"identity.selfservice.methods.b2b.config.organizations", "", "", "organizations, a list of id (a UUID), label, domains and session_lifespan: people with addresses of those log in at the providers that have the id as organization_id, and in no other way",
		func(c *Config) any { return &c.Identity.OIDC.Organizations }, nil},
	{"identity.selfservice.methods.oidc.config.base_redirect_uri", "", "", "the URL to which providers send browsers back, without the path; empty: the public URL",
		func(c *Config) any { return &c.Identity.OIDC.RedirectBase }, isURLOrEmpty},
	{"identity.clients.http.disallow_private_ip_ranges", "", "true", "whether providers may not be at private addresses, nor speak plain HTTP, and web hooks not be at private addresses; with --dev they may",
		func(c *Config) any { return &c.Identity.OIDC.DisallowPrivate }, nil},
}

// put fills in the options.
//
// Invalid: a mapper cannot be read.
func (c OIDCConfig) put(o *identity.Options, dev bool) error {
	o.Disabled[identity.OIDC] = !c.Enabled
	o.OIDC = identity.OIDCOptions{Organizations: c.Organizations, RedirectBase: c.RedirectBase, Private: dev || !c.DisallowPrivate}
	for _, p := range c.Providers {
		if p.MapperURL != "" {
			text, err := readMapper(p.ID, p.MapperURL)
			if err != nil {
				return err
			}
			if p.Mapping != nil {
				return errs.New(errs.Invalid, "provider %q: expected mapper or mapper_url, not both", p.ID)
			}
			if err := json.Unmarshal(text, &p.Mapping); err != nil {
				return errs.New(errs.Invalid, "provider %q: the text at mapper_url is not a mapping in JSON, such as {\"traits.email\": \"email\"}: Jsonnet is not evaluated", p.ID)
			}
		}
		o.OIDC.Providers = append(o.OIDC.Providers, p)
	}
	return nil
}

func readMapper(id, url string) ([]byte, error) {
	if encoded, ok := strings.CutPrefix(url, "base64://"); ok {
		text, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, errs.New(errs.Invalid, "provider %q: mapper_url: the text after base64:// is no base64", id)
		}
		return text, nil
	}
	path, _ := strings.CutPrefix(url, "file://")
	if strings.Contains(path, "://") {
		return nil, errs.New(errs.Invalid, "provider %q: mapper_url: expected file:// or base64://", id)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.New(errs.Invalid, "provider %q: mapper_url: %v", id, err)
	}
	return text, nil
}

type identityProviders []identity.Provider

// parse implements parser: a list, or a text that is one in JSON.
func (p *identityProviders) parse(raw any) error {
	return parseList(raw, (*[]identity.Provider)(p), "providers")
}

type identityOrganizations []identity.Organization

// parse implements parser: a list, or a text that is one in JSON.
func (o *identityOrganizations) parse(raw any) error {
	return parseList(raw, (*[]identity.Organization)(o), "organizations")
}

// parseList reads a list of objects whose names must be known, or a text that is one in
// JSON. Errors do not have its values, which may be secret.
func parseList[T any](raw any, into *[]T, what string) error {
	text, isText := raw.(string)
	if isText && strings.TrimSpace(text) == "" {
		return nil
	}
	encoded := []byte(text)
	if !isText {
		var err error
		if encoded, err = json.Marshal(raw); err != nil {
			return fmt.Errorf("expected a list of %s", what)
		}
	}
	d := json.NewDecoder(bytes.NewReader(encoded))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("expected a list of %s: %s may not be of the type %s", what, cmp.Or(wrong.Field, "that"), wrong.Value)
	}
	if err != nil {
		return fmt.Errorf("expected a list of %s: %w", what, err)
	}
	return nil
}
