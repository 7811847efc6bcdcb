package server

import (
	"bytes"
	"context"
	"net/http"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

const (
	logoutPage    = "/oauth2/logout"
	loggedOutPage = "/oauth2/logged-out"
)

// logoutRoutes registers the pages that end a login.
func (c *core) logoutRoutes(rs *routes) {
	rs.open("GET "+logoutPage, c.failPage, c.logoutPage)
	rs.open("POST "+logoutPage, c.failPage, c.answerLogout)
	rs.open("GET "+loggedOutPage, c.failPage, func(w http.ResponseWriter, _ *http.Request) error {
		return c.showPage(w, "message", messagePage{"Logged out", "You are logged out. You can close this page."})
	})
}

type messagePage struct{ Title, Text string }

// logoutPage asks whether to log out.
func (c *core) logoutPage(w http.ResponseWriter, r *http.Request) error {
	q, err := c.guard.usual.oauth.LogoutRequest(r.Context(), r.URL.Query().Get("logout_challenge"))
	if err != nil {
		return err
	}
	return c.showPage(w, "logout", struct{ Title, Client, Account, Challenge, Action string }{
		"Log out?", nameOf(q.Client), c.guard.usual.accountOf(r, q.Subject), q.Challenge, logoutPage,
	})
}

// nameOf is what people know a client by; "" for none.
func nameOf(c *oauth.Client) string {
	switch {
	case c == nil:
		return ""
	case c.Name != "":
		return c.Name
	default:
		return c.ID
	}
}

// accountOf names the account of a subject, if it is the one who asks.
func (n *network) accountOf(r *http.Request, subject string) string {
	if who, err := n.people.Subject(r); err == nil && who.Identity.ID == subject {
		return accountName(who.Identity)
	}
	return ""
}

// answerLogout reads the form of logoutPage.
func (c *core) answerLogout(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return errs.Wrap(errs.Invalid, err, "the form cannot be read")
	}
	challenge, provider := r.PostForm.Get("logout_challenge"), c.guard.usual.oauth
	if r.PostForm.Get("answer") != "yes" {
		if err := provider.RejectLogout(r.Context(), challenge); err != nil {
			return err
		}
		return c.showPage(w, "message", messagePage{"Still logged in", "You have not been logged out. You can close this page."})
	}
	to, err := provider.AcceptLogout(r.Context(), challenge)
	if err != nil {
		return err
	}
	return seeOther(w, r, to)
}

// showPage renders a page of package web.
func (c *core) showPage(w http.ResponseWriter, page string, data any) error {
	var b bytes.Buffer
	if err := c.pages.Render(&b, page, data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	// No form-action: browsers apply it to the redirects that follow, too.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(b.Bytes())
	return nil
}

// loggedOut ends the session of identity behind a login of OAuth2 that has ended.
func (n *network) loggedOut(ctx context.Context, _, session string) error {
	if session == "" {
		return nil
	}
	return n.people.EndSession(ctx, session)
}
