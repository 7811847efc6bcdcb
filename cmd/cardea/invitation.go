package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) inviteCommand(k groupKind) *cobra.Command {
	var expires, locale string
	cmd := &cobra.Command{
		Use:   "invite " + strings.ToUpper(k.name) + " EMAIL",
		Short: fmt.Sprintf("Invite somebody to %s %s, by mail", k.article, k.name),
		Long: `Makes a link that works once, and mails it if the server sends mail. Whoever logs in or
registers by way of it, and has the address verified, becomes a member.`,
		Example: fmt.Sprintf("  cardea %s invite %s ann@example.com --expires-in 48h", k.name, k.example),
		Args:    named(cobra.ExactArgs(2)),
		RunE: a.onGroup(k, func(ctx context.Context, server *restRemote, path string, args []string) error {
			var got struct {
				ID        string `json:"id"`
				Email     string `json:"email"`
				Link      string `json:"invitation_link"`
				Mailed    bool   `json:"mailed"`
				ExpiresAt string `json:"expires_at"`
			}
			body := map[string]any{"email": args[0], "expires_in": expires, "locale": locale}
			if _, err := server.do(ctx, "POST", path+"/invitations", body, &got); err != nil {
				return err
			}
			if a.output == "json" {
				return a.printJSON(got)
			}
			return a.printLines([][2]string{{"invitation", got.ID}, {"link", got.Link}, {"mailed", fmt.Sprint(got.Mailed)}, {"expires", got.ExpiresAt}})
		}),
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().StringVar(&expires, "expires-in", "", "how long the link works, at most 720h; none: 168h")
	cmd.Flags().StringVar(&locale, "locale", "", "language of the message, such as de; none: English")
	return cmd
}

func (a *app) invitationsCommand(k groupKind) *cobra.Command {
	var list listFlags
	cmd := &cobra.Command{
		Use:     "invitations " + strings.ToUpper(k.name),
		Short:   fmt.Sprintf("List the invitations to %s %s", k.article, k.name),
		Example: fmt.Sprintf("  cardea %s invitations %s", k.name, k.example),
		Args:    named(cobra.ExactArgs(1)),
		RunE: a.onGroup(k, func(ctx context.Context, server *restRemote, path string, _ []string) error {
			items, next, err := server.page(ctx, path+"/invitations", url.Values{}, list)
			if err != nil {
				return err
			}
			return a.printPage("invitations", items, next, "INVITATION\tEMAIL\tEXPIRES\tUSED BY", func(raw json.RawMessage) (string, error) {
				var i struct {
					ID       string `json:"id"`
					Email    string `json:"email"`
					Expires  string `json:"expires_at"`
					Identity string `json:"identity"`
				}
				err := json.Unmarshal(raw, &i)
				return strings.Join([]string{i.ID, i.Email, i.Expires, i.Identity}, "\t"), err
			})
		}),
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	list.add(cmd, "invitations")
	return cmd
}

func (a *app) uninviteCommand(k groupKind) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "uninvite " + strings.ToUpper(k.name) + " INVITATION...",
		Short:   "Withdraw invitations, whose links work no more",
		Example: fmt.Sprintf("  cardea %s uninvite %s 0d2359be-e43f-4241-8478-6a1fb04fffba", k.name, k.example),
		Args:    named(cobra.MinimumNArgs(2)),
		RunE: a.onGroup(k, func(ctx context.Context, server *restRemote, path string, ids []string) error {
			return a.each(ids, "withdrew", "withdrawn", func(id string) error {
				_, err := server.do(ctx, "DELETE", path+"/invitations/"+url.PathEscape(id), nil, nil)
				return err
			})
		}),
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	return cmd
}
