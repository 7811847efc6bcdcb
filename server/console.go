package server

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
)

// consoleBase is where the console is, on the write listener.
const consoleBase = "/console"

// Cookies of the console. Browsers send them to it alone, and never from other sites.
const (
	consoleKeyCookie  = "cardea_console"
	consoleFormCookie = "cardea_console_form"
	consoleLife       = 8 * time.Hour
)

// The console is pages for administrators. It is a client of the admin API of the same
// listener, so it can do nothing that the API cannot, and all of it is in the audit log.
type console struct {
	*core
	api   http.Handler // the routes of the listener
	read  http.Handler // those of the read listener
	web   *pages
	cross http.CrossOriginProtection
}

// A visit is one request to the console.
type visit struct {
	*console
	w       http.ResponseWriter
	r       *http.Request
	network string // "": the usual one
	by      string // the name of the key that was shown, "" if none is needed
	token   string // that forms of this browser carry
	signed  bool   // there is a key that can be forgotten
	reads   bool   // permissions may be seen
}

// consoleRoutes registers the console, if there is something to show.
func (c *core) consoleRoutes(rs *routes) {
	if c.console == nil { // identities and OAuth2 are off
		return
	}
	reader := *rs
	reader.mux, reader.role = http.NewServeMux(), readRole
	(&ketoREST{c}).readRoutes(&reader)
	(&cardeaREST{c}).readRoutes(&reader)
	k := &console{core: c, api: rs.mux, read: reader.mux, web: c.console}
	rs.mux.Handle("GET "+consoleBase+"/assets/", http.StripPrefix(consoleBase+"/assets/", c.console.assets()))
	pages := map[string]func(*visit) error{
		"GET /login": (*visit).loginPage, "POST /login": (*visit).login, "POST /logout": (*visit).logout, "GET /{$}": (*visit).home,
		"GET /people": (*visit).people, "GET /people/new": (*visit).newPerson, "POST /people": (*visit).createPerson,
		"GET /people/{id}": (*visit).person, "POST /people/{id}": (*visit).changePerson,
		"GET /messages": (*visit).messages, "GET /messages/{id}": (*visit).message,
		"GET /applications": (*visit).applications, "GET /applications/new": (*visit).newApplication, "POST /applications": (*visit).createApplication,
		"GET /applications/{id}": (*visit).application, "POST /applications/{id}": (*visit).changeApplication,
		"GET /permissions": reading((*visit).permissions), "GET /tuples": reading((*visit).tuples), "POST /tuples": reading((*visit).changeTuples),
	}
	for _, g := range groupKinds {
		maps.Copy(pages, g.pages())
	}
	for pattern, h := range pages {
		method, path, _ := strings.Cut(pattern, " ")
		public := path == "/login"
		rs.open(method+" "+consoleBase+path, k.fail, func(w http.ResponseWriter, r *http.Request) error { return k.serve(w, r, public, h) })
	}
}

// under are the same pages below another path.
func (p *pages) under(base, part string) (*pages, error) {
	w, err := p.web.Under(base, part)
	return &pages{web: w, base: base}, err
}

// serve finds out who visits, and lets h answer.
func (c *console) serve(w http.ResponseWriter, r *http.Request, public bool, h func(*visit) error) error {
	v := &visit{console: c, w: w, r: r}
	if err := c.sameSite(r); err != nil {
		return err
	}
	if err := v.formToken(); err != nil {
		return err
	}
	if err := v.admit(); err != nil && !public {
		if r.Method == http.MethodGet && errs.KindOf(err) == errs.Unauthenticated {
			return v.to("/login")
		}
		return err
	}
	return h(v)
}

// sameSite refuses what a page of another site makes a browser send, and a name of
// somebody else's for this machine, by which such a page could be of the same site.
func (c *console) sameSite(r *http.Request) error {
	if err := c.cross.Check(r); err != nil {
		return errs.New(errs.Denied, "the console takes forms from its own pages only")
	}
	return nil
}

// formToken gives the browser a token for its forms, and checks that of a form.
func (v *visit) formToken() error {
	c, err := v.r.Cookie(consoleFormCookie)
	if v.r.Method == http.MethodPost {
		if err := v.r.ParseForm(); err != nil {
			return errs.Wrap(errs.Invalid, err, "the form cannot be read")
		}
		if err != nil || subtle.ConstantTimeCompare([]byte(c.Value), []byte(v.r.PostFormValue("token"))) != 1 || c.Value == "" {
			return errs.New(errs.Denied, "the form is too old, or from elsewhere: go back, and try again")
		}
	}
	if err == nil && c.Value != "" {
		v.token = c.Value
		return nil
	}
	v.token = rand.Text()
	v.cookie(consoleFormCookie, v.token, 0)
	return nil
}

func (v *visit) cookie(name, value string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: consoleBase, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: v.r.TLS != nil, MaxAge: int(life / time.Second)}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// A consoleKey is what the browser keeps of an API key, sealed.
type consoleKey struct {
	Hash    [sha256.Size]byte
	Network string
	Until   time.Time
}

