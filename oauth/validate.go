package oauth

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Errors of RFC 7591, section 3.2.2. Their hints begin with the names of fields.
var (
	errMetadata = &fosite.RFC6749Error{
		ErrorField: "invalid_client_metadata", CodeField: http.StatusBadRequest,
		DescriptionField: "The value of one of the client's fields is wrong.",
	}
	errRedirect = &fosite.RFC6749Error{
		ErrorField: "invalid_redirect_uri", CodeField: http.StatusBadRequest,
		DescriptionField: "The value of one of the client's redirect URIs is wrong.",
	}
	errStatement = &fosite.RFC6749Error{
		ErrorField: "invalid_software_statement", CodeField: http.StatusBadRequest,
		DescriptionField: "The software statement is none.",
	}
	errUnapproved = &fosite.RFC6749Error{
		ErrorField: "unapproved_software_statement", CodeField: http.StatusBadRequest,
		DescriptionField: "The software statement is not approved for use here.",
	}
)

// Bounds on what is registered, in bytes, and on how many of it there are.
const (
	maxSecret   = 256
	maxName     = 512
	maxURL      = 2048
	maxScope    = 8 << 10
	maxMetadata = 64 << 10
	maxItems    = 100
	maxLife     = 10 * 365 * 24 * time.Hour

	minSecret    = 16
	minSecretDev = 6 // Hydra's
)

// What the fields of a client can say.
var (
	knownGrants = []string{grantCode, grantImplicit, grantRefresh, grantCredentials, grantBearer, grantDevice, grantExchange}
	knownModes  = []string{"query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"}

	keyAlgs    = names(encryptionAlgs)
	contentEnc = names(encryptionEncs)
)

// fillIn gives fields that are missing the values that they stand for.
func fillIn(c *Client) {
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{grantCode}
	}
	code := slices.Contains(c.GrantTypes, grantCode)
	switch {
	case len(c.ResponseTypes) == 0 && code:
		c.ResponseTypes = []string{"code"}
	case !code && slices.Equal(c.ResponseTypes, []string{"code"}):
		c.ResponseTypes = nil // what Hydra's command line sends for any client
	}
	if c.AuthMethod == "" {
		c.AuthMethod = authBasic
	}
	if c.SubjectType == "" {
		c.SubjectType = "public"
	}
	if c.UserinfoAlg == "" {
		c.UserinfoAlg = "none"
	}
	if c.Keys != nil && len(c.Keys.Keys) == 0 {
		c.Keys = nil
	}
	c.RedirectURIs, c.ResponseTypes, c.Audience = list(c.RedirectURIs), list(c.ResponseTypes), list(c.Audience)
	c.Contacts, c.CORS = list(c.Contacts), list(c.CORS)
}

// hasPeople reports whether a client may ask people for their consent.
func hasPeople(c *Client) bool {
	return len(c.GrantTypes) == 0 || slices.ContainsFunc(c.GrantTypes, func(g string) bool {
		return g == grantCode || g == grantImplicit || g == grantDevice
	})
}

// A verdict collects what is wrong with a client.
type verdict struct {
	dev    bool
	wrong  []string
	fields []string
}

// add reports a field.
func (v *verdict) add(field, format string, args ...any) {
	v.wrong = append(v.wrong, field+": "+fmt.Sprintf(format, args...))
	v.fields = append(v.fields, field)
}

// err is nil if nothing is wrong.
func (v *verdict) err() error {
	if len(v.wrong) == 0 {
		return nil
	}
	e := errMetadata
	if !slices.ContainsFunc(v.fields, func(f string) bool { return f != "redirect_uris" }) {
		e = errRedirect
	}
	return e.WithHint(strings.Join(v.wrong[:min(len(v.wrong), 20)], "; ") + ".")
}

// validate reports everything that is wrong with a client. old is what it was before;
// nil: nothing.
func (p *Provider) validate(ctx context.Context, c, old *Client) error {
	if err := checkStatement(c.SoftwareStatement); err != nil {
		return err
	}
	v := &verdict{dev: p.o.Dev}
	v.texts(c)
	v.grants(c)
	v.redirects("redirect_uris", c.RedirectURIs)
	v.redirects("post_logout_redirect_uris", c.PostLogoutURIs)
	v.urls(c)
	v.authentication(c)
	v.algorithms(c)
	v.keys(c)
	v.lifespans(c.Lifespans)
	v.oneOf("subject_type", c.SubjectType, p.o.Subjects.Types)
	v.oneOf("access_token_strategy", c.AccessStrategy, []string{"", "opaque", "jwt"})
	v.profile(c)
	v.sectors(c)
	if err := v.err(); err != nil {
		return err
	}
	return p.checkSector(ctx, c, old)
}

