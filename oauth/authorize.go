package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

// serveAuthorize is the authorization endpoint (RFC 6749, section 3.1). A browser comes
// here three times: with the request, with what the login page found out, and with
// what the consent page did.
func (p *Provider) serveAuthorize(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return p.errorPage(w, r, err)
	}
	switch {
	case r.Form.Get("login_verifier") != "":
		return p.afterLogin(w, r)
	case r.Form.Get("consent_verifier") != "":
		return p.afterConsent(w, r)
	case p.withoutCookies(r):
		return redirect(w, r, p.own.authorize, r.Form)
	default:
		return p.begin(w, r)
	}
}

// maxMoved bounds the parameters that are moved from a form into an address, in bytes.
const maxMoved = 4 << 10

// withoutCookies reports whether a form may have come from another site. Browsers send
// the cookie of a login with none of those, but when they follow a redirect.
func (p *Provider) withoutCookies(r *http.Request) bool {
	return r.Method == http.MethodPost && p.cookieValue(r, loginCookie) == "" && len(r.Form.Encode()) <= maxMoved
}

// An authorization is a request that was read.
type authorization struct {
	*fosite.AuthorizeRequest
	client *Client
	form   url.Values
	claims *ClaimsRequest
}

// authorization reads and checks a request. Even with an error it returns what is
// needed to tell the client of it, if that may be told. The client is read unless it is
// the one that was found.
func (p *Provider) authorization(ctx context.Context, form url.Values, found *Client) (*authorization, error) {
	requested, err := p.authorizeRequest(ctx, withoutRepeats(mergeTargets(form)), found)
	a := &authorization{AuthorizeRequest: requested, form: requested.GetRequestForm()}
	a.client, _ = requested.GetClient().(*Client)
	if err != nil {
		return a, err
	}
	// A fragment that is empty is gone once the URI is parsed (RFC 6749, section 3.1.2).
	if !redirectAllowed(a.client.RedirectURIs, a.RedirectURI) || strings.Contains(a.form.Get("redirect_uri"), "#") {
		a.RedirectURI = nil
		return a, fosite.ErrInvalidRequest.WithHint("The parameter \"redirect_uri\" is none that the client is registered with.")
	}
	return a, a.check(p)
}

// redirectAllowed compares by characters, but for the port of a loopback address
// (RFC 8252, section 7.3), which fosite does for other schemes than http, too.
func redirectAllowed(registered []string, asked *url.URL) bool {
	if asked == nil {
		return false
	}
	if slices.Contains(registered, asked.String()) {
		return true
	}
	if asked.Scheme != "http" || !isLoopback(asked.Hostname()) || asked.Hostname() == "localhost" {
		return false
	}
	return slices.ContainsFunc(registered, func(text string) bool {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "http" {
			return false
		}
		same := *asked
		same.Host = u.Host
		return u.Hostname() == asked.Hostname() && same.String() == u.String()
	})
}

// prompts are the values of prompt that are known.
var prompts = []string{"none", "login", "consent", "select_account", "registration", "create"}

// check is what fosite leaves to handlers, or does too late: after the login.
func (a *authorization) check(p *Provider) error {
	for _, prompt := range a.prompts() {
		if !slices.Contains(prompts, prompt) {
			return fosite.ErrInvalidRequest.WithHintf("The parameter \"prompt\" has the value %.50q: expected one of %s.", prompt, strings.Join(prompts, ", "))
		}
		if prompt == "none" && len(a.prompts()) > 1 {
			return fosite.ErrInvalidRequest.WithHint("The parameter \"prompt\" has \"none\" beside other values.")
		}
	}
	if _, err := a.maxAge(); err != nil {
		return err
	}
	var err error
	if a.claims, err = parseClaims(a.form.Get("claims")); err != nil {
		return err
	}
	p.restrict(a.client, a.claims)
	types := a.GetResponseTypes()
	switch {
	case types.Has("code") && !a.client.may(grantCode):
		return fosite.ErrUnauthorizedClient.WithHint("The client may not use the grant type \"authorization_code\".")
	case types.HasOneOf("token", "id_token") && (!a.client.rules().browser || !a.client.may(grantImplicit)):
		return fosite.ErrUnauthorizedClient.WithHint("Tokens in the address of the browser are for clients with the profile \"legacy\" and the grant type \"implicit\".")
	case types.Has("id_token") && !a.GetRequestedScopes().Has(scopeOpenID):
		return fosite.ErrInvalidRequest.WithHint("The scope \"openid\" is missing, without which there is no ID token.")
	case types.Has("id_token") && a.form.Get("nonce") == "":
		return fosite.ErrInvalidRequest.WithHint("The parameter \"nonce\" is missing, which an ID token from this endpoint needs.")
	case types.HasOneOf("token", "id_token") && (a.GetResponseMode() == fosite.ResponseModeQuery || a.GetResponseMode() == modeQueryJWT):
		return fosite.ErrInvalidRequest.WithHint("The response mode \"query\" would put tokens into logs: expected fragment or form_post.")
	}
	if _, err := a.client.allowedTargets(a.form); err != nil {
		return err
	}
	if err := a.checkBinding(); err != nil {
		return err
	}
	return a.checkPKCE(p)
}

