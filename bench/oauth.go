package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// An OAuth is a server with clients that the benchmark knows, and is the app that
// answers its challenges.
type OAuth struct {
	httpClient
	public, admin string // URLs
	opaque, jwt   oauthClient
}

type oauthClient struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// OAuthPages is where a server that is driven must send browsers to log in and to
// consent: nobody answers there, since the driver does it over the API.
const OAuthPages = "http://app.invalid/"

const oauthCallback = "https://client.invalid/callback"

// NewOAuth registers clients at a server. callers is how many connections to keep.
func NewOAuth(ctx context.Context, public, admin string, callers int) (*OAuth, error) {
	o := newOAuth(public, admin, callers)
	for strategy, c := range map[string]*oauthClient{"opaque": &o.opaque, "jwt": &o.jwt} {
		err := o.send(ctx, "POST", admin+"/admin/clients", map[string]any{
			"redirect_uris": []string{oauthCallback}, "scope": "openid offline_access profile read", "response_types": []string{"code"},
			"grant_types": []string{"authorization_code", "refresh_token", "client_credentials"}, "access_token_strategy": strategy,
		}, c)
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

func newOAuth(public, admin string, callers int) *OAuth {
	return &OAuth{httpClient: newHTTPClient(callers), public: public, admin: admin}
}

// Ops returns what is measured.
func (o *OAuth) Ops() []HTTPOp {
	return []HTTPOp{
		{OAuthCredentials, always(func(ctx context.Context) error { return o.credentials(ctx, o.opaque, "ory_at_") })},
		{OAuthJWT, always(func(ctx context.Context) error { return o.credentials(ctx, o.jwt, "ey") })},
		{OAuthIntrospect, func(ctx context.Context) (func(context.Context) error, error) {
			return o.introspect(ctx, o.admin+"/admin/oauth2/introspect")
		}},
		{OAuthIntrospectClient, func(ctx context.Context) (func(context.Context) error, error) {
			return o.introspect(ctx, o.public+"/oauth2/introspect")
		}},
		{OAuthRefresh, o.refresh},
		{OAuthLogin, always(func(ctx context.Context) error {
			_, err := o.login(ctx)
			return err
		})},
		{OAuthDiscovery, o.document("openid-configuration", "issuer")},
		{OAuthJWKS, o.document("jwks.json", "keys")},
	}
}

// Names of what is measured.
const (
	OAuthCredentials      = "client credentials"
	OAuthJWT              = "client credentials, JWT"
	OAuthIntrospect       = "introspection"
	OAuthIntrospectClient = "introspection by a client"
	OAuthRefresh          = "refresh with ID token"
	OAuthLogin            = "whole OIDC login"
	OAuthDiscovery        = "discovery"
	OAuthJWKS             = "JWKS"
)

// oauthTokens is an answer of the token endpoint.
type oauthTokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
}

func (o *OAuth) tokens(ctx context.Context, c oauthClient, form url.Values) (t oauthTokens, err error) {
	err = o.post(ctx, o.public+"/oauth2/token", c, form, &t)
	return t, err
}

func (o *OAuth) credentials(ctx context.Context, c oauthClient, prefix string) error {
	t, err := o.tokens(ctx, c, url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}})
	if err == nil && !strings.HasPrefix(t.Access, prefix) {
		err = fmt.Errorf("the access token %.10q... is of the wrong kind", t.Access)
	}
	return err
}

func (o *OAuth) introspect(ctx context.Context, at string) (func(context.Context) error, error) {
	t, err := o.tokens(ctx, o.opaque, url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		var in struct {
			Active bool   `json:"active"`
			Client string `json:"client_id"`
		}
		if err := o.post(ctx, at, o.opaque, url.Values{"token": {t.Access}}, &in); err != nil {
			return err
		}
		if !in.Active || in.Client != o.opaque.ID {
			return fmt.Errorf("wrong answer: the token is %+v", in)
		}
		return nil
	}, nil
}

func (o *OAuth) refresh(ctx context.Context) (func(context.Context) error, error) {
	t, err := o.login(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if t, err = o.tokens(ctx, o.opaque, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {t.Refresh}}); err != nil {
			return err
		}
		return t.complete()
	}, nil
}

// complete reports an error if something of a login is missing.
func (t oauthTokens) complete() error {
	if t.Access == "" || t.Refresh == "" || t.ID == "" {
		return errors.New("one of access token, refresh token and ID token is missing")
	}
	return nil
}

