package web

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cardea-iam/cardea/internal/errs"
)

var sample = map[string]any{"Group": "<script>", "Code": "123456", "URL": `https://id.example/?a=1&b="><script>`, "ExpiresInMinutes": 60}

// TestMailIsComplete writes every message in every language.
func TestMailIsComplete(t *testing.T) {
	m, err := NewMail(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"recovery_code_valid", "recovery_code_invalid", "recovery_valid", "recovery_invalid", "verification_code_valid",
		"verification_code_invalid", "verification_valid", "verification_invalid", "login_code_valid", "registration_code_valid", "account_exists", "verifiable_address_changed", "authenticator_key_added", "invitation"} {
		seen := map[string]bool{}
		for _, locale := range m.locales {
			subject, text, html, err := m.Letter(name, locale, false, sample)
			if err != nil || subject == "" || !strings.Contains(text, "123456") || !strings.Contains(html, "<strong>123456</strong>") {
				t.Errorf("%s in %s: %v, %q, %q, %q", name, locale, err, subject, text, html)
			}
			if strings.Contains(html, "<script>") || strings.Contains(text+subject, "<no value>") || seen[subject] {
				t.Errorf("%s in %s: %s", name, locale, html)
			}
			seen[subject] = true
			if strings.Contains(name, "code_valid") {
				if _, text, _, err := m.Letter(name, locale, true, sample); err != nil || !strings.Contains(text, "123456") {
					t.Errorf("%s in %s for phones: %v, %q", name, locale, err, text)
				}
			}
		}
	}
	if _, _, _, err := m.Letter("nothing", "", false, sample); errs.KindOf(err) != errs.Unsupported {
		t.Errorf("a message that there is not: %v", err)
	}
}

func TestMailLocale(t *testing.T) {
	m, err := NewMail(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for locales, want := range map[string]string{"": "Sign in", "de": "Anmelden", "de-AT,en;q=0.5": "Anmelden", "fr": "Sign in", "fr, de;q=0.3": "Anmelden", "\x00;q=": "Sign in"} {
		subject, _, _, err := m.Letter("login_code_valid", locales, false, sample)
		if err != nil || !strings.Contains(strings.ToLower(subject), strings.ToLower(want[:4])) {
			t.Errorf("%q: %q, %v", locales, subject, err)
		}
	}
}

// TestMailOfOnesOwn replaces templates in the way of Kratos.
func TestMailOfOnesOwn(t *testing.T) {
	m, err := NewMail(fstest.MapFS{
		"login_code/valid/email.subject.gotmpl":           {Data: []byte("Code for\n{{.Name}}\r\nBcc: x@example.com")},
		"login_code/valid/email.body.gotmpl":              {Data: []byte("<b>{{.Code}} {{.Name}}</b>")},
		"login_code/valid/email.body.plaintext.gotmpl":    {Data: []byte("plain {{.Code}} {{.Name}}")},
		"fr/login_code/valid/email.subject.gotmpl":        {Data: []byte("Bonjour")},
		"verifiable_address_changed/email.subject.gotmpl": {Data: []byte("Moved")},
		"recovery_code/valid/email.subject.gotmpl":        {Data: []byte("not this")},
		"README.md": {Data: []byte("{{")},
	}, map[string]string{"recovery_code/valid/email.subject.gotmpl": "Recover {{.Code}}"})
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]any{"Code": "1", "Name": "<Ann>"}
	subject, text, html, err := m.Letter("login_code_valid", "en", false, data)
	if err != nil || subject != "Code for <Ann> Bcc: x@example.com" || text != "plain 1 <Ann>" || html != "<b>1 &lt;Ann&gt;</b>" {
		t.Errorf("%q, %q, %q, %v", subject, text, html, err)
	}
	if subject, text, _, err := m.Letter("login_code_valid", "fr-CA", false, data); err != nil || subject != "Bonjour" || text != "plain 1 <Ann>" {
		t.Errorf("%q, %q, %v", subject, text, err)
	}
	if subject, text, _, err := m.Letter("recovery_code_valid", "fr", false, sample); err != nil || !strings.HasPrefix(subject, "Recover") || text == "" {
		t.Errorf("%q, %q, %v", subject, text, err)
	}
	if subject, _, html, err := m.Letter("verifiable_address_changed", "", false, data); err != nil || subject != "Moved" || !strings.Contains(html, "<h1") {
		t.Errorf("%q, %q, %v", subject, html, err)
	}
	for name, text := range map[string]string{"login_code/valid/email.body.gotmpl": "{{", "login_cod/valid/email.body.gotmpl": "x", "/email.subject.gotmpl": "x"} {
		if _, err := NewMail(nil, map[string]string{name: text}); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%s of the settings: %v", name, err)
		}
	}
	if _, err := NewMail(fstest.MapFS{"login_code/valid/email.body.gotmpl": {Data: []byte("{{")}}, nil); errs.KindOf(err) != errs.Invalid {
		t.Errorf("a template that cannot be parsed: %v", err)
	}
}
