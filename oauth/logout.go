package oauth

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/errs"
)

func (p *Provider) logoutRoutes() []Route {
	return []Route{
		{"GET /oauth2/sessions/logout", p.serveLogout},
		{"POST /oauth2/sessions/logout", p.serveLogout},
	}
}

func (p *Provider) logoutAdminRoutes() []Route {
	const requests, sessions = "/admin/oauth2/auth/requests/logout", "/admin/oauth2/auth/sessions"
	return []Route{
		{"GET " + requests, p.serveLogoutRequest},
		{"PUT " + requests + "/accept", p.serveAcceptLogout},
		{"PUT " + requests + "/reject", p.serveRejectLogout},
		{"GET " + sessions + "/consent", p.serveConsents},
		{"DELETE " + sessions + "/consent", p.serveRevokeConsents},
		{"DELETE " + sessions + "/login", p.serveEndLogins},
	}
}

// A logout is a request to log out on its way through the page that asks whether to.
// Like a flow, the browser carries it.
type logout struct {
	ID       string    `json:"i"`
	Login    string    `json:"l"` // to end
	Subject  string    `json:"s"`
	Client   string    `json:"c,omitempty"` // that asks; "": the person by themselves
	Query    string    `json:"q"`
	Redirect string    `json:"r,omitempty"` // where it ends; "": where the server says
	State    string    `json:"e,omitempty"`
	Begun    time.Time `json:"t"`

	// Proved: the client that asks showed an ID token of the login.
	Proved bool `json:"-"`
}

const (
	logoutChallenge = "oauth logout challenge"
	logoutVerifier  = "oauth logout verifier"
)

// serveLogout ends logins (OpenID Connect RP-Initiated Logout 1.0). A browser comes
// here with the request, and again with what the logout page found out.
func (p *Provider) serveLogout(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return p.errorPage(w, r, err)
	}
	if v := r.Form.Get("logout_verifier"); v != "" {
		l, err := p.openLogout(r.Context(), logoutVerifier, v)
		if err != nil {
			return p.errorPage(w, r, err)
		}
		if l.Login == "" { // it was answered before
			return p.afterLogout(w, r, l)
		}
		return p.finishLogout(w, r, l)
	}
	return p.beginLogout(w, r)
}

func (p *Provider) beginLogout(w http.ResponseWriter, r *http.Request) error {
	current, err := p.loginOf(r)
	if err != nil {
		return p.errorPage(w, r, err)
	}
	p.forgetEnded(w, r, current)
	if r.Method == http.MethodPost && current == nil && r.Form.Get("id_token_hint") == "" {
		// Browsers do not send the cookie with a form of another site, but when they
		// follow a link.
		return redirect(w, r, p.own.logout, r.Form)
	}
	l, c, err := p.readLogout(r, current)
	switch {
	case err != nil:
		return p.errorPage(w, r, err)
	case l.Login == "": // nobody is there
		return p.afterLogout(w, r, l)
	case l.Proved && c.SkipLogoutConsent != nil && *c.SkipLogoutConsent:
		return p.finishLogout(w, r, l)
	}
	challenge, err := p.sealFlow(logoutChallenge, l)
	if err != nil {
		return p.errorPage(w, r, err)
	}
	return redirect(w, r, p.page(p.o.URLs.Logout, "logout"), url.Values{"logout_challenge": {challenge}})
}

// readLogout reads and checks a request. The login is that of the ID token if it has
// not ended, else the one that the browser remembers.
func (p *Provider) readLogout(r *http.Request, current *session) (*logout, *Client, error) {
	ctx := r.Context()
	l := &logout{ID: newID(), Query: r.Form.Encode(), State: r.Form.Get("state"), Begun: p.o.Now()}
	sid, c, err := p.logoutClient(ctx, r.Form)
	if err != nil {
		return nil, nil, err
	}
	if c != nil {
		l.Client = c.ID
	}
	if l.Redirect = r.Form.Get("post_logout_redirect_uri"); l.Redirect != "" && !mayEndAt(c, l.Redirect) {
		return nil, nil, fosite.ErrInvalidRequest.WithHint("The parameter \"post_logout_redirect_uri\" is none that the client is registered with, or the request does not say which client it comes from, by \"id_token_hint\" or \"client_id\".")
	}
	if sid != "" {
		row, err := p.store.Login(ctx, sid)
		if err == nil {
			l.Login, l.Subject, l.Proved = sid, row.Subject, true
			return l, c, nil
		}
		if !isKind(err, errs.NotFound) {
			return nil, nil, err
		}
	}
	if current != nil {
		l.Login, l.Subject = current.ID, current.Subject
	}
	return l, c, nil
}

