package server

import (
	"net/http"
	"regexp"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// logoutPage asks whether to log out, and leaves it to those who are there.
func (n *network) logoutPage(w http.ResponseWriter, r *http.Request) error {
	q, err := n.oauth.LogoutRequest(r.Context(), r.URL.Query().Get("logout_challenge"))
	if errs.KindOf(err) == errs.Refused { // it was answered, and somebody went back
		return seeOther(w, r, n.at(loggedOutPage))
	}
	if err != nil {
		return err
	}
	page := struct{ Title, Who, Client, Action, Challenge string }{"Sign out?", "", "", n.at(logoutPage), q.Challenge}
	if q.Client != nil {
		page.Client = clientName(q.Client)
	}
	if who, err := n.people.Subject(r); err == nil && who.Identity.ID == q.Subject {
		page.Who = "Signed in as " + who.Identity.Label()
	}
	return n.pages.Show(w, http.StatusOK, "logout", page)
}

// answerLogout reads the form of logoutPage. The session of identity ends with the login
// of oauth, which knows it.
func (n *network) answerLogout(w http.ResponseWriter, r *http.Request) error {
	challenge := r.PostFormValue("logout_challenge")
	if r.PostFormValue("answer") != "leave" {
		if err := n.oauth.RejectLogout(r.Context(), challenge); err != nil {
			return err
		}
		return seeOther(w, r, n.at("/"))
	}
	to, err := n.oauth.AcceptLogout(r.Context(), challenge)
	if errs.KindOf(err) == errs.Refused {
		return seeOther(w, r, n.at(loggedOutPage))
	}
	if err != nil {
		return err
	}
	return seeOther(w, r, to)
}

// loggedOutPage is where a logout ends that leads nowhere else. Whoever was logged in
// here without an application still is.
func (n *network) loggedOutPage(w http.ResponseWriter, r *http.Request) error {
	page := messagePage{
		Title: "You are signed out", Look: "success", Message: "You have signed out.",
		Links: []pageLink{{n.people.LoginURL("", false, false), "Sign in again"}},
	}
	if url, _, err := n.people.LogoutURL(r, n.at(loggedOutPage)); err == nil {
		page.Title, page.Look, page.Message = "One more step", "info", "You are still signed in to this server itself."
		page.Links = []pageLink{{url, "Sign out here, too"}, {n.at("/"), "Stay signed in"}}
	}
	return n.pages.Show(w, http.StatusOK, "message", page)
}

func (n *network) errorPage(w http.ResponseWriter, r *http.Request) error {
	return n.pages.showOAuthError(w, r)
}

// oauthErrors say to people what errors of OAuth2 mean for them.
var oauthErrors = map[string]string{
	"access_denied":           "Access was denied, or the request was not completed.",
	"temporarily_unavailable": "This is not possible at the moment. Please try again later.",
	"server_error":            "There is a problem with this server. Please try again later.",
}

var errorName = regexp.MustCompile(`^[a-z_]{1,60}$`)

// showOAuthError shows an error that no client can be told of. What the address says
// anybody can have written, so the details are for developers only.
func (p *pages) showOAuthError(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	page := identity.ErrorPage{Title: "Something went wrong", Message: oauthErrors[q.Get("error")], Home: p.base + "/"}
	if page.Message == "" {
		page.Message = "The application has sent a request that cannot be completed."
	}
	page.Reason = "Go back to the application, and try again from there."
	if name := q.Get("error"); errorName.MatchString(name) {
		page.Details = []identity.Detail{{Name: "Error", Value: name}}
		if text := q.Get("error_description"); text != "" {
			page.Details = append(page.Details, identity.Detail{Name: "Description", Value: text[:min(len(text), 1000)]})
		}
	}
	return p.Show(w, http.StatusOK, "error", page)
}
