package server

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// An IdentityConfig is about identities and what they do by themselves. Below
// "identity." the names are Kratos's.
type IdentityConfig struct {
	Enabled       bool // also without Dev, and without schemas
	Schemas       identitySchemas
	DefaultSchema string

	ReturnTo       string
	AllowedReturns []string
	ErrorUI        string
	Login          IdentityFlow
	Registration   IdentityFlow
	Settings       IdentityFlow
	Recovery       IdentityFlow
	Verification   IdentityFlow
	LoginHints     bool
	ChooseAddress  bool
	LogoutReturnTo string
	LogoutClears   bool
	PrivilegedAge  time.Duration
	SettingsAAL    string

	Factors FactorConfig
	OIDC    OIDCConfig

	Code         bool
	Passwordless bool
	CodeSecond   bool
	CodeLifespan time.Duration
	CodeTries    int
	Link         bool
	LinkLifespan time.Duration

	Mitigate bool

	Password          bool
	PasswordMinLength int
	HashMemory        int // KiB
	HashIterations    int
	HashDuration      time.Duration
	HashDedicated     int64 // bytes

	Limits FlowLimits

	PrivateURLs []string // of web hooks that may be at private addresses
	HookHeaders []string

	Session SessionConfig

	Courier CourierConfig

	Namespace             string
	Groups, Organizations identity.GroupOptions
}

