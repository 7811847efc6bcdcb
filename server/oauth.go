package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

// An OAuthConfig is what can be set of package oauth. Keys are Hydra's, under oauth.
type OAuthConfig struct {
	Issuer     string // "": that of the public listener
	URLs       oauth.URLs
	TTL        oauth.TTL
	Strategies oauth.Strategies
	Subjects   oauth.Subjects
	Register   oauth.Registration
	Grants     oauth.GrantOptions
	Claims     claimRules
	Scopes     scopeRules
	GroupScope string

	Certificates ClientCertificates

	Access oauth.AccessClaims
	Mirror bool // not Access.NoMirror
	Hooks  oauth.Hooks

	Hints bool // errors tell clients what exactly is wrong

	// DisallowPrivate keeps what clients name away from private addresses.
	DisallowPrivate bool
}

// ClientCertificates are the settings of oauth.Certificates.
type ClientCertificates struct {
	Request bool // by TLS of the public listener
	Header  string
	Chain   string   // like Header
	URL     string   // "": that of the issuer
	From    []string // addresses or prefixes of proxies
	CAPath  string
}

// oauthSettings are the settings of OAuthConfig.
var oauthSettings = []setting{
	{"oauth.urls.self.issuer", "", "", "the URL under which browsers and clients reach the public API, which names this server in tokens; empty: that of the public listener",
		func(c *Config) any { return &c.OAuth.Issuer }, isURLOrEmpty},
	{"oauth.urls.login", "", "", "the page that logs people in, by Hydra's protocol; empty: Cardea's own",
		func(c *Config) any { return &c.OAuth.URLs.Login }, isURLOrEmpty},
	{"oauth.urls.registration", "", "", "the page that registers people; empty: Cardea's own",
		func(c *Config) any { return &c.OAuth.URLs.Registration }, isURLOrEmpty},
	{"oauth.urls.consent", "", "", "the page that asks what a client may do; empty: Cardea's own",
		func(c *Config) any { return &c.OAuth.URLs.Consent }, isURLOrEmpty},
	{"oauth.urls.logout", "", "", "the page that asks whether to log out; empty: Cardea's own",
		func(c *Config) any { return &c.OAuth.URLs.Logout }, isURLOrEmpty},
	{"oauth.urls.error", "", "", "the page that shows errors which no client can be told of; empty: Cardea's own",
		func(c *Config) any { return &c.OAuth.URLs.Error }, isURLOrEmpty},
	{"oauth.urls.post_logout_redirect", "", "", "where a logout ends that names no page; empty: a page that says so",
		func(c *Config) any { return &c.OAuth.URLs.PostLogout }, isURLOrEmpty},
	{"oauth.urls.device.verification", "", "", "the page where people enter the code of a device; empty: Cardea's own",
		func(c *Config) any { return &c.OAuth.URLs.DeviceVerification }, isURLOrEmpty},
	{"oauth.urls.device.success", "", "", "the page that says that a device is connected; empty: Cardea's own",
		func(c *Config) any { return &c.OAuth.URLs.DeviceSuccess }, isURLOrEmpty},
	{"oauth.ttl.access_token", "", "1h", "how long an access token is good",
		func(c *Config) any { return &c.OAuth.TTL.AccessToken }, isPositive},
	{"oauth.ttl.refresh_token", "", "720h", "how long a refresh token is good; -1: for ever",
		func(c *Config) any { return &c.OAuth.TTL.RefreshToken }, nil},
	{"oauth.ttl.id_token", "", "1h", "how long an ID token is good",
		func(c *Config) any { return &c.OAuth.TTL.IDToken }, isPositive},
	{"oauth.ttl.auth_code", "", "10m", "how long an authorization code is good",
		func(c *Config) any { return &c.OAuth.TTL.Code }, isPositive},
	{"oauth.ttl.device_user_code", "", "15m", "how long a device's code is good",
		func(c *Config) any { return &c.OAuth.TTL.DeviceCode }, isPositive},
	{"oauth.ttl.login_consent_request", "", "30m", "how long people may take to log in and to consent",
		func(c *Config) any { return &c.OAuth.TTL.Challenge }, isPositive},
	{"oauth.ttl.authentication_session", "", "720h", "how long a login is remembered",
		func(c *Config) any { return &c.OAuth.TTL.Login }, isPositive},
	{"oauth.ttl.pushed_authorization_request", "", "1m", "how long a pushed authorization request is good",
		func(c *Config) any { return &c.OAuth.TTL.Pushed }, isPositive},
	{"oauth.strategies.scope", "", "wildcard", "how scopes are compared with those of the client: wildcard or exact",
		func(c *Config) any { return &c.OAuth.Strategies.Scope }, oneOf("wildcard", "exact")},
	{"oauth.strategies.access_token", "", "opaque", "access tokens of clients that do not say: opaque or jwt",
		func(c *Config) any { return &c.OAuth.Strategies.AccessToken }, oneOf("opaque", "jwt")},
	{"oauth.strategies.jwt.scope_claim", "", "string", "how JWT access tokens list scopes: string (scope), list (scp) or both",
		func(c *Config) any { return &c.OAuth.Strategies.ScopeClaim }, oneOf("string", "list", "both")},
	{"oauth.strategies.jwt.signing_alg", "", "RS256", "how JWT access tokens are signed: RS256, PS256, ES256 or EdDSA",
		func(c *Config) any { return &c.OAuth.Strategies.AccessAlg }, oneOf("RS256", "PS256", "ES256", "EdDSA")},
	{"oauth.oauth2.allowed_top_level_claims", "", "", "claims of the consent that stand beside ext in JWT access tokens, with commas between",
		func(c *Config) any { return &c.OAuth.Access.TopLevel }, nil},
	{"oauth.oauth2.mirror_top_level_claims", "", "true", "whether those claims stand in ext, too",
		func(c *Config) any { return &c.OAuth.Mirror }, nil},
	{"oauth.oauth2.exclude_not_before_claim", "", "false", "make JWT access tokens without nbf",
		func(c *Config) any { return &c.OAuth.Access.NoNBF }, nil},
	{"oauth.oauth2.token_hook.url", "", "", "the server that is asked before tokens are made, and may change their claims or refuse them; empty: none",
		func(c *Config) any { return &c.OAuth.Hooks.Token.URL }, isURLOrEmpty},
	{"oauth.oauth2.token_hook.auth.type", "", "api_key", "how it knows who asks: api_key",
		func(c *Config) any { return &c.OAuth.Hooks.Token.Auth.Type }, oneOf("api_key")},
	{"oauth.oauth2.token_hook.auth.config.in", "", "header", "where the key is: header or cookie",
		func(c *Config) any { return &c.OAuth.Hooks.Token.Auth.In }, oneOf("header", "cookie")},
	{"oauth.oauth2.token_hook.auth.config.name", "", "", "the name of that header or cookie; empty: there is no key",
		func(c *Config) any { return &c.OAuth.Hooks.Token.Auth.Name }, nil},
	{"oauth.oauth2.token_hook.auth.config.value", "", "", "the key",
		func(c *Config) any { return &c.OAuth.Hooks.Token.Auth.Value }, nil},
	{"oauth.oauth2.refresh_token_hook.url", "", "", "the same for refresh tokens only; asked before the other one",
		func(c *Config) any { return &c.OAuth.Hooks.Refresh.URL }, isURLOrEmpty},
	{"oauth.oauth2.refresh_token_hook.auth.type", "", "api_key", "how it knows who asks: api_key",
		func(c *Config) any { return &c.OAuth.Hooks.Refresh.Auth.Type }, oneOf("api_key")},
	{"oauth.oauth2.refresh_token_hook.auth.config.in", "", "header", "where the key is: header or cookie",
		func(c *Config) any { return &c.OAuth.Hooks.Refresh.Auth.In }, oneOf("header", "cookie")},
	{"oauth.oauth2.refresh_token_hook.auth.config.name", "", "", "the name of that header or cookie; empty: there is no key",
		func(c *Config) any { return &c.OAuth.Hooks.Refresh.Auth.Name }, nil},
	{"oauth.oauth2.refresh_token_hook.auth.config.value", "", "", "the key",
		func(c *Config) any { return &c.OAuth.Hooks.Refresh.Auth.Value }, nil},
	{"oauth.oidc.subject_identifiers.supported_types", "", "public", "how clients may know people: public, pairwise, or both with a comma between",
		func(c *Config) any { return &c.OAuth.Subjects.Types }, nil},
	{"oauth.oidc.subject_identifiers.pairwise.salt", "", "", "what pairwise identifiers are made with: expected if there are any, and never to change",
		func(c *Config) any { return &c.OAuth.Subjects.Salt }, nil},
	{"oauth.oidc.dynamic_client_registration.enabled", "", "false", "let clients register themselves (RFC 7591); always with --dev",
		func(c *Config) any { return &c.OAuth.Register.Enabled }, nil},
	{"oauth.oidc.dynamic_client_registration.default_scope", "", "openid,offline_access,profile,email", "the scopes of a client that people are asked about and that is registered without any",
		func(c *Config) any { return &c.OAuth.Register.DefaultScope }, nil},
	{"oauth.oidc.dynamic_client_registration.initial_access_token", "", "", "what a client must show to register itself (RFC 7591), as a bearer token; empty: nothing, but then it gets no grant that asks nobody",
		func(c *Config) any { return &c.OAuth.Register.InitialToken }, nil},
	{"oauth.oidc.dynamic_client_registration.allowed_scope", "", "", "the scopes that such a client may register for, with commas between; empty: those of default_scope",
		func(c *Config) any { return &c.OAuth.Register.Scopes }, nil},
	{"oauth.oidc.dynamic_client_registration.allowed_audience", "", "", "the audiences and resources that it may register for, or URLs above those; empty: none",
		func(c *Config) any { return &c.OAuth.Register.Audience }, nil},
	{"oauth.oidc.dynamic_client_registration.allowed_grant_types", "", "authorization_code,refresh_token", "the grant types that it may register for",
		func(c *Config) any { return &c.OAuth.Register.Grants }, nil},
	{"oauth.claims", "", "", "which claims have which traits: a list of claim, trait (a path such as name.first) and scope; empty: the usual ones of OpenID Connect",
		func(c *Config) any { return &c.OAuth.Claims }, nil},
	{"oauth.scopes", "", "", "scopes that are granted only to people with a permission: a list of scope, namespace, object and permission",
		func(c *Config) any { return &c.OAuth.Scopes }, nil},
	{"oauth.groups.scope", "", "groups", "the scope that gives a client the claim groups, with the ids of the groups that identity.groups means; empty: there is no such claim",
		func(c *Config) any { return &c.OAuth.GroupScope }, nil},
	{"oauth.oauth2.pkce.enforced", "", "false", "require PKCE of all clients, rather than of public ones and those of the profiles oauth2.1 and fapi2",
		func(c *Config) any { return &c.OAuth.Grants.PKCE }, nil},
	{"oauth.oauth2.grant.refresh_token.rotation_grace_period", "", "0s", "how long after its first use a refresh token can be used again, at most 5m",
		func(c *Config) any { return &c.OAuth.Grants.Grace }, isGrace},
	{"oauth.oauth2.grant.jwt.jti_optional", "", "false", "whether assertions of trusted issuers may lack a jti, without which they can be used more than once",
		func(c *Config) any { return &c.OAuth.Grants.JWT.JTIOptional }, nil},
	{"oauth.oauth2.grant.jwt.iat_optional", "", "false", "whether they may lack an iat",
		func(c *Config) any { return &c.OAuth.Grants.JWT.IATOptional }, nil},
	{"oauth.oauth2.grant.jwt.max_ttl", "", "720h", "how long they may be good",
		func(c *Config) any { return &c.OAuth.Grants.JWT.MaxTTL }, isPositive},
	{"oauth.oauth2.device_authorization.token_polling_interval", "", "5s", "how long a device waits between two questions",
		func(c *Config) any { return &c.OAuth.Grants.DevicePoll }, isPositive},
	{"oauth.clients.http.disallow_private_ip_ranges", "", "true", "whether clients may not have their keys, and hear of logouts, at private addresses; with --dev they may",
		func(c *Config) any { return &c.OAuth.DisallowPrivate }, nil},
	{"oauth.oauth2.dpop.nonce", "", "false", "require proofs of RFC 9449 to have a nonce of this server, so that none can be made in advance",
		func(c *Config) any { return &c.OAuth.Grants.DPoPNonce }, nil},
	{"oauth.clients.http.private_ip_exception_urls", "", "", "the URLs of hooks that may be at private addresses all the same, with commas between",
		func(c *Config) any { return &c.OAuth.Hooks.Private }, nil},
	{"oauth.client_certificates.header", "", "", "the header in which a proxy that ends TLS passes on the certificate of a client, as RFC 9440 has it or in PEM, and which it removes where there is none; empty: no proxy does",
		func(c *Config) any { return &c.OAuth.Certificates.Header }, nil},
	{"oauth.client_certificates.chain_header", "", "Client-Cert-Chain", "the header in which it passes on the certificates between that one and the authority, as RFC 9440 has it, and which it removes, too; empty: none",
		func(c *Config) any { return &c.OAuth.Certificates.Chain }, nil},
	{"oauth.client_certificates.url", "", "", "the URL under which clients that show certificates reach the public API, for the mtls_endpoint_aliases of the metadata (RFC 8705); empty: that of the issuer",
		func(c *Config) any { return &c.OAuth.Certificates.URL }, isURLOrEmpty},
	{"oauth.oauth2.expose_internal_errors", "", "false", "tell clients what exactly is wrong with a request, as with --dev, and not only what the code of the error means",
		func(c *Config) any { return &c.OAuth.Hints }, nil},
	{"oauth.client_certificates.request", "", "false", "ask whoever connects to the public listener by TLS for a certificate; browsers of people who have some ask which to show",
		func(c *Config) any { return &c.OAuth.Certificates.Request }, nil},
	{"oauth.client_certificates.allow_from", "", "127.0.0.1,::1", "the addresses or prefixes (10.0.0.0/8) of the proxies that are believed",
		func(c *Config) any { return &c.OAuth.Certificates.From }, isPrefixes},
	{"oauth.client_certificates.ca_path", "", "", "a PEM file with the authorities whose certificates authenticate clients (tls_client_auth); empty: none do",
		func(c *Config) any { return &c.OAuth.Certificates.CAPath }, nil},
	{"oauth.oauth2.device_authorization.user_code.length", "", "8", "how many characters the code has that people type",
		func(c *Config) any { return &c.OAuth.Grants.UserCodeLength }, isPositive},
	{"oauth.oauth2.device_authorization.user_code.character_set", "", "BCDFGHJKLMNPQRSTVWXZ", "what that code is made of: capital letters and digits",
		func(c *Config) any { return &c.OAuth.Grants.UserCodeSymbols }, nil},
}

