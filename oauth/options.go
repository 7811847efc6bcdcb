package oauth

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/egress"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/secret"
)

// Options are what a Provider can be told. Zero means the default, which is in the
// comment; the names in settings are Hydra's.
type Options struct {
	// Issuer is the URL under which browsers and clients reach the public API
	// (urls.self.issuer). It has no query and no fragment.
	Issuer *url.URL

	// Secrets encrypt what is stored and sign what is handed out.
	Secrets *secret.Keyring

	Dev bool // a machine of one's own: short secrets, URLs that are not encrypted, and keys that are lost are made anew

	// Hints says that errors tell what exactly is wrong with a request, which helps those
	// who write clients, and those who look for a way in. Else they say what their code
	// means. Operators always learn it.
	Hints bool

	URLs       URLs
	TTL        TTL
	Strategies Strategies
	Subjects   Subjects
	Register   Registration
	Grants     GrantOptions

	AccessClaims AccessClaims
	Hooks        Hooks

	Certificates Certificates
	// Silent says that the login and consent pages answer prompt=none by themselves.
	Silent bool

	// ScopeClaims are the claims that scopes stand for; nil: those of OpenID Connect Core,
	// section 5.4. Others are the consent page's to give.
	ScopeClaims map[string][]string

	// ACRValues are the means by which the login page can log people in, for discovery;
	// nil: nobody knows.
	ACRValues []string

	// Permitted returns those of some scopes that an account may have now; nil: all. It is
	// asked whenever an access token of somebody is made, whoever has asked for their
	// consent.
	Permitted func(ctx context.Context, scopes []string, account string) ([]string, error)

	// Claims returns the claims about an account that scopes stand for, as they are now, for
	// consents that follow it (AcceptConsent.Follow). nil: none do. NotFound: the account is
	// gone, or may not log in.
	Claims func(ctx context.Context, account string, scopes []string) (map[string]any, error)

	// LoggedOut is told of a login that has ended: whose it was, and the session of the
	// identity provider that the login page named. nil: nobody is.
	LoggedOut func(ctx context.Context, subject, session string) error

	// SessionActive reports whether a session that the login page named has not ended. nil:
	// nobody knows.
	SessionActive func(ctx context.Context, subject, session string) (bool, error)

	// Poll is how often a node looks for messages that others did not send. 10 s.
	Poll time.Duration

	// Private lets clients have their documents, and hear of logouts, at private
	// addresses (clients.http.disallow_private_ip_ranges).
	Private bool

	// HTTP fetches what clients and hooks have; nil: one that minds Private.
	HTTP *http.Client
	Log  *slog.Logger // nil: none
	Now  func() time.Time
}

// URLs are the pages where people are asked. An empty one is that of the fallback,
// which says what is missing.
type URLs struct {
	Login, Registration, Consent, Logout, Error string
	PostLogout                                  string // where a logout ends that names no page
	DeviceVerification, DeviceSuccess           string
}

// TTL says how long things are good.
type TTL struct {
	AccessToken  time.Duration // 1 h
	RefreshToken time.Duration // 720 h; -1: for ever
	IDToken      time.Duration // 1 h
	Code         time.Duration // 10 min
	DeviceCode   time.Duration // 15 min
	Challenge    time.Duration // 30 min: a request's way through login and consent
	Login        time.Duration // 720 h: a remembered login
	Pushed       time.Duration // 1 min: a request_uri of RFC 9126
}

// Strategies choose between ways to do something.
type Strategies struct {
	Scope       string // wildcard (the default) or exact
	AccessToken string // opaque (the default) or jwt
	AccessAlg   string // how JWT access tokens are signed: RS256 (the default), PS256, ES256, EdDSA
	ScopeClaim  string // of JWT access tokens: string (RFC 9068, the default), list or both
}

// Subjects are the identifiers of people that clients see.
type Subjects struct {
	Types []string // public (the default), pairwise
	Salt  string   // of pairwise ones
}

// Registration is what clients may do to register themselves.
type Registration struct {
	Enabled      bool
	DefaultScope []string // of clients that name none, also of those that operators register
	// InitialToken is what clients must show to register (RFC 7591, section 3); "": they
	// need nothing, and may not register for grants that ask nobody.
	InitialToken string
	Scopes       []string // that clients may register for, to the letter; none: DefaultScope
	Audience     []string // likewise, or URLs above those; none: nobody may
	Grants       []string // likewise; none: authorization_code and refresh_token
}

func (o *Registration) check() error {
	if len(o.Scopes) == 0 {
		o.Scopes = o.DefaultScope
	}
	if len(o.Grants) == 0 {
		o.Grants = []string{grantCode, grantRefresh}
	}
	for _, g := range o.Grants {
		if !slices.Contains(knownGrants, g) {
			return errs.New(errs.Invalid, "oidc.dynamic_client_registration.allowed_grant_types: %q: expected some of %s", g, strings.Join(knownGrants, ", "))
		}
		if o.Enabled && o.InitialToken == "" && !slices.Contains(openGrants, g) {
			return errs.New(errs.Invalid, "oidc.dynamic_client_registration.allowed_grant_types: %q gives tokens without asking anybody: expected an initial_access_token, too", g)
		}
	}
	return nil
}