// checkStatement refuses what somebody else asserts of a client (RFC 7591, section 2.3):
// nobody is trusted to. It could be ignored, but then a client would take for granted
// what it says.
func checkStatement(text string) error {
	if text == "" {
		return nil
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	signed, err := jose.ParseSignedCompact(text, asymmetricAlgs)
	if err != nil || json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &claims) != nil || claims.Issuer == "" {
		return errStatement.WithHintf("software_statement: expected a JWT with iss that is signed by one of %s.", join(asymmetricAlgs))
	}
	return errUnapproved.WithHint("software_statement: this server trusts no one who makes them. What it says can be in the registration itself.")
}

// hasControl matches what cannot be in a line of text. What turns the direction of text
// round would show people another name than the one that is there.
var hasControl = regexp.MustCompile(`[\x00-\x1f\x7f-\x{9f}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}]`)

// text checks a field of one line.
func (v *verdict) text(field, value string, longest int) {
	if len(value) > longest {
		v.add(field, "it has %d bytes: expected at most %d", len(value), longest)
	} else if hasControl.MatchString(value) {
		v.add(field, "it has control characters")
	}
}

// list checks how many items a field has, and each of them.
func (v *verdict) list(field string, values []string, longest int, check func(string)) {
	if len(values) > maxItems {
		v.add(field, "it has %d items: expected at most %d", len(values), maxItems)
		return
	}
	for _, value := range values {
		before := len(v.wrong)
		v.text(field, value, longest)
		if len(v.wrong) == before {
			check(value)
		}
	}
}

func (v *verdict) oneOf(field, value string, known []string) {
	if !slices.Contains(known, value) {
		names := slices.DeleteFunc(slices.Clone(known), func(s string) bool { return s == "" })
		v.add(field, "%.50q is not known: expected %s", value, strings.Join(names, ", "))
	}
}

// A field is one that holds a text.
type field struct{ name, value string }

// certificateFields name the certificate of tls_client_auth.
func (c *Client) certificateFields() []field {
	return []field{
		{"tls_client_auth_subject_dn", c.CertificateSubject}, {"tls_client_auth_san_dns", c.CertificateDNS},
		{"tls_client_auth_san_uri", c.CertificateURI}, {"tls_client_auth_san_ip", c.CertificateIP},
		{"tls_client_auth_san_email", c.CertificateEmail},
	}
}

var idForm = regexp.MustCompile(`^[\x21-\x7e]{1,255}$`)

// isScope reports whether a text can be a scope (RFC 6749, section 3.3).
func isScope(text string) bool {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return text != ""
}

func (v *verdict) texts(c *Client) {
	if !idForm.MatchString(c.ID) || c.ID == "." || c.ID == ".." {
		v.add("client_id", "expected 1 to 255 visible characters of ASCII")
	}
	v.text("client_name", c.Name, maxName)
	v.text("owner", c.Owner, maxName)
	v.text("scope", c.Scope, maxScope)
	for scope := range strings.FieldsSeq(c.Scope) {
		if !isScope(scope) {
			v.add("scope", "%.50q has characters that no scope can have (RFC 6749, section 3.3)", scope)
		}
	}
	v.list("audience", c.Audience, maxURL, func(s string) {
		if s == "" {
			v.add("audience", "an item is empty")
		}
	})
	v.list("contacts", c.Contacts, maxName, func(string) {})
	v.list("default_acr_values", c.DefaultACR, maxName, func(string) {})
	for _, f := range append(c.certificateFields(), field{"software_id", c.SoftwareID}, field{"software_version", c.SoftwareVersion}) {
		v.text(f.name, f.value, maxURL)
	}
	if len(c.Metadata) > maxMetadata {
		v.add("metadata", "it has %d bytes: expected at most %d", len(c.Metadata), maxMetadata)
	}
	if c.DefaultMaxAge != nil && (*c.DefaultMaxAge < 0 || *c.DefaultMaxAge > 1<<31) {
		v.add("default_max_age", "expected a number of seconds")
	}
	v.secret(c.Secret)
}

