package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (a *app) identityCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "identity",
		Short: "Create, change, import and export identities: the people",
		Long: `Administers the people that the server knows. Fields have Kratos's names; -o json
shows all of them.`,
		Example: "  cardea identity create --trait email=ann@example.com\n  cardea identity list",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(a.createIdentityCommand(), a.getIdentityCommand(), a.listIdentitiesCommand(), a.patchIdentityCommand(),
		a.deleteIdentityCommand(), a.importIdentitiesCommand(), a.exportIdentitiesCommand())
	return cmd
}

const identitiesPath = "/admin/identities"

func identityPath(id string) string { return identitiesPath + "/" + url.PathEscape(id) }

// An identityView is what the text form shows of an identity.
type identityView struct {
	ID          string          `json:"id"`
	Schema      string          `json:"schema_id"`
	State       string          `json:"state"`
	Traits      json.RawMessage `json:"traits"`
	ExternalID  string          `json:"external_id"`
	Org         string          `json:"organization_id"`
	Created     string          `json:"created_at"`
	Credentials map[string]struct {
		Identifiers []string `json:"identifiers"`
	} `json:"credentials"`
	Addresses []struct {
		Value    string `json:"value"`
		Verified bool   `json:"verified"`
	} `json:"verifiable_addresses"`
}

// printIdentity prints an identity as it was answered.
func (a *app) printIdentity(raw json.RawMessage) error {
	if a.output == "json" {
		return a.printJSON(raw)
	}
	var i identityView
	if err := json.Unmarshal(raw, &i); err != nil {
		return err
	}
	lines := [][2]string{{"identity", i.ID}, {"schema", i.Schema}, {"state", i.State}, {"traits", string(i.Traits)},
		{"external id", i.ExternalID}, {"organization", i.Org}, {"created", i.Created}}
	for _, t := range sortedKeys(i.Credentials) {
		lines = append(lines, [2]string{"credential", t + " " + strings.Join(i.Credentials[t].Identifiers, " ")})
	}
	for _, address := range i.Addresses {
		state := " not verified"
		if address.Verified {
			state = " verified"
		}
		lines = append(lines, [2]string{"address", address.Value + state})
	}
	return a.printLines(lines)
}

// printLines prints names and values, without those that have none.
func (a *app) printLines(lines [][2]string) error {
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, line := range lines {
		if line[1] != "" {
			fmt.Fprintf(table, "%s\t%s\n", line[0], line[1])
		}
	}
	return table.Flush()
}

// askIdentity makes a request whose answer is an identity, and prints that.
func (a *app) askIdentity(cmd *cobra.Command, method, path string, body any) error {
	server, err := a.adminRemote()
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if _, err := server.do(cmd.Context(), method, path, body, &answer); err != nil {
		return err
	}
	return a.printIdentity(answer)
}

// parseTrait reads name=value; the name may be a path, the value JSON or a text.
func parseTrait(text string) (path []string, value any, err error) {
	name, rest, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return nil, nil, fmt.Errorf("--trait is %q: expected name=value", text)
	}
	if json.Unmarshal([]byte(rest), &value) != nil {
		value = rest
	}
	return strings.Split(name, "."), value, nil
}

// setTrait puts a value into traits.
func setTrait(traits map[string]any, path []string, value any) {
	for _, name := range path[:len(path)-1] {
		inner, ok := traits[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			traits[name] = inner
		}
		traits = inner
	}
	traits[path[len(path)-1]] = value
}