// checkPKCE requires RFC 7636 of those who need it, and its S256 of all who use it.
func (a *authorization) checkPKCE(p *Provider) error {
	if !a.GetResponseTypes().Has("code") {
		return nil
	}
	challenge, method := a.form.Get("code_challenge"), a.form.Get("code_challenge_method")
	required := p.o.Grants.PKCE || a.client.IsPublic() || a.client.rules().pkce
	switch {
	case challenge == "" && method != "":
		return fosite.ErrInvalidRequest.WithHint("The parameter \"code_challenge\" is missing.")
	case challenge == "" && required:
		return fosite.ErrInvalidRequest.WithHint("The parameter \"code_challenge\" is missing: this client must use PKCE (RFC 7636).")
	case challenge != "" && method != "S256":
		return fosite.ErrInvalidRequest.WithHint("The parameter \"code_challenge_method\" must be \"S256\".")
	case challenge != "" && len(challenge) != 43:
		return fosite.ErrInvalidRequest.WithHint("The parameter \"code_challenge\" must be the SHA-256 of the verifier in base64url, which has 43 characters.")
	}
	return nil
}

func (a *authorization) prompts() []string { return strings.Fields(a.form.Get("prompt")) }

func (a *authorization) asksFor(prompt string) bool { return slices.Contains(a.prompts(), prompt) }

// maxAge returns how old a login may be; negative: as old as it likes.
func (a *authorization) maxAge() (time.Duration, error) {
	text := a.form.Get("max_age")
	if text == "" {
		return -1, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 32)
	if err != nil || seconds < 0 {
		return 0, fosite.ErrInvalidRequest.WithHint("The parameter \"max_age\" must be a number of seconds.")
	}
	return time.Duration(seconds) * time.Second, nil
}

// begin sends the browser to the login page, with what is known already.
func (p *Provider) begin(w http.ResponseWriter, r *http.Request) error {
	form, from, err := p.resolve(r.Context(), r.Form)
	if err != nil {
		return p.refuse(w, r, p.outside(r.Context(), r.Form), err)
	}
	a, err := p.authorization(r.Context(), form, nil)
	if err == nil {
		err = a.checkSource(from)
	}
	if err != nil {
		return p.refuse(w, r, a, err)
	}
	if age := a.client.DefaultMaxAge; age != nil && a.form.Get("max_age") == "" {
		a.form.Set("max_age", strconv.FormatInt(*age, 10))
	}
	if len(a.acr().values) == 0 && !a.acr().essential && len(a.client.DefaultACR) > 0 {
		a.form.Set("acr_values", strings.Join(a.client.DefaultACR, " "))
	}
	f := &flow{ID: newID(), Session: newID(), Client: a.client.ID, Query: a.form.Encode(), Begun: p.o.Now()}
	if f.Previous, err = p.lastingLogin(r); err != nil {
		return p.refuse(w, r, a, err)
	}
	p.forgetEnded(w, r, f.Previous)
	if err := p.mustAsk(r.Context(), a, f); err != nil {
		return p.refuse(w, r, a, err)
	}
	p.guardFlow(w, f)
	challenge, err := p.sealFlow(loginChallenge, f)
	if err != nil {
		return p.refuse(w, r, a, err)
	}
	page := p.page(p.o.URLs.Login, "login")
	if a.asksFor("registration") || a.asksFor("create") {
		page = p.page(p.o.URLs.Registration, "registration")
	}
	return redirect(w, r, page, url.Values{"login_challenge": {challenge}})
}

