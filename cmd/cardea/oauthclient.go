package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (a *app) clientCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "client",
		Short: "Register and change clients of OAuth2: the applications",
		Long: `Registers the applications that may get tokens, and changes them. Fields have the
names of RFC 7591 and of Hydra; -o json shows all of them.`,
		Example: "  cardea client create --name shop --redirect-uri https://shop.example/callback --scope \"openid profile\"\n  cardea client list",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(a.createClientCommand(), a.getClientCommand(), a.listClientsCommand(), a.updateClientCommand(),
		a.deleteClientCommand(), a.rotateSecretCommand())
	return cmd
}

// clientFields are the fields of a client that have flags.
type clientFields struct {
	file     string
	public   bool
	texts    map[string]*string   // by the field's name in JSON
	lists    map[string]*[]string // the same
	names    map[string]string    // flags of fields
	skip     bool
	metadata string
}

// add adds the flags.
func (c *clientFields) add(cmd *cobra.Command) {
	c.texts, c.lists, c.names = map[string]*string{}, map[string]*[]string{}, map[string]string{}
	f := cmd.Flags()
	f.StringVar(&c.file, "file", "", "file with the client in JSON, - for stdin; flags come on top of it")
	for _, t := range []struct{ flag, field, usage string }{
		{"name", "client_name", "name that people see"},
		{"owner", "owner", "who it belongs to, for filters"},
		{"secret", "client_secret", "secret of your own, 16 characters or more; others on this machine can see flags, so better let the server make one"},
		{"scope", "scope", "scopes that it may ask for, with spaces between"},
		{"auth-method", "token_endpoint_auth_method", "how it authenticates: client_secret_basic (the default), client_secret_post, client_secret_jwt,\nprivate_key_jwt, tls_client_auth, self_signed_tls_client_auth or none"},
		{"profile", "profile", "which options of the protocol it may use: oauth2.1 (the default), oidc-basic, fapi2 or legacy"},
		{"access-token", "access_token_strategy", "form of its access tokens: opaque or jwt"},
		{"subject-type", "subject_type", "how it knows people: public or pairwise"},
		{"jwks-uri", "jwks_uri", "URL of its public keys"},
		{"backchannel-logout-uri", "backchannel_logout_uri", "URL that is called when somebody has logged out"},
	} {
		c.texts[t.field], c.names[t.field] = new(string), t.flag
		f.StringVar(c.texts[t.field], t.flag, "", t.usage)
	}
	for _, l := range []struct{ flag, field, usage string }{
		{"redirect-uri", "redirect_uris", "where people come back to; can be given several times, as all below"},
		{"post-logout-uri", "post_logout_redirect_uris", "where they may come back to after a logout"},
		{"grant-type", "grant_types", "authorization_code (the default), refresh_token, client_credentials, implicit, or the URN of another"},
		{"response-type", "response_types", "code (the default), id_token, token, or several with spaces between"},
		{"audience", "audience", "whom its access tokens may be for"},
		{"contact", "contacts", "address of somebody responsible"},
		{"cors-origin", "allowed_cors_origins", "origin of its scripts in browsers"},
	} {
		c.lists[l.field], c.names[l.field] = new([]string), l.flag
		f.StringArrayVar(c.lists[l.field], l.flag, nil, l.usage)
	}
	f.BoolVar(&c.public, "public", false, "it cannot keep a secret: the same as --auth-method none")
	f.BoolVar(&c.skip, "skip-consent", false, "do not ask people what it may do: it is your own")
	f.StringVar(&c.metadata, "metadata", "", "anything of yours, in JSON")
}

// changed returns the fields whose flags were given.
func (c *clientFields) changed(cmd *cobra.Command) (map[string]any, error) {
	out := map[string]any{}
	given := func(flag string) bool { return cmd.Flags().Changed(flag) }
	for field, value := range c.texts {
		if given(c.names[field]) {
			out[field] = *value
		}
	}
	for field, value := range c.lists {
		if given(c.names[field]) {
			out[field] = *value
		}
	}
	if given("skip-consent") {
		out["skip_consent"] = c.skip
	}
	if given("metadata") {
		if !json.Valid([]byte(c.metadata)) {
			return nil, errors.New("--metadata is no JSON")
		}
		out["metadata"] = json.RawMessage(c.metadata)
	}
	if c.public {
		if given("auth-method") {
			return nil, errors.New("--public and --auth-method together: expected one of the two")
		}
		out["token_endpoint_auth_method"] = "none"
	}
	return out, nil
}

