package server

import (
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

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
		ACR: string(who.AAL), AMR: methods(who.Methods), ProviderSession: who.Session, ProviderSessionEnds: who.Ends,
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
// whose consent it is. With an error there is a request if only the person is amiss.
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
	if q != nil && errs.KindOf(err) == errs.Unauthenticated {
		return seeOther(w, r, n.loginForConsent(challenge))
	}
	if err != nil {
		return err
	}
	if q.Skip || q.Client.SkipConsent {
		return n.acceptConsent(w, r, q, who, q.Scopes, false)
	}
	return n.showConsent(w, q, who)
}

// loginForConsent is where somebody goes whose session ended on the way.
func (n *network) loginForConsent(challenge string) string {
	return n.people.LoginURL(consentPage+"?"+url.Values{"consent_challenge": {challenge}}.Encode(), false, false)
}

// answerConsent reads the form of consentPage.
func (n *network) answerConsent(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return errs.Wrap(errs.Invalid, err, "the form cannot be read")
	}
	challenge := r.PostForm.Get("consent_challenge")
	q, who, err := n.asked(r, challenge)
	if q != nil && errs.KindOf(err) == errs.Unauthenticated {
		return seeOther(w, r, n.loginForConsent(challenge))
	}
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
	permitted, err := n.permitted(r.Context(), scopes, who.Identity.ID)
	if err != nil {
		return err
	}
	more, err := n.permitted(r.Context(), n.oauth.MoreScopes(q), who.Identity.ID)
	if err != nil {
		return err
	}
	claims, err := n.claimsFor(r.Context(), who.Identity, slices.Concat(permitted, more))
	if err != nil {
		return err
	}
	maps.DeleteFunc(claims, func(claim string, _ any) bool { return !n.oauth.Lets(q, permitted, claim) })
	to, err := n.oauth.AcceptConsent(q.Challenge, oauth.AcceptConsent{
		Scopes: scopes, Audience: q.Audience, Remember: remember, Session: oauth.ConsentSession{ID: claims}, Follow: true,
	})
	if err != nil {
		return err
	}
	return seeOther(w, r, to)
}

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
		Title, Client, Account, Challenge, Action, Site, Policy, Terms string
		Device                                                         bool
		Scopes                                                         []consentScope
		Audience                                                       []string
	}{
		Client: clientName(q.Client), Account: "Signed in as " + who.Identity.Label(), Challenge: q.Challenge, Action: n.at(consentPage),
		Site: q.Client.URI, Policy: q.Client.PolicyURI, Terms: q.Client.TermsURI, Device: q.Device,
		Audience: slices.DeleteFunc(slices.Clone(q.Audience), func(a string) bool { return a == q.Client.ID }),
	}
	page.Title = page.Client + " wants access to your account"
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
	return n.pages.Show(w, http.StatusOK, "consent", page)
}

// clientName is what people know a client by.
func clientName(c *oauth.Client) string {
	if c.Name != "" {
		return c.Name
	}
	return c.ID
}
