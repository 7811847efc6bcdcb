package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options are settings of a Service. The zero value, with a BaseURL, works: pages are
// our own, and registration is open.
type Options struct {
	// Network is the name of the tenant; it divides keys.
	Network string

	// BaseURL is where browsers reach the public API, without a slash at the end, such as
	// https://id.example.com.
	BaseURL string

	Schemas       []*Schema // none: DefaultSchema, as default
	DefaultSchema string    // its id; "": default

	// ReturnTo is where browsers go after a flow that names nothing; "": a page of
	// ours. AllowedReturnURLs are prefixes of what else a flow may name, see return.go.
	ReturnTo          string
	AllowedReturnURLs []string

	Flows   map[Kind]FlowOptions // missing: as the zero value
	Logout  LogoutOptions
	ErrorUI string // where browsers see errors; "": our page

	SessionLifespan time.Duration // 0: 24 h
	SessionIdle     time.Duration // how long a session lasts that is not used; 0: half of SessionLifespan
	ExtendWithin    time.Duration // how long before its end a session can be extended; 0: at any time
	BriefExtend     bool          // an extension is answered without the session
	MaxSessions     int           // of an identity, the oldest of which go; 0: there is no limit
	CookieName      string        // "": ory_kratos_session
	CookieDomain    string        // "": the host alone
	HostCookies     bool          // prefix cookies with __Host-
	BriefCookies    bool          // a browser that is closed forgets its session
	SameSite        http.SameSite // of cookies; 0: Lax
	WhoamiAAL1      bool          // whoami answers before a second factor is given, if there is one

	// Cacheable lets whoami tell edges for how long they may answer in its place, until the
	// session ends, and CacheMaxAge at most if that is not 0.
	Cacheable   bool
	CacheMaxAge time.Duration

	// TokenTemplates are how whoami makes JWTs of sessions, by name.
	TokenTemplates map[string]*TokenTemplate

	// PrivilegedAge is how long after a login credentials may be changed; 0: 15 min.
	PrivilegedAge time.Duration
	SettingsAAL1  bool // settings may be changed before a second factor is given

	WebAuthn KeyOptions // of security keys
	Passkey  KeyOptions // of passkeys
	Script   []byte     // of WebAuthn, for browsers; nil: pages have it from elsewhere

	TOTPIssuer string // what an authenticator app shows; "": the host of BaseURL

	PasswordPolicy    PolicyOptions
	PasswordMinLength int                     // 0: 8
	Hashing           HashOptions             // of passwords
	LoginLimit        Limit                   // per account and method; zero: 5 free, then 1 s doubling to 15 min
	Disabled          map[CredentialType]bool // methods that are off
	Code              CodeOptions
	// LoggedOut is told of the browser in which somebody has just logged out; nil: nobody
	// wants to know.
	LoggedOut func(w http.ResponseWriter, r *http.Request, identity string) error

	// SessionsEnded is told of an identity's sessions that have ended before their time, by
	// their ids, until it returns nil; no ids: of all, since the identity is gone, or may
	// not log in any more. nil: nobody wants to know.
	SessionsEnded func(ctx context.Context, identity string, sessions []string) error

	HookHeaders []string // of requests, that web hooks see; nil: the package's HookHeaders

	Client func(*http.Request) string // the caller's address; nil: of the connection

	// Administrator is the name of who calls the admin API, "" if that is not known; nil: it
	// never is.
	Administrator func(*http.Request) string

	// Guessed is told of requests that came with a wrong password, code or the like, and in
	// a flow of which kind; nil: nobody wants to know.
	Guessed func(r *http.Request, k Kind)

	// TellTaken lets a registration, and a change of an address, tell that somebody has it
	// already, as Kratos does, and takes effect before the address is verified. Otherwise an
	// account is made, and an address is changed, when a message to it was answered.
	TellTaken bool

	// ChooseAddress lets a recovery begin with any address, see recoverychoice.go.
	ChooseAddress bool

	OIDC OIDCOptions // logins at other providers

	// Groups say what it is to be a member; nil: the store keeps no relations.
	Groups map[GroupKind]GroupOptions

	// CanJoin reports why nobody can become a member of a group of a kind, with Groups.
	CanJoin func(ctx context.Context, k GroupKind) error

	Courier CourierOptions // how messages to people go out

	Log *slog.Logger     // nil: none
	Now func() time.Time // nil: time.Now

	Pages Pages // nil: there are none, and every flow needs a UI

	// LoginRequest returns what a login challenge of OAuth2 asks, as JSON that a page may show
	// to whoever logs in. NotFound, Unauthenticated: it is none, or too old. nil: with LoginPage
	// alone.
	LoginRequest func(ctx context.Context, challenge string) (any, error)

	// LoginHints lets a registration say how the account logs in that has an identifier
	// already, with TellTaken.
	LoginHints bool

	// LoginPage answers the login challenges of OAuth2; "": there is none.
	LoginPage string
}

