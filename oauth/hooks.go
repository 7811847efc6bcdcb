package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"github.com/cardea-iam/cardea/internal/egress"
	"github.com/cardea-iam/cardea/internal/errs"
)

// Hooks are asked before tokens are made.
type Hooks struct {
	Token   Hook // before all
	Refresh Hook // before those of a refresh token, first

	// Private lists the URLs of hooks that may be at private addresses
	// (clients.http.private_ip_exception_urls).
	Private []string
}

// A Hook is a server that decides over tokens, as Hydra's hooks do.
type Hook struct {
	URL  string // "": there is none
	Auth HookAuth
}

// HookAuth is how a hook knows who asks. Without a name it does not.
type HookAuth struct {
	Type        string // api_key (the default)
	In          string // header (the default) or cookie
	Name, Value string
}

func (h Hook) check(name string) error {
	u, err := url.Parse(h.URL)
	switch {
	case h.URL == "":
		return nil
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errs.New(errs.Invalid, "oauth2.%s.url: expected an http(s) URL", name)
	case h.Auth.Type != "" && h.Auth.Type != "api_key":
		return errs.New(errs.Invalid, "oauth2.%s.auth.type: expected api_key", name)
	case !slices.Contains([]string{"", "header", "cookie"}, h.Auth.In):
		return errs.New(errs.Invalid, "oauth2.%s.auth.config.in: expected header or cookie", name)
	}
	return nil
}

// authorize adds what the hook knows us by.
func (a HookAuth) authorize(r *http.Request) {
	switch {
	case a.Name == "":
	case a.In == "cookie":
		r.AddCookie(&http.Cookie{Name: a.Name, Value: a.Value})
	default:
		r.Header.Set(a.Name, a.Value)
	}
}

// The types below are the bodies of Hydra's hooks.

type hookSession struct {
	ID        hookID         `json:"id_token"`
	Extra     map[string]any `json:"extra"`
	Client    string         `json:"client_id"`
	Challenge string         `json:"consent_challenge"`
	ExcludeNB bool           `json:"exclude_not_before_claim"`
	TopLevel  []string       `json:"allowed_top_level_claims"`
	Mirror    bool           `json:"mirror_top_level_claims"`
}

type hookID struct {
	Claims   hookClaims        `json:"id_token_claims"`
	Headers  map[string]any    `json:"headers"`
	Expires  map[string]string `json:"expires_at"`
	Username string            `json:"username"`
	Subject  string            `json:"subject"`
}

type hookClaims struct {
	Issuer   string         `json:"iss"`
	Subject  string         `json:"sub"`
	Audience []string       `json:"aud"`
	Nonce    string         `json:"nonce"`
	AuthTime *time.Time     `json:"auth_time,omitempty"`
	ACR      string         `json:"acr"`
	AMR      []string       `json:"amr"`
	Extra    map[string]any `json:"ext"`
}

type hookRequest struct {
	Client    string              `json:"client_id"`
	Requested []string            `json:"requested_scopes,omitempty"`
	Scopes    []string            `json:"granted_scopes"`
	Audience  []string            `json:"granted_audience"`
	Grants    []string            `json:"grant_types"`
	Payload   map[string][]string `json:"payload,omitempty"`
}

type tokenHookBody struct {
	Session hookSession `json:"session"`
	Request hookRequest `json:"request"`
}

type refreshHookBody struct {
	Subject   string      `json:"subject"`
	Session   hookSession `json:"session"`
	Requester hookRequest `json:"requester"`
	Client    string      `json:"client_id"`
	Scopes    []string    `json:"granted_scopes"`
	Audience  []string    `json:"granted_audience"`
}

// shown are the parameters of a request that hooks see: none that is a secret.
var shown = []string{"grant_type", "response_type", "scope", "client_id", "assertion"}

// askHooks lets the hooks change the claims of tokens that are about to be made, or
// refuse them. Nothing has been redeemed yet.
func (p *Provider) askHooks(ctx context.Context, x *exchange, form url.Values) error {
	if p.o.Hooks.Refresh.URL != "" && x.grant == grantRefresh {
		r := x.hookRequest(nil)
		body := refreshHookBody{x.about(), p.hookSession(x), r, r.Client, r.Scopes, r.Audience}
		if err := p.askHook(ctx, x, p.o.Hooks.Refresh, body); err != nil {
			return err
		}
	}
	if p.o.Hooks.Token.URL == "" {
		return nil
	}
	payload := map[string][]string{}
	for _, name := range shown {
		if values := form[name]; len(values) > 0 {
			payload[name] = values
		}
	}
	r := x.hookRequest(payload)
	r.Requested = strings.Fields(form.Get("scope"))
	return p.askHook(ctx, x, p.o.Hooks.Token, tokenHookBody{p.hookSession(x), r})
}

func (x *exchange) hookRequest(payload map[string][]string) hookRequest {
	audience := x.Audience
	if x.audience != nil {
		audience = x.audience
	}
	return hookRequest{Client: x.client.ID, Scopes: list(x.given()), Audience: list(audience), Grants: []string{x.grant}, Payload: payload}
}

// hookSession is what tokens are to say, in Hydra's words.
func (p *Provider) hookSession(x *exchange) hookSession {
	s := hookSession{
		Extra: x.AccessClaims, Client: x.Client, Challenge: x.Grant,
		ExcludeNB: p.o.AccessClaims.NoNBF, TopLevel: list(p.o.AccessClaims.TopLevel), Mirror: !p.o.AccessClaims.NoMirror,
		ID: hookID{
			Claims: hookClaims{
				Issuer: p.issuer(), Subject: x.Subject, Audience: []string{x.Client}, Nonce: x.Nonce, ACR: x.ACR, AMR: list(x.AMR), Extra: x.IDClaims,
			},
			Headers: map[string]any{"extra": map[string]any{}}, Expires: map[string]string{}, Subject: x.about(),
		},
	}
	if x.AuthTime != 0 {
		at := time.Unix(x.AuthTime, 0).UTC()
		s.ID.Claims.AuthTime = &at
	}
	return s
}

// askHook posts a question to a hook, and does what it says.
func (p *Provider) askHook(ctx context.Context, x *exchange, h Hook, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the question to a token hook cannot be encoded")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(text))
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the URL of a token hook cannot be used")
	}
	r.Header.Set("Content-Type", "application/json;charset=UTF-8")
	h.Auth.authorize(r)
	client := *p.o.HTTP
	if slices.Contains(p.o.Hooks.Private, h.URL) {
		client = *p.private
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(r)
	if err != nil {
		return errs.Wrap(errs.Unavailable, err, "the token hook does not answer")
	}
	raw, err := egress.Body(resp)
	switch resp.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusForbidden:
		return errHookSaysNo
	case http.StatusOK:
	default:
		return errs.New(errs.Internal, "the token hook answers %d: expected 200, 204 or 403", resp.StatusCode)
	}
	var answer struct {
		Session ConsentSession `json:"session"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &answer)
	}
	if err != nil {
		return errs.Wrap(errs.Internal, err, "the answer of the token hook cannot be read")
	}
	x.AccessClaims, x.IDClaims = answer.Session.Access, answer.Session.ID
	return nil
}

// errHookSaysNo has the status of RFC 6749, section 5.2.
var errHookSaysNo = &fosite.RFC6749Error{
	ErrorField: fosite.ErrAccessDenied.ErrorField, CodeField: http.StatusForbidden,
	DescriptionField: "The token was refused by a rule of this server.",
}
