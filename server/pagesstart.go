package server

import (
	"net/http"
	"path/filepath"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A startPage is what the template start shows.
type startPage struct {
	Title, Who string
	Actions    []startAction
	Dev        []devFact
}

type startAction struct{ URL, Text, Look string }

// A devFact is something that developers look for: a link, or a text.
type devFact struct{ Name, URL, Text string }

// startPage is what people see who come to the public address without a purpose.
func (c *core) startPage(w http.ResponseWriter, r *http.Request) error {
	n := c.guard.usual
	page := startPage{Title: "Welcome"}
	if n.people != nil {
		who, err := n.people.Subject(r)
		switch errs.KindOf(err) {
		case errs.OK:
			page.Who = who.Identity.Label()
			page.Actions = n.ownActions(r)
		case errs.Denied: // the second factor is missing
			page.Actions = []startAction{{n.people.LoginURL("/", false, true), "Complete your sign-in", ""}}
		case errs.Unauthenticated:
			page.Actions = []startAction{{n.people.LoginURL("", false, false), "Sign in", ""}}
			if n.people.Offers(identity.Registration) {
				page.Actions = append(page.Actions, startAction{n.people.RegistrationURL(""), "Create an account", "second"})
			}
		default:
			return err
		}
	}
	if c.dev {
		page.Dev = c.devFacts()
	}
	return c.pages.Show(w, http.StatusOK, "start", page)
}

// ownActions are those of who is logged in.
func (n *network) ownActions(r *http.Request) []startAction {
	actions := []startAction{{n.at("/settings"), "Your account", ""}, {n.at("/settings/sessions"), "Your devices", "second"}}
	if url, _, err := n.people.LogoutURL(r, "/"); err == nil {
		actions = append(actions, startAction{url, "Sign out", "second"})
	}
	return actions
}

// folderOf is the folder in which messages are written, "" if they are sent.
func folderOf(carrier identity.Carrier) string {
	both, _ := carrier.(split)
	folder, ok := both.mail.(*folderCarrier)
	if !ok {
		return ""
	}
	if path, err := filepath.Abs(folder.path); err == nil {
		return path
	}
	return folder.path
}

const documents = "https://github.com/cardea-iam/cardea/tree/main/docs"

func (c *core) devFacts() []devFact {
	facts := []devFact{{"Documentation", documents, "docs/ of the source"}}
	if c.mailbox != "" {
		facts = append(facts, devFact{"Mail to people is written to", "", c.mailbox})
	}
	if c.consoleURL != "" {
		facts = append(facts, devFact{"Console for administrators", c.consoleURL, c.consoleURL})
	}
	if c.guard.usual.oauth != nil {
		facts = append(facts,
			devFact{"OpenID Connect discovery", c.pages.base + "/.well-known/openid-configuration", c.pages.base + "/.well-known/openid-configuration"},
			devFact{"Try a login to an application", "", "cardea oauth code"})
	}
	return facts
}
