package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// A demo is an application that people log in to: its first page says who they are.
type demo struct {
	*httptest.Server
	j      journeys
	t      *testing.T
	config oauth2.Config
	ids    *oidc.IDTokenVerifier
	proof  string
	token  string // the ID token of who is logged in
	end    string // the end_session_endpoint
}

func (j journeys) demo(t *testing.T) *demo {
	t.Helper()
	return j.named(t, "Tea Party")
}

// named is a demo that calls itself so.
func (j journeys) named(t *testing.T, name string) *demo {
	t.Helper()
	d := &demo{j: j, t: t, proof: oauth2.GenerateVerifier()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", d.home)
	mux.HandleFunc("GET /callback", d.callback)
	d.Server = httptest.NewServer(mux)
	t.Cleanup(d.Close)
	op, err := oidc.NewProvider(t.Context(), j.base)
	if err != nil {
		t.Fatal(err)
	}
	var more struct {
		End string `json:"end_session_endpoint"`
	}
	var made struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := op.Claims(&more); err != nil {
		t.Fatal(err)
	}
	out := j.cardea(t, "client", "create", "--name", name, "--redirect-uri", d.URL+"/callback", "--post-logout-uri", d.URL+"/", "--grant-type", "authorization_code", "--grant-type", "refresh_token", "--scope", "openid email profile offline_access", "-o", "json").must(t)
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	d.end, d.ids = more.End, op.Verifier(&oidc.Config{ClientID: made.ID})
	d.config = oauth2.Config{ClientID: made.ID, ClientSecret: made.Secret, Endpoint: op.Endpoint(), RedirectURL: d.URL + "/callback", Scopes: []string{"openid", "email", "profile", "offline_access"}}
	return d
}

func (d *demo) home(w http.ResponseWriter, _ *http.Request) {
	if d.token == "" {
		fmt.Fprintf(w, `<!doctype html><title>Tea</title><h1>Tea party</h1><a href=%q>Log in</a>`, d.config.AuthCodeURL("s", oauth2.S256ChallengeOption(d.proof)))
		return
	}
	out := d.end + "?" + url.Values{"id_token_hint": {d.token}, "post_logout_redirect_uri": {d.URL + "/"}}.Encode()
	fmt.Fprintf(w, `<!doctype html><title>Tea</title><h1>Hello</h1><a href=%q>Log out</a>`, out)
}

func (d *demo) callback(w http.ResponseWriter, r *http.Request) {
	if e := r.FormValue("error"); e != "" {
		fmt.Fprintf(w, `<!doctype html><title>Tea</title><h1>No tea: %s</h1><a href="/">Back</a>`, e)
		return
	}
	token, err := d.config.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(d.proof))
	var claims struct{ Email string }
	if err == nil {
		d.token, _ = token.Extra("id_token").(string)
		var id *oidc.IDToken
		if id, err = d.ids.Verify(r.Context(), d.token); err == nil {
			err = id.Claims(&claims)
		}
	}
	if err != nil {
		d.t.Errorf("the application gets no tokens: %v", err)
	}
	fmt.Fprintf(w, `<!doctype html><title>Tea</title><h1>Tea for %s</h1><a href="/">Home</a>`, claims.Email)
}

// consent logs in to an application, which is denied access first, and logs out there.
func (j journeys) consent(t *testing.T) {
	const email = "cora@example.com"
	j.registered(t, email)
	d := j.demo(t)
	v := j.tab(t, j.base)
	v.open(d.URL).press("Log in").signIn(email).sees("Tea Party wants access to your account", "Signed in as "+email, "read your e-mail address").look("consent")
	v.press("Deny").sees("No tea: access_denied").press("Back").press("Log in").sees("Tea Party wants access")
	v.tick("Do not ask again").press("Allow").sees("Tea for " + email)
	d.token = ""
	v.open(d.URL).press("Log in").sees("Tea for " + email).press("Home").sees("Hello")

	v.press("Log out").sees("Sign out?", "Tea Party asks to sign you out").look("logout")
	v.press("Stay signed in").sees("You are signed in as " + email)
	v.open(d.URL).press("Log out")
	d.token = ""
	v.press("Sign out").sees("Tea party", "Log in")
	v.open("/").sees("Create an account")
	v.open("/oauth2/sessions/logout").sees("You are signed out").look("logged-out")
	v.open("/oauth2/auth?client_id=nobody").sees("Something went wrong", "For the developer").tick("For the developer of the application").sees("invalid_client").look("error-oauth")
}

// device connects a television.
func (j journeys) device(t *testing.T) {
	const email = "dora@example.com"
	j.registered(t, email)
	var made struct {
		ID string `json:"client_id"`
	}
	const grant = "urn:ietf:params:oauth:grant-type:device_code"
	out := j.cardea(t, "client", "create", "--public", "--name", "Television", "--grant-type", grant, "--scope", "openid profile offline_access", "-o", "json").must(t)
	if err := json.Unmarshal([]byte(out), &made); err != nil {
		t.Fatal(err)
	}
	var begun struct {
		Device   string `json:"device_code"`
		User     string `json:"user_code"`
		URI      string `json:"verification_uri"`
		Complete string `json:"verification_uri_complete"`
	}
	post := func(path string, form url.Values, into any) {
		t.Helper()
		form.Set("client_id", made.ID)
		resp, err := http.PostForm(j.base+path, form)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	post("/oauth2/device/auth", url.Values{"scope": {"openid profile"}}, &begun)

	v := j.tab(t, j.base)
	v.open(begun.URI).sees("Connect a device", "Enter the code").focused("user_code").look("device")
	v.fill("user_code", "wrong-code").press("Go on").sees("Error: Connect a device", "The code is wrong").look("device-error")
	v.open(begun.Complete).sees("Does your device show this code?").look("device-filled").press("Go on")
	v.signIn(email).sees("Television wants access to your account", "You are about to connect a device").look("device-consent")
	v.press("Allow").sees("Your device is connected").look("device-done")
	var got map[string]any
	post("/oauth2/token", url.Values{"grant_type": {grant}, "device_code": {begun.Device}}, &got)
	if got["access_token"] == nil {
		t.Errorf("the device gets %v", got)
	}
}
