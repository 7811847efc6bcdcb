package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A mailbox is a mail server on the loopback.
type mailbox struct {
	user, password string // "": everyone may send
	refuse         error  // of a recipient
	asks           bool   // for a certificate of who sends

	mu       sync.Mutex
	envelope []string // from and to
	messages [][]byte
	secure   bool // the last one came encrypted
}

func (m *mailbox) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &mailSession{mailbox: m, secure: secure, in: m.user == ""}, nil
}

type mailSession struct {
	*mailbox
	secure, in bool
	from, to   string
}

func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.user || password != s.password {
			return smtp.ErrAuthFailed
		}
		s.in = true
		return nil
	}), nil
}

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	if !s.in {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return nil
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return s.refuse
}

func (s *mailSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages, s.envelope, s.mailbox.secure = append(s.messages, text), []string{s.from, s.to}, s.secure
	return err
}

func (*mailSession) Reset()        {}
func (*mailSession) Logout() error { return nil }

// last returns the newest message.
func (m *mailbox) last(t *testing.T) *netmail.Message {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.messages) == 0 {
		t.Fatal("no message came")
	}
	message, err := netmail.ReadMessage(bytes.NewReader(m.messages[len(m.messages)-1]))
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// listen serves m; with implicit each connection is encrypted from the start.
func (m *mailbox) listen(t *testing.T, certificate *tls.Certificate, implicit bool) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(m)
	s.Domain, s.AllowInsecureAuth, s.ErrorLog = "localhost", true, slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if certificate != nil {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}}
		if m.asks {
			s.TLSConfig.ClientAuth = tls.RequireAnyClientCert
		}
	}
	address = l.Addr().String()
	if implicit {
		l = tls.NewListener(l, s.TLSConfig)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return address
}

func selfSigned(t *testing.T) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

var testSender = sender{"no-reply@example.com", "Ärzte & Co", map[string]string{"X-Stage": "test"}}

func testLetter() *identity.Letter {
	return &identity.Letter{ID: identity.NewID(), Recipient: "ann@example.com", Template: "recovery_code_valid", At: time.Unix(1_800_000_000, 0),
		Subject: "Grüße", Text: "text 123456\n.\nmore", HTML: "<p>html 123456</p>", Data: map[string]any{"Code": "123456"}}
}

func TestSMTP(t *testing.T) {
	cert := selfSigned(t)
	for name, tt := range map[string]struct {
		cert     *tls.Certificate
		implicit bool
		scheme   string
		query    string
		user     string
		password string
		want     errs.Kind // of the error
	}{
		"plain":                     {scheme: "smtp", query: "?disable_starttls=true"},
		"plain, with a password":    {scheme: "smtp", query: "?disable_starttls=true", user: "u@x", password: "p/w?"},
		"starttls":                  {scheme: "smtp", query: "?skip_ssl_verify=true", cert: cert, user: "u", password: "p"},
		"starttls that is not had":  {scheme: "smtp", want: errs.Unavailable},
		"a certificate of nobody":   {scheme: "smtp", cert: cert, want: errs.Unavailable},
		"implicit":                  {scheme: "smtps", query: "?skip_ssl_verify=true", cert: cert, implicit: true},
		"implicit, nobody's":        {scheme: "smtps", cert: cert, implicit: true, want: errs.Unavailable},
		"a password that is wrong":  {scheme: "smtp", query: "?skip_ssl_verify=true", cert: cert, user: "u", password: "wrong", want: errs.Unavailable},
		"a password that is needed": {scheme: "smtp", query: "?skip_ssl_verify=true", cert: cert, password: "needed", want: errs.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			box := &mailbox{}
			if tt.password != "" {
				box.user, box.password = "u", "p"
				if tt.password == "p/w?" {
					box.user, box.password = tt.user, tt.password
				}
			}
			_, port, _ := net.SplitHostPort(box.listen(t, tt.cert, tt.implicit))
			u := url.URL{Scheme: tt.scheme, Host: "localhost:" + port, RawQuery: strings.TrimPrefix(tt.query, "?")}
			if tt.user != "" {
				u.User = url.UserPassword(tt.user, tt.password)
			}
			c, err := newSMTPCarrier(u.String(), "localhost", testSender)
			if err != nil {
				t.Fatal(err)
			}
			l := testLetter()
			err = c.Carry(t.Context(), l)
			if errs.KindOf(err) != tt.want {
				t.Fatalf("got %v (%s): want %s", err, errs.KindOf(err), tt.want)
			}
			if err != nil {
				if tt.password != "" && strings.Contains(err.Error(), tt.password) && tt.password == "wrong" {
					t.Errorf("the error has the password: %v", err)
				}
				return
			}
			if box.secure != (tt.cert != nil) || strings.Join(box.envelope, " ") != "no-reply@example.com ann@example.com" {
				t.Errorf("secure %t, envelope %v", box.secure, box.envelope)
			}
			checkMail(t, box.last(t), l)
		})
	}
}

