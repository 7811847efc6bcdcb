package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/cardea-iam/cardea/internal/testcert"
	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	"github.com/cardea-iam/cardea/server"
)

// An issuer signs certificates, and keeps them in files.
type issuer struct {
	t    *testing.T
	dir  string
	pair *testcert.Pair
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{t, t.TempDir(), testcert.Authority(t, nil, "ca")}
	i.keep("ca", i.pair)
	return i
}

// make writes NAME.crt and NAME.key, signed by i.
func (i *issuer) make(c x509.Certificate, name string) *x509.Certificate {
	i.t.Helper()
	c.Subject = pkix.Name{CommonName: name}
	made := testcert.Sign(i.t, i.pair, c)
	i.keep(name, made)
	return made.Certificate
}

func (i *issuer) keep(name string, pair *testcert.Pair) {
	i.t.Helper()
	secret, err := x509.MarshalECPrivateKey(pair.Key)
	if err != nil {
		i.t.Fatal(err)
	}
	i.write(name+".crt", "CERTIFICATE", pair.Raw)
	i.write(name+".key", "EC PRIVATE KEY", secret)
}

func (i *issuer) write(name, kind string, der []byte) {
	if err := os.WriteFile(i.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

func (i *issuer) path(name string) string { return filepath.Join(i.dir, name) }

func (i *issuer) server(name string) *x509.Certificate {
	return i.make(x509.Certificate{
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, name)
}

func (i *issuer) client(name string) {
	i.make(x509.Certificate{DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, name)
}

// trusting returns how clients connect that show the certificate of a name, "" for none.
func (i *issuer) trusting(name string) *tls.Config {
	c := &tls.Config{RootCAs: x509.NewCertPool()}
	c.RootCAs.AddCert(i.pair.Certificate)
	if name != "" {
		pair, err := tls.LoadX509KeyPair(i.path(name+".crt"), i.path(name+".key"))
		if err != nil {
			i.t.Fatal(err)
		}
		// Shown whatever the server asks for.
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return c
}

func (i *issuer) http(name string) *http.Client {
	transport := &http.Transport{TLSClientConfig: i.trusting(name), ForceAttemptHTTP2: true}
	i.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// encrypted makes a server use the certificate called server.
func (i *issuer) encrypted(c *server.Config) {
	c.Serve.TLS = server.TLS{CertPath: i.path("server.crt"), KeyPath: i.path("server.key"), Except: []string{"metrics"}}
}

// TestTLS asks by every protocol, encrypted and not.
func TestTLS(t *testing.T) {
	i := newIssuer(t)
	i.server("server")
	n := start(t, i.encrypted)
	conn, err := grpc.NewClient(n.read, grpc.WithTransportCredentials(credentials.NewTLS(i.trusting(""))))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := cardeav1.NewStatusServiceClient(conn).GetStatus(t.Context(), &cardeav1.GetStatusRequest{}); err != nil {
		t.Errorf("gRPC: %v", err)
	}
	web := connect.NewClient[cardeav1.GetStatusRequest, cardeav1.GetStatusResponse](i.http(""), "https://"+n.read+cardeav1.StatusService_GetStatus_FullMethodName)
	if _, err := web.CallUnary(t.Context(), connect.NewRequest(&cardeav1.GetStatusRequest{})); err != nil {
		t.Errorf("Connect: %v", err)
	}
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: i.trusting("")}} // HTTP/1.1
	for name, c := range map[string]*http.Client{"HTTP/2": i.http(""), "HTTP/1": old} {
		for _, at := range []string{n.read + "/v1/status", n.write + "/version", n.opl + "/version", n.public + "/health/ready"} {
			resp, err := c.Get("https://" + at)
			if err != nil {
				t.Errorf("%s: %v", at, err)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != 200 || !strings.HasPrefix(resp.Proto, name) {
				t.Errorf("%s: %d by %s", at, resp.StatusCode, resp.Proto)
			}
		}
	}
	if _, err := http.Get("http://" + n.read + "/version"); err == nil {
		t.Error("an unencrypted request is answered")
	}
	if got := n.do("GET", n.metrics, "/metrics", ""); got.status != 200 {
		t.Errorf("the listener that is left out gives %d", got.status)
	}
	resp, err := i.http("").Get("https://" + n.public + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var about struct{ Issuer string }
	if err := json.NewDecoder(resp.Body).Decode(&about); err != nil || about.Issuer != "https://"+n.public {
		t.Errorf("the issuer is %q, %v", about.Issuer, err)
	}
}

// TestClientCertificates: callers may show a certificate instead of an API key.
func TestClientCertificates(t *testing.T) {
	i, strangers := newIssuer(t), newIssuer(t)
	i.server("server")
	for _, name := range []string{"reader", "writer", "nobody"} {
		i.client(name)
		strangers.client(name)
	}
	secret, k := key("by key", "*", "read", "write")
	n := start(t, i.encrypted, func(c *server.Config) {
		c.Serve.TLS.ClientCAPath = i.path("ca.crt")
		c.Auth.Keys = []server.Key{
			k, {Name: "r", Certificate: "reader", Roles: []string{"read"}, Network: "*"}, {Name: "w", Certificate: "writer", Roles: []string{"write"}, Network: "*"},
		}
	})
	for _, tt := range []struct {
		certificate, auth string
		read, write       codes.Code
	}{
		{"", "", codes.Unauthenticated, codes.Unauthenticated},
		{"nobody", "", codes.Unauthenticated, codes.Unauthenticated},
		{"reader", "", codes.OK, codes.PermissionDenied},
		{"writer", "", codes.PermissionDenied, codes.OK},
		{"reader", "Bearer wrong", codes.Unauthenticated, codes.Unauthenticated},
		{"reader", "Bearer " + secret, codes.OK, codes.OK},
		{"", "Bearer " + secret, codes.OK, codes.OK},
	} {
		for address, want := range map[string]codes.Code{n.read: tt.read, n.write: tt.write} {
			call := func(trust *tls.Config) error {
				conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(trust)))
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				ctx := t.Context()
				if tt.auth != "" {
					ctx = as(ctx, "authorization", tt.auth)
				}
				_, err = cardeav1.NewStatusServiceClient(conn).GetStatus(ctx, &cardeav1.GetStatusRequest{})
				return err
			}
			if err := call(i.trusting(tt.certificate)); status.Code(err) != want {
				t.Errorf("%q, %q: gRPC gives %v, want %s", tt.certificate, tt.auth, err, want)
			}
			if tt.certificate != "" {
				foreign := strangers.trusting(tt.certificate)
				foreign.RootCAs = i.trusting("").RootCAs
				if err := call(foreign); status.Code(err) != codes.Unavailable {
					t.Errorf("the certificate %q of a stranger gives %v", tt.certificate, err)
				}
			}
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "https://"+address+"/v1/status", nil)
			if tt.auth != "" {
				req.Header.Set("Authorization", tt.auth)
			}
			resp, err := i.http(tt.certificate).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if got := map[int]codes.Code{200: codes.OK, 401: codes.Unauthenticated, 403: codes.PermissionDenied}[resp.StatusCode]; got != want {
				t.Errorf("%q, %q: REST gives %d, want %s", tt.certificate, tt.auth, resp.StatusCode, want)
			}
			web := connect.NewClient[cardeav1.GetStatusRequest, cardeav1.GetStatusResponse](i.http(tt.certificate), "https://"+address+cardeav1.StatusService_GetStatus_FullMethodName)
			ask := connect.NewRequest(&cardeav1.GetStatusRequest{})
			if tt.auth != "" {
				ask.Header().Set("Authorization", tt.auth)
			}
			_, err = web.CallUnary(t.Context(), ask)
			if got := connect.CodeOf(err); err != nil && codes.Code(got) != want || err == nil && want != codes.OK {
				t.Errorf("%q, %q: Connect gives %v, want %s", tt.certificate, tt.auth, err, want)
			}
		}
	}
}

// TestCertificateRenewed: new files are used, broken ones are not and show.
func TestCertificateRenewed(t *testing.T) {
	i := newIssuer(t)
	i.server("server")
	n := start(t, i.encrypted)
	shown := func() *x509.Certificate {
		conn, err := tls.Dial("tcp", n.read, i.trusting(""))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0]
	}
	until := func(what string, done func() bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for !done() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatal(what)
			}
		}
	}
	ready := func() int { return n.do("GET", n.metrics, "/health/ready", "").status }
	if ready() != 200 {
		t.Fatal("not ready")
	}
	second := i.server("server")
	until("the new certificate is not used", func() bool { return shown().Equal(second) })
	if err := os.WriteFile(i.path("server.crt"), []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	until("a broken file does not show", func() bool { return ready() == 503 })
	if !shown().Equal(second) {
		t.Error("the old certificate is not used any more")
	}
	third := i.server("server")
	until("the third certificate is not used", func() bool { return shown().Equal(third) && ready() == 200 })
}

// TestMutualTLSClient: a client of OAuth 2 authenticates by its certificate, and its
// token is bound to that (RFC 8705).
func TestMutualTLSClient(t *testing.T) {
	i := newIssuer(t)
	i.server("server")
	i.client("app.test")
	i.client("other.test")
	n := start(t, i.encrypted, func(c *server.Config) {
		c.Serve.TLS.Except = []string{"write", "metrics"}
		c.OAuth.Certificates.Request, c.OAuth.Certificates.CAPath = true, i.path("ca.crt")
	})
	self, _ := tls.LoadX509KeyPair(i.path("other.test.crt"), i.path("other.test.key"))
	leaf, _ := x509.ParseCertificate(self.Certificate[0])
	jwks, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: leaf.PublicKey, Certificates: []*x509.Certificate{leaf}}}})
	for right, body := range map[string]string{
		"app.test":   `"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"app.test"`,
		"other.test": `"token_endpoint_auth_method":"self_signed_tls_client_auth","jwks":` + string(jwks),
	} {
		made := n.do("POST", n.write, "/admin/clients", `{"grant_types":["client_credentials"],"tls_client_certificate_bound_access_tokens":true,`+body+`}`)
		var c struct {
			ID string `json:"client_id"`
		}
		if err := json.Unmarshal([]byte(made.body), &c); err != nil || made.status != 201 {
			t.Fatalf("%d %s", made.status, made.body)
		}
		for _, shows := range []string{"", "app.test", "other.test"} {
			resp, err := i.http(shows).PostForm("https://"+n.public+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {c.ID}})
			if err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if (resp.StatusCode == 200) != (shows == right) || shows != right && !bytes.Contains(text, []byte("invalid_client")) {
				t.Errorf("who should show %s and shows %q gets %d %s", right, shows, resp.StatusCode, text)
			}
			if shows != right {
				continue
			}
			var token struct {
				Access string `json:"access_token"`
			}
			if err := json.Unmarshal(text, &token); err != nil {
				t.Fatal(err)
			}
			got := n.do("POST", n.write, "/admin/oauth2/introspect", "token="+token.Access, "Content-Type: application/x-www-form-urlencoded")
			if !strings.Contains(got.body, "x5t#S256") {
				t.Errorf("the token is not bound: %s", got.body)
			}
		}
	}
}

