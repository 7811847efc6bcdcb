package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// tlsFlags say whom to believe that it is the server, and what to show it.
type tlsFlags struct {
	ca, cert, key string // paths
	own           *tls.Config
}

// secure is the scheme of an address whose listener does TLS.
const secure = "https://"

func (t *tlsFlags) add(f *pflag.FlagSet) {
	f.StringVar(&t.ca, "ca-cert", os.Getenv("CARDEA_CA_CERT"),
		"PEM file with the authorities that servers at https:// addresses are believed by; none: those of this machine (CARDEA_CA_CERT)")
	f.StringVar(&t.cert, "client-cert", os.Getenv("CARDEA_CLIENT_CERT"),
		"PEM file with a certificate to show to such servers (CARDEA_CLIENT_CERT)")
	f.StringVar(&t.key, "client-key", os.Getenv("CARDEA_CLIENT_KEY"),
		"PEM file with its private key (CARDEA_CLIENT_KEY)")
}

// config returns what a connection by TLS needs.
func (t tlsFlags) config() (*tls.Config, error) {
	if t.own != nil {
		return t.own, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.ca != "" {
		text, err := os.ReadFile(t.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca-cert: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("--ca-cert: %s has no certificate in PEM", t.ca)
		}
	}
	if (t.cert == "") != (t.key == "") {
		return nil, errors.New("--client-cert and --client-key go together")
	}
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return nil, fmt.Errorf("--client-cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// http returns what makes requests to a server.
func (t tlsFlags) http() (*http.Client, error) {
	c, err := t.config()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = c
	return &http.Client{Transport: transport}, nil
}

// distrust returns what is wrong with the certificate of a server, "" if err is of
// another kind.
func distrust(err error) string {
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		return bad.Err.Error()
	}
	// gRPC keeps the text only.
	if _, why, ok := strings.Cut(err.Error(), "failed to verify certificate: "); ok {
		return strings.Trim(why, `"`)
	}
	return ""
}