// secret checks a secret that somebody chose; "" is none.
func (v *verdict) secret(s string) {
	least := minSecret
	if v.dev {
		least = minSecretDev
	}
	if s != "" && len(s) < least {
		v.add("client_secret", "it has %d characters: expected at least %d, or none, for one that is made here", len(s), least)
	}
	if len(s) > maxSecret {
		v.add("client_secret", "it has %d characters: expected at most %d", len(s), maxSecret)
	}
}

// grants checks grant types, and that response types fit them (RFC 7591, section 2.1).
func (v *verdict) grants(c *Client) {
	for _, g := range c.GrantTypes {
		v.oneOf("grant_types", g, knownGrants)
	}
	for _, m := range c.ResponseModes {
		v.oneOf("response_modes", m, knownModes)
	}
	for _, text := range c.ResponseTypes {
		types := strings.Fields(text)
		for _, t := range types {
			v.oneOf("response_types", t, []string{"code", "token", "id_token"})
		}
		if len(types) == 0 || len(types) != len(slices.Compact(slices.Sorted(slices.Values(types)))) {
			v.add("response_types", "%.50q is none", text)
		}
		if slices.Contains(types, "code") && !slices.Contains(c.GrantTypes, grantCode) {
			v.add("response_types", "%.50q needs the grant type %s", text, grantCode)
		}
		if (slices.Contains(types, "token") || slices.Contains(types, "id_token")) && !slices.Contains(c.GrantTypes, grantImplicit) {
			v.add("response_types", "%.50q needs the grant type %s", text, grantImplicit)
		}
	}
}

// neverSchemes are those of URIs in which a browser would run or read what they hold.
var neverSchemes = []string{"javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source", "ws", "wss"}

// redirects checks where browsers may be sent: with https, to this machine, or with a
// scheme of an app's own (RFC 8252).
func (v *verdict) redirects(field string, uris []string) {
	v.list(field, uris, maxURL, func(text string) {
		u, err := url.Parse(text)
		switch {
		case err != nil || u.Scheme == "":
			v.add(field, "%.200q is no absolute URI", text)
		case strings.Contains(text, "#"):
			v.add(field, "%.200q has a fragment", text)
		case slices.Contains(neverSchemes, u.Scheme):
			v.add(field, "%.200q has a scheme that no browser may be sent to", text)
		case (u.Scheme == "http" || u.Scheme == "https") && (u.Hostname() == "" || u.User != nil):
			v.add(field, "%.200q has no host, or a user in front of it", text)
		case strings.Contains(u.Host, "*"):
			v.add(field, "%.200q has a *: URIs are compared character by character", text)
		case u.Scheme == "http" && !isLoopback(u.Hostname()) && !v.dev:
			v.add(field, "%.200q is not encrypted: expected https, except on this machine or with --dev", text)
		}
	})
}

// urls checks what is shown to people and called by this server.
func (v *verdict) urls(c *Client) {
	for _, f := range []field{
		{"policy_uri", c.PolicyURI}, {"tos_uri", c.TermsURI}, {"client_uri", c.URI}, {"logo_uri", c.LogoURI},
		{"frontchannel_logout_uri", c.FrontLogout}, {"backchannel_logout_uri", c.BackLogout},
	} {
		v.url(f.name, f.value, false)
	}
	v.url("jwks_uri", c.KeysURI, true)
	v.url("sector_identifier_uri", c.SectorURI, true)
	v.url("initiate_login_uri", c.InitiateLoginURI, true)
	v.list("request_uris", c.RequestURIs, maxURL, func(s string) {
		address, _, _ := strings.Cut(s, "#") // the fragment is a hash of what is there
		v.url("request_uris", address, true)
		if s == "" {
			v.add("request_uris", "an item is empty")
		}
	})
	v.list("allowed_cors_origins", c.CORS, maxURL, func(s string) {
		if u, err := url.Parse(s); err != nil || u.Hostname() == "" || s != u.Scheme+"://"+u.Host || u.Scheme != "http" && u.Scheme != "https" {
			v.add("allowed_cors_origins", "%.200q is no origin: expected http(s)://host or http(s)://host:port", s)
		}
	})
}

