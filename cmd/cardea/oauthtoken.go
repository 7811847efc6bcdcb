package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (a *app) tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "token",
		Short:   "Get, inspect and revoke tokens of OAuth2",
		Example: "  cardea token client-credentials --client-id worker --scope read\n  cardea token introspect \"$TOKEN\"",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(a.clientCredentialsCommand(), a.introspectCommand(), a.revokeCommand())
	return cmd
}

// basicAuth is the header of RFC 6749, section 2.3.1.
func basicAuth(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

func (a *app) clientCredentialsCommand() *cobra.Command {
	var as credentialFlags
	var scopes, audience []string
	cmd := &cobra.Command{
		Use:   "client-credentials",
		Short: "Get an access token of a client itself",
		Long: `Asks for a token by the grant client_credentials, and prints the access token alone,
so that it can be put into a variable; -o json prints the whole answer.`,
		Example: `  cardea token client-credentials --client-id worker --scope "read write"
  TOKEN=$(cardea token client-credentials)`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := as.check(); err != nil {
				return err
			}
			form := url.Values{"grant_type": {"client_credentials"}}
			if len(scopes) > 0 {
				form.Set("scope", strings.Join(scopes, " "))
			}
			if len(audience) > 0 {
				form["audience"] = audience
			}
			raw, got, err := a.askToken(cmd, &as, form)
			if err != nil {
				return err
			}
			return a.print(raw, "%s\n", got.Access)
		},
	}
	a.publicFlags(cmd)
	a.outputFlag(cmd)
	as.add(cmd)
	cmd.Flags().StringArrayVar(&scopes, "scope", nil, "scopes to ask for, with spaces between")
	cmd.Flags().StringArrayVar(&audience, "audience", nil, "whom the token is for")
	return cmd
}

// A tokenAnswer is what the token endpoint answers.
type tokenAnswer struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"` // seconds
	Scope   string `json:"scope"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
}

// askToken calls the token endpoint.
func (a *app) askToken(cmd *cobra.Command, as *credentialFlags, form url.Values) (raw json.RawMessage, got tokenAnswer, err error) {
	server, err := a.publicRemote()
	if err != nil {
		return nil, got, err
	}
	as.sign(server, form)
	if _, err := server.do(cmd.Context(), "POST", "/oauth2/token", form, &raw); err != nil {
		return nil, got, err
	}
	return raw, got, json.Unmarshal(raw, &got)
}

// tokenArg returns the token of the command line, or of stdin if that is -.
func (a *app) tokenArg(arg string) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	text, err := io.ReadAll(a.stdin)
	if err != nil {
		return "", err
	}
	if arg = strings.TrimSpace(string(text)); arg == "" {
		return "", errors.New("stdin has no token")
	}
	return arg, nil
}

func (a *app) introspectCommand() *cobra.Command {
	var scopes []string
	cmd := &cobra.Command{
		Use:   "introspect TOKEN",
		Short: "Say whether a token is good, and for what",
		Long: `Asks the admin API about an access or refresh token; - reads it from stdin. Exits
with 0 if it is active, and has been granted the scopes of --scope; 1 if not.`,
		Example: `  cardea token introspect "$TOKEN"
  cardea token client-credentials | cardea token introspect - --scope read -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := a.tokenArg(args[0])
			if err != nil {
				return err
			}
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			form := url.Values{"token": {token}}
			if len(scopes) > 0 {
				form.Set("scope", strings.Join(scopes, " "))
			}
			var raw json.RawMessage
			if _, err := server.do(cmd.Context(), "POST", "/admin/oauth2/introspect", form, &raw); err != nil {
				return err
			}
			return a.printIntrospection(raw)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().StringArrayVar(&scopes, "scope", nil, "scopes that it must have been granted, with spaces between")
	return cmd
}

func (a *app) printIntrospection(raw json.RawMessage) error {
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(raw, &claims); err != nil {
		return err
	}
	state, end := "active", error(nil)
	if string(claims["active"]) != "true" {
		state, end = "not active", errNo
	}
	if a.output == "json" {
		if err := a.printJSON(raw); err != nil {
			return err
		}
		return end
	}
	fmt.Fprintln(a.stdout, state)
	delete(claims, "active")
	a.printClaims(claims)
	return end
}

// printClaims prints claims in the order of their names.
func (a *app) printClaims(claims map[string]json.RawMessage) {
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		fmt.Fprintf(table, "  %s\t%s\n", name, claims[name])
	}
	_ = table.Flush()
}

func (a *app) revokeCommand() *cobra.Command {
	var as credentialFlags
	cmd := &cobra.Command{
		Use:   "revoke TOKEN",
		Short: "End a token, and all that came of the same consent",
		Long: `Revokes an access or refresh token as the client that it belongs to (RFC 7009); -
reads it from stdin. One that is not known is no error.`,
		Example: `  cardea token revoke "$TOKEN" --client-id shop`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := as.check(); err != nil {
				return err
			}
			token, err := a.tokenArg(args[0])
			if err != nil {
				return err
			}
			server, err := a.publicRemote()
			if err != nil {
				return err
			}
			form := url.Values{"token": {token}}
			as.sign(server, form)
			if _, err := server.do(cmd.Context(), "POST", "/oauth2/revoke", form, nil); err != nil {
				return err
			}
			return a.print(map[string]any{"revoked": true}, "revoked\n")
		},
	}
	a.publicFlags(cmd)
	a.outputFlag(cmd)
	as.add(cmd)
	return cmd
}
