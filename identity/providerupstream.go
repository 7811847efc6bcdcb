package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardea-iam/cardea/internal/errs"
)

// An upstream is a provider that we talk to. It may be used from many goroutines.
type upstream struct {
	Provider
	http     *http.Client
	redirect string // where it sends browsers back to
	now      func() time.Time

	mu     sync.Mutex // guards what follows
	meta   *metadata
	metaAt time.Time
	keys   jose.JSONWebKeySet
	keysAt time.Time
}

// An account is somebody at a provider.
type account struct {
	Provider string
	Subject  string
	Claims   map[string]any
	Verified bool // the e-mail address in the claims is theirs

	IDToken      string `json:",omitempty"`
	AccessToken  string `json:",omitempty"`
	RefreshToken string `json:",omitempty"`
}

// identifier is the one of the credential.
func (a *account) identifier() string { return a.Provider + ":" + a.Subject }

// A claimsReader asks a provider that has no ID tokens who somebody is, and answers in
// the claims of OpenID Connect.
type claimsReader func(ctx context.Context, u *upstream, token string) (map[string]any, error)

// ask returns where a browser logs in.
func (u *upstream) ask(ctx context.Context, t ticket, sealed string, more url.Values) (string, error) {
	m, err := u.discover(ctx)
	if err != nil {
		return "", err
	}
	at, err := url.Parse(m.Auth)
	if err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" {
		return "", errs.New(errs.Unavailable, "the authorization endpoint of %s is no URL", u.ID)
	}
	q := at.Query()
	for name, values := range more {
		q.Set(name, values[0])
	}
	q.Set("client_id", u.ClientID)
	q.Set("redirect_uri", u.redirect)
	q.Set("response_type", "code")
	q.Set("scope", strings.Join(u.Scope, " "))
	q.Set("state", sealed)
	if u.openID() {
		q.Set("nonce", t.Nonce)
	}
	if u.pkce(m) {
		sum := sha256.Sum256([]byte(t.Verifier))
		q.Set("code_challenge", base64.RawURLEncoding.EncodeToString(sum[:]))
		q.Set("code_challenge_method", "S256")
	}
	if len(u.RequestedClaims) > 0 {
		text, err := json.Marshal(u.RequestedClaims)
		if err != nil {
			return "", errs.Wrap(errs.Internal, err, "requested_claims of %s", u.ID)
		}
		q.Set("claims", string(text))
	}
	if u.Kind == "apple" {
		q.Set("response_mode", "form_post") // which it wants for any scope
	}
	at.RawQuery = q.Encode()
	return at.String(), nil
}

func (u *upstream) pkce(m *metadata) bool {
	return u.PKCE == "force" || u.PKCE == "auto" && slices.Contains(m.PKCE, "S256")
}