// mustAsk forgets the previous login where the client wants people to be asked anew, or
// somebody else, and refuses to ask where it wants nobody to be.
func (p *Provider) mustAsk(ctx context.Context, a *authorization, f *flow) error {
	age, err := a.maxAge()
	if err != nil {
		return err
	}
	if hint := a.form.Get("id_token_hint"); hint != "" {
		if _, err := p.hint(ctx, hint); err != nil {
			return err
		}
	}
	silent := a.asksFor("none")
	if old := f.Previous; old != nil {
		stale := age >= 0 && !p.o.Now().Before(old.AuthTime.Add(age))
		anew := slices.ContainsFunc([]string{"login", "select_account", "registration", "create"}, a.asksFor)
		other := p.checkSubject(ctx, a, old.Subject, old.Forced[f.Client])
		if other != nil && (silent || !errors.Is(other, fosite.ErrLoginRequired)) {
			return other
		}
		if stale || anew || other != nil || a.acr().tooWeak(old.ACR, silent) {
			f.Earlier, f.Previous = old, nil
		}
	}
	if f.Previous == nil && silent && !p.o.Silent {
		return fosite.ErrLoginRequired
	}
	return nil
}

// afterLogin goes on from the login page to the consent page.
func (p *Provider) afterLogin(w http.ResponseWriter, r *http.Request) error {
	f, a, grants, err := p.resume(w, r, loginVerifier, r.Form.Get("login_verifier"))
	if err != nil {
		return p.refuse(w, r, a, err)
	}
	if err := p.checkLogin(r.Context(), a, f.Login); err != nil {
		return p.refuse(w, r, a, err)
	}
	known, err := p.remembered(a, grants)
	if err != nil {
		return p.refuse(w, r, a, err)
	}
	if !known && a.asksFor("none") && !(p.o.Silent && a.client.SkipConsent) {
		return p.refuse(w, r, a, fosite.ErrConsentRequired)
	}
	f.Skip = known
	challenge, err := p.sealFlow(consentChallenge, f)
	if err != nil {
		return p.refuse(w, r, a, err)
	}
	return redirect(w, r, p.page(p.o.URLs.Consent, "consent"), url.Values{"consent_challenge": {challenge}})
}

