package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
)

// How many identities of an import are in one request. Passwords that are not hashed
// make the server hash them, so there are fewer of those.
const (
	identityBatch = 500
	clearBatch    = 10
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (a *app) importIdentitiesCommand() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "import [FILE|-]...",
		Short: "Create the identities of files or of stdin",
		Long: `Creates identities, each a JSON object as Kratos's API takes it and as export prints
it; a file has one after the other, or a list. Passwords may be hashed in any form
that the server knows. Each identity is created or refused on its own: what was
refused is said on stderr, and the exit code is then 1.`,
		Example: `  cardea identity import people.jsonl
  cardea identity export --credential password | cardea identity import --write-remote 127.0.0.1:5567`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && isTerminal(a.stdin) {
				return errors.New("stdin is a terminal: name files, or pipe identities in")
			}
			if len(args) == 0 {
				args = []string{"-"}
			}
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			im := &identityImport{to: server, stderr: a.stderr, progress: progress(a.stderr, verbose || isTerminal(a.stderr), func(n int64) string { return fmt.Sprintf("%d identities", n) })}
			for _, name := range args {
				text, err := a.readFile(name)
				if err != nil {
					return err
				}
				if err := im.read(cmd.Context(), name, text); err != nil {
					return fmt.Errorf("%w\ncreated %d before it", err, im.Created)
				}
			}
			if err := im.flush(cmd.Context()); err != nil {
				return fmt.Errorf("%w\ncreated %d before it", err, im.Created)
			}
			if err := a.print(im, "created %d, refused %d\n", im.Created, im.Refused); err != nil {
				return err
			}
			if im.Refused > 0 {
				return errNo
			}
			return nil
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the progress even where stderr is no terminal")
	return cmd
}

// An identityImport sends identities in batches.
type identityImport struct {
	Created int64 `json:"created"`
	Refused int64 `json:"refused"`

	to       *restRemote
	stderr   io.Writer
	progress func(int64)

	batch []personAt
	clear int // passwords in it that are not hashed
}

// A personAt is an identity of a file and where it comes from.
type personAt struct {
	from string
	body json.RawMessage
}

// read takes the identities of a file.
func (im *identityImport) read(ctx context.Context, name string, text []byte) error {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // which some editors write
	d := json.NewDecoder(bufio.NewReader(bytes.NewReader(text)))
	for n := 1; ; {
		var value json.RawMessage
		if err := d.Decode(&value); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: identity %d: %w", name, n, err)
		}
		several := []json.RawMessage{value}
		if value[0] == '[' {
			if err := json.Unmarshal(value, &several); err != nil {
				return fmt.Errorf("%s: identity %d: %w", name, n, err)
			}
		}
		for _, one := range several {
			if err := im.add(ctx, personAt{fmt.Sprintf("%s: identity %d", name, n), one}); err != nil {
				return err
			}
			n++
		}
	}
}

func (im *identityImport) add(ctx context.Context, one personAt) error {
	var what struct {
		Credentials struct {
			Password struct {
				Config struct {
					Password string `json:"password"`
				} `json:"config"`
			} `json:"password"`
		} `json:"credentials"`
	}
	if one.body[0] != '{' {
		im.refuse(one, "it is no JSON object")
		return nil
	}
	if json.Unmarshal(one.body, &what) == nil && what.Credentials.Password.Config.Password != "" { // the server says what is amiss
		im.clear++
	}
	im.batch = append(im.batch, one)
	if len(im.batch) == identityBatch || im.clear == clearBatch {
		return im.flush(ctx)
	}
	return nil
}

func (im *identityImport) refuse(one personAt, why string) {
	im.Refused++
	fmt.Fprintf(im.stderr, "%s: %s\n", one.from, why)
}