var identitySettings = []setting{
	{"identity.enabled", "identity", "false", "keep identities, with Kratos's API and pages on the public listener; also on with --dev, and with identity.schemas",
		func(c *Config) any { return &c.Identity.Enabled }, nil},
	{"identity.schemas", "", "", "the identity schemas, a list of id, url (file:// or base64://) and selfservice_selectable; empty: one called default, with an e-mail address and a name",
		func(c *Config) any { return &c.Identity.Schemas }, nil},
	{"identity.namespace", "", "User", "the namespace of the model whose objects are identities, where tuples name them so, as User:ID, and not by the id alone",
		func(c *Config) any { return &c.Identity.Namespace }, isNotEmpty},
	{"identity.groups.namespace", "", "Group", "the namespace of the model whose objects are groups",
		func(c *Config) any { return &c.Identity.Groups.Namespace }, isNotEmpty},
	{"identity.groups.relation", "", "members", "the relation that members have to a group",
		func(c *Config) any { return &c.Identity.Groups.Relation }, isNotEmpty},
	{"identity.organizations.namespace", "", "Organization", "the namespace of the model whose objects are organizations",
		func(c *Config) any { return &c.Identity.Organizations.Namespace }, isNotEmpty},
	{"identity.organizations.relation", "", "members", "the relation that members have to an organization",
		func(c *Config) any { return &c.Identity.Organizations.Relation }, isNotEmpty},
	{"identity.default_schema_id", "", "default", "the schema of identities that name none",
		func(c *Config) any { return &c.Identity.DefaultSchema }, nil},
	{"identity.selfservice.default_browser_return_url", "", "", "where browsers go after a flow that names nothing; empty: the settings page",
		func(c *Config) any { return &c.Identity.ReturnTo }, isURLOrEmpty},
	{"identity.selfservice.allowed_return_urls", "", "", "a list of URLs at or below which return_to may lead, beside this server",
		func(c *Config) any { return &c.Identity.AllowedReturns }, areURLs},
	{"identity.selfservice.flows.error.ui_url", "", "", "where browsers see errors; empty: a page of this server. Whoever has the id of an error reads it there, for 10 minutes; here only the browser that met it",
		func(c *Config) any { return &c.Identity.ErrorUI }, isURLOrEmpty},
	{"identity.selfservice.flows.login.ui_url", "", "", "where browsers see the form; empty: a page of this server",
		func(c *Config) any { return &c.Identity.Login.UI }, isURLOrEmpty},
	{"identity.selfservice.flows.login.lifespan", "", "1h", "how long a flow can be submitted",
		func(c *Config) any { return &c.Identity.Login.Lifespan }, isPositive},
	{"identity.selfservice.flows.login.style", "", "unified", "unified: all in one form; identifier_first: a form for who one is, and then one for how one logs in",
		func(c *Config) any { return &c.Identity.Login.Style }, oneOf("unified", "identifier_first")},
	{"identity.selfservice.flows.registration.enabled", "", "true", "let people register",
		func(c *Config) any { return &c.Identity.Registration.Enabled }, nil},
	{"identity.selfservice.flows.registration.ui_url", "", "", "where browsers see the form; empty: a page of this server",
		func(c *Config) any { return &c.Identity.Registration.UI }, isURLOrEmpty},
	{"identity.selfservice.flows.registration.lifespan", "", "1h", "how long a flow can be submitted",
		func(c *Config) any { return &c.Identity.Registration.Lifespan }, isPositive},
	{"identity.selfservice.flows.registration.style", "", "unified", "unified: all in one form; profile_first: a form for who one is, and then one for how one logs in",
		func(c *Config) any { return &c.Identity.Registration.Style }, oneOf("unified", "profile_first")},
	{"identity.selfservice.flows.registration.login_hints", "", "false", "with `mitigate: false`: say by what an account logs in whose identifier somebody wants to register",
		func(c *Config) any { return &c.Identity.LoginHints }, nil},
	{"identity.selfservice.flows.registration.enable_legacy_one_step", "", "false", "unified, whatever the style",
		func(c *Config) any { return &c.Identity.Registration.OneStep }, nil},
	{"identity.selfservice.flows.registration.after.show_verification_ui", "", "false", "send browsers to where they verify their address, as always when accounts wait for that",
		func(c *Config) any { return &c.Identity.Registration.Show }, nil},
	{"identity.selfservice.flows.settings.after.show_verification_ui", "", "false", "the same after a change of an address",
		func(c *Config) any { return &c.Identity.Settings.Show }, nil},
	{"identity.selfservice.flows.login.after.require_verified_address", "", "false", "let nobody log in who has addresses, and none that is verified",
		func(c *Config) any { return &c.Identity.Login.Verified }, nil},
	{"identity.selfservice.flows.registration.after.session", "", "true", "log in who has registered",
		func(c *Config) any { return &c.Identity.Registration.Session }, nil},
	{"identity.selfservice.flows.settings.ui_url", "", "", "where browsers see the form; empty: a page of this server",
		func(c *Config) any { return &c.Identity.Settings.UI }, isURLOrEmpty},
	{"identity.selfservice.flows.settings.lifespan", "", "1h", "how long a flow can be submitted",
		func(c *Config) any { return &c.Identity.Settings.Lifespan }, isPositive},
	{"identity.selfservice.flows.settings.privileged_session_max_age", "", "15m", "how long after a login credentials, identifiers and addresses may be changed",
		func(c *Config) any { return &c.Identity.PrivilegedAge }, isPositive},
	{"identity.selfservice.flows.settings.required_aal", "", "highest_available", "aal1: the second factor need not be given, by those who have one, to see the settings",
		func(c *Config) any { return &c.Identity.SettingsAAL }, oneOf("highest_available", "aal1")},
	{"identity.selfservice.flows.logout.after.default_browser_return_url", "", "", "where browsers go that have logged out; empty: to the login",
		func(c *Config) any { return &c.Identity.LogoutReturnTo }, isURLOrEmpty},
	{"identity.selfservice.flows.logout.clear_browser_data", "", "false", "tell browsers that have logged out to forget what this server has left with them, by Clear-Site-Data",
		func(c *Config) any { return &c.Identity.LogoutClears }, nil},
	{"identity.selfservice.flows.recovery.enabled", "", "true", "let people recover their accounts, where messages can be sent",
		func(c *Config) any { return &c.Identity.Recovery.Enabled }, nil},
	{"identity.selfservice.flows.recovery.ui_url", "", "", "where browsers see the form; empty: a page of this server",
		func(c *Config) any { return &c.Identity.Recovery.UI }, isURLOrEmpty},
	{"identity.selfservice.flows.recovery.lifespan", "", "1h", "how long a flow can be submitted",
		func(c *Config) any { return &c.Identity.Recovery.Lifespan }, isPositive},
	{"identity.selfservice.flows.recovery.use", "", "code", "code or link: what is sent",
		func(c *Config) any { return &c.Identity.Recovery.Use }, oneOf("code", "link")},
	{"identity.feature_flags.choose_recovery_address", "", "false", "let a recovery by code begin with any address, mail or telephone, and name it only in part from then on; with `mitigate: false` who has several is asked for one of them",
		func(c *Config) any { return &c.Identity.ChooseAddress }, nil},
	{"identity.selfservice.flows.recovery.notify_unknown_recipients", "", "false", "send a message to addresses without an account, too",
		func(c *Config) any { return &c.Identity.Recovery.Notify }, nil},
	{"identity.selfservice.flows.recovery.after.revoke_sessions", "", "true", "end the other sessions of who has recovered an account",
		func(c *Config) any { return &c.Identity.Recovery.Revoke }, nil},
	{"identity.selfservice.flows.verification.enabled", "", "true", "let people verify their addresses, where messages can be sent",
		func(c *Config) any { return &c.Identity.Verification.Enabled }, nil},
	{"identity.selfservice.flows.verification.ui_url", "", "", "where browsers see the form; empty: a page of this server",
		func(c *Config) any { return &c.Identity.Verification.UI }, isURLOrEmpty},
	{"identity.selfservice.flows.verification.lifespan", "", "1h", "how long a flow can be submitted",
		func(c *Config) any { return &c.Identity.Verification.Lifespan }, isPositive},
	{"identity.selfservice.flows.verification.use", "", "code", "code or link: what is sent",
		func(c *Config) any { return &c.Identity.Verification.Use }, oneOf("code", "link")},
	{"identity.selfservice.flows.verification.notify_unknown_recipients", "", "false", "send a message to addresses without an account, too",
		func(c *Config) any { return &c.Identity.Verification.Notify }, nil},
	{"identity.selfservice.methods.code.enabled", "", "true", "codes that are sent: for recovery and verification, and for what the next two allow",
		func(c *Config) any { return &c.Identity.Code }, nil},
	{"identity.selfservice.methods.code.passwordless_enabled", "", "false", "let people register and log in by a code alone",
		func(c *Config) any { return &c.Identity.Passwordless }, nil},
	{"identity.selfservice.methods.code.mfa_enabled", "", "false", "let a code be the second factor; not together with passwordless_enabled, for that would be one factor twice",
		func(c *Config) any { return &c.Identity.CodeSecond }, nil},
	{"identity.selfservice.methods.code.config.lifespan", "", "1h", "how long a code is good, and no longer than its flow",
		func(c *Config) any { return &c.Identity.CodeLifespan }, isPositive},
	{"identity.selfservice.methods.code.config.max_submissions", "", "5", "how often one code may be tried",
		func(c *Config) any { return &c.Identity.CodeTries }, isPositive},
	{"identity.selfservice.methods.link.enabled", "", "true", "links that are sent, where use says so",
		func(c *Config) any { return &c.Identity.Link }, nil},
	{"identity.selfservice.methods.link.config.lifespan", "", "1h", "how long a link is good, and no longer than its flow",
		func(c *Config) any { return &c.Identity.LinkLifespan }, isPositive},
	{"identity.selfservice.methods.password.enabled", "", "true", "let people log in by password",
		func(c *Config) any { return &c.Identity.Password }, nil},
	{"identity.selfservice.methods.password.config.min_password_length", "", "8", "characters of the shortest password",
		func(c *Config) any { return &c.Identity.PasswordMinLength }, isPositive},
	{"identity.hashers.argon2.memory", "", "0", "KiB that the hash of a password takes; 0: as much as expected_duration allows on this machine",
		func(c *Config) any { return &c.Identity.HashMemory }, isNotNegative},
	{"identity.hashers.argon2.iterations", "", "0", "passes over that memory; 0: as memory",
		func(c *Config) any { return &c.Identity.HashIterations }, isNotNegative},
	{"identity.hashers.argon2.expected_duration", "", "150ms", "how long a hash shall take, where the two above are 0",
		func(c *Config) any { return &c.Identity.HashDuration }, isPositive},
	{"identity.hashers.argon2.dedicated_memory", "", "268435456", "bytes that all hashes at the same time may take; who comes in vain is told to try again",
		func(c *Config) any { return &c.Identity.HashDedicated }, isPositive},
	{"identity.security.account_enumeration.mitigate", "", "true", "where messages can be sent, let nobody find out who has an account: an account is made, and an address is changed, when the code in a message was entered; false: at once, as Kratos does it",
		func(c *Config) any { return &c.Identity.Mitigate }, nil},
	{"identity.clients.http.private_ip_exception_urls", "", "", "the URLs of web hooks that may be at private addresses all the same, with commas between",
		func(c *Config) any { return &c.Identity.PrivateURLs }, nil},
	{"identity.clients.web_hook.header_allowlist", "", "", "the headers of requests that web hooks see, with commas between; empty: those that Kratos shows; headers with credentials cannot be among them",
		func(c *Config) any { return &c.Identity.HookHeaders }, hasNoCredentials},
}

