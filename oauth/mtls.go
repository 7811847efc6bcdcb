package oauth

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// shownCertificate returns the client certificate of a request with those that came
// with it, nil if there is none. Whose it is nobody has checked, but that the client
// has its key.
//
// Invalid: the proxy's header cannot be read.
func (p *Provider) shownCertificate(r *http.Request) ([]*x509.Certificate, error) {
	o := p.o.Certificates
	if o.Header == "" || !fromProxy(r, o.Proxies) {
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			return r.TLS.PeerCertificates, nil
		}
		return nil, nil
	}
	// The certificate of the connection, if there is one, is the proxy's.
	if r.Header.Get(o.Header) == "" {
		return nil, nil
	}
	if len(r.Header.Values(o.Header)) > 1 {
		return nil, errs.New(errs.Invalid, "the header %s is there more than once", o.Header)
	}
	cert, err := readCertificate(r.Header.Get(o.Header))
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "the header %s is no certificate in the form of RFC 9440 or PEM", o.Header)
	}
	shown := []*x509.Certificate{cert}
	if o.ChainHeader == "" || len(r.Header.Values(o.ChainHeader)) == 0 {
		return shown, nil
	}
	members := strings.Split(strings.Join(r.Header.Values(o.ChainHeader), ","), ",") // base64 has no comma
	if len(members) > maxChain {
		return nil, errs.New(errs.Invalid, "the header %s has more than %d certificates", o.ChainHeader, maxChain)
	}
	for _, text := range members {
		cert, err := readBinary(strings.TrimSpace(text))
		if err != nil {
			return nil, errs.Wrap(errs.Invalid, err, "the header %s is no list of certificates in the form of RFC 9440", o.ChainHeader)
		}
		shown = append(shown, cert)
	}
	return shown, nil
}

// maxChain bounds how many certificates a proxy passes on beside that of the client.
const maxChain = 10

// readBinary reads a certificate as a byte sequence of RFC 9651.
func readBinary(text string) (*x509.Certificate, error) {
	inner, opened := strings.CutPrefix(text, ":")
	inner, closed := strings.CutSuffix(inner, ":")
	if !opened || !closed {
		return nil, errs.New(errs.Invalid, "expected base64 between two colons")
	}
	der, err := base64.StdEncoding.DecodeString(inner)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// fromProxy reports whether the connection of a request comes from one of the proxies.
func fromProxy(r *http.Request, proxies []netip.Prefix) bool {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(at.Addr().Unmap()) })
}

func readCertificate(text string) (*x509.Certificate, error) {
	if strings.HasPrefix(text, ":") {
		return readBinary(text)
	}
	// Base64 has a plus, which is a space in a query, but not in a path.
	plain, err := url.PathUnescape(text)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(plain))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errs.New(errs.Invalid, "expected a PEM block CERTIFICATE")
	}
	return x509.ParseCertificate(block.Bytes)
}

// checkCertificate authenticates a client by its certificate (RFC 8705, section 2).
func (p *Provider) checkCertificate(ctx context.Context, r *http.Request, c *Client) error {
	shown, err := p.shownCertificate(r)
	switch {
	case isKind(err, errs.Invalid):
		return errClient.WithHint("The client certificate that the proxy passed on cannot be read.")
	case err != nil:
		return err
	case shown == nil:
		return errClient.WithHint("The client must show a certificate.")
	case c.authMethod() == authSelfTLS:
		return p.checkSelfSigned(ctx, c, shown[0])
	}
	if err := p.checkChain(shown); err != nil {
		return errClient.WithHint("The client certificate was not issued by an authority that this server trusts, or is not good now.")
	}
	if !c.named(shown[0]) {
		return errClient.WithHint("The client certificate names another subject than the one that the client is registered with.")
	}
	return nil
}