// logoutClient returns which client asks, nil if that is not known, and the sid of the
// ID token that it shows.
func (p *Provider) logoutClient(ctx context.Context, form url.Values) (sid string, c *Client, err error) {
	id := form.Get("client_id")
	if hint := form.Get("id_token_hint"); hint != "" {
		claims, err := p.hint(ctx, hint)
		if err != nil {
			return "", nil, err
		}
		of := audienceOf(claims)
		if len(of) != 1 || id != "" && id != of[0] {
			return "", nil, fosite.ErrInvalidRequest.WithHint("The parameter \"client_id\" is not the client that \"id_token_hint\" is for.")
		}
		id = of[0]
		sid, _ = claims["sid"].(string)
	}
	if id == "" {
		return sid, nil, nil
	}
	c, err = p.client(ctx, id)
	if isKind(err, errs.NotFound) {
		return "", nil, fosite.ErrInvalidRequest.WithHint("The client that the request names is not known.")
	}
	return sid, c, err
}

// audienceOf reads the claim aud, which is one text or several.
func audienceOf(claims map[string]any) []string {
	switch aud := claims["aud"].(type) {
	case string:
		return []string{aud}
	case []any:
		var out []string
		for _, v := range aud {
			if text, ok := v.(string); ok {
				out = append(out, text)
			}
		}
		return out
	}
	return nil
}

// mayEndAt reports whether a client has registered a page for after a logout. A page
// of ours leads there, so it may be no script.
func mayEndAt(c *Client, page string) bool {
	u, err := url.Parse(page)
	return err == nil && c != nil && slices.Contains(c.PostLogoutURIs, page) &&
		!slices.Contains([]string{"", "javascript", "data", "vbscript"}, u.Scheme)
}

// openLogout reads a challenge or a verifier. One that was answered before has no
// login.
//
// NotFound: it is none. Unauthenticated: it has expired.
func (p *Provider) openLogout(ctx context.Context, purpose, sealed string) (*logout, error) {
	l := &logout{}
	if err := p.openFlow(purpose, sealed, l); err != nil {
		return nil, err
	}
	if p.o.Now().After(l.Begun.Add(p.o.TTL.Challenge)) {
		return nil, errs.New(errs.Unauthenticated, "the logout request has expired, please begin again")
	}
	switch _, err := p.store.Token(ctx, UsedID, l.use()); {
	case err == nil:
		l.Login = ""
	case !isKind(err, errs.NotFound):
		return nil, err
	}
	return l, nil
}

// use is under what it is stored that the logout was answered.
func (l *logout) use() Hash { return hashOf("logout " + l.ID) }

// answerLogout notes that a logout was answered, so that it is not answered again.
func (p *Provider) answerLogout(ctx context.Context, l *logout) error {
	now := p.o.Now()
	err := p.store.PutTokens(ctx, Token{Kind: UsedID, Hash: l.use(), Created: now, Expires: now.Add(p.o.TTL.Challenge)})
	if isKind(err, errs.Conflict) {
		return nil
	}
	return err
}

// finishLogout ends the login, and that of the browser if it is the same person's.
func (p *Provider) finishLogout(w http.ResponseWriter, r *http.Request, l *logout) error {
	ctx := r.Context()
	current, err := p.loginOf(r)
	if err != nil {
		return p.errorPage(w, r, err)
	}
	logins := []string{l.Login}
	mine := current == nil || current.Subject == l.Subject
	if current != nil && mine && current.ID != l.Login {
		logins = append(logins, current.ID)
	}
	var told []participant
	for _, id := range logins {
		more, err := p.endLogin(ctx, id)
		if err != nil {
			return p.errorPage(w, r, err)
		}
		told = append(told, more...)
	}
	if err := p.answerLogout(ctx, l); err != nil {
		return p.errorPage(w, r, err)
	}
	if mine {
		p.forgetLogin(w)
	}
	return p.afterLogout(w, r, l, told...)
}

// afterLogout sends the browser on, by way of the clients that are told there.
func (p *Provider) afterLogout(w http.ResponseWriter, r *http.Request, l *logout, told ...participant) error {
	to, more := p.page(p.o.URLs.PostLogout, "post_logout_redirect"), url.Values{}
	if l.Redirect != "" {
		to = l.Redirect
		if l.State != "" {
			more.Set("state", l.State)
		}
	}
	if frames := p.frames(told); len(frames) > 0 {
		return writeFrames(w, frames, to, more)
	}
	return redirect(w, r, to, more)
}

