package oauth

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"
)

// A Client is an application, in the JSON form of Hydra and of RFC 7591. Fields that
// Hydra does not have come last.
type Client struct {
	ID                 string          `json:"client_id"`
	Name               string          `json:"client_name"`
	Secret             string          `json:"client_secret,omitempty"` // when it is made only
	SecretExpires      int64           `json:"client_secret_expires_at"`
	RedirectURIs       []string        `json:"redirect_uris"`
	GrantTypes         []string        `json:"grant_types"`
	ResponseTypes      []string        `json:"response_types"`
	Scope              string          `json:"scope"`
	Audience           []string        `json:"audience"`
	Owner              string          `json:"owner"`
	PolicyURI          string          `json:"policy_uri"`
	TermsURI           string          `json:"tos_uri"`
	URI                string          `json:"client_uri"`
	LogoURI            string          `json:"logo_uri"`
	Contacts           []string        `json:"contacts"`
	CORS               []string        `json:"allowed_cors_origins"`
	SubjectType        string          `json:"subject_type"`
	SectorURI          string          `json:"sector_identifier_uri,omitempty"`
	Keys               *KeySet         `json:"jwks,omitempty"`
	KeysURI            string          `json:"jwks_uri,omitempty"`
	AuthMethod         string          `json:"token_endpoint_auth_method"`
	AuthAlg            string          `json:"token_endpoint_auth_signing_alg,omitempty"`
	RequestURIs        []string        `json:"request_uris,omitempty"`
	RequestAlg         string          `json:"request_object_signing_alg,omitempty"`
	UserinfoAlg        string          `json:"userinfo_signed_response_alg"`
	Created            time.Time       `json:"created_at"`
	Updated            time.Time       `json:"updated_at"`
	FrontLogout        string          `json:"frontchannel_logout_uri,omitempty"`
	FrontLogoutSession bool            `json:"frontchannel_logout_session_required,omitempty"`
	BackLogout         string          `json:"backchannel_logout_uri,omitempty"`
	BackLogoutSession  bool            `json:"backchannel_logout_session_required,omitempty"`
	PostLogoutURIs     []string        `json:"post_logout_redirect_uris,omitempty"`
	Metadata           json.RawMessage `json:"metadata,omitempty"`
	RegistrationToken  string          `json:"registration_access_token,omitempty"` // when it is made only
	RegistrationURI    string          `json:"registration_client_uri,omitempty"`
	AccessStrategy     string          `json:"access_token_strategy,omitempty"`
	SkipConsent        bool            `json:"skip_consent"`
	SkipLogoutConsent  *bool           `json:"skip_logout_consent"`
	Lifespans

	Profile            string   `json:"profile,omitempty"`
	ResponseModes      []string `json:"response_modes,omitempty"`
	IDTokenAlg         string   `json:"id_token_signed_response_alg,omitempty"`
	IDTokenKeyAlg      string   `json:"id_token_encrypted_response_alg,omitempty"`
	IDTokenEnc         string   `json:"id_token_encrypted_response_enc,omitempty"`
	UserinfoKeyAlg     string   `json:"userinfo_encrypted_response_alg,omitempty"`
	UserinfoEnc        string   `json:"userinfo_encrypted_response_enc,omitempty"`
	IntrospectionAlg   string   `json:"introspection_signed_response_alg,omitempty"`
	IntrospectionKey   string   `json:"introspection_encrypted_response_alg,omitempty"`
	IntrospectionEnc   string   `json:"introspection_encrypted_response_enc,omitempty"`
	AuthorizationAlg   string   `json:"authorization_signed_response_alg,omitempty"`
	AuthorizationKey   string   `json:"authorization_encrypted_response_alg,omitempty"`
	AuthorizationEnc   string   `json:"authorization_encrypted_response_enc,omitempty"`
	RequirePushed      bool     `json:"require_pushed_authorization_requests,omitempty"`
	RequireSigned      bool     `json:"require_signed_request_object,omitempty"`
	DPoPBound          bool     `json:"dpop_bound_access_tokens,omitempty"`
	CertificateBound   bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	CertificateSubject string   `json:"tls_client_auth_subject_dn,omitempty"`
	CertificateDNS     string   `json:"tls_client_auth_san_dns,omitempty"`
	CertificateURI     string   `json:"tls_client_auth_san_uri,omitempty"`
	CertificateIP      string   `json:"tls_client_auth_san_ip,omitempty"`
	CertificateEmail   string   `json:"tls_client_auth_san_email,omitempty"`
	DefaultMaxAge      *int64   `json:"default_max_age,omitempty"`
	DefaultACR         []string `json:"default_acr_values,omitempty"`
	RequireAuthTime    bool     `json:"require_auth_time,omitempty"`
	InitiateLoginURI   string   `json:"initiate_login_uri,omitempty"`
	SoftwareID         string   `json:"software_id,omitempty"`
	SoftwareVersion    string   `json:"software_version,omitempty"`
	SoftwareStatement  string   `json:"software_statement,omitempty"` // refused

	version int64
	secrets []storedSecret // the newest first
	managed Hash           // of its registration access token; zero: none
}

