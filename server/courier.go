package server

import (
	"context"
	"encoding/base64"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store"
	"github.com/cardea-iam/cardea/web"
)

// courierOptions say how messages to people go out: into a folder, through a mail
// server, or by requests to somebody else's server. Without any of them there are none.
//
// Invalid: the settings have mistakes, or a template cannot be parsed.
func (c Config) courierOptions(log *slog.Logger) (identity.CourierOptions, error) {
	at := c.Identity.Courier
	o := identity.CourierOptions{Retries: at.Retries, Batch: at.PullCount, Poll: at.PullWait, PerClient: at.PerClient, Plain: c.Dev}
	var own fs.FS
	if at.Templates != "" {
		folder := strings.TrimPrefix(at.Templates, "file://")
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			return o, errs.New(errs.Invalid, "identity.courier.template_override_path: %s is no folder that can be read", folder)
		}
		own = os.DirFS(folder)
	}
	more, err := at.Texts.read()
	if err != nil {
		return o, err
	}
	letters, err := web.NewMail(own, more)
	if err != nil {
		return o, err
	}
	mail, phone, err := c.carriers(log)
	if err != nil || mail == nil && phone == nil {
		return o, err
	}
	o.Letters, o.Carrier = letters, split{mail, phone}
	return o, nil
}

// carriers returns what carries e-mail, and what goes to telephones; nil: there is none.
func (c Config) carriers(log *slog.Logger) (mail, phone identity.Carrier, err error) {
	at := c.Identity.Courier
	from := sender{at.From, at.FromName, at.Headers}
	folder := &folderCarrier{path: at.Folder, from: from, log: log}
	sends := at.SMTP != "" || at.Strategy == viaHTTP || len(at.Channels) > 0
	if at.Folder != "" || c.Dev && !sends {
		if folder.path == "" {
			if folder.path, err = c.mailFolder(); err != nil {
				return nil, nil, err
			}
		}
		return folder, folder, nil
	}
	switch {
	case at.Strategy == viaHTTP:
		mail, err = newHTTPCarrier("identity.courier.http.request_config", at.HTTP)
	case at.SMTP != "":
		var smtp *smtpCarrier
		if smtp, err = newSMTPCarrier(at.SMTP, at.LocalName, from); err == nil {
			mail, err = smtp, smtp.showCertificate(at.Certificate, at.Key)
		}
	}
	for _, channel := range at.Channels {
		if err != nil {
			return nil, nil, err
		}
		phone, err = newHTTPCarrier("identity.courier.channels", channel.Request)
	}
	return mail, phone, err
}

// mailFolder is where --dev writes messages: beside the file with the data, or ./data.
func (c Config) mailFolder() (string, error) {
	path, _, err := store.File(c.DSN)
	if err != nil {
		return "", err
	}
	if path == "" {
		return filepath.Join("data", "mail"), nil
	}
	return filepath.Join(filepath.Dir(path), "mail"), nil
}

// A split gives letters to the carrier of their kind.
type split struct{ mail, phone identity.Carrier }

// Carry implements identity.Carrier.
func (s split) Carry(ctx context.Context, l *identity.Letter) error {
	to, what := s.mail, "e-mail: set identity.courier.smtp.connection_uri"
	if l.Phone {
		to, what = s.phone, "text messages: set identity.courier.channels"
	}
	if to == nil {
		return errs.New(errs.Unavailable, "this server cannot send %s", what)
	}
	return to.Carry(ctx, l)
}

// Reaches implements identity.Carrier.
func (s split) Reaches(phone bool) bool {
	if phone {
		return s.phone != nil
	}
	return s.mail != nil
}

// textOf reads a text of a setting: as it is, after base64://, or from a file.
func textOf(setting, text string) ([]byte, error) {
	if encoded, ok := strings.CutPrefix(text, "base64://"); ok {
		out, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, errs.New(errs.Invalid, "%s: the text after base64:// is no base64", setting)
		}
		return out, nil
	}
	path, ok := strings.CutPrefix(text, "file://")
	if !ok {
		return []byte(text), nil
	}
	out, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.New(errs.Invalid, "%s: %v", setting, err)
	}
	return out, nil
}