// redeem exchanges the code for who somebody is.
//
// Denied, Unavailable: that is not to be found out.
func (u *upstream) redeem(ctx context.Context, code string, t ticket) (*account, error) {
	m, err := u.discover(ctx)
	if err != nil {
		return nil, err
	}
	var tokens struct {
		ID      string `json:"id_token"`
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	r, err := u.tokenRequest(ctx, m, code, t)
	if err != nil {
		return nil, err
	}
	if err := u.do(r, &tokens); err != nil {
		return nil, err
	}
	a := &account{Provider: u.ID, IDToken: tokens.ID, AccessToken: tokens.Access, RefreshToken: tokens.Refresh}
	switch read := presets[u.Kind].claims; {
	case read != nil:
		a.Claims, err = read(ctx, u, tokens.Access)
	case u.openID():
		a.Claims, err = u.idToken(ctx, tokens.ID, t.Nonce, []string{u.ClientID})
		if err == nil && u.ClaimsSource == "userinfo" {
			err = u.addUserinfo(ctx, m, a)
		}
	default:
		err = u.fetch(ctx, m.Userinfo, tokens.Access, &a.Claims)
	}
	if err != nil {
		return nil, err
	}
	return a, u.name(a)
}

// addUserinfo adds what the userinfo endpoint says, if it is about the same person
// (OpenID Connect Core, section 5.3.2).
func (u *upstream) addUserinfo(ctx context.Context, m *metadata, a *account) error {
	var more map[string]any
	if err := u.fetch(ctx, m.Userinfo, a.AccessToken, &more); err != nil {
		return err
	}
	if more["sub"] != a.Claims["sub"] {
		return errs.New(errs.Denied, "the userinfo of %s is about somebody else", u.ID)
	}
	for name, v := range more {
		if _, has := a.Claims[name]; !has {
			a.Claims[name] = v
		}
	}
	return nil
}

// name says by which claim somebody is known, and whether the address is theirs.
func (u *upstream) name(a *account) error {
	source := "sub"
	if u.SubjectSource == "oid" {
		source = "oid"
	}
	switch v := a.Claims[source].(type) {
	case string:
		a.Subject = v
	case json.Number:
		a.Subject = v.String()
	}
	if a.Subject == "" && !u.openID() { // of an OAuth2 server that knows no sub
		switch v := a.Claims["id"].(type) {
		case string:
			a.Subject = v
		case json.Number:
			a.Subject = v.String()
		}
	}
	if a.Subject == "" || len(a.Subject) > 255 {
		return errs.New(errs.Denied, "%s does not say who it is", u.ID)
	}
	if trusts := presets[u.Kind].trusts; trusts != nil {
		a.Verified = trusts(a.Claims)
	} else {
		a.Verified = isTrue(a.Claims["email_verified"])
	}
	return nil
}

// isTrue accepts what Apple writes, too.
func isTrue(v any) bool { return v == true || v == "true" }

// tokenRequest is the request of section 4.1.3 of RFC 6749.
func (u *upstream) tokenRequest(ctx context.Context, m *metadata, code string, t ticket) (*http.Request, error) {
	secret, err := u.secret()
	if err != nil {
		return nil, err
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {u.redirect}}
	if u.pkce(m) {
		form.Set("code_verifier", t.Verifier)
	}
	basic := secret != "" && !presets[u.Kind].post &&
		(len(m.AuthMethods) == 0 || slices.Contains(m.AuthMethods, "client_secret_basic") || !slices.Contains(m.AuthMethods, "client_secret_post"))
	if !basic {
		form.Set("client_id", u.ClientID)
		if secret != "" {
			form.Set("client_secret", secret)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errs.Wrap(errs.Unavailable, err, "the token endpoint of %s is no URL", u.ID)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		r.SetBasicAuth(url.QueryEscape(u.ClientID), url.QueryEscape(secret))
	}
	return r, nil
}

// microsoftTrusts: the address is what the administrator of any tenant writes, unless
// the domain's owner has been verified.
func microsoftTrusts(claims map[string]any) bool {
	v := claims["xms_edov"]
	return isTrue(v) || v == "1" || v == json.Number("1")
}

// githubClaims asks GitHub, or an enterprise server at issuer_url, for the user and the
// primary address, which is elsewhere if it is hidden.
func githubClaims(ctx context.Context, u *upstream, token string) (map[string]any, error) {
	var user struct {
		ID                 int64
		Login, Name, Email string
		Avatar             string `json:"avatar_url"`
	}
	if err := u.fetch(ctx, u.api+"/user", token, &user); err != nil {
		return nil, err
	}
	claims := map[string]any{"preferred_username": user.Login, "name": user.Name, "picture": user.Avatar}
	if user.ID != 0 {
		claims["sub"] = strconv.FormatInt(user.ID, 10)
	}
	if !slices.Contains(u.Scope, "user:email") && !slices.Contains(u.Scope, "user") {
		return claims, nil
	}
	var emails []struct {
		Email             string
		Primary, Verified bool
	}
	if err := u.fetch(ctx, u.api+"/user/emails", token, &emails); err != nil {
		return nil, err
	}
	for _, e := range emails {
		if e.Primary {
			claims["email"], claims["email_verified"] = e.Email, e.Verified
		}
	}
	return claims, nil
}

func discordClaims(ctx context.Context, u *upstream, token string) (map[string]any, error) {
	var user struct {
		ID, Username, Email, Locale string
		Global                      string `json:"global_name"`
		Verified                    bool
	}
	if err := u.fetch(ctx, u.api+"/users/@me", token, &user); err != nil {
		return nil, err
	}
	return map[string]any{"sub": user.ID, "preferred_username": user.Username, "name": or(user.Global, user.Username),
		"email": user.Email, "email_verified": user.Verified, "locale": user.Locale}, nil
}

// facebookClaims shows that we know the client's secret, so that a token that was stolen
// from an app is not enough.
func facebookClaims(ctx context.Context, u *upstream, token string) (map[string]any, error) {
	mac := hmac.New(sha256.New, []byte(u.ClientSecret))
	mac.Write([]byte(token))
	var user struct {
		ID, Name, Email string
		First           string `json:"first_name"`
		Last            string `json:"last_name"`
	}
	at := withQuery(u.api+"/me", "fields", "id,name,first_name,last_name,email", "appsecret_proof", hex.EncodeToString(mac.Sum(nil)))
	if err := u.fetch(ctx, at, token, &user); err != nil {
		return nil, err
	}
	return map[string]any{"sub": user.ID, "name": user.Name, "given_name": user.First, "family_name": user.Last, "email": user.Email}, nil
}
