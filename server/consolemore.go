package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
)

// A consoleMessage is a message to somebody.
type consoleMessage struct {
	ID         string    `json:"id"`
	Status     string    `json:"status"`
	Recipient  string    `json:"recipient"`
	Subject    string    `json:"subject"`
	Body       string    `json:"body"`
	Template   string    `json:"template_type"`
	SendCount  int       `json:"send_count"`
	CreatedAt  time.Time `json:"created_at"`
	Dispatches []struct {
		Status    string          `json:"status"`
		Error     json.RawMessage `json:"error"`
		CreatedAt time.Time       `json:"created_at"`
	} `json:"dispatches"`
}

// messageStatuses are those to choose from.
var messageStatuses = []string{"", "queued", "processing", "sent", "abandoned"}

// Statuses are those to choose from.
func (consoleList[T]) Statuses() []string { return messageStatuses }

// messages lists what was sent, and what was not.
func (v *visit) messages() error {
	q := v.r.URL.Query()
	page := consoleList[consoleMessage]{consolePage: v.page("Messages"), Search: strings.TrimSpace(q.Get("search")), Status: q.Get("status")}
	query := url.Values{"page_size": {consolePageSize}, "page_token": {q.Get("page_token")}, "recipient": {page.Search}, "status": {page.Status}}
	var err error
	if page.Next, err = v.ask("GET", "/admin/courier/messages", query, nil, &page.Items); err != nil {
		return err
	}
	page.Next = nextQuery(page.Next, "search", page.Search, "status", page.Status)
	return v.show("messages", page)
}

type messageView struct {
	consolePage
	Message consoleMessage
}

func (v *visit) message() error {
	var m consoleMessage
	if _, err := v.ask("GET", "/admin/courier/messages/"+url.PathEscape(v.r.PathValue("id")), nil, nil, &m); err != nil {
		return err
	}
	title := m.Subject
	if title == "" {
		title = m.Template
	}
	return v.show("message", messageView{v.page(title), m})
}

// applications lists the clients of OAuth 2.
func (v *visit) applications() error {
	page := consoleList[*oauth.Client]{consolePage: v.page("Applications")}
	query := url.Values{"page_size": {consolePageSize}, "page_token": {v.r.URL.Query().Get("page_token")}}
	var err error
	if page.Next, err = v.ask("GET", "/admin/clients", query, nil, &page.Items); err != nil {
		return err
	}
	page.Next = nextQuery(page.Next)
	return v.show("applications", page)
}

// An applicationPage shows one client, or a form for a new one.
type applicationPage struct {
	consolePage
	Client    *oauth.Client
	Secret    string // of a client that was just made
	JSON      string
	Redirects string
}

func (v *visit) application() error {
	page := &applicationPage{}
	return v.showApplication(page)
}

func (v *visit) showApplication(page *applicationPage) error {
	if page.Client == nil {
		if _, err := v.ask("GET", "/admin/clients/"+url.PathEscape(v.r.PathValue("id")), nil, nil, &page.Client); err != nil {
			return err
		}
	}
	wrong := page.Wrong
	page.consolePage = v.page(clientName(page.Client))
	page.Wrong = wrong
	shown := *page.Client
	shown.Secret, shown.RegistrationToken = "", ""
	page.JSON = pretty(shown)
	return v.show("application", page)
}

func (v *visit) newApplication() error {
	page := &applicationPage{consolePage: v.page("Add an application"), Client: &oauth.Client{Scope: "openid email profile offline_access"}}
	return v.show("new-application", page)
}

// createApplication makes a client to which people log in.
func (v *visit) createApplication() error {
	form := v.r.PostForm
	made := map[string]any{
		"client_name": form.Get("name"), "redirect_uris": strings.Fields(form.Get("redirects")), "scope": form.Get("scope"),
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
	}
	if form.Get("public") == "yes" {
		made["token_endpoint_auth_method"] = "none"
	}
	page := &applicationPage{}
	_, err := v.ask("POST", "/admin/clients", nil, made, &page.Client)
	if wrong := mistake(err); wrong != "" {
		page.consolePage, page.Wrong = v.page("Add an application"), wrong
		page.Redirects = form.Get("redirects")
		page.Client = &oauth.Client{Name: form.Get("name"), Scope: form.Get("scope")}
		return v.show("new-application", page)
	}
	if err != nil {
		return err
	}
	page.Secret = page.Client.Secret
	return v.showApplication(page)
}

func (v *visit) changeApplication() error {
	if do := v.r.PostFormValue("do"); do != "delete" {
		return errs.New(errs.Invalid, "the form says to do %.40q, which is not known", do)
	}
	if v.r.PostFormValue("sure") != "yes" {
		page := &applicationPage{}
		page.Wrong = "To delete an application, tick the box that says so."
		return v.showApplication(page)
	}
	if _, err := v.ask(http.MethodDelete, "/admin/clients/"+url.PathEscape(v.r.PathValue("id")), nil, nil, nil); err != nil {
		return err
	}
	return v.back("/applications", "deleted")
}
