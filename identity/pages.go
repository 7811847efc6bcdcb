package identity

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Pages show people something. The names of pages are those of templates. Show may be
// called from many goroutines at once.
type Pages interface {
	Show(w http.ResponseWriter, status int, page string, data any) error
}

// PageRoutes are the pages for people whose flows have no other place (FlowOptions.UI).
// What fails there goes to Elsewhere, or is shown as a page.
func PageRoutes() []Route {
	routes := []Route{
		{"GET /error", (*Service).errorPage},
		{"GET " + sessionsPath, (*Service).sessionsPage},
		{"POST " + sessionsPath, (*Service).endSessions},
	}
	for _, k := range kinds {
		if ends(k) != nil {
			routes = append(routes, Route{"GET /" + string(k), func(s *Service, w http.ResponseWriter, r *http.Request) error { return s.formPage(w, r, k) }})
		}
	}
	return routes
}

// A formPage is what the template form shows.
type formPage struct {
	Title    string
	Who      string
	Wrong    bool // there is a mistake to mend
	Scripted bool // nodes name functions of scripts
	Account  []PageLink
	Flow     *ShownFlow
	Forms    []pageForm
	Links    []PageLink
}

// A PageLink leads from one page to another.
type PageLink struct {
	URL, Text string
	Here      bool // it leads to the page itself
}

var pageTitles = map[Kind]string{
	Login: "Sign in", Registration: "Create an account", Settings: "Your account", Recovery: "Recover your account", Verification: "Verify your address",
}

func pageTitle(k Kind, shown *ShownFlow) string {
	switch {
	case k == Login && shown.Refresh != nil && *shown.Refresh:
		return "Confirm that it is you"
	case k == Login && shown.RequestedAAL == AAL2:
		return "Second step"
	default:
		return pageTitles[k]
	}
}

// formPage shows a flow, and opens one if there is none to show.
func (s *Service) formPage(w http.ResponseWriter, r *http.Request, k Kind) error {
	begin := s.options.BaseURL + "/self-service/" + string(k) + "/browser"
	id := r.URL.Query().Get("flow")
	if id == "" {
		if r.URL.RawQuery != "" {
			begin += "?" + r.URL.RawQuery
		}
		http.Redirect(w, r, begin, http.StatusSeeOther)
		return nil
	}
	shown, err := s.Show(w, r, k, id)
	var p *Problem
	switch kind := errs.KindOf(err); {
	case kind == errs.OK:
	case kind == errs.NotFound, kind == errs.Unauthenticated,
		errors.As(err, &p) && p.ID == idCSRF && s.csrfSecret(r) != nil: // as who goes back after a login; without cookies it would never end
		http.Redirect(w, r, begin, http.StatusSeeOther)
		return nil
	default:
		return err
	}
	if shown.State == Passed && (k == Login || k == Registration) { // somebody went back to it
		http.Redirect(w, r, cmp.Or(nextOf(shown.Continue), begin), http.StatusSeeOther)
		return nil
	}
	page := formPage{Title: pageTitle(k, shown), Flow: shown, Forms: pageForms(k, shown.UI.Nodes)}
	page.Wrong = slices.ContainsFunc(shown.UI.Messages, isMistake)
	for _, n := range shown.UI.Nodes {
		page.Wrong = page.Wrong || slices.ContainsFunc(n.Messages, isMistake)
		page.Scripted = page.Scripted || n.Attributes.OnClickTrigger != "" || n.Attributes.OnLoadTrigger != ""
	}
	if err := s.surround(&page, r, k); err != nil {
		return err
	}
	return s.page(w, http.StatusOK, "form", page)
}

func isMistake(t Text) bool { return t.Type == "error" }

// surround adds to a form who is logged in, and the links to its neighbours.
func (s *Service) surround(page *formPage, r *http.Request, k Kind) error {
	session, i, err := s.sessionOf(r.Context(), s.token(r), s.now())
	if err != nil {
		return err
	}
	if session != nil {
		page.Who = signedInAs(i)
	} else if name := page.Flow.named(); name != "" {
		page.Who = "Signing in as " + name
	}
	if k == Settings {
		page.Account = s.AccountLinks(session, "/"+string(Settings))
		return nil
	}
	page.Links = s.pageLinks(k, page.Flow, session)
	return nil
}