// checkMail reads the message as a mail program does.
func checkMail(t *testing.T, m *netmail.Message, l *identity.Letter) {
	t.Helper()
	decode := new(mime.WordDecoder)
	subject, err := decode.DecodeHeader(m.Header.Get("Subject"))
	if err != nil || subject != l.Subject {
		t.Errorf("subject %q, %v", subject, err)
	}
	from, err := m.Header.AddressList("From")
	if err != nil || len(from) != 1 || from[0].Name != testSender.name || from[0].Address != testSender.address {
		t.Errorf("from %v, %v", from, err)
	}
	if id := m.Header.Get("Message-Id"); id != "<"+l.ID+"@example.com>" {
		t.Errorf("id %q", id)
	}
	if m.Header.Get("Auto-Submitted") == "" || m.Header.Get("X-Stage") != "test" {
		t.Errorf("headers %v", m.Header)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("type %q, %v", kind, err)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for _, want := range []string{l.Text, l.HTML} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(part)
		if got := strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n")); err != nil || got != want {
			t.Errorf("part %q, %v: want %q", got, err, want)
		}
	}
}

// TestSMTPCertificate: a mail server that wants to see a certificate sees that of the
// settings.
func TestSMTPCertificate(t *testing.T) {
	pair := selfSigned(t)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	box := &mailbox{asks: true}
	uri := "smtp://" + box.listen(t, selfSigned(t), false) + "/?skip_ssl_verify=true"
	for _, tt := range []struct {
		cert, key string
		want      errs.Kind
	}{{"", "", errs.Unavailable}, {cert, keyFile, errs.OK}, {cert, "", errs.Invalid}, {cert, cert, errs.Invalid}} {
		c, err := newSMTPCarrier(uri, "localhost", testSender)
		if err != nil {
			t.Fatal(err)
		}
		if err = c.showCertificate(tt.cert, tt.key); err == nil {
			err = c.Carry(t.Context(), testLetter())
		}
		if errs.KindOf(err) != tt.want {
			t.Errorf("with %q and %q: %v, want %s", tt.cert, tt.key, err, tt.want)
		}
	}
}

