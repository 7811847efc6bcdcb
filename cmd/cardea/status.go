package main

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
	"github.com/cardea-iam/cardea/server"
)

func (a *app) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Example: "  cardea version\n  cardea version -o json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.print(struct {
				Version string `json:"version"`
				Go      string `json:"go"`
			}{server.Version(), runtime.Version()}, "cardea %s, built with %s\n", server.Version(), runtime.Version())
		},
	}
	a.outputFlag(cmd)
	return cmd
}

func (a *app) statusCommand() *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether the server is ready",
		Long: `Asks the server whether it can answer, prints what keeps it from that, and exits
with 0 if it is ready, 1 if not, and 2 if it cannot be reached. --wait waits
until it is ready, for as long as --timeout says.`,
		Example: `  cardea status
  cardea status --wait --timeout 1m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.status(cmd, wait) },
	}
	a.clientFlags(cmd)
	a.outputFlag(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until the server is ready")
	return cmd
}

func (a *app) status(cmd *cobra.Command, wait bool) error {
	conn, err := a.readRemote()
	if err != nil {
		return err
	}
	defer conn.Close()
	ask := getStatus
	if wait {
		ask = waitReady
	}
	resp, err := ask(cmd.Context(), conn)
	if err != nil {
		return err
	}
	state, end := "ready", error(nil)
	if !resp.GetReady() {
		state, end = "not ready", errNo
	}
	text := fmt.Sprintf("%s: %s, version %s\n", conn.addr, state, resp.GetVersion())
	if resp.GetBounded() {
		text += fmt.Sprintf("  memory: a part of network %s only, %s\n", resp.GetNetwork(), count(resp.GetTuples()))
	}
	for _, part := range slices.Sorted(maps.Keys(resp.GetProblems())) {
		text += fmt.Sprintf("  %s: %s\n", part, strings.ReplaceAll(resp.GetProblems()[part], "\n", "\n    "))
	}
	if err := a.print(struct {
		Ready     bool              `json:"ready"`
		Version   string            `json:"version"`
		Problems  map[string]string `json:"problems,omitempty"`
		Snaptoken string            `json:"snaptoken,omitempty"`
		Network   string            `json:"network"`
		Tuples    int64             `json:"tuples"` // in memory
		Bounded   bool              `json:"bounded"`
	}{
		resp.GetReady(), resp.GetVersion(), resp.GetProblems(), resp.GetSnaptoken(),
		resp.GetNetwork(), resp.GetTuples(), resp.GetBounded(),
	}, "%s", text); err != nil {
		return err
	}
	return end
}

func getStatus(ctx context.Context, conn *remote) (*cardeav1.GetStatusResponse, error) {
	return cardeav1.NewStatusServiceClient(conn).GetStatus(ctx, &cardeav1.GetStatusRequest{})
}

// waitReady asks until the server is ready or conn.timeout has passed, and
// returns the last answer.
func waitReady(ctx context.Context, conn *remote) (*cardeav1.GetStatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, conn.timeout)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		resp, err := getStatus(ctx, conn)
		if err == nil && resp.GetReady() {
			return resp, nil
		}
		select {
		case <-ctx.Done():
			return resp, err
		case <-again.C:
		}
	}
}