// resume reads a verifier, and the request that it is for, with what its subject has
// allowed the client before, if that is still to be asked.
func (p *Provider) resume(w http.ResponseWriter, r *http.Request, purpose, verifier string) (*flow, *authorization, []Grant, error) {
	f, err := p.open(purpose, verifier)
	if err == nil && f.Device != "" {
		err = errs.New(errs.NotFound, "the verifier is that of a device")
	}
	if err == nil {
		err = p.guarded(r, f)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	what := Look{Client: f.Client}
	if f.Login != nil && f.Consent == nil {
		what.Grants = GrantQuery{Subject: f.Login.session.Subject, Client: f.Client, Remembered: p.o.Now()}
	}
	c, seen, err := p.look(r.Context(), what)
	if err != nil {
		return nil, nil, nil, err
	}
	a, err := p.authorization(r.Context(), f.form(), c)
	if err == nil && f.Refusal != nil {
		p.forgetFlow(w, f)
		err = f.Refusal.err()
	}
	return f, a, seen.Grants, err
}

// checkLogin checks what the login page found out against what the client asked for.
func (p *Provider) checkLogin(ctx context.Context, a *authorization, l *login) error {
	age, err := a.maxAge()
	if err != nil {
		return err
	}
	// The time between the login and now is the browser's, so a little of it is allowed.
	const slack = 5 * time.Second
	if age > 0 && p.o.Now().After(l.session.AuthTime.Add(age).Add(p.o.TTL.Challenge)) || age == 0 && p.o.Now().After(l.session.AuthTime.Add(p.o.TTL.Challenge)) {
		return fosite.ErrLoginRequired.WithHint("The login is older than \"max_age\" allows.")
	}
	if l.session.AuthTime.After(p.o.Now().Add(slack)) {
		return fosite.ErrServerError.WithHint("The login is in the future.")
	}
	if wish := a.acr(); wish.essential && !wish.metBy(l.session.ACR) {
		return errUnmet
	}
	return p.checkSubject(ctx, a, l.session.Subject, l.session.Forced[a.client.ID])
}

// remembered reports whether the subject has allowed the client before all that it
// asks for now: a public client could be anybody unless its address is known.
func (p *Provider) remembered(a *authorization, grants []Grant) (bool, error) {
	if a.asksFor("consent") || a.client.IsPublic() && a.RedirectURI.Scheme != "https" && !isLoopback(a.RedirectURI.Hostname()) {
		return false, nil
	}
	for _, g := range grants {
		if slices.ContainsFunc(a.GetRequestedScopes(), func(s string) bool { return !p.scopeMatches(g.Scopes, s) }) ||
			slices.ContainsFunc(a.GetRequestedAudience(), func(s string) bool { return !slices.Contains(g.Audience, s) }) {
			continue
		}
		if ok, err := p.allowedBefore(g, a.claims); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// afterConsent ends the flow at the client, with a code or tokens.
func (p *Provider) afterConsent(w http.ResponseWriter, r *http.Request) error {
	f, a, _, err := p.resume(w, r, consentVerifier, r.Form.Get("consent_verifier"))
	if err != nil {
		return p.refuse(w, r, a, err)
	}
	s := p.newSession(a, f)
	answer, err := p.conclude(r.Context(), a, f, s)
	if err != nil {
		return p.refuse(w, r, a, err)
	}
	p.forgetFlow(w, f)
	if l := f.Login; l.Remember {
		p.rememberLogin(w, p.loginRow(l))
	}
	return p.answer(w, r, a, answer)
}

// newSession is what tokens of the flow will say.
func (p *Provider) newSession(a *authorization, f *flow) *Session {
	s := p.consented(a.client, f, grantCode)
	s.Claims = a.claims
	s.Nonce, s.RedirectURI, s.Challenge = a.form.Get("nonce"), a.form.Get("redirect_uri"), a.form.Get("code_challenge")
	s.Confirm = a.boundTo()
	return s
}

// consented is what login and consent say.
func (p *Provider) consented(c *Client, f *flow, grant string) *Session {
	l, k := f.Login, f.Consent
	return &Session{
		Grant: f.ID, Client: f.Client, Account: l.session.Subject, Subject: p.subject(c, l.session.Subject, l.session.Forced[f.Client]),
		Login: l.ID, AuthTime: l.session.AuthTime.Unix(), ACR: l.session.ACR, AMR: l.session.AMR,
		Scopes: k.Scopes, Audience: k.Audience, Type: grant,
		AccessClaims: k.Session.Access, IDClaims: k.Session.ID, Follow: k.Follow,
	}
}

// conclude stores the grant with what is handed out now, and returns the parameters
// for the client.
func (p *Provider) conclude(ctx context.Context, a *authorization, f *flow, s *Session) (url.Values, error) {
	if err := p.present(ctx, f); err != nil {
		return nil, err
	}
	answer := url.Values{}
	var rows []Token
	types := a.GetResponseTypes()
	code := ""
	if types.Has("code") {
		var hash Hash
		code, hash = newToken(codePrefix)
		row, err := p.newStored(Code, hash, s, lifeFor(p.o.TTL.Code, a.client.rules().code))
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
		answer.Set("code", code)
	}
	if types.Has("id_token") && !slices.Contains(s.Scopes, scopeOpenID) {
		return nil, fosite.ErrAccessDenied.WithHint("The scope \"openid\" was not granted.")
	}
	x := &exchange{Session: *s, client: a.client, grant: grantImplicit}
	if err := p.permit(ctx, x); err != nil {
		return nil, err
	}
	out := &issued{}
	if types.Has("token") {
		if err := p.issueAccess(ctx, x, out); err != nil {
			return nil, err
		}
		rows = append(rows, out.rows...)
		answer.Set("access_token", out.access)
		answer.Set("token_type", tokenType(x))
		answer.Set("expires_in", strconv.FormatInt(int64(out.expiresIn.Seconds()), 10))
		answer.Set("scope", strings.Join(x.given(), " "))
	}
	if types.Has("id_token") {
		id, err := p.issueID(ctx, x, besides{out.access, code, a.form.Get("state")})
		if err != nil {
			return nil, err
		}
		answer.Set("id_token", id)
	}
	g, err := p.grantRow(f, s)
	if err != nil {
		return nil, err
	}
	err = p.store.PutGrant(ctx, g, p.loginRow(f.Login), rows...)
	if isKind(err, errs.Conflict) {
		return nil, fosite.ErrAccessDenied.WithHint("The consent was used before.")
	}
	return answer, err
}

// page returns the URL where people are asked, or the fallback that says that there is
// none.
func (p *Provider) page(configured, name string) string {
	if configured != "" {
		return configured
	}
	return p.issuer() + "/oauth2/fallbacks/" + name
}

// redirect sends the browser to a page with more parameters.
func redirect(w http.ResponseWriter, r *http.Request, page string, more url.Values) error {
	u, err := url.Parse(page)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "a page has no URL")
	}
	addQuery(u, more)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
	return nil
}

// addQuery adds parameters to a URI, whose own query stays as it is (RFC 6749, section
// 3.1.2).
func addQuery(u *url.URL, more url.Values) {
	if u.RawQuery != "" && len(more) > 0 {
		u.RawQuery += "&"
	}
	u.RawQuery += more.Encode()
}
