package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) oauthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "oauth",
		Short:   "Try OAuth2 as an application does",
		Example: "  cardea oauth code",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(a.codeCommand())
	return cmd
}

// A codeFlow is one run of the authorization code grant.
type codeFlow struct {
	as                             credentialFlags
	scopes, audience               []string
	prompt, acr, hint, maxAge      string
	port                           int
	open                           bool
	wait                           time.Duration
	redirect, state, nonce, secret string // made for this run; secret is PKCE's verifier
}

func (a *app) codeCommand() *cobra.Command {
	f := &codeFlow{}
	cmd := &cobra.Command{
		Use:   "code",
		Short: "Log in with a browser, as an application would, and show the tokens",
		Long: `Goes through the authorization code grant with PKCE: prints the address to open in
a browser, waits on a port of this machine for the browser to come back, exchanges
the code, and prints the tokens and what the ID token says.

Without --client-id it registers a public client for this run, and deletes it, with
its tokens, at the end; this takes the write listener. A client of your own must
have the redirect URI http://127.0.0.1/callback, with any port.`,
		Example: `  cardea oauth code
  cardea oauth code --client-id shop --scope "openid profile offline_access" --prompt login
  cardea oauth code --public-url https://login.example --client-id shop --open -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.code(cmd, f) },
	}
	a.adminFlags(cmd)
	a.publicFlags(cmd)
	a.outputFlag(cmd)
	f.as.add(cmd)
	fs := cmd.Flags()
	fs.StringArrayVar(&f.scopes, "scope", []string{"openid offline_access"}, "scopes to ask for, with spaces between")
	fs.StringArrayVar(&f.audience, "audience", nil, "whom the access token is for")
	fs.StringVar(&f.prompt, "prompt", "", "none, login, consent, select_account or create")
	fs.StringVar(&f.acr, "acr-values", "", "how strong the login should be")
	fs.StringVar(&f.hint, "login-hint", "", "who is expected to log in")
	fs.StringVar(&f.maxAge, "max-age", "", "how old the login may be, in seconds")
	fs.IntVar(&f.port, "port", 4446, "port of this machine to wait on; 0: any")
	fs.BoolVar(&f.open, "open", false, "open the browser")
	fs.DurationVar(&f.wait, "wait", 5*time.Minute, "how long to wait for the browser")
	return cmd
}

// providerMetadata is what the flow needs of the discovery document.
type providerMetadata struct {
	Issuer    string `json:"issuer"`
	Authorize string `json:"authorization_endpoint"`
}

func (a *app) code(cmd *cobra.Command, f *codeFlow) error {
	server, err := a.publicRemote()
	if err != nil {
		return err
	}
	var provider providerMetadata
	if _, err := server.do(cmd.Context(), "GET", "/.well-known/openid-configuration", nil, &provider); err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(f.port)))
	if err != nil {
		return fmt.Errorf("--port is %d: %w", f.port, err)
	}
	f.redirect = "http://" + l.Addr().String() + "/callback"
	f.state, f.nonce, f.secret = rand.Text(), rand.Text(), rand.Text()+rand.Text()
	if f.as.id == "" {
		end, err := a.temporaryClient(cmd, f)
		if err != nil {
			l.Close()
			return err
		}
		defer end()
	} else if err := f.as.check(); err != nil {
		l.Close()
		return err
	}
	code, err := a.browse(cmd.Context(), f, provider, l)
	if err != nil {
		return err
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {f.redirect}, "code_verifier": {f.secret}}
	raw, got, err := a.askToken(cmd, &f.as, form)
	if err != nil {
		return err
	}
	return a.printTokens(raw, got, f.nonce)
}

// temporaryClient registers a client for this run. What it returns deletes it.
func (a *app) temporaryClient(cmd *cobra.Command, f *codeFlow) (end func(), err error) {
	admin, err := a.adminRemote()
	if err != nil {
		return nil, err
	}
	var made clientView
	_, err = admin.do(cmd.Context(), "POST", "/admin/clients", map[string]any{
		"client_name": "cardea oauth code", "redirect_uris": []string{"http://127.0.0.1/callback"}, "token_endpoint_auth_method": "none",
		"grant_types": []string{"authorization_code", "refresh_token"}, "scope": strings.Join(f.scopes, " "), "audience": f.audience,
	}, &made)
	f.as.id, f.as.secret = made.ID, ""
	return func() {
		if _, err := admin.do(context.WithoutCancel(cmd.Context()), "DELETE", clientPath(made.ID), nil, nil); err != nil {
			fmt.Fprintf(a.stderr, "the client %s that was made for this run stays: %v\n", made.ID, err)
		}
	}, err
}

// address is where the browser begins.
func (f *codeFlow) address(authorize string) string {
	sum := sha256.Sum256([]byte(f.secret))
	q := url.Values{
		"client_id": {f.as.id}, "response_type": {"code"}, "redirect_uri": {f.redirect}, "scope": {strings.Join(f.scopes, " ")},
		"state": {f.state}, "nonce": {f.nonce},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for name, value := range map[string]string{"prompt": f.prompt, "acr_values": f.acr, "login_hint": f.hint, "max_age": f.maxAge, "audience": strings.Join(f.audience, " ")} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return authorize + "?" + q.Encode()
}

// browse sends the browser off and waits until it comes back with a code. It closes l.
func (a *app) browse(ctx context.Context, f *codeFlow, provider providerMetadata, l net.Listener) (string, error) {
	answers := make(chan url.Values, 1)
	s := &http.Server{Handler: f.callback(answers), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = s.Shutdown(ctx)
		<-ended
	}()
	address := f.address(provider.Authorize)
	fmt.Fprintf(a.stderr, "open this in a browser:\n\n  %s\n\n", address)
	if f.open {
		if err := openBrowser(ctx, address); err != nil {
			fmt.Fprintf(a.stderr, "the browser does not open: %v\n", err)
		}
	}
	late := time.NewTimer(f.wait)
	defer late.Stop()
	select {
	case q := <-answers:
		if q.Get("iss") != provider.Issuer {
			return "", fmt.Errorf("the answer is from the issuer %q: expected %q", q.Get("iss"), provider.Issuer)
		}
		if q.Get("error") != "" {
			return "", fmt.Errorf("%s: %s", q.Get("error"), q.Get("error_description"))
		}
		return q.Get("code"), nil
	case <-late.C:
		return "", fmt.Errorf("the browser did not come back within %s: --wait allows more", f.wait)
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// callback answers the browser when it comes back. The first answer with the state of
// this run is the one that counts.
func (f *codeFlow) callback(answers chan<- url.Values) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		q := r.URL.Query()
		if q.Get("state") != f.state {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, "<!DOCTYPE html><title>Not expected</title><p>This is no answer to the request that is under way.</p>")
			return
		}
		select {
		case answers <- q:
		default:
		}
		_, _ = io.WriteString(w, "<!DOCTYPE html><title>Done</title><p>Done: the terminal has the rest. This window can be closed.</p>")
	})
	return mux
}

// openBrowser opens an address in the browser of whoever sits at this machine.
func openBrowser(ctx context.Context, address string) error {
	switch runtime.GOOS {
	case "darwin":
		return exec.CommandContext(ctx, "open", address).Run()
	case "windows":
		return exec.CommandContext(ctx, "rundll32", "url.dll,FileProtocolHandler", address).Run()
	default:
		return exec.CommandContext(ctx, "xdg-open", address).Run()
	}
}

// printTokens prints what the code was exchanged for. The ID token came straight from
// the token endpoint, so that its signature need not be checked (OpenID Connect Core,
// section 3.1.3.7).
func (a *app) printTokens(raw json.RawMessage, got tokenAnswer, nonce string) error {
	claims, err := claimsOf(got.ID)
	if err != nil {
		return err
	}
	if claims != nil && string(claims["nonce"]) != strconv.Quote(nonce) {
		return errors.New("the ID token is not for this request: its nonce is another one")
	}
	if a.output == "json" {
		return a.printJSON(struct {
			Tokens json.RawMessage            `json:"tokens"`
			Claims map[string]json.RawMessage `json:"id_token_claims,omitempty"`
		}{raw, claims})
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"access token", got.Access}, {"type", got.Type}, {"good for", (time.Duration(got.Expires) * time.Second).String()},
		{"scope", got.Scope}, {"refresh token", got.Refresh}, {"ID token", got.ID},
	} {
		if line[1] != "" {
			fmt.Fprintf(table, "%s\t%s\n", line[0], line[1])
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if claims != nil {
		fmt.Fprintln(a.stdout, "\nThe ID token says:")
		a.printClaims(claims)
	}
	return nil
}

// claimsOf reads a JWT without checking it; nil for "".
func claimsOf(token string) (map[string]json.RawMessage, error) {
	if token == "" {
		return nil, nil
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil // encrypted
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(text, &claims)
	}
	if err != nil {
		return nil, fmt.Errorf("the ID token cannot be read: %w", err)
	}
	return claims, nil
}
