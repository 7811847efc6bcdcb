package identity

import (
	"encoding/json"
	"html/template"
	"io"
	"net/http"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Pages render what people see. The names of pages are those of templates.
type Pages interface {
	Render(w io.Writer, page string, data any) error
}

// PageRoutes are the pages for people whose flows have no other place (FlowOptions.UI).
func PageRoutes() []Route {
	routes := []Route{{"GET /error", (*Service).errorPage}}
	for _, k := range kinds {
		if ends(k) != nil {
			routes = append(routes, Route{"GET /" + string(k), func(s *Service, w http.ResponseWriter, r *http.Request) error { return s.formPage(w, r, k) }})
		}
	}
	return routes
}

// A formPage is what the template form shows.
type formPage struct {
	Title string
	Flow  *ShownFlow
	Forms []pageForm
	Links []pageLink
}

// A pageForm is a form of the page; all go to the same flow.
type pageForm struct {
	Title string
	Nodes []pageNode
}

// A pageNode is a node with what a template cannot work out.
type pageNode struct {
	Node
	ID    string // of the element
	Skips bool   // a button that does not need the fields of other methods
}

// Image lets a picture that is in the page itself through; templates take no URLs with
// data in them, since those may have scripts.
func (n pageNode) Image() template.URL {
	if !strings.HasPrefix(n.Attributes.Src, "data:image/png;base64,") {
		return ""
	}
	return template.URL(n.Attributes.Src)
}

type pageLink struct{ URL, Text string }

var pageTitles = map[Kind]string{
	Login: "Sign in", Registration: "Create an account", Settings: "Account settings", Recovery: "Recover your account", Verification: "Verify your address",
}

var groupTitles = map[string]string{
	"profile": "Profile", "password": "Password", "totp": "Authenticator app", "lookup_secret": "Backup codes", "webauthn": "Security keys",
	"passkey": "Passkeys", "oidc": "Linked accounts", "code": "One-time codes", "link": "Link",
}

// formPage shows a flow, and opens one if there is none to show.
func (s *Service) formPage(w http.ResponseWriter, r *http.Request, k Kind) error {
	begin := s.options.BaseURL + "/self-service/" + string(k) + "/browser"
	if r.URL.RawQuery != "" {
		begin += "?" + r.URL.RawQuery
	}
	id := r.URL.Query().Get("flow")
	if id == "" {
		http.Redirect(w, r, begin, http.StatusSeeOther)
		return nil
	}
	shown, err := s.Show(w, r, k, id)
	switch kind := errs.KindOf(err); kind {
	case errs.OK:
	case errs.Expired:
		s.Fail(w, r, err, http.StatusGone, "")
		return nil
	case errs.NotFound, errs.Unauthenticated:
		http.Redirect(w, r, s.options.BaseURL+"/self-service/"+string(k)+"/browser", http.StatusSeeOther)
		return nil
	default:
		return err
	}
	page := formPage{Title: pageTitles[k], Flow: shown, Forms: pageForms(k, shown.UI.Nodes), Links: s.pageLinks(r, k, shown)}
	return s.page(w, http.StatusOK, "form", page)
}

// pageForms makes a form for each group in the settings, where each is submitted by
// itself, and else one.
func pageForms(k Kind, nodes []Node) []pageForm {
	var common []pageNode
	var forms []pageForm
	at := map[string]int{}
	for _, node := range nodes {
		one := pageNode{Node: node, ID: "field-" + strings.NewReplacer(".", "-", "/", "-").Replace(node.Attributes.Name)}
		one.Skips = node.Attributes.Type == "submit" && node.Group != string(Password) && node.Group != groupProfile
		group := node.Group
		if k != Settings {
			group = ""
		} else if group == groupDefault {
			common = append(common, one)
			continue
		}
		i, ok := at[group]
		if !ok {
			i = len(forms)
			at[group] = i
			forms = append(forms, pageForm{Title: groupTitles[group]})
		}
		forms[i].Nodes = append(forms[i].Nodes, one)
	}
	for i := range forms {
		forms[i].Nodes = append(append([]pageNode{}, common...), forms[i].Nodes...)
	}
	return forms
}

// pageLinks lead to the flow's neighbours, and take along where it leads to.
func (s *Service) pageLinks(r *http.Request, k Kind, shown *ShownFlow) (links []pageLink) {
	to := func(k Kind, text string) {
		if ends(k) != nil && !s.options.flow(k).Disabled {
			url := withQuery(s.options.BaseURL+"/self-service/"+string(k)+"/browser", "return_to", shown.ReturnTo)
			links = append(links, pageLink{url, text})
		}
	}
	switch k {
	case Login:
		to(Registration, "Create an account")
		to(Recovery, "Forgot your password?")
	case Registration, Recovery, Verification:
		to(Login, "Sign in instead")
	case Settings:
		if url, _, err := s.LogoutURL(r, ""); err == nil {
			links = append(links, pageLink{url, "Sign out"})
		}
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
		body.Message = "Something went wrong, and there is nothing more to say about it any more."
	}
	return s.page(w, http.StatusOK, "error", map[string]any{"Title": "Something went wrong", "Message": body.Message, "Reason": body.Reason, "Home": s.options.ReturnTo})
}

// contentPolicy lets a page have what this server sends, and nothing else. It has no
// form-action: browsers apply that to where a form leads in the end, which is the
// application that somebody logs in to.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"

func (s *Service) page(w http.ResponseWriter, status int, name string, data any) error {
	if s.options.Pages == nil {
		return errs.New(errs.Unsupported, "this server has no pages")
	}
	var b strings.Builder
	if err := s.options.Pages.Render(&b, name, data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, b.String())
	return nil
}
