package oauth

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// The types below are those of Hydra's API between the provider and the pages that
// ask people.

// An OIDCContext is what a client told the pages.
type OIDCContext struct {
	ACRValues  []string       `json:"acr_values,omitempty"`
	Display    string         `json:"display,omitempty"`
	HintClaims map[string]any `json:"id_token_hint_claims,omitempty"`
	LoginHint  string         `json:"login_hint,omitempty"`
	UILocales  []string       `json:"ui_locales,omitempty"`
	Claims     *ClaimsRequest `json:"claims,omitempty"` // Hydra does not have it
}

// A LoginRequest asks who is at the browser.
type LoginRequest struct {
	Challenge  string      `json:"challenge"`
	Scopes     []string    `json:"requested_scope"`
	Audience   []string    `json:"requested_access_token_audience"`
	Skip       bool        `json:"skip"`
	Subject    string      `json:"subject"`
	OIDC       OIDCContext `json:"oidc_context"`
	Client     *Client     `json:"client"`
	RequestURL string      `json:"request_url"`
	SessionID  string      `json:"session_id"` // sid, unless somebody else logs in than the browser remembers

	prompts []string
}

// An AcceptLogin says who is at the browser.
type AcceptLogin struct {
	Subject         string          `json:"subject"`
	Remember        bool            `json:"remember,omitempty"`
	RememberFor     int64           `json:"remember_for,omitempty"` // seconds; 0: as long as the server does
	Extend          bool            `json:"extend_session_lifespan,omitempty"`
	ACR             string          `json:"acr,omitempty"`
	AMR             []string        `json:"amr,omitempty"`
	ProviderSession string          `json:"identity_provider_session_id,omitempty"`
	ForceSubject    string          `json:"force_subject_identifier,omitempty"`
	Context         json.RawMessage `json:"context,omitempty"`

	// ProviderSessionEnds is when that session ends unless it is used; zero: nobody knows.
	// From then on it is asked for whenever the login is used. It is not part of Hydra's
	// API.
	ProviderSessionEnds time.Time `json:"-"`

	// Replace says that the page knows better than the login that the browser remembers:
	// another subject may have logged in since, or the same one again. It is not part of
	// Hydra's API.
	Replace bool `json:"-"`

	// AuthTime is when it was found out; zero: now. It is not part of Hydra's API.
	AuthTime time.Time `json:"-"`
}

// A ConsentRequest asks what a client may have.
type ConsentRequest struct {
	Challenge      string          `json:"challenge"`
	ID             string          `json:"consent_request_id"`
	Scopes         []string        `json:"requested_scope"`
	Audience       []string        `json:"requested_access_token_audience"`
	Skip           bool            `json:"skip"`
	Subject        string          `json:"subject"`
	OIDC           OIDCContext     `json:"oidc_context"`
	Client         *Client         `json:"client"`
	RequestURL     string          `json:"request_url"`
	LoginChallenge string          `json:"login_challenge"`
	LoginSessionID string          `json:"login_session_id"`
	ACR            string          `json:"acr"`
	AMR            []string        `json:"amr"`
	Context        json.RawMessage `json:"context,omitempty"`

	// Device says that it is for a device whose code the person has entered. It is not
	// part of Hydra's API.
	Device bool `json:"-"`
}

// An AcceptConsent says what a client may have.
type AcceptConsent struct {
	Scopes      []string        `json:"grant_scope"`
	Audience    []string        `json:"grant_access_token_audience"`
	Remember    bool            `json:"remember,omitempty"`
	RememberFor int64           `json:"remember_for,omitempty"` // seconds; 0: for ever
	Session     ConsentSession  `json:"session"`
	Context     json.RawMessage `json:"context,omitempty"`

	// Follow says that Session.ID has what Options.Claims said, and follows it when tokens
	// are refreshed. It is not part of Hydra's API.
	Follow bool `json:"-"`
}

// A ConsentSession is what tokens say more.
type ConsentSession struct {
	Access map[string]any `json:"access_token,omitempty"`
	ID     map[string]any `json:"id_token,omitempty"`
}

// A refusal is why a page said no.
type refusal struct {
	Name        string `json:"error,omitempty"`
	Description string `json:"error_description,omitempty"`
	Hint        string `json:"error_hint,omitempty"`
	Debug       string `json:"error_debug,omitempty"`
	Status      int    `json:"status_code,omitempty"`
}

func (e *refusal) err() error {
	out := *fosite.ErrAccessDenied
	if e.Name != "" {
		out.ErrorField = e.Name
	}
	if e.Description != "" {
		out.DescriptionField = e.Description
	}
	// Not for the developer of the client, as hints are: the page wants it to be seen.
	out.DescriptionField = strings.TrimSpace(out.DescriptionField + " " + e.Hint)
	if e.Status != 0 {
		out.CodeField = e.Status
	}
	return &out
}

