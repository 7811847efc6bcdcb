package server

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// courierTemplates are templates of messages in the settings, by the names of the files that
// they take the place of.
type courierTemplates map[string]string

// templateParts are where a part of a message is in the settings, and its file.
var templateParts = map[string]string{
	"email/subject": "email.subject", "email/body/html": "email.body", "email/body/plaintext": "email.body.plaintext", "sms/body/plaintext": "sms.body",
}

// parse implements parser. Kratos has them as NAME.valid.email.subject, and the like.
func (c *courierTemplates) parse(raw any) error {
	var section map[string]any
	if err := decodeSection(raw, &section, "a section such as recovery_code.valid.email.subject"); err != nil {
		return err
	}
	*c = courierTemplates{}
	return c.add("", section)
}

// add takes what is below a place.
func (c courierTemplates) add(at string, value any) error {
	section, isSection := value.(map[string]any)
	if isSection {
		for name, inner := range section {
			if name == "" || strings.ContainsAny(name, "/.\\") {
				return fmt.Errorf("%q is no name of a template", name)
			}
			if err := c.add(path.Join(at, name), inner); err != nil {
				return err
			}
		}
		return nil
	}
	text, isText := value.(string)
	if !isText {
		shown, _ := json.Marshal(value) // it was decoded from JSON
		return fmt.Errorf("%s is %.40s: expected a text", strings.ReplaceAll(at, "/", "."), shown)
	}
	for part, file := range templateParts {
		if folder, ok := strings.CutSuffix(at, "/"+part); ok {
			c[path.Join(folder, file+".gotmpl")] = text
			return nil
		}
	}
	return fmt.Errorf("%s is no part of a message: expected NAME.valid.email.subject, .email.body.html, .email.body.plaintext or .sms.body.plaintext", strings.ReplaceAll(at, "/", "."))
}

// read returns the templates.
//
// Invalid: one cannot be read.
func (c courierTemplates) read() (map[string]string, error) {
	all := map[string]string{}
	for file, text := range c {
		if strings.HasPrefix(text, "http://") || strings.HasPrefix(text, "https://") {
			return nil, errs.New(errs.Invalid, "identity.courier.templates: %.80q is not fetched: expected a text, or file:// or base64://", text)
		}
		read, err := textOf("identity.courier.templates", text)
		if err != nil {
			return nil, err
		}
		all[file] = string(read)
	}
	return all, nil
}