func isURLOrEmpty(value any) error {
	got := *value.(*string)
	if u, err := url.Parse(got); got != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("expected an http(s) URL, got %q", got)
	}
	return nil
}

func isPrefixes(value any) error {
	_, err := prefixes(*value.(*[]string))
	return err
}

// prefixes reads addresses and prefixes.
func prefixes(texts []string) (all []netip.Prefix, err error) {
	for _, text := range texts {
		if ip, err := netip.ParseAddr(text); err == nil {
			all = append(all, netip.PrefixFrom(ip, ip.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("expected addresses or prefixes, got %q", text)
		}
		all = append(all, p)
	}
	return all, nil
}

// read returns what package oauth wants to know.
func (c ClientCertificates) read() (oauth.Certificates, error) {
	o := oauth.Certificates{Header: c.Header, ChainHeader: c.Chain}
	var err error
	if c.URL != "" {
		if o.Alias, err = url.Parse(c.URL); err != nil {
			return o, errs.Wrap(errs.Invalid, err, "oauth.client_certificates.url: %v", err)
		}
	}
	if o.Proxies, err = prefixes(c.From); err != nil {
		return o, errs.Wrap(errs.Invalid, err, "oauth.client_certificates.allow_from: %v", err)
	}
	if c.CAPath == "" {
		return o, nil
	}
	o.Roots, err = readAuthorities("oauth.client_certificates.ca_path", c.CAPath)
	return o, err
}

func isGrace(value any) error {
	if d := *value.(*time.Duration); d < 0 || d > 5*time.Minute {
		return fmt.Errorf("expected between 0s and 5m, got %s", d)
	}
	return nil
}

// openPublic listens at the public address, since the issuer has its port, and makes
// the providers of all networks.
func (s *Server) openPublic(ctx context.Context) error {
	c := s.config
	if s.core.secrets == nil {
		return nil
	}
	if c.Serve.Public.Address != "" {
		var err error
		if s.core.public, err = listen("public", c.Serve.Public.Address); err != nil {
			return err
		}
	}
	issuer, err := c.issuer(s.core.public)
	if err != nil || issuer == nil {
		return err
	}
	if c.OAuth.Issuer == "" && !isLoopback(c.Serve.Public.Address) {
		s.log.Warn("oauth.urls.self.issuer is not set: tokens, links in mails and pages name the listener's own address", "issuer", issuer.String())
	}
	if err := s.openIdentity(ctx, issuer); err != nil {
		return err
	}
	for _, n := range s.core.networks {
		if err := s.openOAuth(ctx, n, issuer); err != nil {
			return err
		}
	}
	return nil
}

// issuer returns the URL of the public API: the one that is set, or that of its
// listener, nil if there is neither.
func (c Config) issuer(public net.Listener) (*url.URL, error) {
	if c.OAuth.Issuer != "" {
		return url.Parse(c.OAuth.Issuer)
	}
	if public == nil {
		return nil, nil
	}
	host, _, err := net.SplitHostPort(c.Serve.Public.Address)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "serve.public.address: expected host:port")
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "localhost"
	}
	_, port, err := net.SplitHostPort(public.Addr().String())
	scheme := "http"
	if c.Serve.encrypts("public") {
		scheme = "https"
	}
	return &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, port)}, err
}