// TestSMTPRefusal tells what can never be delivered from what may be later.
func TestSMTPRefusal(t *testing.T) {
	for code, want := range map[int]errs.Kind{550: errs.Refused, 450: errs.Unavailable} {
		box := &mailbox{refuse: &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "not here"}}
		c, err := newSMTPCarrier("smtp://"+box.listen(t, nil, false)+"/?disable_starttls=true", "localhost", testSender)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Carry(t.Context(), testLetter()); errs.KindOf(err) != want {
			t.Errorf("%d: %v (%s)", code, err, errs.KindOf(err))
		}
	}
	c, err := newSMTPCarrier("smtp://127.0.0.1:1/?disable_starttls=true", "localhost", testSender)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Carry(t.Context(), testLetter()); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("nobody listens: %v", err)
	}
	for _, bad := range []string{"", "http://x", "smtp://", "smtp://x:y:z", "smtp:/x", "mail.example.com:25"} {
		if _, err := newSMTPCarrier(bad, "localhost", testSender); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestMailHeaders tries to write headers of one's own through what people write.
func TestMailHeaders(t *testing.T) {
	for _, to := range []string{"ann@example.com\r\nBcc: x@example.com", "ann@example.com, x@example.com", "Ann <ann@example.com>", "", "ann"} {
		l := testLetter()
		l.Recipient = to
		if _, err := testSender.message(l); errs.KindOf(err) != errs.Refused {
			t.Errorf("%q: %v", to, err)
		}
	}
	l := testLetter()
	l.Subject = "Hello\r\nBcc: x@example.com\r\n\r\nbody\x00"
	m, err := testSender.message(l)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	got, err := netmail.ReadMessage(&b)
	if err != nil || got.Header.Get("Bcc") != "" || !strings.HasPrefix(got.Header.Get("Subject"), "Hello") {
		t.Errorf("headers %v, %v", got.Header, err)
	}
}

// TestSubjectIsNotDecoded: what people write is shown to them as it is.
func TestSubjectIsNotDecoded(t *testing.T) {
	l := testLetter()
	l.Subject = "Hello =?utf-8?q?=0D=0ABcc:_x@example.com?="
	m, err := testSender.message(l)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	got, err := netmail.ReadMessage(&b)
	if err != nil {
		t.Fatal(err)
	}
	var decode mime.WordDecoder
	if shown, err := decode.DecodeHeader(got.Header.Get("Subject")); err != nil || shown != "Hello = ?utf-8?q?=0D=0ABcc:_x@example.com?=" {
		t.Errorf("subject %q, %v", shown, err)
	}
}

func TestHTTPCarrier(t *testing.T) {
	var got *http.Request
	var body map[string]any
	status := http.StatusAccepted
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body = nil
		_ = json.NewDecoder(r.Body).Decode(&body)
		w.WriteHeader(status)
	}))
	defer s.Close()
	send := func(r requestConfig, l *identity.Letter) error {
		t.Helper()
		r.URL = s.URL + "/send"
		c, err := newHTTPCarrier("x", r)
		if err != nil {
			t.Fatal(err)
		}
		return c.Carry(t.Context(), l)
	}
	l := testLetter()
	l.Recipient = `ann","x":"@example.com`
	if err := send(requestConfig{}, l); err != nil {
		t.Fatal(err)
	}
	if body["recipient"] != l.Recipient || body["message_type"] != "email" || body["template_data"].(map[string]any)["Code"] != "123456" || body["x"] != nil || got.Method != "POST" {
		t.Errorf("%s %v", got.Method, body)
	}
	r := requestConfig{Method: "PUT", Headers: headerConfig{"X-A": "b"}, Body: `{"To":"tel:${recipient}","Text":"${body}"}`}
	r.Auth.Type, r.Auth.Config.User, r.Auth.Config.Password = "basic_auth", "u", "p"
	l.Phone, l.Recipient, l.Text = true, "+4930123456", "Your code is 123456"
	if err := send(r, l); err != nil {
		t.Fatal(err)
	}
	if user, password, _ := got.BasicAuth(); user != "u" || password != "p" || got.Header.Get("X-A") != "b" || got.Method != "PUT" || body["To"] != "tel:+4930123456" {
		t.Errorf("%v %v", got.Header, body)
	}
	r.Auth.Type, r.Auth.Config.Name, r.Auth.Config.Value = "api_key", "X-Key", "k"
	if err := send(r, l); err != nil || got.Header.Get("X-Key") != "k" {
		t.Errorf("%v, %v", err, got.Header)
	}
	status = http.StatusFound
	if err := send(r, l); errs.KindOf(err) != errs.Unavailable {
		t.Errorf("after 302: %v", err)
	}
	s.Close()
	if err := send(r, l); errs.KindOf(err) != errs.Unavailable || strings.Contains(err.Error(), "/send") || strings.Count(err.Error(), "refused") != 1 {
		t.Errorf("nobody listens: %v", err) // administrators read it, and the URL may have a secret
	}
	for _, bad := range []requestConfig{{URL: "ftp://x"}, {URL: s.URL, Body: "function(ctx) {}"}, {URL: s.URL, Body: "base64://%"}, {URL: s.URL, Body: "file:///nowhere"}} {
		if _, err := newHTTPCarrier("x", bad); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestFolderCarrier(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "mail")
	c := &folderCarrier{folder, testSender, slog.New(slog.DiscardHandler)}
	l := testLetter()
	phone := testLetter()
	phone.Phone, phone.Recipient = true, "+4930123456"
	if err := errors.Join(c.Carry(t.Context(), l), c.Carry(t.Context(), l), c.Carry(t.Context(), phone)); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(folder)
	if err != nil || len(files) != 2 { // a letter that is sent again is the same file
		t.Fatalf("%v, %v", files, err)
	}
	text, err := os.ReadFile(filepath.Join(folder, files[0].Name()))
	if err != nil || !strings.Contains(string(text), "123456") {
		t.Errorf("%s, %v", text, err)
	}
}

// TestTemplatesOfSettings: a message is written as the settings say.
func TestTemplatesOfSettings(t *testing.T) {
	var c Config
	c.Identity.Courier.SMTP, c.Identity.Courier.LocalName = "smtp://mail.example.com", "localhost"
	if err := c.Identity.Courier.Texts.parse(`{"login_code":{"valid":{"email":{"subject":"base64://SGkge3suQ29kZX19","body":{"plaintext":"You: {{.To}}"}},"sms":{"body":{"plaintext":"{{.Code}}!"}}}}}`); err != nil {
		t.Fatal(err)
	}
	o, err := c.courierOptions(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]any{"Code": "123456", "To": "ann@example.com"}
	subject, text, html, err := o.Letters.Letter("login_code_valid", "", false, data)
	if err != nil || subject != "Hi 123456" || text != "You: ann@example.com" || html != "" {
		t.Errorf("%q, %q, %q, %v", subject, text, html, err)
	}
	if _, text, _, err := o.Letters.Letter("login_code_valid", "", true, data); err != nil || text != "123456!" {
		t.Errorf("%q, %v", text, err)
	}
	c.Identity.Courier.Texts["login_code/valid/sms.body.gotmpl"] = "https://example.com/template"
	if _, err := c.courierOptions(slog.New(slog.DiscardHandler)); errs.KindOf(err) != errs.Invalid {
		t.Errorf("a template elsewhere: %v", err)
	}
}