// flush sends what has come together.
func (im *identityImport) flush(ctx context.Context) error {
	if len(im.batch) == 0 {
		return nil
	}
	if err := im.send(ctx, im.batch); err != nil {
		return err
	}
	im.batch, im.clear = im.batch[:0], 0
	im.progress(im.Created + im.Refused)
	return nil
}

// send sends some identities. If the server does not take all of them as they are, it finds
// out which.
func (im *identityImport) send(ctx context.Context, batch []personAt) error {
	var patches []map[string]any
	for _, one := range batch {
		patches = append(patches, map[string]any{"create": one.body})
	}
	var got struct {
		Identities []struct {
			Action string      `json:"action"`
			Error  kratosError `json:"error"`
		} `json:"identities"`
	}
	_, err := im.to.do(ctx, "PATCH", identitiesPath, map[string]any{"identities": patches}, &got)
	var said *remoteError
	malformed := errors.As(err, &said) && said.code == codes.InvalidArgument
	switch {
	case malformed && len(batch) == 1:
		im.refuse(batch[0], said.msg)
		return nil
	case malformed:
		half := len(batch) / 2
		if err := im.send(ctx, batch[:half]); err != nil {
			return err
		}
		return im.send(ctx, batch[half:])
	case err != nil:
		return fmt.Errorf("%s and those after it: %w", batch[0].from, err)
	case len(got.Identities) != len(batch):
		return fmt.Errorf("%s and those after it: the server answered for %d of %d", batch[0].from, len(got.Identities), len(batch))
	}
	for n, one := range got.Identities {
		if one.Action == "create" {
			im.Created++
		} else {
			im.refuse(batch[n], one.Error.String())
		}
	}
	return nil
}

// exported are the fields of an identity that can be imported.
var exported = []string{"id", "schema_id", "state", "traits", "metadata_public", "metadata_admin", "external_id", "organization_id",
	"verifiable_addresses", "recovery_addresses"}

func (a *app) exportIdentitiesCommand() *cobra.Command {
	var credentials []string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print all identities, one a line, as import takes them",
		Long: `Prints all identities as JSON, one a line, with their ids. --credential password adds
the hashes of passwords, and --credential oidc the accounts at other providers: keep
the output as a secret then. Other credentials cannot be exported.`,
		Example: "  cardea identity export > people.jsonl\n  cardea identity export --credential password --credential oidc > people.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, t := range credentials {
				if t != "password" && t != "oidc" {
					return fmt.Errorf("--credential is %q: expected password or oidc", t)
				}
			}
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			out := bufio.NewWriter(a.stdout)
			for token, more := "", true; more; more = token != "" {
				var items []json.RawMessage
				items, token, err = server.page(cmd.Context(), identitiesPath, url.Values{"include_credential": credentials}, listFlags{500, token})
				if err != nil {
					return err
				}
				for _, raw := range items {
					line, err := exportLine(raw)
					if err != nil {
						return err
					}
					out.Write(append(line, '\n'))
				}
			}
			return out.Flush()
		},
	}
	a.adminFlags(cmd)
	cmd.Flags().StringArrayVar(&credentials, "credential", nil, "type of credentials to export: password or oidc; can be given twice")
	return cmd
}

// exportLine makes what import takes of an identity as it is answered.
func exportLine(raw json.RawMessage) ([]byte, error) {
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, err
	}
	var has map[string]struct {
		Config json.RawMessage `json:"config"`
	}
	if text, ok := whole["credentials"]; ok {
		if err := json.Unmarshal(text, &has); err != nil {
			return nil, err
		}
	}
	out := map[string]any{}
	for _, field := range exported {
		if value, ok := whole[field]; ok && string(value) != "null" {
			out[field] = value
		}
	}
	credentials := map[string]any{}
	for t, c := range has {
		if len(c.Config) > 0 {
			credentials[t] = map[string]any{"config": c.Config}
		}
	}
	if len(credentials) > 0 {
		out["credentials"] = credentials
	}
	return json.Marshal(out)
}