// openOAuth makes the provider of a network.
func (s *Server) openOAuth(ctx context.Context, n *network, issuer *url.URL) error {
	grants, err := s.db.Grants(ctx, n.name)
	if err != nil {
		return err
	}
	c := s.config.OAuth
	o := oauth.Options{
		Issuer: issuer, Secrets: s.core.secretsOf(n), Dev: s.config.Dev, Hints: s.config.Dev || c.Hints, URLs: c.URLs, TTL: c.TTL,
		Strategies: c.Strategies, Subjects: c.Subjects, Register: c.Register, Grants: c.Grants, AccessClaims: c.Access, Hooks: c.Hooks, Log: s.log,
	}
	if o.Certificates, err = c.Certificates.read(); err != nil {
		return err
	}
	o.Certificates.Asked = c.Certificates.Request && s.config.Serve.encrypts("public")
	o.Register.Enabled = o.Register.Enabled || s.config.Dev
	o.Private = !c.DisallowPrivate || s.config.Dev
	o.AccessClaims.NoMirror = !c.Mirror
	if n.people != nil {
		o.Silent = c.URLs.Login == "" && c.URLs.Consent == ""
		o.LoggedOut = n.people.EndSession
		if c.URLs.Login == "" {
			o.SessionActive = n.people.SessionActive // all are ours
			o.ACRValues = []string{string(identity.AAL1), string(identity.AAL2)}
		}
		o.URLs = ownPages(o.URLs, strings.TrimSuffix(issuer.String(), "/"))
	}
	n.claims = claimMaker{c.Claims, c.Scopes, c.GroupScope}
	if len(c.Scopes) > 0 {
		o.Permitted = n.permitted
	}
	if n.claims.claims == nil {
		n.claims.claims = usualClaims
	}
	if n.people != nil && c.URLs.Consent == "" {
		o.ScopeClaims, o.Claims = n.claims.byScope(), n.claimsNow
	}
	n.oauth, err = oauth.New(grants, o)
	if err != nil {
		return errs.Wrap(errs.KindOf(err), err, "oauth")
	}
	n.admin = n.oauth.Admin()
	return nil
}

