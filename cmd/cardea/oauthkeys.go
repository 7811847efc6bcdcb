package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
)

func (a *app) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make, rotate and import the keys that sign tokens",
		Long: `Administers sets of JSON Web Keys. Two of them sign: hydra.openid.id-token ID tokens,
hydra.jwt.access-token access tokens. What is printed never has a private member.

API keys of callers are something else: cardea key new.`,
		Example: "  cardea keys list\n  cardea keys rotate hydra.openid.id-token",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(a.listKeysCommand(), a.createKeyCommand(), a.getKeysCommand(), a.importKeysCommand(), a.deleteKeysCommand(),
		a.rotateKeysCommand(), a.resealCommand())
	return cmd
}

func keysPath(set string, kid ...string) string {
	path := "/admin/keys/" + url.PathEscape(set)
	for _, k := range kid {
		path += "/" + url.PathEscape(k)
	}
	return path
}

// A keyItem is a key of a list.
type keyItem struct {
	Set     string    `json:"set"`
	Created time.Time `json:"created_at"`
	Active  time.Time `json:"active_at"`
	Private bool      `json:"private"`
	Lost    bool      `json:"lost"`
	Key     struct {
		ID  string `json:"kid"`
		Alg string `json:"alg"`
		Use string `json:"use"`
	} `json:"key"`
}

// allKeys returns the keys of the sets that are named, of all if none is, as they are
// and read.
func (a *app) allKeys(cmd *cobra.Command, sets []string) ([]json.RawMessage, []keyItem, error) {
	server, err := a.adminRemote()
	if err != nil {
		return nil, nil, err
	}
	var got struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if _, err := server.do(cmd.Context(), "GET", "/admin/keys", nil, &got); err != nil {
		return nil, nil, err
	}
	raws, items := []json.RawMessage{}, []keyItem{}
	for _, raw := range got.Keys {
		var item keyItem
		if err := json.Unmarshal(raw, &item); err != nil {
			return nil, nil, err
		}
		if len(sets) == 0 || slices.Contains(sets, item.Set) {
			raws, items = append(raws, raw), append(items, item)
		}
	}
	return raws, items, nil
}

func (a *app) listKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list [SET...]",
		Short:   "List keys, with when they begin to sign",
		Example: "  cardea keys list\n  cardea keys list hydra.openid.id-token -o json",
		RunE: func(cmd *cobra.Command, sets []string) error {
			raws, items, err := a.allKeys(cmd, sets)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.printJSON(map[string]any{"keys": raws})
			}
			table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "SET\tKEY\tALG\tUSE\tCREATED\tACTIVE")
			for _, k := range items {
				active := k.Active.Format(time.RFC3339)
				switch {
				case k.Lost:
					active = "lost with its system secret"
				case !k.Private:
					active = "verifies only"
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Set, k.Key.ID, k.Key.Alg, k.Key.Use, k.Created.Format(time.RFC3339), active)
			}
			return table.Flush()
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	return cmd
}

// askKeys makes a request whose answer is a set, and prints that.
func (a *app) askKeys(cmd *cobra.Command, method, path string, body any) error {
	server, err := a.adminRemote()
	if err != nil {
		return err
	}
	var set json.RawMessage
	if _, err := server.do(cmd.Context(), method, path, body, &set); err != nil {
		return err
	}
	return a.printJSON(set)
}

func (a *app) createKeyCommand() *cobra.Command {
	var asked struct {
		Alg string `json:"alg"`
		Use string `json:"use"`
		ID  string `json:"kid"`
	}
	cmd := &cobra.Command{
		Use:   "create SET",
		Short: "Add a new key to a set, and print its public half",
		Long: `Makes a key pair in the server and prints its public half as a JSON Web Key Set. In
a set that signs, it begins to sign after a minute, when everybody can know it.`,
		Example: "  cardea keys create hydra.openid.id-token --alg ES256\n  cardea keys create mine --alg EdDSA --kid first",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.askKeys(cmd, "POST", keysPath(args[0]), asked)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&asked.Alg, "alg", "RS256", "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA")
	f.StringVar(&asked.Use, "use", "sig", "sig or enc")
	f.StringVar(&asked.ID, "kid", "", "id of the key; none: the server chooses one")
	return cmd
}

