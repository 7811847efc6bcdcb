package server

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/cardea-iam/cardea/identity"
)

// A FactorConfig is about second factors and passkeys.
type FactorConfig struct {
	TOTP       bool
	TOTPIssuer string
	Lookup     bool

	WebAuthn KeyConfig
	Passkey  KeyConfig

	Breaches      bool // a service is asked
	BreachHost    string
	MaxBreaches   int
	IgnoreNetwork bool
	BreachFile    string
	Similarity    bool // passwords may not be like identifiers
}

// A KeyConfig is about one use of WebAuthn.
type KeyConfig struct {
	Enabled bool
	ID      string
	Name    string
	Origins []string
	Clones  string

	Attachment       string // of passkeys only, as the two below
	ResidentKey      string
	UserVerification string
}

var factorSettings = []setting{
	{"identity.selfservice.methods.password.config.identifier_similarity_check_enabled", "", "true", "refuse passwords that are like an identifier",
		func(c *Config) any { return &c.Identity.Factors.Similarity }, nil},
	{"identity.selfservice.methods.password.config.haveibeenpwned_enabled", "", "false", "ask a service whether a new password is known from breaches; it learns 20 bits of a hash",
		func(c *Config) any { return &c.Identity.Factors.Breaches }, nil},
	{"identity.selfservice.methods.password.config.haveibeenpwned_host", "", "api.pwnedpasswords.com", "host or URL of that service",
		func(c *Config) any { return &c.Identity.Factors.BreachHost }, nil},
	{"identity.selfservice.methods.password.config.max_breaches", "", "0", "how often a password may be known to it",
		func(c *Config) any { return &c.Identity.Factors.MaxBreaches }, isNotNegative},
	{"identity.selfservice.methods.password.config.ignore_network_errors", "", "true", "take passwords while it does not answer",
		func(c *Config) any { return &c.Identity.Factors.IgnoreNetwork }, nil},
	{"identity.selfservice.methods.password.config.breached_passwords_file", "", "", "a filter of known passwords, which cardea passwords filter makes; empty: none",
		func(c *Config) any { return &c.Identity.Factors.BreachFile }, nil},
	{"identity.selfservice.methods.totp.enabled", "", "false", "let people add an authenticator app as second factor; always with --dev",
		func(c *Config) any { return &c.Identity.Factors.TOTP }, nil},
	{"identity.selfservice.methods.totp.config.issuer", "", "", "the name that authenticator apps show; empty: the host of the public URL",
		func(c *Config) any { return &c.Identity.Factors.TOTPIssuer }, nil},
	{"identity.selfservice.methods.lookup_secret.enabled", "", "false", "let people have backup codes as second factor; always with --dev",
		func(c *Config) any { return &c.Identity.Factors.Lookup }, nil},
	{"identity.selfservice.methods.webauthn.enabled", "", "false", "let people add security keys as second factor; always with --dev, where the public URL has a name and no IP address",
		func(c *Config) any { return &c.Identity.Factors.WebAuthn.Enabled }, nil},
	{"identity.selfservice.methods.webauthn.config.rp.id", "", "", "the domain that security keys are for; empty: the host of the public URL, which is no IP address then",
		func(c *Config) any { return &c.Identity.Factors.WebAuthn.ID }, nil},
	{"identity.selfservice.methods.webauthn.config.rp.display_name", "", "", "the name that people see; empty: the domain",
		func(c *Config) any { return &c.Identity.Factors.WebAuthn.Name }, nil},
	{"identity.selfservice.methods.webauthn.config.rp.origins", "", "", "a list of origins of pages that use security keys; empty: that of the public URL",
		func(c *Config) any { return &c.Identity.Factors.WebAuthn.Origins }, areURLs},
	{"identity.selfservice.methods.webauthn.config.clones", "", "refuse", "what becomes of a key whose counter went back, as those of copies do: refuse or allow",
		func(c *Config) any { return &c.Identity.Factors.WebAuthn.Clones }, oneOf("refuse", "allow")},
	{"identity.selfservice.methods.passkey.enabled", "", "false", "let people register and log in by passkeys; always with --dev, where the public URL has a name and no IP address",
		func(c *Config) any { return &c.Identity.Factors.Passkey.Enabled }, nil},
	{"identity.selfservice.methods.passkey.config.rp.id", "", "", "the domain that passkeys are for; empty: the host of the public URL, which is no IP address then",
		func(c *Config) any { return &c.Identity.Factors.Passkey.ID }, nil},
	{"identity.selfservice.methods.passkey.config.rp.display_name", "", "", "the name that people see; empty: the domain",
		func(c *Config) any { return &c.Identity.Factors.Passkey.Name }, nil},
	{"identity.selfservice.methods.passkey.config.rp.origins", "", "", "a list of origins of pages that use passkeys; empty: that of the public URL",
		func(c *Config) any { return &c.Identity.Factors.Passkey.Origins }, areURLs},
	{"identity.selfservice.methods.passkey.config.clones", "", "refuse", "what becomes of a passkey whose counter went back, as those of copies do: refuse or allow",
		func(c *Config) any { return &c.Identity.Factors.Passkey.Clones }, oneOf("refuse", "allow")},
	{"identity.selfservice.methods.passkey.config.authenticator_selection.attachment", "", "", "where passkeys are: platform, cross-platform, or empty for both",
		func(c *Config) any { return &c.Identity.Factors.Passkey.Attachment }, oneOf("", "platform", "cross-platform")},
	{"identity.selfservice.methods.passkey.config.authenticator_selection.resident_key", "", "required", "whether a key must be one that can be found without a name: required, preferred or discouraged",
		func(c *Config) any { return &c.Identity.Factors.Passkey.ResidentKey }, oneOf("required", "preferred", "discouraged")},
	{"identity.selfservice.methods.passkey.config.authenticator_selection.user_verification", "", "preferred", "whether a key must ask for a PIN or the like: required, preferred or discouraged",
		func(c *Config) any { return &c.Identity.Factors.Passkey.UserVerification }, oneOf("required", "preferred", "discouraged")},
}

// put fills in the options.
func (f FactorConfig) put(o *identity.Options) {
	o.TOTPIssuer = f.TOTPIssuer
	o.WebAuthn, o.Passkey = f.WebAuthn.options(), f.Passkey.options()
	o.PasswordPolicy = identity.PolicyOptions{Similar: !f.Similarity, Breaches: f.MaxBreaches, Needed: !f.IgnoreNetwork, Filter: f.BreachFile}
	if f.Breaches {
		o.PasswordPolicy.Service = f.BreachHost
		if !strings.Contains(f.BreachHost, "://") {
			o.PasswordPolicy.Service = "https://" + f.BreachHost
		}
	}
	for t, on := range map[identity.CredentialType]bool{
		identity.TOTP: f.TOTP, identity.Lookup: f.Lookup, identity.WebAuthn: f.WebAuthn.Enabled, identity.Passkey: f.Passkey.Enabled,
	} {
		o.Disabled[t] = !on
	}
}

func (k KeyConfig) options() identity.KeyOptions {
	return identity.KeyOptions{ID: k.ID, Name: k.Name, Origins: k.Origins, Clones: k.Clones == "allow",
		Attachment: k.Attachment, ResidentKey: k.ResidentKey, UserVerification: k.UserVerification}
}

// forDev turns on what people may want to try.
func (f FactorConfig) forDev(base *url.URL) FactorConfig {
	f.TOTP, f.Lookup = true, true
	if _, err := netip.ParseAddr(base.Hostname()); err != nil {
		f.WebAuthn.Enabled, f.Passkey.Enabled = true, true
	}
	return f
}