func TestIdentitySettings(t *testing.T) {
	for _, tt := range []struct {
		key  string
		raw  any
		good bool
	}{
		{"identity.courier.smtp.connection_uri", "smtp://u:p@mail.example.com:587/", true},
		{"identity.courier.smtp.connection_uri", "smtps://mail.example.com/?skip_ssl_verify=true&server_name=x", true},
		{"identity.courier.smtp.connection_uri", "smtp://mail.example.com/?skip_ssl_verfy=true", false},
		{"identity.courier.smtp.connection_uri", "smtp://mail.example.com/?disable_starttls=yes", false},
		{"identity.courier.smtp.connection_uri", "mail.example.com", false},
		{"identity.courier.smtp.from_address", "Ann <a@example.com>", false},
		{"identity.courier.smtp.headers", map[string]any{"X-A": "b"}, true},
		{"identity.courier.smtp.headers", map[string]any{"X-A": "b\r\nBcc: x"}, false},
		{"identity.courier.smtp.headers", `{"X-A":"b"}`, true},
		{"identity.courier.http.request_config", map[string]any{"url": "https://x", "auth": map[string]any{"type": "basic_auth", "config": map[string]any{"user": "u", "password": "p"}}}, true},
		{"identity.courier.http.request_config", map[string]any{"uri": "https://x"}, false},
		{"identity.courier.channels", []any{map[string]any{"id": "sms", "type": "http", "request_config": map[string]any{"url": "https://x"}}}, true},
		{"identity.courier.channels", []any{map[string]any{"id": "fax", "type": "http"}}, false},
		{"identity.courier.message_retries", 0, false},
		{"identity.courier.templates", map[string]any{"recovery_code": map[string]any{"valid": map[string]any{"email": map[string]any{"subject": "a", "body": map[string]any{"html": "b", "plaintext": "c"}}}}}, true},
		{"identity.courier.templates", `{"verifiable_address_changed":{"sms":{"body":{"plaintext":"x"}}}}`, true},
		{"identity.courier.templates", `{"recovery_code":{"valid":{"email":{"subjct":"x"}}}}`, false},
		{"identity.courier.templates", `{"recovery_code":{"valid":{"email":{"subject":5}}}}`, false},
		{"identity.courier.templates", `{"../x":{"email":{"subject":"x"}}}`, false},
		{"identity.courier.templates", `{"subject":"x"}`, false},
		{"identity.courier.templates", `[]`, false},
		{"identity.courier.channels", `[5]`, false},
		{"identity.session.cookie.name", "app_session", true},
		{"identity.session.cookie.name", "app session;", false},
		{"identity.session.cookie.name", "", false},
		{"identity.session.cookie.domain", "example.com", true},
		{"identity.session.cookie.domain", "", true},
		{"identity.session.cookie.domain", "exa mple;x", false},
		{"identity.session.whoami.tokenizer.templates", `{"a":5}`, false},
		{"identity.selfservice.methods.b2b.config.organizations", `[{"id":"6d5a3c1e-0b6f-4c51-9f4e-0f3f5f3a7b11","session_lifespan":"12h"}]`, true},
		{"identity.selfservice.methods.b2b.config.organizations", `[{"id":"6d5a3c1e-0b6f-4c51-9f4e-0f3f5f3a7b11","session_lifespan":"-1h"}]`, false},
		{"identity.clients.web_hook.header_allowlist", "Accept,X-Trace", true},
		{"identity.clients.web_hook.header_allowlist", "accept,cookie", false},
	} {
		for _, s := range slices.Concat(courierSettings, sessionSettings, identitySettings, oidcSettings) {
			if s.key != tt.key {
				continue
			}
			if err := s.set(&Config{}, tt.raw); (err == nil) != tt.good || err != nil && strings.Contains(err.Error(), "Go ") {
				t.Errorf("%s %v: %v", tt.key, tt.raw, err)
			}
		}
	}
}