// whole returns the client of --file with the flags on top.
func (c *clientFields) whole(a *app, cmd *cobra.Command) (map[string]any, error) {
	client := map[string]any{}
	if c.file != "" {
		if err := a.readJSON(c.file, &client, "JSON object"); err != nil {
			return nil, err
		}
	}
	changed, err := c.changed(cmd)
	for field, value := range changed {
		client[field] = value
	}
	return client, err
}

// A clientView is what the text form shows of a client.
type clientView struct {
	ID            string   `json:"client_id"`
	Name          string   `json:"client_name"`
	Secret        string   `json:"client_secret"`
	Owner         string   `json:"owner"`
	Profile       string   `json:"profile"`
	RedirectURIs  []string `json:"redirect_uris"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
	Scope         string   `json:"scope"`
	Audience      []string `json:"audience"`
	AuthMethod    string   `json:"token_endpoint_auth_method"`
	Registration  string   `json:"registration_access_token"`
}

// printClient prints a client as it was answered.
func (a *app) printClient(raw json.RawMessage) error {
	if a.output == "json" {
		return a.printJSON(raw)
	}
	var c clientView
	if err := json.Unmarshal(raw, &c); err != nil {
		return err
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"client", c.ID}, {"secret", c.Secret}, {"name", c.Name}, {"owner", c.Owner}, {"profile", c.Profile},
		{"authentication", c.AuthMethod}, {"redirect URIs", strings.Join(c.RedirectURIs, " ")}, {"grant types", strings.Join(c.GrantTypes, " ")},
		{"response types", strings.Join(c.ResponseTypes, ", ")}, {"scope", c.Scope}, {"audience", strings.Join(c.Audience, " ")},
		{"registration token", c.Registration},
	} {
		if line[1] != "" {
			fmt.Fprintf(table, "%s\t%s\n", line[0], line[1])
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if c.Secret != "" {
		fmt.Fprintln(a.stderr, "the secret is shown this once: keep it")
	}
	return nil
}

func (a *app) createClientCommand() *cobra.Command {
	var fields clientFields
	var id string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Register a client, and print it with its secret",
		Long: `Registers a client and prints it. Its secret is shown this once. --file takes a
client in JSON, as get -o json prints it and as Hydra exports it.`,
		Example: `  cardea client create --name shop --redirect-uri https://shop.example/callback --scope "openid profile"
  cardea client create --name worker --grant-type client_credentials --scope "read write" -o json
  cardea client create --public --redirect-uri http://127.0.0.1/callback --grant-type authorization_code --grant-type refresh_token
  cardea client create --file client.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := fields.whole(a, cmd)
			if err != nil {
				return err
			}
			if id != "" {
				client["client_id"] = id
			}
			return a.askClient(cmd, "POST", "/admin/clients", client)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	fields.add(cmd)
	cmd.Flags().StringVar(&id, "id", "", "id of your own; none: the server chooses one")
	return cmd
}

// askClient makes a request whose answer is a client, and prints that.
func (a *app) askClient(cmd *cobra.Command, method, path string, body any) error {
	server, err := a.adminRemote()
	if err != nil {
		return err
	}
	var client json.RawMessage
	if _, err := server.do(cmd.Context(), method, path, body, &client); err != nil {
		return err
	}
	return a.printClient(client)
}

func clientPath(id string) string { return "/admin/clients/" + url.PathEscape(id) }

func (a *app) getClientCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get ID",
		Short:   "Print a client",
		Example: "  cardea client get shop\n  cardea client get shop -o json",
		Args:    named(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.askClient(cmd, "GET", clientPath(args[0]), nil)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	return cmd
}

// nextPage finds the token of the next page in a header Link.
var nextPage = regexp.MustCompile(`[?&]page_token=([^&>]*)[^>]*>; rel="next"`)

func (a *app) listClientsCommand() *cobra.Command {
	var name, owner, token string
	var size int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List clients, a page of them",
		Long: `Lists clients in the order of their ids, up to --page-size of them. If there are
more, stderr says how to get the next page.`,
		Example: "  cardea client list\n  cardea client list --owner ann -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			q := url.Values{"page_size": {strconv.Itoa(size)}, "client_name": {name}, "owner": {owner}, "page_token": {token}}
			var clients []json.RawMessage
			headers, err := server.do(cmd.Context(), "GET", "/admin/clients?"+q.Encode(), nil, &clients)
			if err != nil {
				return err
			}
			next := ""
			if found := nextPage.FindStringSubmatch(headers.Get("Link")); found != nil {
				next = found[1]
			}
			return a.printClients(clients, next)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "only clients of this name")
	f.StringVar(&owner, "owner", "", "only clients of this owner")
	f.IntVar(&size, "page-size", 100, "clients in a page, 500 at most")
	f.StringVar(&token, "page-token", "", "token of the page, from the page before it")
	return cmd
}

