package web

import (
	"bytes"
	"errors"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"sync"
	texttemplate "text/template"

	"golang.org/x/text/language"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Mail writes the messages that are sent to people.
//
// mail/LOCALE.tmpl has for each message its subject, what stands before and after a
// code or link, and what is sent to phones; layout.txt and layout.html put that together.
// Templates of one's own are files as Kratos has them, such as
// recovery_code/valid/email.subject.gotmpl, with email.body.gotmpl for HTML,
// email.body.plaintext.gotmpl and sms.body.gotmpl beside it; below a folder named like a
// language they are for that language. What is missing there is Cardea's.
type Mail struct {
	locales []string // the first is for those who want none of them
	matcher language.Matcher
	ownText map[string]*texttemplate.Template // by path
	ownHTML map[string]*template.Template
}

// Cardea's own, parsed when the first message is written.
var (
	mailText = map[string]func() *texttemplate.Template{"en": mailTexts("en.tmpl"), "de": mailTexts("de.tmpl")} // by locale

	mailLayout     = mailTexts("layout.txt")
	mailLayoutHTML = sync.OnceValue(func() *template.Template { return template.Must(template.ParseFS(files, "mail/layout.html")) })
)

func mailTexts(file string) func() *texttemplate.Template {
	return sync.OnceValue(func() *texttemplate.Template { return texttemplate.Must(texttemplate.ParseFS(files, "mail/"+file)) })
}

const ownMail = ".gotmpl" // ends the names of the operator's files

// NewMail parses the operator's templates: own, which may be nil, has some that take the place of
// Cardea's, and more, by the names of files, some that take the place of those.
//
// Invalid: a template cannot be parsed.
func NewMail(own fs.FS, more map[string]string) (*Mail, error) {
	m := &Mail{locales: []string{"en", "de"}, ownText: map[string]*texttemplate.Template{}, ownHTML: map[string]*template.Template{}}
	if own != nil {
		if err := fs.WalkDir(own, ".", func(name string, d fs.DirEntry, err error) error { return m.add(own, name, d, err) }); err != nil {
			return nil, err
		}
	}
	for name, text := range more {
		if message := strings.ReplaceAll(path.Dir(name), "/", "_"); mailText[m.locales[0]]().Lookup(message+".subject") == nil {
			return nil, errs.New(errs.Invalid, "there is no message %s, of which there could be a template", message)
		}
		if err := m.parse(name, text); err != nil {
			return nil, err
		}
	}
	var tags []language.Tag
	for _, locale := range m.locales {
		tags = append(tags, language.Make(locale))
	}
	m.matcher = language.NewMatcher(tags)
	return m, nil
}

// add takes a file of the operator's.
func (m *Mail) add(own fs.FS, name string, d fs.DirEntry, err error) error {
	if err != nil {
		return errs.New(errs.Invalid, "the templates of messages cannot be read: %v", err)
	}
	if d.IsDir() {
		if _, err := language.Parse(name); err == nil && len(name) <= 11 && mailText[name] == nil && !strings.Contains(name, "/") {
			m.locales = append(m.locales, name)
		}
		return nil
	}
	if !strings.HasSuffix(name, ownMail) {
		return nil
	}
	text, err := fs.ReadFile(own, name)
	if err != nil {
		return errs.New(errs.Invalid, "the template %s cannot be read: %v", name, err)
	}
	return m.parse(name, string(text))
}

func (m *Mail) parse(name, text string) (err error) {
	if strings.HasSuffix(name, "email.body"+ownMail) {
		m.ownHTML[name], err = template.New(name).Parse(text)
	} else {
		m.ownText[name], err = texttemplate.New(name).Parse(text)
	}
	if err != nil {
		return errs.New(errs.Invalid, "the template %s cannot be parsed: %v", name, err)
	}
	return nil
}

// Letter writes a message. name is Kratos's template_type; locales are languages as
// Accept-Language has them (RFC 9110, section 12.5.4). For phones there is only text.
//
// Unsupported: there is no such message. Invalid: a template cannot make it of data.
func (m *Mail) Letter(name, locales string, phone bool, data map[string]any) (subject, text, html string, err error) {
	_, i := language.MatchStrings(m.matcher, locales)
	w := writing{mail: m, name: name, locale: m.locales[i], data: data}
	if phone {
		text = w.part("sms", "sms.body")
		return "", strings.TrimSpace(text), "", w.err
	}
	subject = strings.Join(strings.Fields(w.part("subject", "email.subject")), " ")
	text, html = w.bodies(subject)
	return subject, text, html, w.err
}

// A writing is one message that is being written.
type writing struct {
	mail         *Mail
	name, locale string
	data         map[string]any
	err          error
}

// paths are where the operator's file of a part may be.
func (w *writing) paths(part string) (all []string) {
	for _, folder := range []string{w.locale, ""} {
		if at := strings.LastIndexByte(w.name, '_'); at > 0 {
			all = append(all, path.Join(folder, w.name[:at], w.name[at+1:], part+ownMail))
		}
		all = append(all, path.Join(folder, w.name, part+ownMail))
	}
	return all
}

// own writes a part by the operator's template, if there is one.
func (w *writing) own(part string) (string, bool) {
	for _, name := range w.paths(part) {
		var b bytes.Buffer
		var err error
		if t := w.mail.ownText[name]; t != nil {
			err = t.Execute(&b, w.data)
		} else if h := w.mail.ownHTML[name]; h != nil {
			err = h.Execute(&b, w.data)
		} else {
			continue
		}
		if err != nil {
			w.fail(errs.New(errs.Invalid, "the template %s: %v", name, err))
		}
		return b.String(), true
	}
	return "", false
}

func (w *writing) fail(err error) { w.err = errors.Join(w.err, err) }

// builtin is the locale whose templates are Cardea's.
func (w *writing) builtin() string {
	if mailText[w.locale] != nil {
		return w.locale
	}
	return w.mail.locales[0]
}

// part writes a part as text.
func (w *writing) part(part, file string) string {
	if text, ok := w.own(file); ok {
		return text
	}
	t := mailText[w.builtin()]().Lookup(w.name + "." + part)
	if t == nil {
		w.fail(errs.New(errs.Unsupported, "there is no message %s with a %s", w.name, part))
		return ""
	}
	var b strings.Builder
	if err := t.Execute(&b, w.data); err != nil {
		w.fail(errs.New(errs.Invalid, "the message %s: %v", w.name, err))
	}
	return b.String()
}

// bodies writes both forms of an e-mail. A text of the operator's without HTML beside
// it goes alone, and so the other way round.
func (w *writing) bodies(subject string) (text, html string) {
	text, ownText := w.own("email.body.plaintext")
	html, ownHTML := w.own("email.body")
	if ownText || ownHTML || w.err != nil {
		return text, html
	}
	parts := map[string]any{"Subject": subject, "Locale": w.builtin(), "Code": w.data["Code"], "URL": w.data["URL"],
		"Before": w.part("before", ""), "After": w.part("after", "")}
	var t, h strings.Builder
	err := errors.Join(mailLayout().Execute(&t, parts), mailLayoutHTML().Execute(&h, parts))
	if err != nil {
		w.fail(errs.New(errs.Invalid, "the message %s: %v", w.name, err))
	}
	return t.String(), h.String()
}