// hasNoCredentials refuses headers by which a hook could be somebody else.
func hasNoCredentials(value any) error {
	for _, name := range *value.(*[]string) {
		switch http.CanonicalHeaderKey(name) {
		case "Authorization", "Cookie", "Proxy-Authorization", "X-Session-Token":
			return fmt.Errorf("%s has credentials: a hook shall not see them", name)
		}
	}
	return nil
}

// hasIdentity reports whether identities are kept.
func (c Config) hasIdentity() bool {
	return c.Identity.Enabled || c.Dev || len(c.Identity.Schemas) > 0
}

func (c Config) identityOptions(base *url.URL) (identity.Options, error) {
	i := c.Identity
	o := identity.Options{
		BaseURL: strings.TrimSuffix(base.String(), "/"), DefaultSchema: i.DefaultSchema, ReturnTo: i.ReturnTo, AllowedReturnURLs: append(loopbackURLs(base), i.AllowedReturns...), ErrorUI: i.ErrorUI,
		Flows: map[identity.Kind]identity.FlowOptions{
			identity.Login: {UI: i.Login.UI, Lifespan: i.Login.Lifespan, IdentifierFirst: i.Login.Style == "identifier_first", NeedsVerified: i.Login.Verified},
			identity.Registration: {Disabled: !i.Registration.Enabled, UI: i.Registration.UI, Lifespan: i.Registration.Lifespan, NoLogin: !i.Registration.Session,
				TwoSteps: i.Registration.Style == "profile_first" && !i.Registration.OneStep, ShowVerification: i.Registration.Show},
			identity.Settings: {UI: i.Settings.UI, Lifespan: i.Settings.Lifespan, ShowVerification: i.Settings.Show},
			identity.Recovery: {Disabled: !i.Recovery.Enabled, UI: i.Recovery.UI, Lifespan: i.Recovery.Lifespan,
				Link: i.Recovery.Use == "link", NotifyUnknown: i.Recovery.Notify, KeepSessions: !i.Recovery.Revoke},
			identity.Verification: {Disabled: !i.Verification.Enabled, UI: i.Verification.UI, Lifespan: i.Verification.Lifespan,
				Link: i.Verification.Use == "link", NotifyUnknown: i.Verification.Notify},
		},
		Logout:       identity.LogoutOptions{ReturnTo: i.LogoutReturnTo, ClearBrowser: i.LogoutClears},
		HookHeaders:  i.HookHeaders,
		SettingsAAL1: i.SettingsAAL == "aal1", PrivilegedAge: i.PrivilegedAge,
		PasswordMinLength: i.PasswordMinLength, TellTaken: !i.Mitigate, LoginHints: i.LoginHints, ChooseAddress: i.ChooseAddress,
		Groups:   map[identity.GroupKind]identity.GroupOptions{identity.OfGroup: i.Groups, identity.OfOrganization: i.Organizations},
		Disabled: map[identity.CredentialType]bool{identity.Password: !i.Password, identity.CodeAuth: !i.Code, "link": !i.Link},
		Code:     identity.CodeOptions{Passwordless: i.Passwordless, Second: i.CodeSecond, Lifespan: i.CodeLifespan, LinkLifespan: i.LinkLifespan, Tries: i.CodeTries},
		Hashing: identity.HashOptions{
			Memory: uint32(i.HashMemory), Iterations: uint32(i.HashIterations), Budget: i.HashDuration, MaxMemory: i.HashDedicated,
		},
	}
	if c.Dev {
		i.Factors = i.Factors.forDev(base)
	}
	i.Factors.put(&o)
	if err := i.Session.put(&o); err != nil {
		return o, err
	}
	if err := i.OIDC.put(&o, c.Dev); err != nil {
		return o, err
	}
	for _, one := range flowEnds {
		if err := c.putEnds(one.kind, one.flow(&c), &o); err != nil {
			return o, err
		}
	}
	for _, schema := range i.Schemas {
		text, err := schema.text()
		if err != nil {
			return o, err
		}
		compiled, err := identity.NewSchema(schema.ID, text)
		if err != nil {
			return o, err
		}
		compiled.Selectable = schema.Selectable
		o.Schemas = append(o.Schemas, compiled)
	}
	return o, nil
}