func (a *app) createIdentityCommand() *cobra.Command {
	var file, schema, state, external, organization string
	var traits, groups []string
	var password bool
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create an identity, and print it",
		Long: `Creates an identity from flags, or from a file in JSON as Kratos's API takes it.
--password-stdin reads a first password from stdin.`,
		Example: `  cardea identity create --trait email=ann@example.com --trait name.first=Ann
  echo "a stone wall of 7 colours" | cardea identity create --trait email=bob@example.com --password-stdin
  cardea identity create --file identity.json -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			body := map[string]any{}
			if file != "" {
				if err := a.readJSON(file, &body, "JSON object"); err != nil {
					return err
				}
			}
			for field, value := range map[string]string{"schema_id": schema, "state": state, "external_id": external, "organization_id": organization} {
				if value != "" {
					body[field] = value
				}
			}
			given, _ := body["traits"].(map[string]any)
			if given == nil {
				given = map[string]any{}
			}
			for _, one := range traits {
				path, value, err := parseTrait(one)
				if err != nil {
					return err
				}
				setTrait(given, path, value)
			}
			body["traits"] = given
			if len(groups) > 0 {
				server, err := a.adminRemote()
				if err != nil {
					return err
				}
				if body["groups"], err = server.groupIDs(cmd.Context(), groupKinds[0], groups); err != nil {
					return err
				}
			}
			if password {
				text, err := a.readFile("-")
				if err != nil {
					return err
				}
				body["credentials"] = map[string]any{"password": map[string]any{"config": map[string]any{"password": strings.TrimRight(string(text), "\r\n")}}}
			}
			return a.askIdentity(cmd, "POST", identitiesPath, body)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&file, "file", "", "file with the identity in JSON, - for stdin; flags come on top of it")
	f.StringArrayVar(&traits, "trait", nil, "name=value of a trait; can be given several times. A name may be a path such as name.first, a value JSON or a text")
	f.StringVar(&schema, "schema", "", "id of its schema; none: the default")
	f.StringVar(&state, "state", "", "active (the default) or inactive")
	f.StringVar(&external, "external-id", "", "id of your own, unique")
	f.StringVar(&organization, "organization", "", "id of the organization it belongs to")
	f.StringArrayVar(&groups, "group", nil, "id or name of a group that it is a member of from the start; can be given several times")
	f.BoolVar(&password, "password-stdin", false, "read a first password from stdin")
	return cmd
}

func (a *app) getIdentityCommand() *cobra.Command {
	var external bool
	var include []string
	cmd := &cobra.Command{
		Use:     "get ID",
		Short:   "Print an identity",
		Example: "  cardea identity get 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11\n  cardea identity get crm-17 --external -o json",
		Args:    named(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := identityPath(args[0])
			if external {
				path = identitiesPath + "/by/external/" + url.PathEscape(args[0])
			}
			return a.askIdentity(cmd, "GET", path+query(url.Values{"include_credential": include}), nil)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().BoolVar(&external, "external", false, "ID is the external one")
	cmd.Flags().StringArrayVar(&include, "include-credential", nil, "type of a credential to show with its config, which -o json prints; can be given several times")
	return cmd
}

// query writes the parameters that have values.
func query(q url.Values) string {
	for name, values := range q {
		if len(values) == 0 || len(values) == 1 && values[0] == "" {
			delete(q, name)
		}
	}
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

func (a *app) patchIdentityCommand() *cobra.Command {
	var file, state string
	var traits, remove []string
	cmd := &cobra.Command{
		Use:   "patch ID",
		Short: "Change parts of an identity",
		Long: `Changes what the flags name, and leaves the rest. --file takes a JSON patch
(RFC 6902), such as [{"op":"replace","path":"/traits/email","value":"b@example.com"}].`,
		Example: `  cardea identity patch 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11 --trait email=new@example.com
  cardea identity patch 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11 --state inactive`,
		Args: named(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			var patch []map[string]any
			if file != "" {
				if err := a.readJSON(file, &patch, "JSON patch, a list of operations"); err != nil {
					return err
				}
			}
			if state != "" {
				patch = append(patch, map[string]any{"op": "replace", "path": "/state", "value": state})
			}
			for _, one := range traits {
				path, value, err := parseTrait(one)
				if err != nil {
					return err
				}
				patch = append(patch, map[string]any{"op": "add", "path": pointer(path), "value": value})
			}
			for _, one := range remove {
				patch = append(patch, map[string]any{"op": "remove", "path": pointer(strings.Split(one, "."))})
			}
			if len(patch) == 0 {
				return errors.New("nothing to change: expected --trait, --remove-trait, --state or --file")
			}
			return a.askIdentity(cmd, "PATCH", identityPath(args[0]), patch)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&file, "file", "", "file with a JSON patch, - for stdin; flags come after it")
	f.StringVar(&state, "state", "", "active or inactive: whoever is inactive is out at once")
	f.StringArrayVar(&traits, "trait", nil, "name=value of a trait; can be given several times")
	f.StringArrayVar(&remove, "remove-trait", nil, "name of a trait to remove; can be given several times")
	return cmd
}

// pointer is where a trait is in an identity (RFC 6901).
func pointer(path []string) string {
	out := "/traits"
	for _, name := range path {
		out += "/" + strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	}
	return out
}

func (a *app) deleteIdentityCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "delete ID...",
		Short:   "Delete identities, with their credentials, sessions and tuples",
		Example: "  cardea identity delete 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11",
		Args:    named(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, ids []string) error {
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			return a.deleteEach(ids, func(id string) error {
				_, err := server.do(cmd.Context(), "DELETE", identityPath(id), nil, nil)
				return err
			})
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	return cmd
}