func (p *Provider) checkChain(shown []*x509.Certificate) error {
	if p.o.Certificates.Roots == nil {
		return errs.New(errs.Refused, "there are no authorities for client certificates: the setting oauth.client_certificates.ca_path can name some")
	}
	between := x509.NewCertPool()
	for _, cert := range shown[1:] {
		between.AddCert(cert)
	}
	_, err := shown[0].Verify(x509.VerifyOptions{
		Roots: p.o.Certificates.Roots, Intermediates: between, CurrentTime: p.o.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err
}

// checkSelfSigned looks for a certificate, or its key, among the keys of the client.
func (p *Provider) checkSelfSigned(ctx context.Context, c *Client, cert *x509.Certificate) error {
	for _, fresh := range []bool{false, true} {
		keys, err := p.keysOf(ctx, c, fresh)
		if isKind(err, errs.Invalid) {
			return errClient.WithHint("The keys of the client cannot be had.")
		}
		if err != nil {
			return err
		}
		for _, key := range keys {
			if len(key.Certificates) > 0 && key.Certificates[0].Equal(cert) {
				return nil
			}
			if same, ok := key.Public().Key.(interface{ Equal(crypto.PublicKey) bool }); ok && len(key.Certificates) == 0 && same.Equal(cert.PublicKey) {
				return nil
			}
		}
	}
	return errClient.WithHint("The client certificate is none of those in the client's jwks.")
}

// named reports whether a certificate has the subject that the client is registered
// with (RFC 8705, section 2.1.2).
func (c *Client) named(cert *x509.Certificate) bool {
	switch {
	case c.CertificateSubject != "":
		var names pkix.RDNSequence
		_, err := asn1.Unmarshal(cert.RawSubject, &names)
		return err == nil && sameName(names.String(), c.CertificateSubject)
	case c.CertificateDNS != "":
		return slices.ContainsFunc(cert.DNSNames, func(name string) bool { return strings.EqualFold(name, c.CertificateDNS) })
	case c.CertificateURI != "":
		return slices.ContainsFunc(cert.URIs, func(u *url.URL) bool { return u.String() == c.CertificateURI })
	case c.CertificateIP != "":
		ip := net.ParseIP(c.CertificateIP)
		return ip != nil && slices.ContainsFunc(cert.IPAddresses, ip.Equal)
	case c.CertificateEmail != "":
		return slices.Contains(cert.EmailAddresses, c.CertificateEmail)
	}
	return false
}

// sameName compares two distinguished names in the form of RFC 4514, in which spaces
// after a comma and the case of attribute types do not count.
func sameName(a, b string) bool { return slices.Equal(nameParts(a), nameParts(b)) }

func nameParts(name string) []string {
	var parts []string
	start := 0
	add := func(end int) {
		kind, value, _ := strings.Cut(strings.TrimLeft(name[start:end], " "), "=")
		parts = append(parts, strings.ToUpper(strings.TrimSpace(kind))+"="+value)
		start = end + 1
	}
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '\\':
			i++
		case ',':
			add(i)
		}
	}
	add(len(name))
	return parts
}

// aliases are the endpoints of clients that show certificates (RFC 8705, section 5).
type aliases struct {
	Token         string `json:"token_endpoint"`
	Pushed        string `json:"pushed_authorization_request_endpoint"`
	Userinfo      string `json:"userinfo_endpoint"`
	Introspection string `json:"introspection_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	Device        string `json:"device_authorization_endpoint"`
}

// aliases is nil where there are none.
func (p *Provider) aliases() *aliases {
	if p.o.Certificates.Alias == nil {
		return nil
	}
	m := p.tokenMetadata(Metadata{})
	return &aliases{
		Token: p.alias(p.own.token), Pushed: p.alias(p.own.pushed), Userinfo: p.alias(p.own.userinfo),
		Introspection: p.alias(m.Introspection), Revocation: p.alias(m.Revocation), Device: p.alias(m.Device),
	}
}

// alias is the URL of an endpoint for clients that show certificates.
func (p *Provider) alias(endpoint string) string {
	at := p.o.Certificates.Alias
	if at == nil {
		return endpoint
	}
	return strings.TrimSuffix(at.String(), "/") + strings.TrimPrefix(endpoint, p.issuer())
}

// thumbprint is x5t#S256 of a certificate.
func thumbprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