// publicOAuth registers what browsers and clients use, of the network that requests
// are about which name none.
func (c *core) publicOAuth(rs *routes) {
	n := c.guard.usual
	if n.oauth == nil {
		return
	}
	for _, route := range n.oauth.Public() {
		rs.open(route.Pattern, oauth.Fail, c.origin.limited(route))
	}
	rs.open("GET /oauth2/fallbacks/{page}", c.failUnmatched("public"), c.fallback)
}

// unasked are the routes that store something for clients that need not show who they
// are. Those that do are not rationed: a wrong secret is counted as a guess.
var unasked = []string{"POST /oauth2/register", "POST /oauth2/device/auth", "POST /oauth2/par"}

// shown are the routes where clients show who they are, or come to nothing. What is read
// without that, such as the metadata, is there whatever happens at those.
var shown = append([]string{"POST /oauth2/token", "POST /oauth2/introspect", "POST /oauth2/revoke"}, unasked...)

// limited is what a route serves to those who do not overdo it.
func (o *origin) limited(route oauth.Route) restHandler {
	if !slices.Contains(shown, route.Pattern) {
		return route.Serve
	}
	guarded := o.guarded(oauth.IsGuess, route.Serve)
	others := o.counting(o.refusals, oauth.IsRefusal, "too many requests from this address fail: try again later", route.Serve)
	if slices.Contains(unasked, route.Pattern) {
		others = o.rationed(others)
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		if oauth.Authenticates(r) {
			return guarded(w, r)
		}
		return others(w, r)
	}
}

// adminOAuth registers what operators use, and pages that ask people.
func (c *core) adminOAuth(rs *routes) {
	if c.guard.usual.oauth == nil {
		return
	}
	for i, route := range c.guard.usual.admin {
		rs.handle(route.Pattern, oauth.Fail, func(w http.ResponseWriter, r *http.Request) error {
			return networkOf(r.Context()).admin[i].Serve(w, r)
		})
	}
}

// elsewhere are the pages that a setting of oauth.urls can name, by the ends of their keys.
var elsewhere = []string{"login", "registration", "consent", "logout", "post_logout_redirect", "device.verification"}

// fallback says that there is no page, or which error there was.
//
// NotFound: nothing leads to such a page.
func (c *core) fallback(w http.ResponseWriter, r *http.Request) error {
	page := r.PathValue("page")
	switch {
	case page == "error":
		return c.pages.showOAuthError(w, r)
	case page == "device.success":
		return c.guard.usual.deviceDone(w, r)
	case slices.Contains(elsewhere, page):
		return c.pages.Show(w, http.StatusOK, "message", messagePage{
			Title: "No page for this", Look: "info", Message: "This server has no page named " + page + ": the setting oauth.urls." + page + " can name one.",
		})
	default:
		return nothingAt(r)
	}
}