// Lifespans are a client's own, by the grant that a token came of; empty: that of the
// server.
type Lifespans struct {
	CodeAccess        Duration `json:"authorization_code_grant_access_token_lifespan"`
	CodeID            Duration `json:"authorization_code_grant_id_token_lifespan"`
	CodeRefresh       Duration `json:"authorization_code_grant_refresh_token_lifespan"`
	CredentialsAccess Duration `json:"client_credentials_grant_access_token_lifespan"`
	DeviceAccess      Duration `json:"device_authorization_grant_access_token_lifespan"`
	DeviceID          Duration `json:"device_authorization_grant_id_token_lifespan"`
	DeviceRefresh     Duration `json:"device_authorization_grant_refresh_token_lifespan"`
	ImplicitAccess    Duration `json:"implicit_grant_access_token_lifespan"`
	ImplicitID        Duration `json:"implicit_grant_id_token_lifespan"`
	BearerAccess      Duration `json:"jwt_bearer_grant_access_token_lifespan"`
	RefreshAccess     Duration `json:"refresh_token_grant_access_token_lifespan"`
	RefreshID         Duration `json:"refresh_token_grant_id_token_lifespan"`
	RefreshRefresh    Duration `json:"refresh_token_grant_refresh_token_lifespan"`
}

// A Duration is written as Go writes it ("1h0m0s"), and null if it is not set.
type Duration struct {
	time.Duration
	Set bool
}

// MarshalJSON implements json.Marshaler.
func (d Duration) MarshalJSON() ([]byte, error) {
	if !d.Set {
		return []byte("null"), nil
	}
	return json.Marshal(d.String())
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *Duration) UnmarshalJSON(text []byte) error {
	*d = Duration{}
	var s *string
	var value time.Duration
	err := json.Unmarshal(text, &s)
	if err == nil && s != nil && *s != "" {
		value, err = time.ParseDuration(*s)
		*d = Duration{value, true}
	}
	if err != nil { // of this type, so that the decoder says of which field
		return &json.UnmarshalTypeError{Value: fmt.Sprintf("value %.50s", text), Type: reflect.TypeFor[Duration]()}
	}
	return nil
}

// Profiles of clients: which of the protocol's many options they may use.
const (
	OAuth21   = "oauth2.1"   // code with PKCE, no tokens in the browser's address
	OIDCBasic = "oidc-basic" // code, PKCE for public clients only
	FAPI2     = "fapi2"      // pushed requests, bound tokens, asymmetric client authentication
	Legacy    = "legacy"     // implicit and hybrid, too
)

func (c *Client) profile() string {
	if c.Profile == "" {
		return OAuth21
	}
	return c.Profile
}

// Methods of client authentication.
const (
	authNone       = "none"
	authBasic      = "client_secret_basic"
	authPost       = "client_secret_post"
	authSecretJWT  = "client_secret_jwt"
	authPrivateJWT = "private_key_jwt"
	authTLS        = "tls_client_auth"
	authSelfTLS    = "self_signed_tls_client_auth"
)

// The methods below make a Client one of fosite's.

var (
	_ fosite.Client             = (*Client)(nil)
	_ fosite.ResponseModeClient = (*Client)(nil)
)

// GetID implements fosite.Client.
func (c *Client) GetID() string { return c.ID }

// GetHashedSecret implements fosite.Client. Secrets are compared in clientauth.go.
func (c *Client) GetHashedSecret() []byte { return nil }

// GetRedirectURIs implements fosite.Client.
func (c *Client) GetRedirectURIs() []string { return c.RedirectURIs }

// GetGrantTypes implements fosite.Client.
func (c *Client) GetGrantTypes() fosite.Arguments {
	if len(c.GrantTypes) == 0 {
		return fosite.Arguments{grantCode}
	}
	return c.GrantTypes
}

// GetResponseTypes implements fosite.Client.
func (c *Client) GetResponseTypes() fosite.Arguments {
	if len(c.ResponseTypes) == 0 {
		return fosite.Arguments{"code"}
	}
	return c.ResponseTypes
}

// GetScopes implements fosite.Client.
func (c *Client) GetScopes() fosite.Arguments { return strings.Fields(c.Scope) }

// IsPublic implements fosite.Client.
func (c *Client) IsPublic() bool { return c.AuthMethod == authNone }

// GetAudience implements fosite.Client.
func (c *Client) GetAudience() fosite.Arguments { return c.Audience }

// GetResponseModes implements fosite.ResponseModeClient.
func (c *Client) GetResponseModes() []fosite.ResponseModeType {
	modes := c.ResponseModes
	if len(modes) == 0 {
		modes = []string{"query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"}
	}
	out := make([]fosite.ResponseModeType, len(modes))
	for i, m := range modes {
		out[i] = fosite.ResponseModeType(m)
	}
	return out
}

// may reports whether the client may use a grant.
func (c *Client) may(grant string) bool { return slices.Contains(c.GetGrantTypes(), grant) }

// A clientDocument is what a ClientRow's Data holds: a Client, and what is kept from
// everybody.
type clientDocument struct {
	Client
	Secrets []storedSecret `json:"secrets,omitempty"`
	Managed []byte         `json:"managed,omitempty"`
}

func (c *Client) row() (ClientRow, error) {
	d := clientDocument{Client: *c, Secrets: c.secrets}
	d.Secret, d.RegistrationToken = "", ""
	if c.managed != (Hash{}) {
		d.Managed = c.managed[:]
	}
	data, err := json.Marshal(d)
	return ClientRow{ID: c.ID, Version: c.version, Owner: c.Owner, Name: c.Name, Created: c.Created, Updated: c.Updated, Data: data}, err
}

func clientOf(row ClientRow) (*Client, error) {
	var d clientDocument
	if err := json.Unmarshal(row.Data, &d); err != nil {
		return nil, err
	}
	c := &d.Client
	c.secrets, c.version = d.Secrets, row.Version
	copy(c.managed[:], d.Managed)
	return c, nil
}