// document asks for public JSON that has a field, and again and again for the same bytes: a
// caller who unpacks them each time would keep the server waiting, which costs it more than
// to answer.
func (o *OAuth) document(name, field string) func(context.Context) (func(context.Context) error, error) {
	get := func(ctx context.Context) (httpAnswer, error) {
		r, err := http.NewRequestWithContext(ctx, "GET", o.public+"/.well-known/"+name, nil)
		if err != nil {
			return httpAnswer{}, err
		}
		r.Header.Set("Accept-Encoding", "gzip") // as is usual; set here, the answer is left as it comes
		a, err := o.answer(r)
		if err == nil && a.status != http.StatusOK {
			err = a.wrong()
		}
		return a, err
	}
	return func(ctx context.Context) (func(context.Context) error, error) {
		first, err := get(ctx)
		if err == nil {
			err = first.hasField(field)
		}
		return func(ctx context.Context) error {
			a, err := get(ctx)
			if err == nil && !bytes.Equal(a.text, first.text) {
				err = fmt.Errorf("%s is another document now", name)
			}
			return err
		}, err
	}
}

// hasField reports an error unless the answer, packed or not, is JSON with a field.
func (a httpAnswer) hasField(field string) error {
	var text io.Reader = bytes.NewReader(a.text)
	if a.header.Get("Content-Encoding") == "gzip" {
		var err error
		if text, err = gzip.NewReader(text); err != nil {
			return err
		}
	}
	var got map[string]json.RawMessage
	if err := json.NewDecoder(text).Decode(&got); err != nil {
		return err
	}
	if got[field] == nil {
		return fmt.Errorf("the document has no %s", field)
	}
	return nil
}

// login is the code flow with PKCE: a new browser, the app that answers the two
// challenges as Hydra's protocol has it, and the client.
func (o *OAuth) login(ctx context.Context) (t oauthTokens, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return t, err
	}
	b := &http.Client{Transport: o.http.Transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	at := o.public + "/oauth2/auth?" + url.Values{
		"client_id": {o.opaque.ID}, "redirect_uri": {oauthCallback}, "response_type": {"code"}, "state": {rand.Text()},
		"scope": {"openid offline_access"}, "nonce": {rand.Text()},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}.Encode()
	for _, kind := range []string{"login", "consent"} {
		page, err := open(ctx, b, at)
		if err != nil {
			return t, err
		}
		challenge := page.Query().Get(kind + "_challenge")
		if challenge == "" {
			return t, fmt.Errorf("expected a page with a %s challenge, got %.200s", kind, page)
		}
		if at, err = o.accept(ctx, kind, challenge); err != nil {
			return t, err
		}
	}
	end, err := open(ctx, b, at)
	if err != nil {
		return t, err
	}
	t, err = o.tokens(ctx, o.opaque, url.Values{
		"grant_type": {"authorization_code"}, "code": {end.Query().Get("code")}, "redirect_uri": {oauthCallback}, "code_verifier": {verifier},
	})
	if err != nil {
		return t, fmt.Errorf("after %.200s: %w", end, err)
	}
	return t, t.complete()
}

// accept answers a challenge, and returns where the browser goes on.
func (o *OAuth) accept(ctx context.Context, kind, challenge string) (string, error) {
	at := o.admin + "/admin/oauth2/auth/requests/" + kind
	query := "?" + url.Values{kind + "_challenge": {challenge}}.Encode()
	var asked struct {
		Scopes []string `json:"requested_scope"`
	}
	if err := o.send(ctx, "GET", at+query, nil, &asked); err != nil {
		return "", err
	}
	answer := map[string]any{"subject": rand.Text()} // people log in a few times, and not thousands
	if kind == "consent" {
		answer = map[string]any{"grant_scope": asked.Scopes, "session": map[string]any{"id_token": map[string]any{"name": "Ann"}}}
	}
	var then struct {
		To string `json:"redirect_to"`
	}
	err := o.send(ctx, "PUT", at+"/accept"+query, answer, &then)
	return then.To, err
}

// open gets a page that redirects, and returns where to.
func open(ctx context.Context, b *http.Client, at string) (*url.URL, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", at, nil)
	if err != nil {
		return nil, err
	}
	resp, err := b.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, err
	}
	return resp.Location()
}

// post sends a form as a client, with the secret in the header.
func (o *OAuth) post(ctx context.Context, at string, c oauthClient, form url.Values, into any) error {
	r, err := http.NewRequestWithContext(ctx, "POST", at, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if c.ID != "" {
		r.SetBasicAuth(url.QueryEscape(c.ID), url.QueryEscape(c.Secret))
	}
	return o.do(r, into)
}