// GrantOptions tune grants.
type GrantOptions struct {
	PKCE       bool          // of all clients, rather than of public ones
	Grace      time.Duration // in which a refresh token can be used again; 0: never, at most 5 min
	DevicePoll time.Duration // 5 s
	DPoPNonce  bool          // proofs of RFC 9449 must have a nonce of this server

	JWT JWTGrant

	UserCodeLength  int    // 8
	UserCodeSymbols string // BCDFGHJKLMNPQRSTVWXZ; capital letters and digits
}

// Certificates says how client certificates get here (RFC 8705).
type Certificates struct {
	// Asked says that TLS connections to this process are asked for one.
	Asked bool
	// Header is where a proxy that ends TLS puts them: between colons in base64 as in
	// Client-Cert (RFC 9440), or in PEM, escaped as in a URL. "": in none, so that only
	// TLS connections to this process have any.
	Header string
	// ChainHeader is where it puts those between that one and an authority, as in
	// Client-Cert-Chain. They prove nothing by themselves. "": in none.
	ChainHeader string
	// Proxies are the addresses from which Header is believed. Proxies must remove it
	// from the requests that they pass on.
	Proxies []netip.Prefix
	// Roots sign those of clients that authenticate by tls_client_auth; nil: nobody does.
	Roots *x509.CertPool
	// Alias is the URL under which clients with certificates reach the public API, like
	// Options.Issuer; nil: under that.
	Alias *url.URL
}

// used reports whether clients can show certificates.
func (o Certificates) used() bool { return o.Asked || o.Header != "" }

// A JWTGrant says what assertions of trusted issuers must have (RFC 7523).
type JWTGrant struct {
	JTIOptional bool
	IATOptional bool
	MaxTTL      time.Duration // 720 h
}

// isBase reports whether paths can be added to a URL.
func isBase(u *url.URL) bool {
	return u != nil && u.Host != "" && u.RawQuery == "" && u.Fragment == "" && (u.Scheme == "https" || u.Scheme == "http")
}

func (o Options) withDefaults() (Options, error) {
	if !isBase(o.Issuer) {
		return o, errs.New(errs.Invalid, "urls.self.issuer: expected an http(s) URL without query and fragment")
	}
	if alias := o.Certificates.Alias; alias != nil && !isBase(alias) {
		return o, errs.New(errs.Invalid, "client_certificates.url: expected an http(s) URL without query and fragment")
	}
	if o.Secrets == nil {
		return o, errs.New(errs.Invalid, "there are no system secrets")
	}
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{
		{&o.TTL.AccessToken, time.Hour},
		{&o.TTL.RefreshToken, 720 * time.Hour},
		{&o.TTL.IDToken, time.Hour},
		{&o.TTL.Code, 10 * time.Minute},
		{&o.TTL.DeviceCode, 15 * time.Minute},
		{&o.TTL.Challenge, 30 * time.Minute},
		{&o.TTL.Login, 720 * time.Hour},
		{&o.TTL.Pushed, time.Minute},
		{&o.Grants.DevicePoll, 5 * time.Second},
		{&o.Grants.JWT.MaxTTL, 720 * time.Hour},
		{&o.Poll, 10 * time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if o.Grants.Grace < 0 || o.Grants.Grace > 5*time.Minute {
		return o, errs.New(errs.Invalid, "oauth2.grant.refresh_token.rotation_grace_period: expected between 0 and 5m")
	}
	for _, err := range []error{o.Grants.checkUserCode(), o.Register.check(), o.AccessClaims.check(), o.Hooks.Token.check("token_hook"), o.Hooks.Refresh.check("refresh_token_hook")} {
		if err != nil {
			return o, err
		}
	}
	if o.Strategies.Scope == "" {
		o.Strategies.Scope = "wildcard"
	}
	if o.Strategies.AccessToken == "" {
		o.Strategies.AccessToken = "opaque"
	}
	if alg := o.Strategies.AccessAlg; alg != "" && !slices.Contains(signingAlgs, jose.SignatureAlgorithm(alg)) {
		return o, errs.New(errs.Invalid, "strategies.jwt.signing_alg: %q: expected one of %s", alg, join(signingAlgs))
	}
	if o.Strategies.ScopeClaim == "" {
		o.Strategies.ScopeClaim = "string"
	}
	if len(o.Subjects.Types) == 0 {
		o.Subjects.Types = []string{"public"}
	}
	if o.ScopeClaims == nil {
		o.ScopeClaims = openIDClaims
	}
	if o.HTTP == nil {
		o.HTTP = egress.Client(o.Private, fetchRedirects)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}
