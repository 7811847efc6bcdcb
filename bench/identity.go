package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// An Identity is a server with people that the benchmark knows.
type Identity struct {
	httpClient
	public, admin string // URLs
	people        []account
	next          int // of people, for those who prepare callers
}

// An account is somebody who can log in.
type account struct{ id, email string }

const identityPassword = "the password of benchmarks, 42"

// NewIdentity makes people at a server, as many as there are callers and more than a page
// of a list.
func NewIdentity(ctx context.Context, public, admin string, callers int) (*Identity, error) {
	i := &Identity{httpClient: newHTTPClient(callers), public: public, admin: admin}
	for range max(callers, identityListed) {
		p := account{email: mailOf()}
		var made struct{ ID string }
		err := i.send(ctx, "POST", admin+"/admin/identities", map[string]any{
			"schema_id": "default", "traits": traitsOf(p.email),
			"credentials": map[string]any{"password": map[string]any{"config": map[string]any{"password": identityPassword}}},
		}, &made)
		if err != nil {
			return nil, err
		}
		p.id = made.ID
		i.people = append(i.people, p)
	}
	return i, nil
}

func mailOf() string { return strings.ToLower(rand.Text()) + "@example.com" }

func traitsOf(email string) map[string]any {
	return map[string]any{"email": email, "name": map[string]any{"first": "Ann", "last": "Miller"}}
}

// Names of what is measured.
const (
	IdentityWhoami       = "whoami"
	IdentityWhoamiCookie = "whoami by cookie"
	IdentityWhoamiBad    = "whoami with a bad token"
	IdentityLoginFlow    = "login flow"
	IdentityLoginNative  = "login flow of an app"
	IdentityFetch        = "fetch of a login flow"
	IdentityLoginPage    = "page of a login flow"
	IdentitySettingsFlow = "settings flow"
	IdentitySessions     = "list of sessions"
	IdentityAdminGet     = "an identity for an administrator"
	IdentityAdminList    = "25 identities for an administrator"
	IdentityExtend       = "longer session by an administrator"
	IdentityLogin        = "login with its flow"
	IdentityRegistration = "registration with its flow"
	IdentityLogout       = "logout"
)

const (
	identityLogouts = 250 // that a caller is prepared for
	identityOthers  = 5   // sessions in a list
	identityListed  = 25  // identities in a page of a list

	identityJSON        = "application/json"
	identityTokenPrefix = "ory_st_"
)

// Ops returns what is measured.
func (i *Identity) Ops() []HTTPOp {
	return []HTTPOp{
		{IdentityWhoami, i.asSession(func(token string) http.Header { return http.Header{"X-Session-Token": {token}} }, i.whoami)},
		{IdentityWhoamiCookie, i.asSession(sessionCookie, i.whoami)},
		{IdentityWhoamiBad, always(i.stranger)},
		{IdentityLoginFlow, always(func(ctx context.Context) error { return i.form(ctx, "/self-service/login/browser", "login", nil) })},
		{IdentityLoginNative, always(func(ctx context.Context) error { return i.form(ctx, "/self-service/login/api", "login", nil) })},
		{IdentityFetch, i.visit(identityJSON, "/self-service/login/flows?id=", `"csrf_token"`)},
		{IdentityLoginPage, i.visit("text/html", "/login?flow=", `name="csrf_token"`)},
		{IdentitySettingsFlow, i.asSession(sessionCookie, func(ctx context.Context, h http.Header) error {
			return i.form(ctx, "/self-service/settings/browser", "settings", h)
		})},
		{IdentitySessions, i.sessions},
		{IdentityAdminGet, i.adminGet},
		{IdentityAdminList, always(i.adminList)},
		{IdentityExtend, i.extend},
		{IdentityLogin, i.login},
		{IdentityRegistration, always(i.register)},
		{IdentityLogout, i.logout},
	}
}

// somebody returns one whom no other caller is.
func (i *Identity) somebody() account {
	i.next++
	return i.people[i.next%len(i.people)]
}