// TestOperatorsOnly: what tells of the process needs an API key where others connect.
func TestOperatorsOnly(t *testing.T) {
	secret, k := key("reader", "*", "read")
	n := start(t, func(c *server.Config) {
		c.Auth.Keys, c.Insecure, c.Serve.Pprof = []server.Key{k}, true, true
		c.Serve.Metrics.Address = "0.0.0.0:0"
	})
	port := n.metrics[strings.LastIndex(n.metrics, ":"):]
	for _, path := range []string{"/metrics", "/metrics/prometheus", "/debug/pprof/"} {
		if got := n.do("GET", "127.0.0.1"+port, path, ""); got.status != 401 {
			t.Errorf("%s gives %d", path, got.status)
		}
		if got := n.do("GET", "127.0.0.1"+port, path, "", "Authorization: Bearer "+secret); got.status != 200 {
			t.Errorf("%s with a key gives %d", path, got.status)
		}
	}
	if got := n.do("GET", n.public, "/metrics/prometheus", ""); got.status != 404 {
		t.Errorf("the public listener gives %d", got.status)
	}
	local := start(t, func(c *server.Config) { c.Auth.Keys = []server.Key{k} })
	if got := local.do("GET", local.metrics, "/metrics", ""); got.status != 200 {
		t.Errorf("the metrics listener of this machine gives %d", got.status)
	}
}

// TestBadTLS: what does not fit together is refused at the start.
func TestBadTLS(t *testing.T) {
	i := newIssuer(t)
	i.server("server")
	for want, edit := range map[string]func(*server.Config){
		"cert.path and key.path go together": func(c *server.Config) { c.Serve.TLS.KeyPath = "" },
		"no such file":                       func(c *server.Config) { c.Serve.TLS.CertPath = "/nowhere" },
		"does not match":                     func(c *server.Config) { c.Serve.TLS.KeyPath = i.path("ca.key") },
		"has no certificate in PEM":          func(c *server.Config) { c.Serve.TLS.ClientCAPath = i.path("ca.key") },
		"expected serve.tls.client_ca.path": func(c *server.Config) {
			c.Auth.Keys = []server.Key{{Name: "x", Certificate: "x", Roles: []string{"read"}, Network: "*"}}
		},
	} {
		c := testConfig(t)
		i.encrypted(&c)
		edit(&c)
		s, err := server.New(t.Context(), c)
		if err == nil {
			t.Errorf("%s: it starts", want)
			go s.Run(t.Context())
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
