package oauth_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/testcert"
	"github.com/cardea-iam/cardea/oauth"
)

// issued returns a certificate of an app, by an authority or by itself, for clients unless
// for something else.
func issued(t *testing.T, by *testcert.Pair, usage ...x509.ExtKeyUsage) *testcert.Pair {
	t.Helper()
	if usage == nil {
		usage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	return testcert.Sign(t, by, x509.Certificate{
		Subject: pkix.Name{CommonName: "app", Organization: []string{"Acme, Inc"}, Country: []string{"DE"}}, DNSNames: []string{"app.test"},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "acme.test", Path: "/app"}}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}, EmailAddresses: []string{"app@acme.test"},
		ExtKeyUsage: usage,
	})
}

// behindProxy believes the header Client-Cert of this machine.
func behindProxy(a *testcert.Pair) func(*oauth.Options) {
	return func(o *oauth.Options) {
		o.Certificates = oauth.Certificates{Header: "Client-Cert", Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Roots: x509.NewCertPool()}
		o.Certificates.Roots.AddCert(a.Certificate)
	}
}

// show puts a certificate into the header of the proxy.
func show(cert *testcert.Pair) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(cert.Raw)+":")
	}
}

func credentialsOf(c map[string]any) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_id": {c["client_id"].(string)}}
}

