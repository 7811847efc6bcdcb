package server

import (
	"github.com/cardea-iam/cardea/identity"
)

// A FactorConfig is about second factors and passkeys.
type FactorConfig struct {
	TOTP       bool
	TOTPIssuer string
	Lookup     bool
}

var factorSettings = []setting{
	{"identity.selfservice.methods.totp.enabled", "", "false", "let people add an authenticator app as second factor",
		func(c *Config) any { return &c.Identity.Factors.TOTP }, nil},
	{"identity.selfservice.methods.totp.config.issuer", "", "", "the name that authenticator apps show; empty: the host of the public URL",
		func(c *Config) any { return &c.Identity.Factors.TOTPIssuer }, nil},
	{"identity.selfservice.methods.lookup_secret.enabled", "", "false", "let people have backup codes as second factor",
		func(c *Config) any { return &c.Identity.Factors.Lookup }, nil},
}

// put fills in the options.
func (f FactorConfig) put(o *identity.Options) {
	o.TOTPIssuer = f.TOTPIssuer
	o.Disabled[identity.TOTP], o.Disabled[identity.Lookup] = !f.TOTP, !f.Lookup
}
