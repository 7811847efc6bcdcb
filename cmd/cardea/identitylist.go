package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// listFlags are those of a list in pages.
type listFlags struct {
	size  int
	token string
}

func (l *listFlags) add(cmd *cobra.Command, what string) {
	cmd.Flags().IntVar(&l.size, "page-size", 100, what+" in a page, 500 at most")
	cmd.Flags().StringVar(&l.token, "page-token", "", "token of the page, from the page before it")
}

// page asks for one page, and returns the token of the next one.
func (r *restRemote) page(ctx context.Context, path string, q url.Values, l listFlags) (items []json.RawMessage, next string, err error) {
	q.Set("page_size", strconv.Itoa(l.size))
	q.Set("page_token", l.token)
	items = []json.RawMessage{}
	headers, err := r.do(ctx, "GET", path+query(q), nil, &items)
	if err != nil {
		return nil, "", err
	}
	if found := nextPage.FindStringSubmatch(headers.Get("Link")); found != nil {
		next = found[1]
	}
	return items, next, nil
}

// printPage prints a page: as JSON below a name, or as a table with a line of each item.
func (a *app) printPage(name string, items []json.RawMessage, next, head string, line func(json.RawMessage) (string, error)) error {
	if a.output == "json" {
		return a.printJSON(map[string]any{name: items, "next_page_token": next})
	}
	table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, head)
	for _, raw := range items {
		text, err := line(raw)
		if err != nil {
			return err
		}
		fmt.Fprintln(table, text)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if next != "" {
		fmt.Fprintf(a.stderr, "there are more: add --page-token %s\n", next)
	}
	return nil
}

func (a *app) listIdentitiesCommand() *cobra.Command {
	var list listFlags
	var identifier, prefix, organization string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List identities, a page of them",
		Long: `Lists identities in the order of their ids, up to --page-size of them. If there are
more, stderr says how to get the next page.`,
		Example: "  cardea identity list\n  cardea identity list --identifier ann@example.com -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			items, next, err := server.page(cmd.Context(), identitiesPath, url.Values{
				"credentials_identifier": {identifier}, "preview_credentials_identifier_similar": {prefix}, "organization_id": {organization},
			}, list)
			if err != nil {
				return err
			}
			return a.printPage("identities", items, next, "IDENTITY\tSTATE\tCREDENTIALS\tTRAITS", identityLine)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	list.add(cmd, "identities")
	f := cmd.Flags()
	f.StringVar(&identifier, "identifier", "", "only who has this identifier in a credential")
	f.StringVar(&prefix, "identifier-prefix", "", "only who has an identifier that begins so")
	f.StringVar(&organization, "organization", "", "only those of this organization")
	return cmd
}

func identityLine(raw json.RawMessage) (string, error) {
	var i identityView
	if err := json.Unmarshal(raw, &i); err != nil {
		return "", err
	}
	return strings.Join([]string{i.ID, i.State, strings.Join(sortedKeys(i.Credentials), " "), string(i.Traits)}, "\t"), nil
}

func (a *app) sessionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "session",
		Short:   "List and revoke the sessions of people",
		Example: "  cardea session list --active\n  cardea session revoke --identity 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(a.listSessionsCommand(), a.getSessionCommand(), a.revokeSessionsCommand())
	return cmd
}

const sessionsPath = "/admin/sessions"

// A sessionView is what the text form shows of a session.
type sessionView struct {
	ID       string `json:"id"`
	Active   bool   `json:"active"`
	AAL      string `json:"authenticator_assurance_level"`
	Issued   string `json:"issued_at"`
	Expires  string `json:"expires_at"`
	Identity struct {
		ID string `json:"id"`
	} `json:"identity"`
	Methods []struct {
		Method string `json:"method"`
	} `json:"authentication_methods"`
	Devices []struct {
		Address string `json:"ip_address"`
		Agent   string `json:"user_agent"`
	} `json:"devices"`
}

func (s sessionView) state() string {
	if s.Active {
		return "active"
	}
	return "ended"
}

func (s sessionView) device() string {
	if len(s.Devices) == 0 {
		return ""
	}
	return strings.TrimSpace(s.Devices[0].Address + " " + s.Devices[0].Agent)
}