func (a *app) getKeysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get SET [KEY]",
		Short:   "Print the public halves of a set, or of one key",
		Example: "  cardea keys get hydra.openid.id-token",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.askKeys(cmd, "GET", keysPath(args[0], args[1:]...), nil)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) importKeysCommand() *cobra.Command {
	var kid, alg, use string
	cmd := &cobra.Command{
		Use:   "import SET FILE",
		Short: "Add keys of your own to a set",
		Long: `Adds the keys of a file, - for stdin, to a set, and prints their public halves. The
file is a JSON Web Key, a set of them, or PEM; for PEM, and for keys in JSON that
lack them, the flags say id, algorithm and use.`,
		Example: `  cardea keys import hydra.openid.id-token old.jwks.json
  cardea keys import mine key.pem --kid first --alg ES256`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := a.readFile(args[1])
			if err != nil {
				return err
			}
			keys, err := parseKeys(text)
			if err != nil {
				return fmt.Errorf("%s: %w", args[1], err)
			}
			if kid != "" && len(keys) > 1 {
				return fmt.Errorf("--kid is for one key, and %s has %d", args[1], len(keys))
			}
			for i := range keys {
				keys[i].KeyID = firstOf(kid, keys[i].KeyID)
				keys[i].Algorithm = firstOf(alg, keys[i].Algorithm)
				keys[i].Use = firstOf(use, keys[i].Use, "sig")
				if keys[i].KeyID == "" {
					return errors.New("a key has no id: --kid gives it one")
				}
			}
			return a.importKeys(cmd, args[0], keys)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	f := cmd.Flags()
	f.StringVar(&kid, "kid", "", "id of the key")
	f.StringVar(&alg, "alg", "", "what it signs with, as RS256")
	f.StringVar(&use, "use", "", "sig or enc")
	return cmd
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func (a *app) importKeys(cmd *cobra.Command, set string, keys []jose.JSONWebKey) error {
	server, err := a.adminRemote()
	if err != nil {
		return err
	}
	out := struct {
		Keys []json.RawMessage `json:"keys"`
	}{}
	for _, key := range keys {
		var public json.RawMessage
		if _, err := server.do(cmd.Context(), "PUT", keysPath(set, key.KeyID), key, &public); err != nil {
			return fmt.Errorf("key %s: %w", key.KeyID, err)
		}
		out.Keys = append(out.Keys, public)
	}
	return a.printJSON(out)
}

// parseKeys reads a JSON Web Key, a set, or PEM.
func parseKeys(text []byte) ([]jose.JSONWebKey, error) {
	if block, _ := pem.Decode(text); block != nil {
		key, err := parsePEM(block)
		return []jose.JSONWebKey{{Key: key}}, err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err == nil && len(set.Keys) > 0 {
		return set.Keys, nil
	}
	var key jose.JSONWebKey
	if err := json.Unmarshal(bytes.TrimSpace(text), &key); err != nil {
		return nil, errors.New("expected a JSON Web Key, a set of them, or PEM")
	}
	return []jose.JSONWebKey{key}, nil
}

func parsePEM(block *pem.Block) (any, error) {
	switch block.Type {
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	default:
		return nil, fmt.Errorf("the PEM block is of the type %q: expected a private or public key that is not encrypted", block.Type)
	}
}

func (a *app) deleteKeysCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "delete SET [KEY]",
		Short: "Delete a key, or a whole set",
		Long: `Deletes a key, or with --force a whole set. What it has signed cannot be verified
from then on. A set that signs gets new keys for the algorithms that it lacks.`,
		Example: "  cardea keys delete hydra.openid.id-token old\n  cardea keys delete mine --force",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && !force {
				return errors.New("this deletes all keys of the set: expected the id of one, or --force")
			}
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			if _, err := server.do(cmd.Context(), "DELETE", keysPath(args[0], args[1:]...), nil, nil); err != nil {
				return err
			}
			return a.print(map[string]any{"deleted": args}, "deleted %s\n", strings.Join(args, " "))
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "delete all keys of the set")
	return cmd
}

func (a *app) rotateKeysCommand() *cobra.Command {
	var algs []string
	cmd := &cobra.Command{
		Use:   "rotate SET",
		Short: "Give a set new keys, beside the old ones",
		Long: `Makes a new key for each algorithm that the set signs with. The new keys are
published at once and sign after a minute; the old ones go on verifying, until
cardea keys delete, which can follow when no token of theirs is good any more.`,
		Example: "  cardea keys rotate hydra.openid.id-token\n  cardea keys rotate hydra.jwt.access-token --alg RS256",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.rotateKeys(cmd, args[0], algs)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().StringArrayVar(&algs, "alg", nil, "only this algorithm; can be given several times")
	return cmd
}

func (a *app) rotateKeys(cmd *cobra.Command, set string, algs []string) error {
	_, items, err := a.allKeys(cmd, []string{set})
	if err != nil {
		return err
	}
	var chosen []string
	for _, k := range items {
		if k.Private && k.Key.Use != "enc" && (len(algs) == 0 || slices.Contains(algs, k.Key.Alg)) {
			chosen = append(chosen, k.Key.Alg)
		}
	}
	slices.Sort(chosen)
	chosen = slices.Compact(chosen)
	if len(chosen) == 0 {
		return fmt.Errorf("the set %s has no key to rotate: cardea keys create makes one", set)
	}
	server, err := a.adminRemote()
	if err != nil {
		return err
	}
	made := []json.RawMessage{}
	for _, alg := range chosen {
		var got struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if _, err := server.do(cmd.Context(), "POST", keysPath(set), map[string]any{"alg": alg, "use": "sig"}, &got); err != nil {
			return err
		}
		made = append(made, got.Keys...)
	}
	return a.print(map[string]any{"keys": made}, "%d new %s, for %s: signing begins in a minute, and the old ones go on verifying\n", len(made), plural(len(made), "key"), strings.Join(chosen, ", "))
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func (a *app) resealCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reseal",
		Short: "Encrypt what is stored with the newest system secret",
		Long: `Encrypts keys, secrets that clients sign with, and people's keys of authenticator
apps, backup codes and tokens of providers anew where an older system secret was used,
so that it can be removed from secrets.system once no token, consent or login that was
made under it is needed any more. Every node must know the newest secret by now.`,
		Example: "  cardea keys reseal",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			var got struct {
				Keys        int `json:"keys"`
				Secrets     int `json:"client_secrets"`
				Credentials int `json:"credentials"`
				Lost        int `json:"lost"`
			}
			if _, err := server.do(cmd.Context(), "POST", "/admin/oauth2/reseal", nil, &got); err != nil {
				return err
			}
			var off *remoteError
			if _, err := server.do(cmd.Context(), "POST", "/admin/identities/reseal", nil, &got); err != nil && (!errors.As(err, &off) || off.code != codes.Unimplemented) {
				return err
			}
			if got.Lost > 0 {
				fmt.Fprintf(a.stderr, "%d credentials of people cannot be read: their system secret is not in secrets.system\n", got.Lost)
			}
			return a.print(got, "encrypted %d keys, %d secrets of clients and %d credentials of people anew\n", got.Keys, got.Secrets, got.Credentials)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	return cmd
}
