package server

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A SessionConfig is about the sessions of identities.
type SessionConfig struct {
	Lifespan     time.Duration
	Idle         time.Duration
	Extend       time.Duration
	Max          int // of an identity
	CookieName   string
	CookieDomain string
	Persistent   bool
	SameSite     string
	HostPrefix   bool
	WhoamiAAL    string
	Cacheable    bool
	CacheMaxAge  time.Duration
	BriefExtend  bool
	Templates    tokenTemplates
}

var sessionSettings = []setting{
	{"identity.session.lifespan", "", "24h", "how long a session lasts",
		func(c *Config) any { return &c.Identity.Session.Lifespan }, isPositive},
	{"identity.session.idle_lifespan", "", "0s", "how long a session lasts that is not used; 0s: half of lifespan",
		func(c *Config) any { return &c.Identity.Session.Idle }, isNotNegative},
	{"identity.session.earliest_possible_extend", "", "0s", "how long before its end a session can be extended by administrators; 0s: at any time",
		func(c *Config) any { return &c.Identity.Session.Extend }, isNotNegative},
	{"identity.session.max_per_identity", "", "100", "sessions that an identity may have at the same time; a login beyond them ends the oldest; 0: any number",
		func(c *Config) any { return &c.Identity.Session.Max }, isNotNegative},
	{"identity.session.cookie.name", "", "ory_kratos_session", "name of the cookie with the session",
		func(c *Config) any { return &c.Identity.Session.CookieName }, isCookieName},
	{"identity.session.cookie.domain", "", "", "domain of the cookies; empty: the host of the public URL alone",
		func(c *Config) any { return &c.Identity.Session.CookieDomain }, isCookieDomain},
	{"identity.session.cookie.persistent", "", "true", "whether browsers keep the session when they are closed",
		func(c *Config) any { return &c.Identity.Session.Persistent }, nil},
	{"identity.cookies.same_site", "", "Lax", "SameSite of all cookies: Lax, Strict, with which nobody comes back from another provider, or None, which needs https",
		func(c *Config) any { return &c.Identity.Session.SameSite }, oneOf("Lax", "Strict", "None")},
	{"identity.cookies.host_prefix", "", "false", "begin the names of cookies with __Host-, so that browsers take them from this host alone; needs https and no cookie.domain",
		func(c *Config) any { return &c.Identity.Session.HostPrefix }, nil},
	{"identity.feature_flags.cacheable_sessions", "", "false", "let whoami tell edges, in the header Ory-Session-Cache-For, how many seconds they may answer in its place: a session that has ended is still one to them",
		func(c *Config) any { return &c.Identity.Session.Cacheable }, nil},
	{"identity.feature_flags.cacheable_sessions_max_age", "", "0s", "how long that is at most; 0s: until the session ends",
		func(c *Config) any { return &c.Identity.Session.CacheMaxAge }, isNotNegative},
	{"identity.feature_flags.faster_session_extend", "", "false", "answer administrators who extend a session with 204, and not with the session",
		func(c *Config) any { return &c.Identity.Session.BriefExtend }, nil},
	{"identity.session.whoami.required_aal", "", "highest_available", "aal1: a session counts before the second factor is given, by those who have one",
		func(c *Config) any { return &c.Identity.Session.WhoamiAAL }, oneOf("highest_available", "aal1")},
	{"identity.session.whoami.tokenizer.templates", "", "", "JWTs that whoami makes of sessions, a section of name and jwks_url, ttl, claims_mapper_url, subject_source (id or external_id): see docs/identity.md",
		func(c *Config) any { return &c.Identity.Session.Templates }, nil},
}

func isCookieName(value any) error {
	return isCookie(&http.Cookie{Name: *value.(*string), Value: "x"}, *value.(*string), "a name of letters, digits, _ and -")
}

func isCookieDomain(value any) error {
	return isCookie(&http.Cookie{Name: "x", Value: "x", Domain: *value.(*string)}, *value.(*string), "a domain")
}

// isCookie refuses what would be left out of a cookie, or the cookie with it, without a word.
func isCookie(c *http.Cookie, got, expected string) error {
	if err := c.Valid(); err != nil {
		return fmt.Errorf("expected %s, got %q", expected, got)
	}
	return nil
}

// put fills in the options.
//
// Invalid: a template has mistakes.
func (c SessionConfig) put(o *identity.Options) error {
	o.SessionLifespan, o.CookieName, o.CookieDomain, o.WhoamiAAL1 = c.Lifespan, c.CookieName, c.CookieDomain, c.WhoamiAAL == "aal1"
	o.BriefCookies, o.HostCookies, o.Cacheable, o.CacheMaxAge = !c.Persistent, c.HostPrefix, c.Cacheable, c.CacheMaxAge
	o.SameSite = map[string]http.SameSite{"Strict": http.SameSiteStrictMode, "None": http.SameSiteNoneMode}[c.SameSite] // else the usual one
	o.SessionIdle, o.ExtendWithin, o.BriefExtend, o.MaxSessions = c.Idle, c.Extend, c.BriefExtend, c.Max
	for name, t := range c.Templates {
		made, err := t.read("identity.session.whoami.tokenizer.templates." + name)
		if err != nil {
			return err
		}
		if o.TokenTemplates == nil {
			o.TokenTemplates = map[string]*identity.TokenTemplate{}
		}
		o.TokenTemplates[name] = made
	}
	return nil
}

// A tokenTemplate says how sessions become JWTs, as Kratos has it.
type tokenTemplate struct {
	TTL     identity.Lifespan `json:"ttl"`
	Keys    string            `json:"jwks_url"`
	Mapper  string            `json:"claims_mapper_url"`
	Subject string            `json:"subject_source"`
}

type tokenTemplates map[string]tokenTemplate

// parse implements parser: a section, or a text that is one in JSON.
func (t *tokenTemplates) parse(raw any) error {
	return decodeSection(raw, (*map[string]tokenTemplate)(t), "a section of names and ttl, jwks_url, claims_mapper_url and subject_source")
}

// read makes the template; setting names it in errors.
//
// Invalid: there are mistakes.
func (t tokenTemplate) read(setting string) (*identity.TokenTemplate, error) {
	if t.Subject != "" && t.Subject != "id" && t.Subject != "external_id" {
		return nil, errs.New(errs.Invalid, "%s.subject_source is %.80q: expected id or external_id", setting, t.Subject)
	}
	keys, err := located(setting+".jwks_url", t.Keys)
	if err != nil {
		return nil, err
	}
	var mapper []byte
	if t.Mapper != "" {
		if mapper, err = located(setting+".claims_mapper_url", t.Mapper); err != nil {
			return nil, err
		}
	}
	made, err := identity.NewTokenTemplate(time.Duration(t.TTL), keys, mapper, t.Subject == "external_id")
	if err != nil {
		return nil, errs.New(errs.Invalid, "%s: %v", setting, err)
	}
	return made, nil
}

// located reads what a URL of a setting leads to: a file, or the URL itself.
//
// Invalid: it cannot be read, or the URL is of another kind.
func located(setting, url string) ([]byte, error) {
	if !strings.HasPrefix(url, "file://") && !strings.HasPrefix(url, "base64://") {
		return nil, errs.New(errs.Invalid, "%s: expected file:// or base64://", setting) // the text may be a key
	}
	return textOf(setting, url)
}