func (a *app) listSessionsCommand() *cobra.Command {
	var list listFlags
	var of string
	var active bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List sessions, the newest first",
		Example: "  cardea session list --active\n  cardea session list --identity 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11 -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			path, q := sessionsPath, url.Values{"expand": {"identity"}}
			if of != "" {
				path = identityPath(of) + "/sessions"
			}
			if active {
				q.Set("active", "true")
			}
			items, next, err := server.page(cmd.Context(), path, q, list)
			if err != nil {
				return err
			}
			return a.printPage("sessions", items, next, "SESSION\tIDENTITY\tSTATE\tAAL\tISSUED\tFROM", func(raw json.RawMessage) (string, error) {
				var s sessionView
				err := json.Unmarshal(raw, &s)
				return strings.Join([]string{s.ID, s.Identity.ID, s.state(), s.AAL, s.Issued, s.device()}, "\t"), err
			})
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	list.add(cmd, "sessions")
	cmd.Flags().StringVar(&of, "identity", "", "only sessions of this identity")
	cmd.Flags().BoolVar(&active, "active", false, "only those that have not ended")
	return cmd
}

func (a *app) getSessionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get ID",
		Short:   "Print a session",
		Example: "  cardea session get 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11",
		Args:    named(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if _, err := server.do(cmd.Context(), "GET", sessionsPath+"/"+url.PathEscape(args[0])+"?expand=identity", nil, &raw); err != nil {
				return err
			}
			if a.output == "json" {
				return a.printJSON(raw)
			}
			var s sessionView
			if err := json.Unmarshal(raw, &s); err != nil {
				return err
			}
			lines := [][2]string{{"session", s.ID}, {"identity", s.Identity.ID}, {"state", s.state()}, {"level", s.AAL},
				{"issued", s.Issued}, {"expires", s.Expires}, {"from", s.device()}}
			for _, m := range s.Methods {
				lines = append(lines, [2]string{"method", m.Method})
			}
			return a.printLines(lines)
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	return cmd
}

func (a *app) revokeSessionsCommand() *cobra.Command {
	var of []string
	var all bool
	cmd := &cobra.Command{
		Use:   "revoke [ID...]",
		Short: "End sessions: some, those of identities, or all",
		Example: `  cardea session revoke 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11
  cardea session revoke --identity 6fe1b8a4-0e5c-4b1f-9d39-4f1f2f1a0b11
  cardea session revoke --all`,
		Args: named(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, ids []string) error {
			kinds := 0
			for _, given := range []bool{len(ids) > 0, len(of) > 0, all} {
				if given {
					kinds++
				}
			}
			if kinds != 1 {
				return fmt.Errorf("expected ids of sessions, or --identity, or --all")
			}
			server, err := a.adminRemote()
			if err != nil {
				return err
			}
			switch {
			case all:
				n, err := server.revokeSessions(cmd.Context(), map[string]any{"sessions": []string{"*"}})
				if err != nil {
					return err
				}
				return a.print(map[string]any{"revoked": n}, "revoked %d\n", n)
			case len(of) > 0:
				return a.each(of, "revoked the sessions of", "identities", func(id string) error {
					if _, err := server.do(cmd.Context(), "GET", identityPath(id), nil, nil); err != nil {
						return err
					}
					_, err := server.revokeSessions(cmd.Context(), map[string]any{"identities": []string{id}})
					return err
				})
			default:
				return a.each(ids, "revoked", "sessions", func(id string) error {
					_, err := server.do(cmd.Context(), "DELETE", sessionsPath+"/"+url.PathEscape(id), nil, nil)
					return err
				})
			}
		},
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().StringArrayVar(&of, "identity", nil, "end all sessions of this identity; can be given several times")
	cmd.Flags().BoolVar(&all, "all", false, "end all sessions of the network: everybody logs in again")
	return cmd
}

// revokeSessions ends the sessions that which names, and returns how many it were.
func (r *restRemote) revokeSessions(ctx context.Context, which map[string]any) (total int64, err error) {
	which["action"] = "disable"
	for {
		var got struct {
			Processed int64 `json:"processed"`
			More      bool  `json:"more"`
		}
		if _, err := r.do(ctx, "POST", sessionsPath, which, &got); err != nil {
			return total, err
		}
		total += got.Processed
		if !got.More {
			return total, nil
		}
	}
}