// url checks one URL, "" being none. What this server believes must be https.
func (v *verdict) url(field, value string, believed bool) {
	if value == "" {
		return
	}
	v.text(field, value, maxURL)
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil:
		v.add(field, "%.200q is no http(s) URL", value)
	case strings.Contains(value, "#"):
		v.add(field, "%.200q has a fragment", value)
	case believed && u.Scheme == "http" && !isLoopback(u.Hostname()) && !v.dev:
		v.add(field, "%.200q is not encrypted: expected https, except on this machine or with --dev", value)
	}
}

func (v *verdict) authentication(c *Client) {
	v.oneOf("token_endpoint_auth_method", c.AuthMethod, authMethods)
	switch c.AuthMethod {
	case authPrivateJWT:
		if !c.hasKey(canSign) {
			v.add("jwks", "the authentication method %s needs jwks_uri, or jwks with a key that signs by one of %s", c.AuthMethod, join(asymmetricAlgs))
		}
	case authSelfTLS:
		if !c.hasKey(func(jose.JSONWebKey) bool { return true }) {
			v.add("jwks", "the authentication method %s needs jwks_uri, or jwks with a key of a kind that is known here", c.AuthMethod)
		}
	case authTLS:
		named := 0
		for _, f := range c.certificateFields() {
			if f.value != "" {
				named++
			}
		}
		if named != 1 {
			v.add("tls_client_auth_subject_dn", "the authentication method tls_client_auth needs one of the fields tls_client_auth_..., and has %d (RFC 8705, section 2.1.2)", named)
		}
	case authSecretJWT:
		least := map[string]int{"HS384": 48, "HS512": 64}[c.AuthAlg]
		if least = max(least, 32); c.Secret != "" && len(c.Secret) < least {
			v.add("client_secret", "it has %d characters, and signs: expected at least %d (RFC 7518, section 3.2)", len(c.Secret), least)
		}
	case authNone:
		if slices.Contains(c.GrantTypes, grantCredentials) && len(c.GrantTypes) == 1 {
			v.add("token_endpoint_auth_method", "a client without authentication has no tokens of its own (client_credentials)")
		}
	}
	switch {
	case c.AuthAlg == "":
	case c.AuthMethod == authSecretJWT:
		v.oneOf("token_endpoint_auth_signing_alg", c.AuthAlg, names(symmetricAlgs))
	default:
		v.oneOf("token_endpoint_auth_signing_alg", c.AuthAlg, names(asymmetricAlgs))
	}
}

// names returns algorithms as texts.
func names[T ~string](algs []T) []string {
	var out []string
	for _, alg := range algs {
		out = append(out, string(alg))
	}
	return out
}

func (v *verdict) algorithms(c *Client) {
	own := append(names(signingAlgs), "")
	v.oneOf("id_token_signed_response_alg", c.IDTokenAlg, own)
	v.oneOf("introspection_signed_response_alg", c.IntrospectionAlg, own)
	v.oneOf("authorization_signed_response_alg", c.AuthorizationAlg, own)
	v.oneOf("userinfo_signed_response_alg", c.UserinfoAlg, append(own, "none"))
	v.oneOf("request_object_signing_alg", c.RequestAlg, append(names(asymmetricAlgs), ""))
	for _, e := range []struct{ name, alg, enc string }{
		{"id_token", c.IDTokenKeyAlg, c.IDTokenEnc},
		{"userinfo", c.UserinfoKeyAlg, c.UserinfoEnc},
		{"introspection", c.IntrospectionKey, c.IntrospectionEnc},
		{"authorization", c.AuthorizationKey, c.AuthorizationEnc},
	} {
		switch {
		case e.alg == "" && e.enc != "":
			v.add(e.name+"_encrypted_response_enc", "it needs %s_encrypted_response_alg", e.name)
		case e.alg != "" && !slices.Contains(keyAlgs, e.alg):
			v.oneOf(e.name+"_encrypted_response_alg", e.alg, keyAlgs)
		case e.alg != "" && !c.hasKey(func(key jose.JSONWebKey) bool { return encryptedWith(key, e.alg) }):
			v.add(e.name+"_encrypted_response_alg", "it needs jwks_uri, or jwks with a key for %s", e.alg)
		case e.alg != "":
			v.oneOf(e.name+"_encrypted_response_enc", e.enc, append(contentEnc[:len(contentEnc):len(contentEnc)], ""))
		}
	}
}