// A LogoutRequest asks whether to log out.
type LogoutRequest struct {
	Challenge   string    `json:"challenge"`
	Subject     string    `json:"subject"`
	SessionID   string    `json:"sid"`
	RequestURL  string    `json:"request_url"`
	ByClient    bool      `json:"rp_initiated"`
	Client      *Client   `json:"client,omitempty"` // nil: the person by themselves
	RequestedAt time.Time `json:"requested_at"`
	ExpiresAt   time.Time `json:"expires_at"`

	// UILocales and Hint are what the client told the page. Hydra does not have them.
	UILocales string `json:"ui_locales,omitempty"`
	Hint      string `json:"logout_hint,omitempty"`
}

// errAnswered tells that a logout was answered.
var errAnswered = errs.New(errs.Refused, "the logout request was answered before")

// LogoutRequest returns what a logout challenge asks.
//
// NotFound: it is no challenge. Unauthenticated: it has expired. Refused: it was
// answered.
func (p *Provider) LogoutRequest(ctx context.Context, challenge string) (*LogoutRequest, error) {
	l, err := p.openLogout(ctx, logoutChallenge, challenge)
	if err != nil {
		return nil, err
	}
	if l.Login == "" {
		return nil, errAnswered
	}
	return p.logoutRequest(ctx, challenge, l)
}

func (p *Provider) logoutRequest(ctx context.Context, challenge string, l *logout) (*LogoutRequest, error) {
	q := &LogoutRequest{
		Challenge: challenge, Subject: l.Subject, SessionID: l.Login, RequestURL: p.logoutURL(l), ByClient: l.Client != "",
		RequestedAt: l.Begun.UTC(), ExpiresAt: l.Begun.Add(p.o.TTL.Challenge).UTC(),
	}
	if form, err := url.ParseQuery(l.Query); err == nil {
		q.UILocales, q.Hint = form.Get("ui_locales"), form.Get("logout_hint")
	}
	if l.Client == "" {
		return q, nil
	}
	var err error
	q.Client, err = p.client(ctx, l.Client)
	if isKind(err, errs.NotFound) {
		return q, nil
	}
	return q, err
}

// logoutURL is where a logout began.
func (p *Provider) logoutURL(l *logout) string { return p.own.logout + "?" + l.Query }

// AcceptLogout answers a logout challenge with a yes, and returns where to send the
// browser, which ends the login.
//
// NotFound, Unauthenticated, Refused: as for LogoutRequest.
func (p *Provider) AcceptLogout(ctx context.Context, challenge string) (string, error) {
	l, err := p.openLogout(ctx, logoutChallenge, challenge)
	if err != nil {
		return "", err
	}
	if l.Login == "" {
		return "", errAnswered
	}
	verifier, err := p.sealFlow(logoutVerifier, l)
	if err != nil {
		return "", err
	}
	return p.own.logout + "?" + url.Values{"logout_verifier": {verifier}}.Encode(), nil
}

// RejectLogout answers a logout challenge with a no.
//
// NotFound, Unauthenticated: as for LogoutRequest.
func (p *Provider) RejectLogout(ctx context.Context, challenge string) error {
	l, err := p.openLogout(ctx, logoutChallenge, challenge)
	if err != nil {
		return err
	}
	return p.answerLogout(ctx, l)
}

// The admin handlers below are those functions over HTTP.

func (p *Provider) serveLogoutRequest(w http.ResponseWriter, r *http.Request) error {
	challenge := challengeOf(r, "logout_challenge")
	l, err := p.openLogout(r.Context(), logoutChallenge, challenge)
	if err != nil {
		return err
	}
	if l.Login == "" {
		return reply(w, http.StatusGone, redirectTo{p.logoutURL(l)})
	}
	q, err := p.logoutRequest(r.Context(), challenge, l)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, q)
}

func (p *Provider) serveAcceptLogout(w http.ResponseWriter, r *http.Request) error {
	to, err := p.AcceptLogout(r.Context(), challengeOf(r, "logout_challenge"))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, redirectTo{to})
}

func (p *Provider) serveRejectLogout(w http.ResponseWriter, r *http.Request) error {
	if err := p.RejectLogout(r.Context(), challengeOf(r, "logout_challenge")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