// FlowOptions are those of one kind of flow.
type FlowOptions struct {
	Disabled bool
	UI       string        // where browsers see the form; "": our page
	Lifespan time.Duration // 0: 1 h
	ReturnTo string        // after it; "": Options.ReturnTo, and after settings the form
	NoLogin  bool          // registration does not log in
	TwoSteps bool          // registration asks for traits first, and then for a credential

	// IdentifierFirst: a login asks who one is, and then how one logs in. What it offers
	// then tells nothing of the account, unless Options.TellTaken allows that.
	IdentifierFirst bool

	// NeedsVerified lets nobody log in who has addresses, and none that is verified.
	NeedsVerified bool

	// ShowVerification sends browsers to the verification of new addresses, not to where
	// they go else; of registration and settings. A hook does so for one method.
	ShowVerification bool

	Before  []WebHook                // when it is opened
	Hooks   []FlowHook               // when it came to its end, in this order
	Methods map[string]MethodOptions // the same by method, in the place of Hooks and ReturnTo

	// Of recovery and verification.
	Link          bool // a link is sent, not a code
	NotifyUnknown bool // tell who is not known that somebody asked
	KeepSessions  bool // a recovery does not end the other sessions
}

// LogoutOptions are about browsers that have logged out.
type LogoutOptions struct {
	ReturnTo     string // where they go unless the request says so; "": to the login
	ClearBrowser bool   // they forget what this server has left with them
}

// CodeOptions are those of codes and links that are sent.
type CodeOptions struct {
	Passwordless bool          // log in and register with a code alone
	Second       bool          // codes are a second factor
	Lifespan     time.Duration // 0: 1 h, and no longer than the flow
	LinkLifespan time.Duration // the same of links
	Tries        int           // of one code; 0: 5
}

func (o *Options) defaults() {
	if o.DefaultSchema == "" {
		o.DefaultSchema = "default"
	}
	if o.SessionLifespan <= 0 {
		o.SessionLifespan = 24 * time.Hour
	}
	if o.SessionIdle <= 0 {
		o.SessionIdle = o.SessionLifespan / 2
	}
	if o.CookieName == "" {
		o.CookieName = "ory_kratos_session"
	}
	if o.SameSite == 0 {
		o.SameSite = http.SameSiteLaxMode
	}
	if o.PrivilegedAge <= 0 {
		o.PrivilegedAge = 15 * time.Minute
	}
	if o.PasswordMinLength <= 0 {
		o.PasswordMinLength = 8
	}
	if base, err := url.Parse(o.BaseURL); o.TOTPIssuer == "" && err == nil {
		o.TOTPIssuer = base.Hostname()
	}
	if o.LoginLimit == (Limit{}) {
		o.LoginLimit = Limit{Free: 5, Delay: time.Second, MaxDelay: 15 * time.Minute, Forget: time.Hour}
	}
	o.Courier.defaults()
	o.OIDC.complete(o.BaseURL)
	if o.Code.Lifespan <= 0 {
		o.Code.Lifespan = time.Hour
	}
	if o.Code.LinkLifespan <= 0 {
		o.Code.LinkLifespan = time.Hour
	}
	if o.Code.Tries <= 0 {
		o.Code.Tries = 5
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.HookHeaders) == 0 {
		o.HookHeaders = HookHeaders
	}
	if o.Client == nil {
		o.Client = peer
	}
	if o.Administrator == nil {
		o.Administrator = func(*http.Request) string { return "" }
	}
	if o.Guessed == nil {
		o.Guessed = func(*http.Request, Kind) {}
	}
	if o.ErrorUI == "" {
		o.ErrorUI = o.ownErrorUI()
	}
	if o.ReturnTo == "" {
		o.ReturnTo = o.BaseURL + "/settings"
	}
}

// Validate reports all that is wrong.
func (o *Options) Validate() error {
	var bad []error
	base, err := url.Parse(o.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || strings.HasSuffix(o.BaseURL, "/") {
		bad = append(bad, fmt.Errorf("base URL %q: expected http:// or https:// and a host, without a slash at the end", o.BaseURL))
	}
	if o.HostCookies && (o.CookieDomain != "" || err == nil && base.Scheme != "https") {
		bad = append(bad, errors.New("cookies with __Host- need https and no domain"))
	}
	if o.SameSite == http.SameSiteNoneMode && err == nil && base.Scheme != "https" {
		bad = append(bad, errors.New("browsers take cookies with SameSite None by https only"))
	}
	for _, text := range append([]string{o.ReturnTo, o.ErrorUI}, o.AllowedReturnURLs...) {
		if u, err := url.Parse(text); text != "" && (err != nil || u.Scheme == "") {
			bad = append(bad, fmt.Errorf("URL %q: expected one with a scheme", text))
		}
	}
	if err := o.OIDC.validate(); err != nil {
		bad = append(bad, err)
	}
	if o.PasswordMinLength != 0 && o.PasswordMinLength < 6 {
		bad = append(bad, fmt.Errorf("the shortest password has %d characters: expected at least 6", o.PasswordMinLength))
	}
	if o.Code.Passwordless && o.Code.Second {
		bad = append(bad, errors.New("codes are the only factor of a login, or the second one, not both"))
	}
	if err := o.PasswordPolicy.Validate(); err != nil {
		bad = append(bad, err)
	}
	return errors.Join(bad...)
}

// ownErrorUI is our own page for errors.
func (o *Options) ownErrorUI() string { return o.BaseURL + "/error" }

func (o *Options) flow(k Kind) FlowOptions {
	f := o.Flows[k]
	if f.Lifespan <= 0 {
		f.Lifespan = time.Hour
	}
	if f.UI == "" {
		f.UI = o.BaseURL + "/" + string(k)
	}
	if f.ReturnTo == "" {
		f.ReturnTo = o.ReturnTo
	}
	return f
}