func (a *app) printClients(clients []json.RawMessage, next string) error {
	if a.output == "json" {
		if clients == nil {
			clients = []json.RawMessage{}
		}
		return a.printJSON(struct {
			Clients []json.RawMessage `json:"clients"`
			Next    string            `json:"next_page_token"`
		}{clients, next})
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CLIENT\tNAME\tOWNER\tAUTHENTICATION\tGRANT TYPES")
	for _, raw := range clients {
		var c clientView
		if err := json.Unmarshal(raw, &c); err != nil {
			return err
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", c.ID, c.Name, c.Owner, c.AuthMethod, strings.Join(c.GrantTypes, " "))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if next != "" {
		fmt.Fprintf(a.stderr, "there are more: add --page-token %s\n", next)
	}
	return nil
}

func (a *app) updateClientCommand() *cobra.Command {
	var fields clientFields
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change fields of a client, or replace it",
		Long: `Changes the fields whose flags are given, and leaves all others. With --file, the
file is the whole client from then on, and what it leaves out gets its default;
the secret stays in any case, unless there is a new one.`,
		Example: `  cardea client update shop --name "new shop" --redirect-uri https://shop.example/new
  cardea client update shop --file client.json`,
		Args: named(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if fields.file != "" {
				client, err := fields.whole(a, cmd)
				if err != nil {
					return err
				}
				return a.askClient(cmd, "PUT", clientPath(args[0]), client)
			}
			changed, err := fields.changed(cmd)
			if err != nil {
				return err
			}
			if len(changed) == 0 {
				return errors.New("nothing to change: expected flags of fields, or --file")
			}
			patch := []map[string]any{}
			for field, value := range changed {
				patch = append(patch, map[string]any{"op": "add", "path": "/" + field, "value": value})
			}
			return a.askClient(cmd, "PATCH", clientPath(args[0]), patch)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	fields.add(cmd)
	return cmd
}

func (a *app) deleteClientCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "delete ID...",
		Short:   "Delete clients, with all of their tokens",
		Long:    "Deletes clients one by one, and says of each what became of it: one that cannot be\ndeleted keeps no other.",
		Example: "  cardea client delete shop",
		Args:    named(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			return a.deleteEach(args, func(id string) error {
				_, err := server.do(cmd.Context(), "DELETE", clientPath(id), nil, nil)
				return err
			})
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) rotateSecretCommand() *cobra.Command {
	var forget bool
	cmd := &cobra.Command{
		Use:   "rotate-secret ID",
		Short: "Give a client a new secret beside the old ones",
		Long: `Gives a client a new secret and prints it. Those before it stay good, the newest
five of all, until --forget-old leaves the newest alone.`,
		Example: "  cardea client rotate-secret shop\n  cardea client rotate-secret shop --forget-old",
		Args:    named(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			method := "POST"
			if forget {
				method = "DELETE"
			}
			return a.askClient(cmd, method, clientPath(args[0])+"/secrets/rotate", nil)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().BoolVar(&forget, "forget-old", false, "make no new secret, and let none but the newest be good")
	return cmd
}

// credentialFlags name the client that a command acts as.
type credentialFlags struct{ id, secret, method string }

func (c *credentialFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.id, "client-id", os.Getenv("CARDEA_CLIENT_ID"), "id of the client (CARDEA_CLIENT_ID)")
	f.StringVar(&c.secret, "client-secret", os.Getenv("CARDEA_CLIENT_SECRET"),
		"secret of the client; others on this machine can see flags, so better (CARDEA_CLIENT_SECRET)")
	f.Lookup("client-id").DefValue, f.Lookup("client-secret").DefValue = "", "" // not to be shown in the help
	f.StringVar(&c.method, "auth-method", "client_secret_basic", "how the secret is sent: client_secret_basic or client_secret_post")
}

// check reports what is missing.
func (c *credentialFlags) check() error {
	switch {
	case c.id == "":
		return errors.New("--client-id is missing: expected the id of a client, as cardea client list shows it")
	case c.method != "client_secret_basic" && c.method != "client_secret_post":
		return fmt.Errorf("--auth-method is %q: expected client_secret_basic or client_secret_post", c.method)
	}
	return nil
}

// sign puts the credentials into a request.
func (c *credentialFlags) sign(r *restRemote, form url.Values) {
	switch {
	case c.secret == "":
		form.Set("client_id", c.id)
	case c.method == "client_secret_post":
		form.Set("client_id", c.id)
		form.Set("client_secret", c.secret)
	default:
		r.headers.Set("Authorization", basicAuth(c.id, c.secret))
	}
}