// TestCertificateNames: each way to name the subject, and that another certificate of
// the same authority is refused.
func TestCertificateNames(t *testing.T) {
	a := testcert.Authority(t, nil, "root")
	w := start(t, behindProxy(a))
	right := issued(t, a)
	wrong := testcert.Sign(t, a, x509.Certificate{Subject: pkix.Name{CommonName: "other"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	for field, value := range map[string]string{
		"tls_client_auth_subject_dn": `cn=app, O=Acme\, Inc,C=DE`,
		"tls_client_auth_san_dns":    "app.test",
		"tls_client_auth_san_uri":    "spiffe://acme.test/app",
		"tls_client_auth_san_ip":     "192.0.2.1",
		"tls_client_auth_san_email":  "app@acme.test",
	} {
		c := w.client(map[string]any{"token_endpoint_auth_method": "tls_client_auth", field: value})
		if status, body := w.token(credentialsOf(c), show(right)); status != 200 {
			t.Errorf("%s: %d %v", field, status, body)
		}
		if status, body := w.token(credentialsOf(c), show(wrong)); status != 401 || body["error"] != "invalid_client" {
			t.Errorf("%s of another: %d %v", field, status, body)
		}
	}
}

// TestCertificateRefused: certificates that prove nothing.
func TestCertificateRefused(t *testing.T) {
	a := testcert.Authority(t, nil, "root")
	w := start(t, behindProxy(a))
	c := w.client(map[string]any{"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "app.test"})
	right := issued(t, a)
	forServers := issued(t, a, x509.ExtKeyUsageServerAuth)
	foreign := issued(t, testcert.Authority(t, nil, "another"))
	for name, edit := range map[string]func(*http.Request){
		"none":      func(*http.Request) {},
		"foreign":   show(foreign),
		"a server":  show(forServers),
		"malformed": func(r *http.Request) { r.Header.Set("Client-Cert", ":eA==:") },
		"two": func(r *http.Request) {
			show(right)(r)
			r.Header.Add("Client-Cert", r.Header.Get("Client-Cert"))
		},
	} {
		if status, body := w.token(credentialsOf(c), edit); status != 401 || body["error"] != "invalid_client" {
			t.Errorf("%s: %d %v", name, status, body)
		}
	}
	escaped := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: right.Raw})))
	if status, body := w.token(credentialsOf(c), func(r *http.Request) { r.Header.Set("Client-Cert", escaped) }); status != 200 {
		t.Errorf("PEM: %d %v", status, body)
	}
	w.pass(48 * time.Hour)
	if status, body := w.token(credentialsOf(c), show(right)); status != 401 {
		t.Errorf("an expired one: %d %v", status, body)
	}
}

// TestStrangersHeader: who is no proxy cannot show a certificate in a header.
func TestStrangersHeader(t *testing.T) {
	a := testcert.Authority(t, nil, "root")
	w := start(t, behindProxy(a), func(o *oauth.Options) { o.Certificates.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	right := issued(t, a)
	c := w.client(map[string]any{"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "app.test"})
	if status, body := w.token(credentialsOf(c), show(right)); status != 401 {
		t.Errorf("got %d %v", status, body)
	}
}

// TestSelfSigned: a certificate among the keys of the client, on a TLS connection of our
// own, by x5c and by its key.
func TestSelfSigned(t *testing.T) {
	w := start(t)
	mux := http.NewServeMux()
	for _, route := range w.provider.Public() {
		mux.HandleFunc(route.Pattern, func(rw http.ResponseWriter, r *http.Request) {
			if err := route.Serve(rw, r); err != nil {
				oauth.Fail(rw, r, err)
			}
		})
	}
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	cert, other := issued(t, nil), issued(t, nil)
	post := func(c map[string]any, cert *testcert.Pair) int {
		t.Helper()
		transport := server.Client().Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: cert.Key}}
		t.Cleanup(transport.CloseIdleConnections)
		resp, err := (&http.Client{Transport: transport}).PostForm(server.URL+"/oauth2/token", credentialsOf(c))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for name, jwk := range map[string]jose.JSONWebKey{
		"x5c": {Key: cert.PublicKey, Certificates: []*x509.Certificate{cert.Certificate}},
		"key": {Key: cert.PublicKey},
	} {
		c := w.client(map[string]any{"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": jose.JSONWebKeySet{Keys: []jose.JSONWebKey{jwk}}})
		if status := post(c, cert); status != 200 {
			t.Errorf("by %s: %d", name, status)
		}
		if status := post(c, other); status != 401 {
			t.Errorf("another by %s: %d", name, status)
		}
	}
}

// TestCertificateChain: certificates between that of a client and the authority count if
// a proxy passes them on, and prove nothing else.
func TestCertificateChain(t *testing.T) {
	root, own := testcert.Authority(t, nil, "root"), testcert.Authority(t, nil, "own")
	between := testcert.Authority(t, root, "between")
	leaf, foreign := issued(t, between), issued(t, own)
	notCA := testcert.Sign(t, root, x509.Certificate{Subject: pkix.Name{CommonName: "no authority"}, BasicConstraintsValid: true})
	byLeaf := issued(t, notCA)

	chained := func(o *oauth.Options) { o.Certificates.ChainHeader = "Client-Cert-Chain" }
	w := start(t, behindProxy(root), chained)
	c := w.client(map[string]any{"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "app.test"})
	binary := func(c *testcert.Pair) string { return ":" + base64.StdEncoding.EncodeToString(c.Raw) + ":" }
	with := func(cert *testcert.Pair, chain ...string) func(*http.Request) {
		return func(r *http.Request) {
			show(cert)(r)
			r.Header["Client-Cert-Chain"] = chain
		}
	}
	many := strings.TrimSuffix(strings.Repeat(binary(between)+",", 11), ",")
	for _, tt := range []struct {
		name string
		edit func(*http.Request)
		want int
	}{
		{"no chain", show(leaf), 401},
		{"the chain", with(leaf, binary(between)), 200},
		{"with the root", with(leaf, binary(between)+", "+binary(root)), 200},
		{"two lines", with(leaf, binary(root), binary(between)), 200},
		{"another chain", with(leaf, binary(own)), 401},
		{"its own authority", with(foreign, binary(own)), 401},
		{"signed by no authority", with(byLeaf, binary(notCA)), 401},
		{"no list", with(leaf, "x"), 401},
		{"half open", with(leaf, strings.TrimSuffix(binary(between), ":")), 401},
		{"an empty member", with(leaf, binary(between)+","), 401},
		{"no certificate", with(leaf, ":eA==:"), 401},
		{"too many", with(leaf, many), 401},
		{"a chain alone", func(r *http.Request) { r.Header.Set("Client-Cert-Chain", binary(leaf)) }, 401},
		{"half open leaf", func(r *http.Request) {
			with(leaf, binary(between))(r)
			r.Header.Set("Client-Cert", strings.TrimSuffix(binary(leaf), ":"))
		}, 401},
	} {
		if status, body := w.token(credentialsOf(c), tt.edit); status != tt.want {
			t.Errorf("%s: %d %v", tt.name, status, body)
		}
	}
	far := startOn(t, w.store, behindProxy(root), chained, func(o *oauth.Options) { o.Certificates.Proxies = nil })
	if status, body := far.token(credentialsOf(c), with(leaf, binary(between))); status != 401 {
		t.Errorf("from a stranger: %d %v", status, body)
	}
}

// TestAliases: the metadata leads clients with certificates to where they are asked for
// them, and their proofs may name that place.
func TestAliases(t *testing.T) {
	w := start(t, behindProxy(testcert.Authority(t, nil, "root")), func(o *oauth.Options) {
		o.Certificates.Alias = &url.URL{Scheme: "https", Host: "mtls.test", Path: "/a/"}
	})
	m := w.must("GET", w.public+"/.well-known/openid-configuration", nil)
	got, _ := m["mtls_endpoint_aliases"].(map[string]any)
	for name, at := range got {
		if path, ok := strings.CutPrefix(at.(string), "https://mtls.test/a/"); !ok || m[name] != w.public+"/"+path {
			t.Errorf("%s is %s, and without a certificate %v", name, at, m[name])
		}
	}
	if len(got) != 6 || m["tls_client_certificate_bound_access_tokens"] != true {
		t.Errorf("the metadata has %v", got)
	}
	k, c := key(t, jose.ES256, ""), w.client(nil)
	form := url.Values{"grant_type": {"client_credentials"}}
	for at, want := range map[string]int{"https://mtls.test/a/oauth2/token": 200, w.public + "/oauth2/token": 200, "https://mtls.test/oauth2/token": 400, "https://mtls.test/a/oauth2/par": 400} {
		if status, body := w.token(form, basic(c), w.proving(k, "POST", at)); status != want {
			t.Errorf("a proof for %s: %d %v", at, status, body)
		}
	}
	plain := start(t)
	if m := plain.must("GET", plain.public+"/.well-known/openid-configuration", nil); m["mtls_endpoint_aliases"] != nil || m["tls_client_certificate_bound_access_tokens"] != false {
		t.Errorf("without certificates the metadata has %v", m)
	}
	asked := startOn(t, plain.store, func(o *oauth.Options) { o.Certificates.Asked = true })
	if m := asked.must("GET", asked.public+"/.well-known/openid-configuration", nil); m["tls_client_certificate_bound_access_tokens"] != true {
		t.Errorf("where TLS asks for certificates the metadata has %v", m)
	}
}