// pending reads a challenge and its client, and whether the flow has ended with a grant.
//
// NotFound: it is none, or there is no such client any more. Unauthenticated: it has
// expired.
func (p *Provider) pending(ctx context.Context, purpose, challenge string) (f *flow, c *Client, done bool, err error) {
	if f, err = p.open(purpose, challenge); err != nil {
		return nil, nil, false, err
	}
	c, seen, err := p.look(ctx, Look{Client: f.Client, Grants: GrantQuery{ID: f.ID}})
	if err == nil && c == nil {
		err = errs.New(errs.NotFound, "there is no client %.80q", f.Client)
	}
	return f, c, len(seen.Grants) > 0, err
}

// requestURL is where a flow began.
func (p *Provider) requestURL(f *flow) string {
	if f.Device != "" {
		return p.own.device
	}
	return p.own.authorize + "?" + f.Query
}

// request is what a flow began with, as far as it needs no client.
func (f *flow) request() *authorization {
	a := &authorization{form: f.form()}
	a.claims, _ = parseClaims(a.form.Get("claims")) // it was checked before
	return a
}

// context returns what the client told the pages. Of the means of logging in they get
// what the client wishes by whatever way.
func (p *Provider) context(ctx context.Context, f *flow, c *Client) OIDCContext {
	a := f.request()
	o := OIDCContext{
		ACRValues: a.acr().values, Display: a.form.Get("display"), LoginHint: a.form.Get("login_hint"),
		UILocales: strings.Fields(a.form.Get("ui_locales")), Claims: p.restrict(c, a.claims),
	}
	if hint := a.form.Get("id_token_hint"); hint != "" {
		o.HintClaims, _ = p.hint(ctx, hint)
	}
	return o
}

// LoginRequest returns what a login challenge asks.
//
// NotFound: it is no challenge. Unauthenticated: it has expired.
func (p *Provider) LoginRequest(ctx context.Context, challenge string) (*LoginRequest, error) {
	f, c, _, err := p.pending(ctx, loginChallenge, challenge)
	if err != nil {
		return nil, err
	}
	return p.loginRequest(ctx, challenge, f, c), nil
}

func (p *Provider) loginRequest(ctx context.Context, challenge string, f *flow, c *Client) *LoginRequest {
	form := f.form()
	q := &LoginRequest{
		Challenge: challenge, Scopes: list(strings.Fields(form.Get("scope"))), Audience: list(fosite.GetAudiences(form)),
		OIDC: p.context(ctx, f, c), Client: c, RequestURL: p.requestURL(f), prompts: strings.Fields(form.Get("prompt")),
		SessionID: f.Session,
	}
	switch {
	case f.Previous != nil:
		q.Skip, q.Subject, q.SessionID = true, f.Previous.Subject, f.Previous.ID
	case f.Earlier != nil:
		q.SessionID = f.Earlier.ID
	}
	return q
}

// AcceptLogin answers a login challenge, and returns where to send the browser.
//
// NotFound, Unauthenticated: as for LoginRequest. Invalid: the answer has no subject,
// or another one than the login that it was to confirm.
func (p *Provider) AcceptLogin(challenge string, a AcceptLogin) (string, error) {
	f, err := p.open(loginChallenge, challenge)
	if err != nil {
		return "", err
	}
	if a.Subject == "" || len(a.Subject) > maxName || strings.Contains(a.Subject, "\x00") {
		return "", errs.New(errs.Invalid, "subject: expected who has logged in, with at most %d bytes without NUL", maxName)
	}
	if len(a.ACR) > maxName || len(a.AMR) > maxItems || slices.ContainsFunc(a.AMR, func(s string) bool { return len(s) > maxName }) {
		return "", errs.New(errs.Invalid, "acr, amr: expected at most %d bytes, and %d items", maxName, maxItems)
	}
	if a.Replace && f.Previous != nil {
		f.Earlier, f.Previous = f.Previous, nil
	}
	if old := f.Previous; old != nil {
		if old.Subject != a.Subject {
			return "", errs.New(errs.Invalid, "subject: %.100q is not the one who is logged in", a.Subject)
		}
		a.Remember = true // a login that is remembered is forgotten by a reject
	}
	f.Login, f.Asked = &login{p.loggedIn(f, a), a}, challenge
	return p.back(f, loginVerifier, "login_verifier")
}

