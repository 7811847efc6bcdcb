package oauth

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Metadata is what clients may know of the provider: RFC 8414, section 2, and OpenID
// Connect Discovery, section 3. It lists what works, and nothing else.
type Metadata struct {
	Issuer           string `json:"issuer"`
	Authorization    string `json:"authorization_endpoint"`
	Token            string `json:"token_endpoint"`
	Keys             string `json:"jwks_uri"`
	Userinfo         string `json:"userinfo_endpoint"`
	Registration     string `json:"registration_endpoint,omitempty"`
	ClaimsParameter  bool   `json:"claims_parameter_supported"`
	EndSession       string `json:"end_session_endpoint"`
	FrontLogout      bool   `json:"frontchannel_logout_supported"`
	FrontLogoutSID   bool   `json:"frontchannel_logout_session_supported"`
	BackLogout       bool   `json:"backchannel_logout_supported"`
	BackLogoutSID    bool   `json:"backchannel_logout_session_supported"`
	ResponseIssuer   bool   `json:"authorization_response_iss_parameter_supported"`
	RequestParameter bool   `json:"request_parameter_supported"`
	RequestURI       bool   `json:"request_uri_parameter_supported"` // its default is true

	ResponseTypes []string `json:"response_types_supported"`
	ResponseModes []string `json:"response_modes_supported"`
	GrantTypes    []string `json:"grant_types_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Scopes        []string `json:"scopes_supported"`
	Claims        []string `json:"claims_supported"`
	Prompts       []string `json:"prompt_values_supported"`
	Challenges    []string `json:"code_challenge_methods_supported"`
	IDTokenAlgs   []string `json:"id_token_signing_alg_values_supported"`
	UserinfoAlgs  []string `json:"userinfo_signing_alg_values_supported"`
	ACRValues     []string `json:"acr_values_supported,omitempty"`

	// Hydra's names of what is above, without which its Go client fails.
	IDTokenAlg  []string `json:"id_token_signed_response_alg"`
	UserinfoAlg []string `json:"userinfo_signed_response_alg"`

	TokenMetadata
	ProtectionMetadata
}

// metadata describes the provider with its keys as they are.
func (p *Provider) metadata(k *keys) Metadata {
	algs := k.algorithms(idTokenSet, p.o.Now())
	m := Metadata{
		Issuer: p.issuer(), Authorization: p.own.authorize, Token: p.own.token, Keys: p.own.jwks, Userinfo: p.own.userinfo,
		ResponseIssuer: true, ClaimsParameter: true, RequestParameter: true, RequestURI: true,
		EndSession: p.own.logout, FrontLogout: true, FrontLogoutSID: true, BackLogout: true, BackLogoutSID: true,
		ResponseTypes: []string{"code", "code id_token", "id_token", "id_token token", "code token", "code id_token token", "token"},
		ResponseModes: knownModes,
		GrantTypes:    append(slices.Clone(grantTypes), grantImplicit),
		AuthMethods:   p.authMethods(),
		SubjectTypes:  p.o.Subjects.Types,
		Scopes:        []string{scopeOpenID, scopeOffline, oldOffline},
		Claims:        []string{"sub", "iss", "aud", "exp", "iat", "jti", "auth_time", "acr", "amr", "nonce", "sid", "at_hash", "c_hash", "s_hash"},
		Prompts:       prompts,
		Challenges:    []string{"S256"},
		IDTokenAlgs:   algs,
		ACRValues:     p.o.ACRValues,
		UserinfoAlgs:  append([]string{"none"}, algs...),
	}
	m.IDTokenAlg, m.UserinfoAlg = m.IDTokenAlgs, m.UserinfoAlgs
	if p.o.Register.Enabled {
		m.Registration = p.own.register
	}
	for _, scope := range slices.Sorted(maps.Keys(p.o.ScopeClaims)) {
		m.Scopes = append(m.Scopes, scope)
		m.Claims = append(m.Claims, p.o.ScopeClaims[scope]...)
	}
	m.ProtectionMetadata = p.protectionMetadata(algs)
	m.TokenMetadata = p.tokenMetadata(m)
	return m
}

// algorithms returns those that a set can sign with at now, RS256 first, as the one
// that OpenID Connect requires.
func (k *keys) algorithms(set string, now time.Time) []string {
	var out []string
	for _, alg := range signingAlgs {
		if _, ok := k.signer(set, alg, now); ok {
			out = append(out, string(alg))
		}
	}
	return out
}

// metadataLife is how long clients may keep the metadata.
const metadataLife = 5 * time.Minute

func (p *Provider) serveDiscovery(w http.ResponseWriter, r *http.Request) error {
	known, err := p.keys.get(r.Context(), false)
	if err != nil {
		return err
	}
	known.metadata.serve(w, r)
	return nil
}

// serveJWKS serves the public half of every key that has signed or will sign. A new
// one is there for longer than clients keep the document before it is used.
func (p *Provider) serveJWKS(w http.ResponseWriter, r *http.Request) error {
	known, err := p.keys.get(r.Context(), false)
	if err != nil {
		return err
	}
	known.published.serve(w, r)
	return nil
}

// publish encodes what everybody may know of the keys, once.
func (k *keys) publish(p *Provider) error {
	var out jose.JSONWebKeySet
	for _, set := range publishedSets {
		for _, key := range k.sets[set] {
			if public := key.Public(); public.Key != nil {
				out.Keys = append(out.Keys, public)
			}
		}
	}
	var err error
	if k.published, err = newDocument(out, keyAge); err != nil {
		return err
	}
	k.metadata, err = newDocument(p.metadata(k), metadataLife)
	return err
}

// discoveryRoutes are those of the metadata. OpenID Connect has the path of an issuer
// before the well-known one, where all routes are, RFC 8414 behind it.
func (p *Provider) discoveryRoutes() []Route {
	const oidc, rfc8414 = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	at := map[string]func(http.ResponseWriter, *http.Request) error{
		oidc: p.serveDiscovery, rfc8414: p.serveDiscovery, "/.well-known/jwks.json": p.serveJWKS,
	}
	if path := p.path(); path != "" {
		at[oidc+path], at[rfc8414+path] = p.serveDiscovery, p.serveDiscovery
	}
	var routes []Route
	for _, path := range slices.Sorted(maps.Keys(at)) {
		routes = append(routes, Route{"GET " + path, at[path]}, Route{"OPTIONS " + path, serveDocumentPreflight})
	}
	return routes
}

func serveDocumentPreflight(w http.ResponseWriter, _ *http.Request) error {
	return allowAll(w, "GET", "*")
}
