package identity

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// OIDCOptions are those of logins at other providers. Without providers there are none.
type OIDCOptions struct {
	Providers []Provider

	Organizations []Organization

	// RedirectBase is where providers send browsers back to; "": Options.BaseURL.
	RedirectBase string

	// Private lets providers be at private addresses, and speak plain HTTP.
	Private bool
}

// A Provider is a server at which people have accounts. The names in JSON are Kratos's.
type Provider struct {
	ID           string   `json:"id"`
	Kind         string   `json:"provider"` // of presets, or generic
	Label        string   `json:"label"`    // "": ID
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret"` // "": a public client
	Issuer       string   `json:"issuer_url"`    // where discovery is (OpenID Connect Discovery 1.0)
	AuthURL      string   `json:"auth_url"`      // "": from discovery
	TokenURL     string   `json:"token_url"`
	UserinfoURL  string   `json:"userinfo_url"`
	Scope        []string `json:"scope"`

	MapperURL string  `json:"mapper_url"` // of a file with a Mapping
	Mapping   Mapping `json:"mapper"`     // none: usualMapping

	RequestedClaims map[string]any `json:"requested_claims"` // OpenID Connect Core, section 5.5
	PKCE            string         `json:"pkce"`             // auto, never or force; "": auto
	ClaimsSource    string         `json:"claims_source"`    // id_token or userinfo; "": id_token

	// Audiences are more clients whose ID tokens apps may submit.
	Audiences []string `json:"additional_id_token_audiences"`

	MicrosoftTenant string `json:"microsoft_tenant"`
	SubjectSource   string `json:"subject_source"` // of Microsoft: userinfo or oid
	AppleTeam       string `json:"apple_team_id"`
	AppleKeyID      string `json:"apple_private_key_id"`
	AppleKey        string `json:"apple_private_key"` // PEM

	// Linking is confirm_with_existing_credential, the default, or automatic: an account
	// with an address that both sides have verified is linked without a login.
	Linking string `json:"account_linking_mode"`

	// ACR2 and AMR2 are the values of acr and amr in ID tokens that stand for two factors.
	ACR2 []string `json:"aal2_acr_values"`
	AMR2 []string `json:"aal2_amr_values"`

	// Update is never, the default, or automatic: a login brings traits and metadata up to
	// date with the claims, but for identifiers and addresses.
	Update string `json:"update_identity_on_login"`

	Organization string `json:"organization_id"` // whose members it is for; "": everybody

	usual bool   // Mapping is usualMapping
	api   string // where a preset without ID tokens has the claims
}

// A preset is what is particular to a provider that many use.
type preset struct {
	issuer  string // with discovery; "" if there is none
	auth    string // for those without
	token   string
	api     string // where the claims are
	scope   []string
	noNonce bool // its ID tokens do not have it
	post    bool // the secret is in the form
	private bool // it has no public clients
	claims  claimsReader
	trusts  func(claims map[string]any) bool // whether the address is verified; nil: email_verified says so
}

var presets = map[string]preset{
	"generic":     {},
	"google":      {issuer: "https://accounts.google.com", scope: []string{"email", "profile"}},
	"gitlab":      {issuer: "https://gitlab.com", scope: []string{"email", "profile"}},
	"microsoft":   {issuer: "https://login.microsoftonline.com/{tenant}/v2.0", scope: []string{"email", "profile"}, trusts: microsoftTrusts},
	"apple":       {issuer: "https://appleid.apple.com", scope: []string{"email", "name"}, post: true},
	"slack":       {issuer: "https://slack.com", scope: []string{"email", "profile"}, private: true},
	"linkedin":    {issuer: "https://www.linkedin.com/oauth", scope: []string{"email", "profile"}, noNonce: true, post: true, private: true},
	"linkedin_v2": {issuer: "https://www.linkedin.com/oauth", scope: []string{"email", "profile"}, noNonce: true, post: true, private: true},
	"github": {
		auth: "https://github.com/login/oauth/authorize", token: "https://github.com/login/oauth/access_token",
		api: "https://api.github.com", scope: []string{"read:user", "user:email"}, post: true, private: true, claims: githubClaims,
	},
	"discord": {
		auth: "https://discord.com/oauth2/authorize", token: "https://discord.com/api/oauth2/token",
		api: "https://discord.com/api", scope: []string{"identify", "email"}, post: true, claims: discordClaims,
	},
	"facebook": {
		auth: "https://www.facebook.com/dialog/oauth", token: "https://graph.facebook.com/oauth/access_token",
		api: "https://graph.facebook.com", scope: []string{"email", "public_profile"}, post: true, private: true, claims: facebookClaims,
		trusts: func(map[string]any) bool { return false },
	},
}