// An identitySchema says where a schema is.
type identitySchema struct {
	ID         string `json:"id"`
	URL        string `json:"url"`
	Selectable bool   `json:"selfservice_selectable"`
}

type identitySchemas []identitySchema

// parse implements parser: a list, or a text that is one in JSON.
func (s *identitySchemas) parse(raw any) error {
	text, isText := raw.(string)
	if isText && strings.TrimSpace(text) == "" {
		return nil
	}
	if !isText {
		encoded, err := json.Marshal(raw)
		if err != nil {
			return fmt.Errorf("expected a list of id and url, got %s", describe(raw))
		}
		text = string(encoded)
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode((*[]identitySchema)(s)); err != nil {
		return fmt.Errorf("expected a list of id, url and selfservice_selectable: %w", err)
	}
	for i, one := range *s {
		if one.ID == "" || one.URL == "" {
			return fmt.Errorf("schema %d has no id or no url", i)
		}
	}
	return nil
}

// text reads the schema.
//
// Invalid: the URL is of another kind, or there is nothing.
func (s identitySchema) text() ([]byte, error) {
	if encoded, ok := strings.CutPrefix(s.URL, "base64://"); ok {
		text, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, errs.New(errs.Invalid, "identity.schemas: %s: the text after base64:// is no base64", s.ID)
		}
		return text, nil
	}
	path, _ := strings.CutPrefix(s.URL, "file://")
	if strings.Contains(path, "://") {
		return nil, errs.New(errs.Invalid, "identity.schemas: %s: url is %.80q: expected file:// or base64://", s.ID, s.URL)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.New(errs.Invalid, "identity.schemas: %s: %v", s.ID, err)
	}
	return text, nil
}

func isURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return fmt.Errorf("expected a URL, got %q", text)
	}
	return nil
}

func areURLs(value any) error {
	var bad []error
	for _, text := range *value.(*[]string) {
		bad = append(bad, isURL(text))
	}
	return errors.Join(bad...)
}

func isNotEmpty(value any) error {
	if *value.(*string) == "" {
		return errors.New("expected a name")
	}
	return nil
}
