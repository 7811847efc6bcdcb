package server

import (
	"slices"
	"time"

	"github.com/cardea-iam/cardea/identity"
)

// An IdentityFlow is one kind of flow.
type IdentityFlow struct {
	Enabled  bool
	UI       string
	Lifespan time.Duration
	Session  bool   // after a registration
	Style    string // of a login or a registration
	OneStep  bool   // of a registration, whatever its style
	Verified bool   // of a login: whether an address must be
	Show     bool   // browsers go to the verification of new addresses

	// Of recovery and verification.
	Use    string // code or link
	Notify bool   // who is not known
	Revoke bool   // other sessions, after a recovery

	Before  hookConfigs
	After   FlowEnd
	Methods [8]FlowEnd // by the order of endMethods
}

// A FlowEnd says what happens at the end of a flow.
type FlowEnd struct {
	ReturnTo string
	Hooks    hookConfigs
}

// endMethods are those by which a flow can come to its end.
var endMethods = [8]string{"password", "code", "oidc", "passkey", "webauthn", "totp", "lookup_secret", "profile"}

// flowEnds are the flows, and the methods that each has settings for.
var flowEnds = []struct {
	kind    identity.Kind
	flow    func(*Config) *IdentityFlow
	methods []string
}{
	{identity.Login, func(c *Config) *IdentityFlow { return &c.Identity.Login }, endMethods[:7]},
	{identity.Registration, func(c *Config) *IdentityFlow { return &c.Identity.Registration }, endMethods[:4]},
	{identity.Settings, func(c *Config) *IdentityFlow { return &c.Identity.Settings }, slices.Delete(slices.Clone(endMethods[:]), 1, 2)},
	{identity.Recovery, func(c *Config) *IdentityFlow { return &c.Identity.Recovery }, nil},
	{identity.Verification, func(c *Config) *IdentityFlow { return &c.Identity.Verification }, nil},
}

// flowEndSettings are those of the beginnings and ends of all flows.
func flowEndSettings() (all []setting) {
	for _, one := range flowEnds {
		at := "identity.selfservice.flows." + string(one.kind)
		all = append(all, setting{at + ".before.hooks", "", "", "what happens when a flow is opened, a list of hook and config, see [identity.md](identity.md)",
			func(c *Config) any { return &one.flow(c).Before }, nil})
		all = append(all, endSettings(at+".after", func(c *Config) *FlowEnd { return &one.flow(c).After })...)
		for _, method := range one.methods {
			n := slices.Index(endMethods[:], method)
			all = append(all, endSettings(at+".after."+method, func(c *Config) *FlowEnd { return &one.flow(c).Methods[n] })...)
		}
	}
	return all
}

func endSettings(at string, end func(*Config) *FlowEnd) []setting {
	return []setting{
		{at + ".default_browser_return_url", "", "", "where browsers go then; empty: as after all flows",
			func(c *Config) any { return &end(c).ReturnTo }, isURLOrEmpty},
		{at + ".hooks", "", "", "what happens when a flow came to its end, a list of hook and config, see [identity.md](identity.md)",
			func(c *Config) any { return &end(c).Hooks }, nil},
	}
}

// putEnds puts the beginning and the ends of a flow into the options.
//
// Invalid: there are mistakes.
func (c Config) putEnds(k identity.Kind, flow *IdentityFlow, o *identity.Options) (err error) {
	at := "identity.selfservice.flows." + string(k)
	f := o.Flows[k]
	if f.Before, err = c.hooksBefore(at+".before.hooks", flow.Before); err != nil {
		return err
	}
	if f.Hooks, err = c.hooksAfter(k, at+".after.hooks", flow.After.Hooks); err != nil {
		return err
	}
	f.ReturnTo, f.Methods = flow.After.ReturnTo, map[string]identity.MethodOptions{}
	for n, end := range flow.Methods {
		m := identity.MethodOptions{ReturnTo: end.ReturnTo}
		if m.Hooks, err = c.hooksAfter(k, at+".after."+endMethods[n]+".hooks", end.Hooks); err != nil {
			return err
		}
		f.Methods[endMethods[n]] = m
	}
	o.Flows[k] = f
	return nil
}