func (v *verdict) keys(c *Client) {
	if c.Keys == nil {
		return
	}
	if c.KeysURI != "" {
		v.add("jwks", "it is there beside jwks_uri: expected one of the two")
	}
	if len(c.Keys.Keys) > maxItems {
		v.add("jwks", "it has %d keys: expected at most %d", len(c.Keys.Keys), maxItems)
		return
	}
	for i, key := range c.Keys.Keys {
		if err := checkPublicKey(key); err != nil {
			v.add("jwks", "key %d (%.100q): %v", i, key.KeyID, err)
		}
	}
}

// checkPublicKey reports why a key is none that others may know.
func checkPublicKey(key jose.JSONWebKey) error {
	switch {
	case !key.Valid():
		return errs.New(errs.Invalid, "it is no key")
	case !key.IsPublic():
		return errs.New(errs.Invalid, "it is private or symmetric: expected public keys only")
	}
	return checkStrength(key)
}

// lifespans checks how long tokens are to live.
func (v *verdict) lifespans(l Lifespans) {
	lives := l.byName()
	for _, name := range slices.Sorted(maps.Keys(lives)) {
		if d := lives[name]; d.Set && (d.Duration < time.Second || d.Duration > maxLife) {
			v.add(name, "%s: expected between 1s and %s", d.Duration, maxLife)
		}
	}
}

// byName returns the lifespans by the names of their fields.
func (l Lifespans) byName() map[string]Duration {
	return map[string]Duration{
		"authorization_code_grant_access_token_lifespan":    l.CodeAccess,
		"authorization_code_grant_id_token_lifespan":        l.CodeID,
		"authorization_code_grant_refresh_token_lifespan":   l.CodeRefresh,
		"client_credentials_grant_access_token_lifespan":    l.CredentialsAccess,
		"device_authorization_grant_access_token_lifespan":  l.DeviceAccess,
		"device_authorization_grant_id_token_lifespan":      l.DeviceID,
		"device_authorization_grant_refresh_token_lifespan": l.DeviceRefresh,
		"implicit_grant_access_token_lifespan":              l.ImplicitAccess,
		"implicit_grant_id_token_lifespan":                  l.ImplicitID,
		"jwt_bearer_grant_access_token_lifespan":            l.BearerAccess,
		"refresh_token_grant_access_token_lifespan":         l.RefreshAccess,
		"refresh_token_grant_id_token_lifespan":             l.RefreshID,
		"refresh_token_grant_refresh_token_lifespan":        l.RefreshRefresh,
	}
}

// sectors requires what tells the sector of pairwise subjects (OpenID Connect Core,
// section 8.1).
func (v *verdict) sectors(c *Client) {
	if c.SubjectType != "pairwise" || c.SectorURI != "" {
		return
	}
	hosts := map[string]bool{}
	for _, text := range c.RedirectURIs {
		if u, err := url.Parse(text); err == nil {
			hosts[u.Host] = true // as sector has it
		}
	}
	if len(hosts) > 1 {
		v.add("sector_identifier_uri", "pairwise subjects need it, since the redirect URIs have %d hosts", len(hosts))
	}
}

// checkSector reads the list at sector_identifier_uri, which must have the redirect URIs
// (OpenID Connect Dynamic Client Registration, section 5).
func (p *Provider) checkSector(ctx context.Context, c, old *Client) error {
	if c.SectorURI == "" || old != nil && old.SectorURI == c.SectorURI && slices.Equal(old.RedirectURIs, c.RedirectURIs) {
		return nil
	}
	text, err := p.fetch(ctx, c.SectorURI)
	if err != nil {
		return errMetadata.WithHintf("sector_identifier_uri: %s.", said(err))
	}
	var listed []string
	if err := json.Unmarshal(text, &listed); err != nil {
		return errMetadata.WithHint("sector_identifier_uri: what is there is no JSON list of redirect URIs.")
	}
	for _, uri := range c.RedirectURIs {
		if !slices.Contains(listed, uri) {
			return errMetadata.WithHintf("sector_identifier_uri: the list there has no %.200q, which is one of the redirect URIs.", uri)
		}
	}
	return nil
}

// said is the part of an error that is for the caller.
func said(err error) string {
	var e *errs.Error
	if errors.As(err, &e) {
		return e.Msg
	}
	return "it failed"
}

// checkStrength reports why a key is too weak, or of a kind that is not used here.
func checkStrength(key jose.JSONWebKey) error {
	if k, ok := key.Public().Key.(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
		return errs.New(errs.Invalid, "it has %d bits: expected at least 2048", k.N.BitLen())
	}
	return nil
}
