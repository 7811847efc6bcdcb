package main

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/server"
)

func (a *app) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Make API keys for callers of a server",
		Example: "  cardea key new",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(a.newKeyCommand())
	return cmd
}

func (a *app) newKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Print a random key, and its hash for the server's configuration",
		Long: `Prints a random key of 256 bits for a caller, and what belongs under auth.keys of
the server's configuration. The key is shown this once and kept nowhere: the
server needs its hash only. Clients send it as Authorization: Bearer KEY; the
commands of this program take it from CARDEA_API_KEY.`,
		Example: "  cardea key new\n  cardea key new -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			key := server.NewKey()
			sum := sha256.Sum256([]byte(key))
			digest := hex.EncodeToString(sum[:])
			return a.print(struct {
				Key    string `json:"key"`
				SHA256 string `json:"sha256"`
			}{key, digest}, keyText, key, digest)
		},
	}
	a.outputFlag(cmd)
	return cmd
}

const keyText = `key for the caller: %s

for the server's configuration:

auth:
  keys:
    - name: NAME
      sha256: %s
      roles: [read, write]
      network: "*"
`
