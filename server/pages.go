package server

import (
	"bytes"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/oauth"
	"github.com/cardea-iam/cardea/web"
)

// A PagesConfig is about the pages for people.
type PagesConfig struct {
	Name   string // of the service
	Folder string // with files in the place of ours; "": none
}

// The pages below answer the challenges of oauth with what identity knows, unless the
// settings name other pages.
const (
	loginPage     = "/oauth2/login"
	consentPage   = "/oauth2/consent"
	devicePage    = "/oauth2/device"
	deviceDone    = "/oauth2/device/done"
	logoutPage    = "/oauth2/logout"
	loggedOutPage = "/oauth2/logged-out"
	errorPage     = "/oauth2/error"
)

// ownPages fills in the pages that this server has itself.
func ownPages(urls oauth.URLs, base string) oauth.URLs {
	for _, page := range []struct {
		at  *string
		own string
	}{
		{&urls.Login, loginPage}, {&urls.Registration, loginPage}, {&urls.Consent, consentPage},
		{&urls.DeviceVerification, devicePage}, {&urls.DeviceSuccess, deviceDone}, {&urls.Logout, logoutPage},
		{&urls.PostLogout, loggedOutPage}, {&urls.Error, errorPage},
	} {
		if *page.at == "" {
			*page.at = base + page.own
		}
	}
	return urls
}

// pageRoutes registers the pages.
func (c *core) pageRoutes(rs *routes) {
	if c.pages == nil { // nothing is public
		return
	}
	rs.mux.Handle("GET /assets/", http.StripPrefix("/assets/", c.pages.assets()))
	rs.open("GET /{$}", c.failPage, c.startPage)
	n := c.guard.usual
	if n.people == nil {
		return
	}
	for _, route := range identity.PageRoutes() {
		rs.open(route.Pattern, c.failPage, func(w http.ResponseWriter, r *http.Request) error { return route.Handle(n.people, w, r) })
	}
	if n.oauth == nil {
		return
	}
	for pattern, h := range map[string]restHandler{
		"GET " + loginPage:     n.loginPage,
		"GET " + consentPage:   n.consentPage,
		"POST " + consentPage:  c.pages.own(n.answerConsent),
		"GET " + devicePage:    n.devicePage,
		"POST " + devicePage:   c.pages.own(n.retryDevice(c.origin.guarded(isWrongCode, n.answerDevice))),
		"GET " + deviceDone:    n.deviceDone,
		"GET " + logoutPage:    n.logoutPage,
		"POST " + logoutPage:   c.pages.own(n.answerLogout),
		"GET " + loggedOutPage: n.loggedOutPage,
		"GET " + errorPage:     n.errorPage,
	} {
		rs.open(pattern, c.failPage, h)
	}
}

// own takes forms from pages of this server alone. Their challenges are secrets, but an
// attacker has challenges and codes of devices of his own, and could make a browser send
// them.
func (p *pages) own(answer restHandler) restHandler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if p.cross.Check(r) != nil {
			return errs.New(errs.Denied, "the form is from a page of another site")
		}
		return answer(w, r)
	}
}

// pages implements identity.Pages.
type pages struct {
	web   *web.Pages
	base  string // where browsers find this server, without a slash at the end
	cross http.CrossOriginProtection
}

// openPages makes the pages of a server that browsers find at base.
//
// Invalid: the folder with other files is missing, or has mistakes.
func openPages(c PagesConfig, base *url.URL) (*pages, error) {
	var own fs.FS
	if c.Folder != "" {
		if info, err := os.Stat(c.Folder); err != nil || !info.IsDir() {
			return nil, errs.New(errs.Invalid, "pages.folder: %s is no folder", c.Folder)
		}
		own = os.DirFS(c.Folder)
	}
	w, err := web.New(web.Options{Own: own, Name: c.Name, Base: strings.TrimSuffix(base.Path, "/")})
	if err != nil {
		return nil, err
	}
	p := &pages{web: w, base: strings.TrimSuffix(base.String(), "/")}
	return p, p.cross.AddTrustedOrigin(base.Scheme + "://" + base.Host)
}

// contentPolicy lets a page have what this server sends, and nothing else. It has no
// form-action: browsers apply that to where a form leads in the end, which is the
// application that somebody logs in to.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"

// Show implements identity.Pages.
func (p *pages) Show(w http.ResponseWriter, status int, page string, data any) error {
	var b bytes.Buffer
	if err := p.web.Render(&b, page, data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client may be gone, and there is nobody else to tell
	return nil
}

// assets serves style sheets, scripts and pictures. Their URLs in pages change with them,
// so that browsers need not ask again.
func (p *pages) assets() http.Handler {
	files := http.FileServerFS(p.web.Static())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/") || r.URL.Path == "" { // no lists of files
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'")
		h.Set("Cache-Control", "no-cache")
		if r.URL.Query().Has("v") {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		files.ServeHTTP(w, r)
	})
}

// at is the URL of a page.
func (n *network) at(page string) string { return n.pages.base + page }

// failPage shows an error to people, and answers it to programs.
func (c *core) failPage(w http.ResponseWriter, r *http.Request, err error) {
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		c.failIdentity(w, r, err)
		return
	}
	if people := c.guard.usual.people; people != nil {
		if to := people.Elsewhere(r, err); to != "" {
			_ = seeOther(w, r, to)
			return
		}
	}
	page := identity.ErrorPage{Title: "Something went wrong", Message: sentence(text(err)), Home: c.pages.base + "/"}
	if e := c.pages.Show(w, codeOf(err).http, "error", page); e != nil {
		c.failIdentity(w, r, e)
	}
}

// sentence makes the text of an error one.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

// self is the path of a request, to come back to.
func self(r *http.Request) string { return r.URL.RequestURI() }

func seeOther(w http.ResponseWriter, r *http.Request, to string) error {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}
