package main

import (
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) recoveryCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "recovery",
		Short:   "Let somebody back into an account",
		Example: "  cardea recovery link 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(a.recoveryOf("link", "Print a link by which an identity gets in, once"),
		a.recoveryOf("code", "Print a code, and the page to enter it, by which an identity gets in, once"))
	return cmd
}

func (a *app) recoveryOf(kind, short string) *cobra.Command {
	var life time.Duration
	cmd := &cobra.Command{
		Use:     kind + " IDENTITY",
		Short:   short,
		Example: "  cardea recovery " + kind + " 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11 --expires-in 30m",
		Args:    named(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			body := map[string]any{"identity_id": args[0]}
			if life != 0 {
				body["expires_in"] = life.String()
			}
			var raw json.RawMessage
			if _, err := server.do(cmd.Context(), "POST", "/admin/recovery/"+kind, body, &raw); err != nil {
				return err
			}
			if a.output == "json" {
				return a.printJSON(raw)
			}
			var got struct {
				Link    string `json:"recovery_link"`
				Code    string `json:"recovery_code"`
				Expires string `json:"expires_at"`
			}
			if err := json.Unmarshal(raw, &got); err != nil {
				return err
			}
			return a.printLines([][2]string{{"link", got.Link}, {"code", got.Code}, {"expires", got.Expires}})
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().DurationVar(&life, "expires-in", 0, "how long it works, 720h at most; 0: as the server is set up")
	return cmd
}

func (a *app) auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "audit",
		Short:   "Show what happened to accounts",
		Example: "  cardea audit list",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(a.listEventsCommand())
	return cmd
}

func (a *app) listEventsCommand() *cobra.Command {
	var list listFlags
	var of string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List events of the audit log, the newest first",
		Long: `Lists what the audit log has: registrations, logins that went well and not, recoveries,
changes of credentials, what administrators did, sessions that were ended.`,
		Example: "  cardea audit list\n  cardea audit list --identity 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11 -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			items, next, err := server.page(cmd.Context(), "/admin/audit/events", url.Values{"identity_id": {of}}, list)
			if err != nil {
				return err
			}
			return a.printPage("events", items, next, "AT\tEVENT\tIDENTITY\tFROM\tDETAIL", func(raw json.RawMessage) (string, error) {
				var e struct {
					At       string          `json:"at"`
					Type     string          `json:"type"`
					Identity string          `json:"identity_id"`
					Client   string          `json:"client_address"`
					Detail   json.RawMessage `json:"detail"`
				}
				err := json.Unmarshal(raw, &e)
				return strings.Join([]string{e.At, e.Type, e.Identity, e.Client, string(e.Detail)}, "\t"), err
			})
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	list.add(cmd, "events")
	cmd.Flags().StringVar(&of, "identity", "", "only what is about this identity")
	return cmd
}
