package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
)

func (a *app) janitorCommand() *cobra.Command {
	var batch int
	cmd := &cobra.Command{
		Use:   "janitor",
		Short: "Remove tokens, grants and logins that have served their time",
		Long: `Removes what OAuth2 has stored and nobody can use any more, in small batches, until
nothing is left. The server does it by itself every few minutes, so this is for
those who want it at a time of their own. It asks a running server, which knows
what is still needed; tokens that are good are never touched.`,
		Example: "  cardea janitor\n  cardea janitor --batch 100 -o json",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.janitor(cmd, batch) },
	}
	a.adminFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().IntVar(&batch, "batch", 500, "rows of each kind at a time, 10000 at most")
	return cmd
}

func (a *app) janitor(cmd *cobra.Command, batch int) error {
	server, err := a.adminRemote()
	if err != nil {
		return err
	}
	total, batches := int64(0), 0
	for {
		var got struct {
			Purged int64 `json:"purged"`
		}
		if _, err := server.do(cmd.Context(), "POST", "/admin/oauth2/purge?batch="+strconv.Itoa(batch), nil, &got); err != nil {
			return err
		}
		if got.Purged == 0 {
			break
		}
		total, batches = total+got.Purged, batches+1
		if batches%10 == 0 && a.output != "json" {
			fmt.Fprintf(a.stderr, "removed %s so far\n", rows(total))
		}
	}
	return a.print(struct {
		Purged  int64 `json:"purged"`
		Batches int   `json:"batches"`
	}{total, batches}, "removed %s\n", rows(total))
}

// rows says how many there are.
func rows(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return strconv.FormatInt(n, 10) + " rows"
}
