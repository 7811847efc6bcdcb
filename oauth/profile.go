package oauth

import (
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// rules are what a profile requires of its clients, and allows them.
type rules struct {
	pkce    bool // of all clients, rather than of public ones
	pushed  bool // authorization requests come by RFC 9126
	bound   bool // access tokens are bound to a key (RFC 9449) or a certificate (RFC 8705)
	strict  bool // requests leave nothing to be guessed: redirect_uri is there, and what is signed says for whom, from when and until when it is
	fixed   bool // refresh tokens are not replaced when they are used
	browser bool // tokens may pass through the address of the browser

	code, request time.Duration // how long codes and pushed requests may be good; 0: as long as the setting says

	methods []string                  // of authentication
	algs    []jose.SignatureAlgorithm // of signatures, by the client and by this server
}

var profiles = map[string]rules{
	OAuth21:   {pkce: true, methods: authMethods, algs: asymmetricAlgs},
	OIDCBasic: {methods: authMethods, algs: asymmetricAlgs},
	Legacy:    {browser: true, methods: authMethods, algs: asymmetricAlgs},
	// The FAPI 2.0 Security Profile, sections 5.3.2 and 5.4.
	FAPI2: {
		pkce: true, pushed: true, bound: true, strict: true, fixed: true,
		code: time.Minute, request: 10*time.Minute - time.Second,
		methods: []string{authPrivateJWT, authTLS, authSelfTLS},
		algs:    []jose.SignatureAlgorithm{jose.PS256, jose.ES256, jose.EdDSA, ed25519Alg},
	},
}

func (c *Client) rules() rules { return profiles[c.profile()] }

// algs are those that the client may sign with where it has registered one, or "".
func (c *Client) algs(registered string) []jose.SignatureAlgorithm {
	return narrow(c.rules().algs, registered)
}

// lifeFor returns a lifetime that is set, or the one that the profile allows if that is
// less.
func lifeFor(set, most time.Duration) time.Duration {
	if most == 0 {
		return set
	}
	return min(set, most)
}

// boundToKey reports whether access tokens of the client must be bound to a key, as they
// are if the profile wants them bound, and not to a certificate.
func (c *Client) boundToKey() bool {
	return c.DPoPBound || c.rules().bound && !c.CertificateBound
}

// profile checks a client against its profile.
func (v *verdict) profile(c *Client) {
	r, ok := profiles[c.profile()]
	if !ok {
		v.add("profile", "%.50q is not known: expected %s, %s, %s or %s", c.Profile, OAuth21, OIDCBasic, FAPI2, Legacy)
		return
	}
	if slices.Contains(authMethods, c.authMethod()) && !slices.Contains(r.methods, c.authMethod()) {
		v.add("token_endpoint_auth_method", "the profile %s has %s", c.profile(), strings.Join(r.methods, ", "))
	}
	if !r.browser && slices.Contains(c.GrantTypes, grantImplicit) {
		v.add("grant_types", "%s is for the profile %s", grantImplicit, Legacy)
	}
	for _, f := range []field{
		{"token_endpoint_auth_signing_alg", c.AuthAlg},
		{"request_object_signing_alg", c.RequestAlg},
		{"id_token_signed_response_alg", c.IDTokenAlg},
		{"introspection_signed_response_alg", c.IntrospectionAlg},
		{"authorization_signed_response_alg", c.AuthorizationAlg},
		{"userinfo_signed_response_alg", strings.TrimPrefix(c.UserinfoAlg, "none")},
	} {
		if alg := jose.SignatureAlgorithm(f.value); f.value != "" && slices.Contains(asymmetricAlgs, alg) && !slices.Contains(r.algs, alg) {
			v.add(f.name, "the profile %s has %s", c.profile(), join(r.algs))
		}
	}
}

// ProtectionMetadata is the part of Metadata about how clients authenticate and protect
// their requests.
type ProtectionMetadata struct {
	AuthAlgs           []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	RevocationAuthAlgs []string `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	IntrospectAuthAlgs []string `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RequestAlgs        []string `json:"request_object_signing_alg_values_supported"`
	RegisteredURIs     bool     `json:"require_request_uri_registration"`
	Pushed             string   `json:"pushed_authorization_request_endpoint"`
	ResponseAlgs       []string `json:"authorization_signing_alg_values_supported"`
	ProofAlgs          []string `json:"dpop_signing_alg_values_supported"`
	CertificateBound   bool     `json:"tls_client_certificate_bound_access_tokens"`
	Aliases            *aliases `json:"mtls_endpoint_aliases,omitempty"`

	RequestKeyAlgs    []string `json:"request_object_encryption_alg_values_supported"`
	RequestEncs       []string `json:"request_object_encryption_enc_values_supported"`
	ResponseKeyAlgs   []string `json:"authorization_encryption_alg_values_supported"`
	ResponseEncs      []string `json:"authorization_encryption_enc_values_supported"`
	IDTokenKeyAlgs    []string `json:"id_token_encryption_alg_values_supported"`
	IDTokenEncs       []string `json:"id_token_encryption_enc_values_supported"`
	UserinfoKeyAlgs   []string `json:"userinfo_encryption_alg_values_supported"`
	UserinfoEncs      []string `json:"userinfo_encryption_enc_values_supported"`
	IntrospectKeyAlgs []string `json:"introspection_encryption_alg_values_supported"`
	IntrospectEncs    []string `json:"introspection_encryption_enc_values_supported"`
}

func (p *Provider) protectionMetadata(signing []string) ProtectionMetadata {
	algs := names(slices.Concat(asymmetricAlgs, symmetricAlgs))
	return ProtectionMetadata{
		AuthAlgs: algs, RevocationAuthAlgs: algs, IntrospectAuthAlgs: algs,
		RequestAlgs: names(asymmetricAlgs), RegisteredURIs: true, Pushed: p.own.pushed, ResponseAlgs: signing,
		ProofAlgs: names(asymmetricAlgs), CertificateBound: p.o.Certificates.used(), Aliases: p.aliases(),
		RequestKeyAlgs: keyAlgs, ResponseKeyAlgs: keyAlgs, IDTokenKeyAlgs: keyAlgs, UserinfoKeyAlgs: keyAlgs, IntrospectKeyAlgs: keyAlgs,
		RequestEncs: contentEnc, ResponseEncs: contentEnc, IDTokenEncs: contentEnc, UserinfoEncs: contentEnc, IntrospectEncs: contentEnc,
	}
}

// authMethods are those that work with the options as they are.
func (p *Provider) authMethods() []string {
	o := p.o.Certificates
	return slices.DeleteFunc(slices.Clone(authMethods), func(m string) bool {
		return !o.used() && (m == authTLS || m == authSelfTLS) || o.Roots == nil && m == authTLS
	})
}