// complete fills in what the preset has.
func (p *Provider) complete() {
	known := presets[p.Kind]
	if p.Issuer == "" && p.AuthURL == "" && known.issuer != "" {
		tenant := p.MicrosoftTenant
		if tenant == "" {
			tenant = "common"
		}
		p.Issuer = strings.Replace(known.issuer, "{tenant}", url.PathEscape(tenant), 1)
	}
	p.api = or(p.UserinfoURL, known.api)
	p.AuthURL, p.TokenURL = or(p.AuthURL, known.auth), or(p.TokenURL, known.token)
	p.Label, p.PKCE = or(p.Label, p.ID), or(p.PKCE, "auto")
	if p.Kind == "microsoft" {
		p.SubjectSource = or(p.SubjectSource, "userinfo")
	}
	if len(p.Scope) == 0 {
		p.Scope = known.scope
	}
	if p.openID() && !slices.Contains(p.Scope, "openid") {
		p.Scope = append([]string{"openid"}, p.Scope...)
	}
	if p.Mapping == nil {
		p.Mapping, p.usual = usualMapping, true
	}
}

func or(text, other string) string {
	if text != "" {
		return text
	}
	return other
}

// openID reports whether the provider has ID tokens.
func (p *Provider) openID() bool { return p.Issuer != "" && presets[p.Kind].claims == nil }

// validate reports all that is wrong. p is complete.
func (p *Provider) validate(private bool) error {
	var bad []error
	wrong := func(format string, args ...any) {
		bad = append(bad, fmt.Errorf("provider %q: "+format, append([]any{p.ID}, args...)...))
	}
	if p.ID == "" || strings.Trim(p.ID, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" || strings.Trim(p.ID, ".") == "" {
		wrong("id: expected letters, digits, -, _ and .")
	}
	if _, ok := presets[p.Kind]; !ok {
		wrong("provider %q is not known: expected generic, google, github, gitlab, microsoft, apple, discord, slack, linkedin, linkedin_v2 or facebook", p.Kind)
	}
	if p.ClientID == "" {
		wrong("client_id is missing")
	}
	if presets[p.Kind].private && p.ClientSecret == "" {
		wrong("client_secret is missing: %s has no clients without", p.Kind)
	}
	if p.Kind == "apple" && p.ClientSecret == "" {
		if _, err := p.appleKey(); err != nil || p.AppleTeam == "" || p.AppleKeyID == "" {
			wrong("expected client_secret, or apple_team_id, apple_private_key_id, and apple_private_key, a P-256 key in PEM")
		}
	}
	if !p.openID() && presets[p.Kind].claims == nil && (p.AuthURL == "" || p.TokenURL == "" || p.UserinfoURL == "") {
		wrong("expected issuer_url, or auth_url, token_url and userinfo_url")
	}
	for _, text := range []string{p.Issuer, p.AuthURL, p.TokenURL, p.UserinfoURL} {
		u, err := url.Parse(text)
		if text != "" && (err != nil || u.Host == "" || u.Fragment != "" || u.Scheme != "https" && (!private || u.Scheme != "http")) {
			wrong("%q: expected an https URL", text)
		}
	}
	for of, claims := range p.RequestedClaims {
		if _, object := claims.(map[string]any); of != "id_token" && of != "userinfo" || !object {
			wrong("requested_claims.%s: expected claims below id_token and userinfo", of)
		}
	}
	for name, of := range map[string][2]string{
		"pkce": {p.PKCE, "auto never force"}, "claims_source": {or(p.ClaimsSource, "id_token"), "id_token userinfo"},
		"account_linking_mode":     {or(p.Linking, "automatic"), "confirm_with_existing_credential automatic"},
		"update_identity_on_login": {or(p.Update, "never"), "never automatic"},
		"subject_source":           {or(p.SubjectSource, "userinfo"), "userinfo oid"},
	} {
		if !slices.Contains(strings.Fields(of[1]), of[0]) {
			wrong("%s is %q: expected one of %s", name, of[0], of[1])
		}
	}
	if err := p.Mapping.validate(); err != nil && !p.usual { // of which the schema chooses
		wrong("%v", err)
	}
	return errors.Join(bad...)
}

// complete fills in the defaults of all providers.
func (o *OIDCOptions) complete(base string) {
	o.RedirectBase = or(strings.TrimSuffix(o.RedirectBase, "/"), base)
	o.Providers = slices.Clone(o.Providers)
	for i := range o.Providers {
		o.Providers[i].complete()
	}
}

// validate reports all that is wrong with providers, which are not complete.
func (o OIDCOptions) validate() error {
	o.complete("")
	var bad []error
	seen := map[string]bool{}
	for i := range o.Providers {
		p := &o.Providers[i]
		bad = append(bad, p.validate(o.Private))
		if seen[p.ID] {
			bad = append(bad, fmt.Errorf("provider %q is there twice", p.ID))
		}
		seen[p.ID] = true
	}
	bad = append(bad, o.validateOrganizations())
	return errors.Join(bad...)
}