// admit finds out who visits: anybody if there are no keys, else who has shown one with the
// role write, by a certificate or at the login page.
func (v *visit) admit() error {
	n, by, err := v.guard.admit(v.r.Context(), writeRole, v.r.Header.Values(authHeader), nil)
	if err == nil {
		v.network, v.reads = n.name, true
		if by != nil {
			v.by, v.reads = by.Name, slices.Contains(by.Roles, readRole)
		}
		return nil
	}
	c, cookieErr := v.r.Cookie(consoleKeyCookie)
	if cookieErr != nil {
		return err
	}
	sealed, _ := base64.RawURLEncoding.DecodeString(c.Value)
	text, openErr := v.secrets.Open("console", "key", sealed)
	var kept consoleKey
	if openErr != nil || json.Unmarshal(text, &kept) != nil || time.Now().After(kept.Until) {
		return err
	}
	for _, k := range v.guard.keys { // one that was taken away since is not there
		bound := k.Network != anyNetwork && k.Network != kept.Network && (k.Network != "" || kept.Network != v.guard.usual.name)
		if k.Hash == kept.Hash && k.Certificate == "" && slices.Contains(k.Roles, writeRole) && !bound {
			v.network, v.by, v.signed = kept.Network, k.Name, true
			v.reads = slices.Contains(k.Roles, readRole)
			return nil
		}
	}
	return err
}

type consoleLogin struct {
	consolePage
	Networks []string
}

func (v *visit) loginPage() error { return v.showLogin(http.StatusOK, "") }

func (v *visit) showLogin(status int, wrong string) error {
	page := consoleLogin{consolePage: v.page("Console")}
	page.Account, page.Wrong = nil, wrong
	if len(v.networks) > 1 {
		for _, n := range v.networks {
			page.Networks = append(page.Networks, n.name)
		}
	}
	return v.web.Show(v.w, status, "console-login", page)
}

func (v *visit) login() error {
	var names []string
	if name := v.r.PostFormValue("network"); name != "" {
		names = []string{name}
	}
	secret := strings.TrimSpace(v.r.PostFormValue("key"))
	n, _, err := v.guard.admit(v.r.Context(), writeRole, []string{"Bearer " + secret}, names)
	if err != nil {
		return v.showLogin(codeOf(err).http, "This key does not open the console: "+text(err))
	}
	kept, err := json.Marshal(consoleKey{sha256.Sum256([]byte(secret)), n.name, time.Now().Add(consoleLife)})
	if err != nil {
		return errs.Wrap(errs.Internal, err, "a cookie cannot be encoded")
	}
	v.cookie(consoleKeyCookie, base64.RawURLEncoding.EncodeToString(v.secrets.Seal("console", "key", kept)), consoleLife)
	return v.to("/")
}

func (v *visit) logout() error {
	v.cookie(consoleKeyCookie, "", 0)
	return v.to("/login")
}

// home is the first page that there is something on.
func (v *visit) home() error {
	if parts := v.parts(); len(parts) > 0 {
		return v.to(parts[0].URL)
	}
	return errs.New(errs.NotFound, "there is nothing that this key may see")
}

// parts are those of the console that the visitor can see something in.
func (v *visit) parts() (links []identity.PageLink) {
	if v.guard.usual.people != nil {
		links = append(links, identity.PageLink{URL: "/people", Text: "People"}, identity.PageLink{URL: "/groups", Text: "Groups"},
			identity.PageLink{URL: "/organizations", Text: "Organizations"}, identity.PageLink{URL: "/messages", Text: "Messages"})
	}
	if v.guard.usual.oauth != nil {
		links = append(links, identity.PageLink{URL: "/applications", Text: "Applications"})
	}
	if v.reads {
		links = append(links, identity.PageLink{URL: "/permissions", Text: "Permissions"}, identity.PageLink{URL: "/tuples", Text: "Tuples"})
	}
	return links
}

// A consolePage is what all pages of the console show.
type consolePage struct {
	Title, Who, Token string
	Wrong, Said       string
	Signed            bool
	Account           []identity.PageLink
}

// saidTexts are what a page says after a form was sent, by the parameter said.
var saidTexts = map[string]string{
	"created": "It was created.", "saved": "Your changes have been saved.", "activated": "The account can be used again.",
	"deactivated": "The account is locked, and all of its sessions have ended.", "sessions": "The sessions have ended.",
	"deleted": "It was deleted.", "credential": "The credential was removed.",
	"untupled": "The tuple was removed.", "member": "The member was added.", "removed": "The member was removed.", "withdrawn": "The invitation was withdrawn: its link is worth nothing any more.",
}

func (v *visit) page(title string) consolePage {
	page := consolePage{Title: title, Token: v.token, Signed: v.signed, Said: saidTexts[v.r.URL.Query().Get("said")]}
	for _, link := range v.parts() {
		link.URL = consoleBase + link.URL
		link.Here = strings.HasPrefix(v.r.URL.Path, link.URL)
		page.Account = append(page.Account, link)
	}
	if len(v.networks) > 1 {
		page.Who = "Network " + v.network
	}
	return page
}

// show renders a page.
func (v *visit) show(name string, page any) error {
	return v.web.Show(v.w, http.StatusOK, "console-"+name, page)
}

// to sends the browser to a page of the console.
func (v *visit) to(path string) error { return seeOther(v.w, v.r, consoleBase+path) }

// back sends the browser to a page that says what was done.
func (v *visit) back(path, said string) error {
	return v.to(path + "?" + url.Values{"said": {said}}.Encode())
}

// fail shows why a page cannot be shown.
func (c *console) fail(w http.ResponseWriter, _ *http.Request, err error) {
	status, message := codeOf(err).http, text(err)
	var answer *apiError
	if errors.As(err, &answer) {
		status, message = answer.status, answer.message
	}
	page := identity.ErrorPage{Title: "Something went wrong", Message: sentence(message), Home: consoleBase + "/"}
	if e := c.web.Show(w, status, "error", page); e != nil {
		http.Error(w, message, status)
	}
}
