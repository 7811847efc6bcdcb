package server

import (
	"html/template"
	"maps"
	"net/http"
	"slices"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

// The pages below answer the challenges of oauth with what identity knows, unless the
// settings name other pages.

const (
	loginPage   = "/oauth2/login"
	consentPage = "/oauth2/consent"
)

// ownPages fills in the pages that this server has itself.
func ownPages(urls oauth.URLs, base string) oauth.URLs {
	for _, page := range []struct {
		at  *string
		own string
	}{
		{&urls.Login, loginPage}, {&urls.Registration, loginPage}, {&urls.Consent, consentPage},
		{&urls.Logout, logoutPage}, {&urls.PostLogout, loggedOutPage},
	} {
		if *page.at == "" {
			*page.at = base + page.own
		}
	}
	return urls
}

// pageRoutes registers the pages.
func (c *core) pageRoutes(rs *routes) {
	n := c.guard.usual
	if n.oauth == nil || n.people == nil {
		return
	}
	rs.open("GET "+loginPage, c.failPage, n.loginPage)
	rs.open("GET "+consentPage, c.failPage, n.consentPage)
	rs.open("POST "+consentPage, c.failPage, n.answerConsent)
	c.logoutRoutes(rs)
}

func (c *core) failPage(w http.ResponseWriter, r *http.Request, err error) {
	c.failIdentity(w, r, err)
}

// loginPage answers a login challenge with the session of identity, and sends whoever
// has none, or not the one that is wanted, to the login flow and back.
func (n *network) loginPage(w http.ResponseWriter, r *http.Request) error {
	challenge := r.URL.Query().Get("login_challenge")
	q, err := n.oauth.LoginQuestion(challenge)
	if err != nil {
		return err
	}
	who, err := n.people.Subject(r)
	ask := ""
	switch kind := errs.KindOf(err); {
	case kind == errs.Denied:
		ask = n.people.LoginURL(self(r), false, true)
	case kind == errs.Unauthenticated && q.Register:
		ask = n.people.RegistrationURL(self(r))
	case kind == errs.Unauthenticated:
		ask = n.people.LoginURL(self(r), false, wantsAAL2(q))
	case err != nil:
		return err
	case q.Stale(who.AuthenticatedAt):
		ask = n.people.LoginURL(self(r), true, wantsAAL2(q))
	case wantsAAL2(q) && who.AAL != identity.AAL2:
		ask = n.people.LoginURL(self(r), false, true)
	}
	if ask != "" && q.Silent {
		return n.refuseLogin(w, r, challenge)
	}
	if ask != "" {
		return seeOther(w, r, ask)
	}
	to, err := n.oauth.AcceptLogin(challenge, oauth.AcceptLogin{
		Subject: who.Identity.ID, Remember: true, Replace: true, AuthTime: who.AuthenticatedAt,
		ACR: string(who.AAL), AMR: methods(who.Methods), ProviderSession: who.Session,
	})
	if err != nil {
		return err
	}
	return seeOther(w, r, to)
}

// wantsAAL2 reports whether a client asks for a second factor.
func wantsAAL2(q *oauth.LoginQuestion) bool {
	return len(q.ACRValues) > 0 && !slices.Contains(q.ACRValues, string(identity.AAL1)) && slices.Contains(q.ACRValues, string(identity.AAL2))
}

func (n *network) refuseLogin(w http.ResponseWriter, r *http.Request, challenge string) error {
	to, err := n.oauth.RejectLogin(challenge, "login_required", "Nobody is logged in, or not as the client wants it.")
	if err != nil {
		return err
	}
	return seeOther(w, r, to)
}

// self is the path of a request, to come back to.
func self(r *http.Request) string { return r.URL.RequestURI() }

func seeOther(w http.ResponseWriter, r *http.Request, to string) error {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// methods returns ways to log in by their names of RFC 8176, where it has some.
func methods(ours []string) []string {
	names := map[string]string{
		"password": "pwd", "totp": "otp", "code": "otp", "lookup_secret": "otp", "webauthn": "hwk", "passkey": "hwk",
	}
	var out []string
	for _, m := range ours {
		name := m
		if known := names[m]; known != "" {
			name = known
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	if len(out) > 1 {
		out = append(out, "mfa")
	}
	return out
}

// asked returns the consent that a request is about, and who is logged in: the one
// whose consent it is, or the browser logs in again.
func (n *network) asked(r *http.Request, challenge string) (*oauth.ConsentRequest, identity.Subject, error) {
	q, err := n.oauth.ConsentRequest(r.Context(), challenge)
	if err != nil {
		return nil, identity.Subject{}, err
	}
	who, err := n.people.Subject(r)
	if err == nil && who.Identity.ID != q.Subject {
		err = errs.New(errs.Denied, "somebody else has logged in meanwhile: go back to the application, and begin again")
	}
	return q, who, err
}

// consentPage asks what a client may do, unless that is known.
func (n *network) consentPage(w http.ResponseWriter, r *http.Request) error {
	challenge := r.URL.Query().Get("consent_challenge")
	q, who, err := n.asked(r, challenge)
	if err != nil {
		return err
	}
	if q.Skip || q.Client.SkipConsent {
		return n.acceptConsent(w, r, q, who, q.Scopes, false)
	}
	return n.showConsent(w, q, who)
}

// answerConsent reads the form of consentPage.
func (n *network) answerConsent(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return errs.Wrap(errs.Invalid, err, "the form cannot be read")
	}
	challenge := r.PostForm.Get("consent_challenge")
	q, who, err := n.asked(r, challenge)
	if err != nil {
		return err
	}
	if r.PostForm.Get("answer") != "allow" {
		to, err := n.oauth.RejectConsent(challenge, "access_denied", "The person did not allow it.")
		if err != nil {
			return err
		}
		return seeOther(w, r, to)
	}
	var scopes []string
	for _, scope := range q.Scopes {
		if scope == "openid" || slices.Contains(r.PostForm["scope"], scope) {
			scopes = append(scopes, scope)
		}
	}
	return n.acceptConsent(w, r, q, who, scopes, r.PostForm.Get("remember") != "")
}

func (n *network) acceptConsent(w http.ResponseWriter, r *http.Request, q *oauth.ConsentRequest, who identity.Subject, scopes []string, remember bool) error {
	scopes, err := n.permitted(r.Context(), scopes, who.Identity.ID)
	if err != nil {
		return err
	}
	more, err := n.permitted(r.Context(), n.oauth.MoreScopes(q), who.Identity.ID)
	if err != nil {
		return err
	}
	claims, err := n.claimsFor(r.Context(), who.Identity, slices.Concat(scopes, more))
	if err != nil {
		return err
	}
	maps.DeleteFunc(claims, func(claim string, _ any) bool { return !n.oauth.Lets(q, scopes, claim) })
	to, err := n.oauth.AcceptConsent(q.Challenge, oauth.AcceptConsent{
		Scopes: scopes, Audience: q.Audience, Remember: remember, Session: oauth.ConsentSession{ID: claims},
	})
	if err != nil {
		return err
	}
	return seeOther(w, r, to)
}

var consentTemplate = template.Must(template.New("consent").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Client}} wants access</title><link rel="stylesheet" href="/assets/cardea.css"></head>
<body><main><h1>{{.Client}} wants access to your account</h1>
<p>You are logged in as {{.Account}}.</p>
<form method="post" action="{{.Action}}">
<input type="hidden" name="consent_challenge" value="{{.Challenge}}">
<fieldset><legend>It may</legend>{{range .Scopes}}
<p><label><input type="checkbox" name="scope" value="{{.Name}}" checked{{if .Needed}} disabled{{end}}> {{.Text}}</label></p>{{end}}</fieldset>
<p><label><input type="checkbox" name="remember" value="1"> Do not ask again</label></p>
<p><button type="submit" name="answer" value="allow">Allow</button> <button type="submit" name="answer" value="deny">Deny</button></p>
</form>{{with .Policy}}<p><a href="{{.}}" rel="noreferrer">Privacy policy</a></p>{{end}}{{with .Terms}}<p><a href="{{.}}" rel="noreferrer">Terms of service</a></p>{{end}}</main></body></html>
`))

// scopeTexts say what the scopes of OpenID Connect mean.
var scopeTexts = map[string]string{
	"openid": "know who you are", "offline_access": "act for you while you are away", "offline": "act for you while you are away",
	"profile": "read your name and the like", "email": "read your e-mail address", "phone": "read your phone number",
	"address": "read your address", "groups": "see which groups you are in",
}

type consentScope struct {
	Name, Text string
	Needed     bool
}

func (n *network) showConsent(w http.ResponseWriter, q *oauth.ConsentRequest, who identity.Subject) error {
	page := struct {
		Client, Account, Challenge, Action, Policy, Terms string
		Scopes                                            []consentScope
	}{
		Client: q.Client.Name, Account: accountName(who.Identity), Challenge: q.Challenge, Action: consentPage,
		Policy: q.Client.PolicyURI, Terms: q.Client.TermsURI,
	}
	if page.Client == "" {
		page.Client = q.Client.ID
	}
	show := func(scopes []string, needed bool) {
		for _, scope := range scopes {
			text := scopeTexts[scope]
			if text == "" {
				text = scope
			}
			page.Scopes = append(page.Scopes, consentScope{scope, text, needed || scope == "openid"})
		}
	}
	show(q.Scopes, false)
	show(n.oauth.MoreScopes(q), true)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	return consentTemplate.Execute(w, page)
}

// accountName is what somebody recognises their account by.
func accountName(i *identity.Identity) string {
	if len(i.Verifiable) > 0 {
		return i.Verifiable[0].Value
	}
	return i.ID
}