// loggedIn is the login that an answer makes of a flow: the previous one, or a new one.
// Somebody who logs in again, where that is remembered, keeps the name of the login, so
// that a logout ends what began before, too.
func (p *Provider) loggedIn(f *flow, a AcceptLogin) session {
	s := session{ID: cmp.Or(f.Session, newID()), Subject: a.Subject, AuthTime: a.AuthTime, ACR: a.ACR, AMR: a.AMR, Provider: a.ProviderSession, Ends: a.ProviderSessionEnds}
	if a.AuthTime.IsZero() {
		s.AuthTime = p.o.Now()
	}
	if old := f.Earlier; old != nil && a.Remember && old.Subject == a.Subject {
		s.ID, s.Forced = old.ID, old.Forced
	}
	if f.Previous != nil {
		s = *f.Previous
	}
	if a.ForceSubject != "" {
		s.Forced = maps.Clone(s.Forced)
		if s.Forced == nil {
			s.Forced = map[string]string{}
		}
		s.Forced[f.Client] = a.ForceSubject
	}
	return s
}

// ConsentRequest returns what a consent challenge asks.
//
// NotFound, Unauthenticated: as for LoginRequest.
func (p *Provider) ConsentRequest(ctx context.Context, challenge string) (*ConsentRequest, error) {
	f, c, _, err := p.pending(ctx, consentChallenge, challenge)
	if err != nil {
		return nil, err
	}
	return p.consentRequest(ctx, challenge, f, c), nil
}

func (p *Provider) consentRequest(ctx context.Context, challenge string, f *flow, c *Client) *ConsentRequest {
	form := f.form()
	return &ConsentRequest{
		Challenge: challenge, ID: f.ID, Scopes: list(strings.Fields(form.Get("scope"))), Audience: list(fosite.GetAudiences(form)),
		Skip: f.Skip, Subject: f.Login.session.Subject, OIDC: p.context(ctx, f, c), Client: c, RequestURL: p.requestURL(f),
		LoginChallenge: f.Asked, LoginSessionID: f.Login.ID, ACR: f.Login.session.ACR, AMR: list(f.Login.session.AMR), Context: f.Login.Context,
		Device: f.Device != "",
	}
}

// AcceptConsent answers a consent challenge, and returns where to send the browser.
//
// NotFound, Unauthenticated: as for LoginRequest. Invalid: more is granted than was
// asked for.
func (p *Provider) AcceptConsent(challenge string, a AcceptConsent) (string, error) {
	f, err := p.open(consentChallenge, challenge)
	if err != nil {
		return "", err
	}
	asked := strings.Fields(f.form().Get("scope"))
	for _, s := range a.Scopes {
		if !slices.Contains(asked, s) {
			return "", errs.New(errs.Invalid, "grant_scope: %.100q was not asked for", s)
		}
	}
	wanted := fosite.GetAudiences(f.form())
	for _, s := range a.Audience {
		if !slices.Contains(wanted, s) {
			return "", errs.New(errs.Invalid, "grant_access_token_audience: %.100q was not asked for", s)
		}
	}
	a.Scopes, a.Audience = distinct(a.Scopes), distinct(a.Audience)
	f.Consent, f.Asked = &consent{a, p.o.Now(), a.Follow}, ""
	return p.back(f, consentVerifier, "consent_verifier")
}

// A LoginQuestion is what a login page of our own has to know of a LoginRequest.
type LoginQuestion struct {
	Silent    bool // nobody may be asked: prompt=none
	Register  bool // who is not logged in wants to register
	ACRValues []string

	begun  time.Time
	anew   bool
	maxAge time.Duration
}

// LoginQuestion returns what a login challenge asks, without a look into the database.
//
// NotFound, Unauthenticated: as for LoginRequest.
func (p *Provider) LoginQuestion(challenge string) (*LoginQuestion, error) {
	f, err := p.open(loginChallenge, challenge)
	if err != nil {
		return nil, err
	}
	a := f.request()
	q := &LoginQuestion{
		Silent: a.asksFor("none"), Register: a.asksFor("registration") || a.asksFor("create"),
		ACRValues: a.acr().values, begun: f.Begun, anew: a.asksFor("login") || a.asksFor("select_account"),
	}
	q.maxAge, err = a.maxAge()
	return q, err
}

// Stale reports whether a login at a time is too old for the client.
func (q *LoginQuestion) Stale(at time.Time) bool {
	begun := q.begun.Truncate(time.Second)
	return q.anew && at.Before(begun) || q.maxAge >= 0 && at.Add(q.maxAge).Before(begun)
}

// RejectLogin answers a login challenge with an error of OAuth 2, and returns where to
// send the browser. Errors as for AcceptLogin.
func (p *Provider) RejectLogin(challenge, name, description string) (string, error) {
	return p.reject(loginChallenge, loginVerifier, "login_verifier", challenge, refusal{Name: name, Description: description})
}

// RejectConsent does the same for a consent challenge.
func (p *Provider) RejectConsent(challenge, name, description string) (string, error) {
	return p.reject(consentChallenge, consentVerifier, "consent_verifier", challenge, refusal{Name: name, Description: description})
}

