package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/cardea-iam/cardea/internal/errs"
)

// certificateLook is how often the files of the certificate are looked at, while
// connections come in.
const certificateLook = time.Second

// A certificate is that of this server. Whoever renews it replaces its files; the
// connections after that get the new one, and a pair that cannot be used leaves the
// old one in force.
type certificate struct {
	certPath, keyPath string
	log               *slog.Logger

	mu struct {
		sync.Mutex
		pair   *tls.Certificate
		stamp  string // of the files that were read last
		looked time.Time
		err    error // why the newest files cannot be used
	}
}

// openCertificate reads the certificate that is set, nil if there is none.
//
// Invalid: the files cannot be read, or do not fit together.
func openCertificate(t TLS, log *slog.Logger) (*certificate, error) {
	if t.CertPath == "" {
		return nil, nil
	}
	c := &certificate{certPath: t.CertPath, keyPath: t.KeyPath, log: log}
	if c.look(); c.mu.err != nil {
		return nil, errs.Wrap(errs.Invalid, c.mu.err, "serve.tls: %v", c.mu.err)
	}
	return c, nil
}

// look reads the files if they changed. mu is held, or c not in use yet.
func (c *certificate) look() {
	c.mu.looked = time.Now()
	stamp := stampOf(c.certPath) + " " + stampOf(c.keyPath)
	if stamp == c.mu.stamp {
		return
	}
	c.mu.stamp = stamp
	pair, err := tls.LoadX509KeyPair(c.certPath, c.keyPath)
	if err == nil && time.Now().After(pair.Leaf.NotAfter) {
		err = fmt.Errorf("the certificate in %s ended at %s", c.certPath, pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	if c.mu.err = err; err == nil {
		c.mu.pair = &pair
	} else if c.mu.pair != nil {
		c.log.Error("the new certificate cannot be used, the old one stays", "err", err)
	}
}

// stampOf changes when a file does.
func stampOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size())
}

// current returns the newest pair that can be used, and why a newer one cannot.
func (c *certificate) current() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.mu.looked) >= certificateLook {
		c.look()
	}
	return c.mu.pair, c.mu.err
}

// ready reports a certificate that has ended, or that cannot be replaced by its files.
func (c *certificate) ready(context.Context) error {
	pair, err := c.current()
	if err == nil && time.Now().After(pair.Leaf.NotAfter) {
		err = fmt.Errorf("the certificate ended at %s", pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	return err
}

// readAuthorities reads a PEM file with the certificates of authorities.
func readAuthorities(key, path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "%s: %v", key, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errs.New(errs.Invalid, "%s: %s has no certificate in PEM", key, path)
	}
	return pool, nil
}

// encryption returns how the listener of a name does TLS, nil if it does not.
//
// Invalid: the authorities cannot be read.
func (c *core) encryption(name string, config Config) (*tls.Config, error) {
	if !config.Serve.encrypts(name) {
		return nil, nil
	}
	own := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair, _ := c.certificate.current()
		return pair, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetCertificate: own}
	switch {
	case name == "public" && config.OAuth.Certificates.Request:
		// Package oauth finds out whose it is: clients may have signed theirs themselves.
		t.ClientAuth = tls.RequestClientCert
	case (name == readRole || name == writeRole) && config.Serve.TLS.ClientCAPath != "":
		pool, err := readAuthorities("serve.tls.client_ca.path", config.Serve.TLS.ClientCAPath)
		if err != nil {
			return nil, err
		}
		t.ClientAuth, t.ClientCAs = tls.VerifyClientCertIfGiven, pool
	}
	return t, nil
}

// encrypts reports whether the listener of a name does TLS.
func (s Serve) encrypts(name string) bool {
	return s.TLS.CertPath != "" && !slices.Contains(s.TLS.Except, name)
}

// OwnTLS returns how the process itself connects to a listener of s: to nothing but
// the certificate that s has, whatever names are in it. Nil if the listener does not
// do TLS.
func (s *Server) OwnTLS(name string) *tls.Config {
	if !s.config.Serve.encrypts(name) {
		return nil
	}
	return &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection does it
		VerifyConnection: func(state tls.ConnectionState) error {
			pair, _ := s.core.certificate.current()
			if !state.PeerCertificates[0].Equal(pair.Leaf) {
				return errs.New(errs.Internal, "another server answers at this server's address")
			}
			return nil
		},
	}
}

// tlsOf finds the TLS of a connection below what the mux has put around it, nil if
// there is none.
func tlsOf(c net.Conn) *tls.ConnectionState {
	for {
		switch inner := c.(type) {
		case *replayConn:
			c = inner.Conn
		case *ackFilter:
			c = inner.Conn
		case *tls.Conn:
			state := inner.ConnectionState()
			return &state
		default:
			return nil
		}
	}
}

type connTLS struct{}

// keepTLS puts the TLS of a connection where withTLS finds it: net/http does not know
// of it, since the mux has decrypted what it gets.
func keepTLS(ctx context.Context, c net.Conn) context.Context {
	if state := tlsOf(c); state != nil {
		return context.WithValue(ctx, connTLS{}, state)
	}
	return ctx
}

// withTLS gives requests the TLS of their connections.
func withTLS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.TLS, _ = r.Context().Value(connTLS{}).(*tls.ConnectionState)
		next.ServeHTTP(w, r)
	})
}

// settledTLS tells gRPC of the TLS that the mux did.
type settledTLS struct {
	credentials.TransportCredentials
}

func (settledTLS) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	info := credentials.TLSInfo{CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}}
	if state := tlsOf(c); state != nil {
		info.State, info.SecurityLevel = *state, credentials.PrivacyAndIntegrity
	}
	return c, info, nil
}

func (settledTLS) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

func (s settledTLS) Clone() credentials.TransportCredentials { return s }

// shownBy returns the certificate that a caller has shown and an authority that is set
// has signed, nil if there is none.
func shownBy(ctx context.Context) *x509.Certificate {
	state, _ := ctx.Value(connTLS{}).(*tls.ConnectionState)
	if p, ok := peer.FromContext(ctx); ok && state == nil {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			state = &info.State
		}
	}
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}

// namesIn returns who a certificate is for: its DNS names, addresses and URIs or, if
// it has none of those, its common name.
func namesIn(c *x509.Certificate) []string {
	names := slices.Concat(c.DNSNames, c.EmailAddresses)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 && c.Subject.CommonName != "" {
		names = []string{c.Subject.CommonName}
	}
	return names
}