// get asks for JSON.
func (i *Identity) get(ctx context.Context, at string, header http.Header, into any) error {
	r, err := http.NewRequestWithContext(ctx, "GET", at, nil)
	if err != nil {
		return err
	}
	if header != nil {
		r.Header = header.Clone()
	}
	r.Header.Set("Accept", identityJSON)
	return i.do(r, into)
}

// A given is what a login or a registration gives.
type given struct {
	Token   string `json:"session_token"`
	Session session
}

type session struct {
	ID       string
	Active   bool
	Identity struct {
		Traits struct{ Email string }
	}
}

// flow is a form.
type flow struct {
	ID string
	UI struct {
		Action string
		Nodes  []struct{ Group string }
	}
}

// submit opens a flow of a native app, and submits it.
func (i *Identity) submit(ctx context.Context, kind string, form map[string]any) (g given, err error) {
	var f flow
	if err := i.get(ctx, i.public+"/self-service/"+kind+"/api", nil, &f); err != nil {
		return g, err
	}
	if err := i.send(ctx, "POST", i.public+"/self-service/"+kind+"?flow="+f.ID, form, &g); err != nil {
		return g, err
	}
	if !strings.HasPrefix(g.Token, identityTokenPrefix) || !g.Session.Active {
		return g, fmt.Errorf("after a %s: expected an active session and its token", kind)
	}
	return g, nil
}

func (i *Identity) enter(ctx context.Context, p account) (given, error) {
	return i.submit(ctx, "login", p.form())
}

// form is what somebody writes who logs in.
func (p account) form() map[string]any {
	return map[string]any{"method": "password", "identifier": p.email, "password": identityPassword}
}

// login is prepared with somebody new: who has very many sessions loses the oldest with
// each login, and few people have.
func (i *Identity) login(ctx context.Context) (func(context.Context) error, error) {
	p, _, err := i.newcomer(ctx)
	return func(ctx context.Context) error {
		_, err := i.enter(ctx, p)
		return err
	}, err
}

func (i *Identity) register(ctx context.Context) error {
	_, _, err := i.newcomer(ctx)
	return err
}

// newcomer registers somebody.
func (i *Identity) newcomer(ctx context.Context) (account, given, error) {
	p := account{email: mailOf()}
	g, err := i.submit(ctx, "registration", map[string]any{"method": "password", "traits": traitsOf(p.email), "password": identityPassword})
	return p, g, err
}

// asSession makes a caller who is logged in. of makes the headers that say so.
func (i *Identity) asSession(of func(token string) http.Header, do func(context.Context, http.Header) error) func(context.Context) (func(context.Context) error, error) {
	return func(ctx context.Context) (func(context.Context) error, error) {
		g, err := i.enter(ctx, i.somebody())
		if err != nil {
			return nil, err
		}
		header := of(g.Token)
		return func(ctx context.Context) error { return do(ctx, header) }, nil
	}
}

// sessionCookie is what browsers send, beside a cookie of something else.
func sessionCookie(token string) http.Header {
	until := strconv.FormatInt(time.Now().AddDate(1, 0, 0).Unix(), 10)
	return http.Header{"Cookie": {"theme=dark; ory_kratos_session=" + token + "." + until}}
}

func (i *Identity) whoami(ctx context.Context, header http.Header) error {
	var s session
	if err := i.get(ctx, i.public+"/sessions/whoami", header, &s); err != nil {
		return err
	}
	if !s.Active || !strings.HasSuffix(s.Identity.Traits.Email, "@example.com") {
		return fmt.Errorf("wrong answer: the session is %+v", s)
	}
	return nil
}

// stranger asks whoami with a token that there is not.
func (i *Identity) stranger(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, "GET", i.public+"/sessions/whoami", nil)
	if err != nil {
		return err
	}
	r.Header.Set("X-Session-Token", identityTokenPrefix+"this was never given to anybody")
	a, err := i.answer(r)
	if err == nil && a.status != http.StatusUnauthorized {
		err = a.wrong()
	}
	return err
}

