package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A sender is who e-mail is from.
type sender struct {
	address, name string
	headers       map[string]string
}

// message makes an e-mail of a letter. What is in a header has been through a parser of
// addresses, or is encoded, so that it cannot begin another header.
//
// Refused: the recipient is no address.
func (s sender) message(l *identity.Letter) (*mail.Msg, error) {
	to, err := netmail.ParseAddress(l.Recipient)
	if err != nil || to.Address != l.Recipient {
		return nil, errs.New(errs.Refused, "the recipient is no e-mail address")
	}
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := m.FromFormat(s.name, s.address); err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "identity.courier.smtp.from_address cannot be written into a message")
	}
	m.ToMailAddress(to)
	// What looks encoded already would be sent as it is, and decoded to anything.
	m.Subject(strings.ReplaceAll(strings.Map(printable, l.Subject), "=?", "= ?"))
	m.SetDateWithValue(l.At)
	_, host, _ := strings.Cut(s.address, "@")
	m.SetMessageIDWithValue(l.ID + "@" + host) // the same if it is sent again
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	for name, value := range s.headers {
		m.SetGenHeader(mail.Header(name), value)
	}
	switch {
	case l.Text != "" && l.HTML != "":
		m.SetBodyString(mail.TypeTextPlain, l.Text)
		m.AddAlternativeString(mail.TypeTextHTML, l.HTML)
	case l.HTML != "":
		m.SetBodyString(mail.TypeTextHTML, l.HTML)
	default:
		m.SetBodyString(mail.TypeTextPlain, l.Text)
	}
	return m, nil
}

// oneLine is an error as a line: libraries join theirs with more of them.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// An smtpCarrier gives e-mail to a mail server.
type smtpCarrier struct {
	from    sender
	host    string
	tls     *tls.Config // which options have
	options []mail.Option
}

// newSMTPCarrier reads a connection_uri.
//
// Invalid: it is malformed.
func newSMTPCarrier(uri, localName string, from sender) (*smtpCarrier, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" {
		return nil, errs.New(errs.Invalid, "expected smtp://USER:PASSWORD@HOST:PORT/ or smtps://, with what is special in the password as %%XX")
	}
	q := u.Query()
	for name, values := range q {
		switch flag := name == "skip_ssl_verify" || name == "disable_starttls"; {
		case !flag && name != "server_name":
			return nil, errs.New(errs.Invalid, "%s is not known: expected skip_ssl_verify, disable_starttls or server_name", name)
		case flag && values[0] != "true" && values[0] != "false":
			return nil, errs.New(errs.Invalid, "%s is %.20q: expected true or false", name, values[0])
		}
	}
	c := &smtpCarrier{from: from, host: u.Hostname()}
	t := &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12, InsecureSkipVerify: q.Get("skip_ssl_verify") == "true"}
	if name := q.Get("server_name"); name != "" {
		t.ServerName = name
	}
	c.tls = t
	port, options := 587, []mail.Option{mail.WithTLSConfig(t), mail.WithHELO(localName)}
	switch {
	case u.Scheme == "smtps":
		port, options = 465, append(options, mail.WithSSL())
	case q.Get("disable_starttls") == "true":
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if text := u.Port(); text != "" {
		if port, err = strconv.Atoi(text); err != nil {
			return nil, errs.New(errs.Invalid, "expected a port, got %q", text)
		}
	}
	options = append(options, mail.WithPort(port))
	if name := u.User.Username(); name != "" {
		password, _ := u.User.Password()
		options = append(options, mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin),
			mail.WithUsername(name), mail.WithPassword(password))
	}
	c.options = options
	if _, err := mail.NewClient(c.host, options...); err != nil {
		return nil, errs.New(errs.Invalid, "the mail server cannot be used: %v", oneLine(err))
	}
	return c, nil
}

// showCertificate has the mail server see a certificate, of files in PEM.
//
// Invalid: they cannot be read.
func (c *smtpCarrier) showCertificate(cert, key string) error {
	if cert == "" && key == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return errs.New(errs.Invalid, "identity.courier.smtp.client_cert_path, client_key_path: %v", err)
	}
	c.tls.Certificates = []tls.Certificate{pair}
	return nil
}

// final are the steps of the protocol at which a refusal is about the recipient or the
// message. At others the operator can do something about it.
var final = []mail.SendErrReason{mail.ErrSMTPRcptTo, mail.ErrSMTPData, mail.ErrSMTPDataClose}

// Carry implements identity.Carrier. A client of the library has one connection, so each
// letter has one of its own.
func (c *smtpCarrier) Carry(ctx context.Context, l *identity.Letter) error {
	m, err := c.from.message(l)
	if err != nil {
		return err
	}
	client, err := mail.NewClient(c.host, c.options...)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the mail server cannot be used")
	}
	err = client.DialAndSendWithContext(ctx, m)
	var refused *mail.SendError
	switch {
	case err == nil || m.IsDelivered(): // it has the letter, whatever the farewell was
		return nil
	case errors.As(err, &refused) && slices.Contains(final, refused.Reason) && refused.ErrorCode() >= 500:
		return errs.New(errs.Refused, "the mail server refuses the message: %v", oneLine(err))
	default:
		return errs.New(errs.Unavailable, "the mail server does not take the message: %v", oneLine(err))
	}
}

// Reaches implements identity.Carrier.
func (*smtpCarrier) Reaches(phone bool) bool { return !phone }

// A folderCarrier writes letters as files, for a machine of one's own.
type folderCarrier struct {
	path string
	from sender
	log  *slog.Logger
}

// Carry implements identity.Carrier.
func (c *folderCarrier) Carry(_ context.Context, l *identity.Letter) error {
	if err := os.MkdirAll(c.path, 0o700); err != nil {
		return errs.New(errs.Unavailable, "the folder of messages cannot be made: %v", oneLine(err))
	}
	name := fmt.Sprintf("%s-%s-%s", l.At.Format("20060102T150405.000000"), l.Template, l.ID)
	file := filepath.Join(c.path, name+".eml")
	var text []byte
	if l.Phone {
		file, text = filepath.Join(c.path, name+".txt"), []byte("To: "+l.Recipient+"\n\n"+l.Text+"\n")
	} else {
		m, err := c.from.message(l)
		if err != nil {
			return err
		}
		var b strings.Builder
		if _, err := m.WriteTo(&b); err != nil {
			return errs.Wrap(errs.Internal, err, "a message cannot be written")
		}
		text = []byte(b.String())
	}
	// A reader that waits for the file shall not see half of it.
	if err := os.WriteFile(file+".part", text, 0o600); err != nil {
		return errs.New(errs.Unavailable, "a message cannot be written: %v", oneLine(err))
	}
	if err := os.Rename(file+".part", file); err != nil {
		return errs.New(errs.Unavailable, "a message cannot be written: %v", oneLine(err))
	}
	c.log.Info("message written", "template", l.Template, "to", l.Recipient, "file", file)
	return nil
}

// Reaches implements identity.Carrier.
func (*folderCarrier) Reaches(bool) bool { return true }