func signedInAs(i *Identity) string { return "Signed in as " + i.Label() }

// Label is what somebody recognises their account by.
func (i *Identity) Label() string {
	if len(i.Verifiable) > 0 {
		return i.Verifiable[0].Value
	}
	for _, t := range []CredentialType{Password, CodeAuth} {
		if c := i.Credentials[t]; len(c.Identifiers) > 0 {
			return c.Identifiers[0]
		}
	}
	return i.ID
}

// AccountLinks lead through what belongs to an account; here is the path of the page
// that shows them.
func (s *Service) AccountLinks(session *Session, here string) []PageLink {
	links := []PageLink{{URL: s.options.flow(Settings).UI, Text: "Settings"}, {URL: s.options.BaseURL + sessionsPath, Text: "Devices"}}
	for i := range links {
		links[i].Here = links[i].URL == s.options.BaseURL+here
	}
	if session != nil {
		links = append(links, PageLink{URL: s.logoutLink(session, ""), Text: "Sign out"})
	}
	return links
}

// pageLinks lead to the flow's neighbours, and take along where it leads to.
func (s *Service) pageLinks(k Kind, shown *ShownFlow, session *Session) (links []PageLink) {
	to := func(k Kind, text string) {
		if s.offers(k) {
			url := withQuery(s.options.BaseURL+"/self-service/"+string(k)+"/browser", "return_to", shown.ReturnTo)
			links = append(links, PageLink{URL: url, Text: text})
		}
	}
	switch {
	case session != nil && k == Login:
		return []PageLink{{URL: s.logoutLink(session, ""), Text: "Sign out"}}
	case session != nil:
	case k == Login && shown.named() != "":
		to(Login, "Sign in as somebody else")
		to(Recovery, "Forgot your password?")
	case k == Login:
		to(Registration, "Create an account")
		to(Recovery, "Forgot your password?")
	default:
		to(Login, "Sign in instead")
	}
	return links
}

// errorPage shows the error that this browser was sent to see.
func (s *Service) errorPage(w http.ResponseWriter, r *http.Request) error {
	var body struct{ Message, Reason string }
	text, _, err := s.FlowError(r, r.URL.Query().Get("id"))
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	if err != nil {
		body.Message = "There is nothing more to say about this error any more."
	}
	return s.page(w, http.StatusOK, "error", ErrorPage{Title: "Something went wrong", Message: body.Message, Reason: body.Reason, Home: s.options.BaseURL + "/"})
}

// An ErrorPage is what the template error shows.
type ErrorPage struct {
	Title, Message, Reason string
	Details                []Detail
	Home                   string // a link to begin again; "": none
}

// A Detail is one fact.
type Detail struct{ Name, Value string }

// page shows a page.
//
// Unsupported: there are none.
func (s *Service) page(w http.ResponseWriter, status int, name string, data any) error {
	if s.options.Pages == nil {
		return errs.New(errs.Unsupported, "this server has no pages")
	}
	return s.options.Pages.Show(w, status, name, data)
}

// Elsewhere is where a browser can do something about an error that a request met; "":
// nowhere.
func (s *Service) Elsewhere(r *http.Request, err error) string {
	var p *Problem
	if !errors.As(err, &p) {
		return ""
	}
	switch {
	case p.RedirectTo != "":
		return p.RedirectTo
	case p.UseFlow != "":
		return withQuery(s.options.flow(kindOf(r)).UI, "flow", p.UseFlow)
	case p.ID == idLoggedIn || p.ID == idAALFulfilled:
		if to, err := s.returnTo(r.URL.Query().Get("return_to")); err == nil && to != "" {
			return to
		}
		return s.options.ReturnTo
	case p.ID == idNoSession || p.ID == idAAL1Required:
		return withQuery(s.options.BaseURL+"/self-service/login/browser", "return_to", s.self(r))
	default:
		return ""
	}
}