// form opens a flow and looks at its form.
func (i *Identity) form(ctx context.Context, path, kind string, header http.Header) error {
	var f flow
	if err := i.get(ctx, i.public+path, header, &f); err != nil {
		return err
	}
	if !strings.HasSuffix(f.UI.Action, "/self-service/"+kind+"?flow="+f.ID) || len(f.UI.Nodes) < 4 {
		return fmt.Errorf("wrong answer: the form is %+v", f)
	}
	return nil
}

// visit makes a browser that has opened a login flow, and sees it at a path again and
// again.
func (i *Identity) visit(accept, path, want string) func(context.Context) (func(context.Context) error, error) {
	return func(ctx context.Context) (func(context.Context) error, error) {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return nil, err
		}
		browser := *i
		browser.http = &http.Client{Transport: i.http.Transport, Jar: jar}
		var f flow
		if err := browser.get(ctx, i.public+"/self-service/login/browser", nil, &f); err != nil {
			return nil, err
		}
		at := i.public + path + url.QueryEscape(f.ID)
		return func(ctx context.Context) error {
			r, err := http.NewRequestWithContext(ctx, "GET", at, nil)
			if err != nil {
				return err
			}
			r.Header.Set("Accept", accept)
			a, err := browser.answer(r)
			if err == nil && (a.status != http.StatusOK || !strings.Contains(string(a.text), want)) {
				err = a.wrong()
			}
			return err
		}, nil
	}
}

func (i *Identity) sessions(ctx context.Context) (func(context.Context) error, error) {
	p, me, err := i.newcomer(ctx) // who has no other sessions yet
	for range identityOthers {
		if err == nil {
			_, err = i.enter(ctx, p)
		}
	}
	header := http.Header{"X-Session-Token": {me.Token}}
	return func(ctx context.Context) error {
		var all []session
		if err := i.get(ctx, i.public+"/sessions", header, &all); err != nil {
			return err
		}
		if len(all) != identityOthers {
			return fmt.Errorf("wrong answer: %d other sessions, expected %d", len(all), identityOthers)
		}
		return nil
	}, err
}

func (i *Identity) adminGet(context.Context) (func(context.Context) error, error) {
	p := i.somebody()
	return func(ctx context.Context) error {
		var got struct{ ID string }
		if err := i.get(ctx, i.admin+"/admin/identities/"+p.id, nil, &got); err != nil {
			return err
		}
		if got.ID != p.id {
			return fmt.Errorf("wrong answer: identity %q, expected %q", got.ID, p.id)
		}
		return nil
	}, nil
}

func (i *Identity) adminList(ctx context.Context) error {
	var all []struct{ ID string }
	if err := i.get(ctx, i.admin+"/admin/identities?page_size="+strconv.Itoa(identityListed), nil, &all); err != nil {
		return err
	}
	if len(all) != identityListed {
		return fmt.Errorf("wrong answer: %d identities, expected %d", len(all), identityListed)
	}
	return nil
}

func (i *Identity) extend(ctx context.Context) (func(context.Context) error, error) {
	g, err := i.enter(ctx, i.somebody())
	return func(ctx context.Context) error {
		var s session
		if err := i.send(ctx, "PATCH", i.admin+"/admin/sessions/"+g.Session.ID+"/extend", nil, &s); err != nil {
			return err
		}
		if s.ID != g.Session.ID || !s.Active {
			return fmt.Errorf("wrong answer: the session is %+v", s)
		}
		return nil
	}, err
}

// logout is prepared with sessions, and ends them.
func (i *Identity) logout(ctx context.Context) (func(context.Context) error, error) {
	var tokens []string
	for range identityLogouts {
		g, err := i.enter(ctx, i.somebody()) // each may have a number of sessions only
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, g.Token)
	}
	return func(ctx context.Context) error {
		if len(tokens) == 0 {
			return errNoMore
		}
		r, err := jsonRequest(ctx, "DELETE", i.public+"/self-service/logout/api", map[string]any{"session_token": tokens[0]})
		if err != nil {
			return err
		}
		tokens = tokens[1:]
		a, err := i.answer(r)
		if err == nil && a.status != http.StatusNoContent {
			err = a.wrong()
		}
		return err
	}, nil
}