// reject answers a challenge with a no.
func (p *Provider) reject(purpose, verifier, parameter, challenge string, e refusal) (string, error) {
	f, err := p.open(purpose, challenge)
	if err != nil {
		return "", err
	}
	f.Refusal = &e
	return p.back(f, verifier, parameter)
}

// loginRow is a login as it is stored; nil for nil.
func (p *Provider) loginRow(l *login) *Login {
	if l == nil {
		return nil
	}
	life := p.o.TTL.Login
	if l.RememberFor > 0 {
		life = min(life, seconds(l.RememberFor))
	}
	expires := l.session.AuthTime.Add(life)
	switch {
	case l.Extend:
		expires = p.o.Now().Add(life)
	case !l.session.Expires.IsZero(): // it was confirmed, no more
		expires = l.session.Expires
	}
	data, err := p.seal(sealLogin, l.ID, l.session)
	if err != nil { // strings and a time only
		panic(err)
	}
	return &Login{
		ID: l.ID, Subject: l.session.Subject, Authenticated: l.session.AuthTime, Remember: l.Remember,
		Expires: expires, Data: data,
	}
}

// seconds is a number of them, or as many as there can be: 292 years.
func seconds(n int64) time.Duration {
	return time.Duration(min(n, int64(math.MaxInt64/time.Second))) * time.Second
}

// grantRow is a consent as it is stored.
func (p *Provider) grantRow(f *flow, s *Session) (Grant, error) {
	k := f.Consent
	g := Grant{
		ID: f.ID, Client: f.Client, Subject: f.Login.session.Subject, Login: f.Login.ID,
		Scopes: k.Scopes, Audience: k.Audience, Remember: k.Remember, Created: k.At,
	}
	if k.RememberFor > 0 {
		g.Expires = k.At.Add(seconds(k.RememberFor))
	}
	var err error
	g.Data, err = p.seal(sealGrant, f.ID, f)
	return g, err
}

// The admin handlers below are those functions over HTTP.

type redirectTo struct {
	To string `json:"redirect_to"`
}

// gone answers a challenge whose flow has ended.
func (p *Provider) gone(w http.ResponseWriter, f *flow) error {
	return reply(w, http.StatusGone, redirectTo{p.requestURL(f)})
}

func (p *Provider) serveLoginRequest(w http.ResponseWriter, r *http.Request) error {
	return p.servePending(w, r, loginChallenge, "login_challenge", func(challenge string, f *flow, c *Client) any {
		return p.loginRequest(r.Context(), challenge, f, c)
	})
}

func (p *Provider) serveConsentRequest(w http.ResponseWriter, r *http.Request) error {
	return p.servePending(w, r, consentChallenge, "consent_challenge", func(challenge string, f *flow, c *Client) any {
		return p.consentRequest(r.Context(), challenge, f, c)
	})
}

// servePending writes what a challenge asks.
func (p *Provider) servePending(w http.ResponseWriter, r *http.Request, purpose, in string, show func(string, *flow, *Client) any) error {
	challenge := challengeOf(r, in)
	f, c, done, err := p.pending(r.Context(), purpose, challenge)
	if err != nil {
		return err
	}
	if done {
		return p.gone(w, f)
	}
	return reply(w, http.StatusOK, show(challenge, f, c))
}

func (p *Provider) serveAcceptLogin(w http.ResponseWriter, r *http.Request) error {
	return serveAccept(w, r, "login_challenge", p.AcceptLogin)
}

func (p *Provider) serveAcceptConsent(w http.ResponseWriter, r *http.Request) error {
	return serveAccept(w, r, "consent_challenge", p.AcceptConsent)
}

// serveAccept answers a challenge with the body of a request.
func serveAccept[A any](w http.ResponseWriter, r *http.Request, in string, accept func(string, A) (string, error)) error {
	var a A
	if err := readJSON(r, &a); err != nil {
		return err
	}
	to, err := accept(challengeOf(r, in), a)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, redirectTo{to})
}

func (p *Provider) serveRejectLogin(w http.ResponseWriter, r *http.Request) error {
	return p.serveReject(w, r, loginChallenge, loginVerifier, "login_challenge", "login_verifier")
}

func (p *Provider) serveRejectConsent(w http.ResponseWriter, r *http.Request) error {
	return p.serveReject(w, r, consentChallenge, consentVerifier, "consent_challenge", "consent_verifier")
}

func (p *Provider) serveReject(w http.ResponseWriter, r *http.Request, purpose, verifier, in, out string) error {
	var e refusal
	if err := readJSON(r, &e); err != nil {
		return err
	}
	to, err := p.reject(purpose, verifier, out, challengeOf(r, in), e)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, redirectTo{to})
}

// challengeOf returns a challenge, also under the name that old clients use.
func challengeOf(r *http.Request, name string) string {
	q := r.URL.Query()
	if c := q.Get(name); c != "" {
		return c
	}
	return q.Get("challenge")
}
