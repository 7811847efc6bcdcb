package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/bench"
)

func (a *app) benchOAuthCommand() *cobra.Command {
	var f httpFlags
	cmd := &cobra.Command{
		Use:   "oauth",
		Short: "What tokens, introspection and logins cost, beside the least that they can",
		Long: `Ask a server for tokens, introspection, refreshes, whole logins and the public
documents, and in turn with it a second one, the floor, that only does what cannot be
avoided: nothing, or a MAC with one INSERT or SELECT, or that with one signature, on
the same database. Both run in processes of their own. The report has the processor
time that each takes for an operation, and how long callers wait; medians are of all
rounds. On a database server the round trips of each operation are counted on the
wire. A wrong answer or an error ends the run, and a missed bar makes the exit code 1.

The processor time of Hydra was recorded on another machine: the comparison says how
many times, not how many percent.

Without --dsn both SQLite and a PostgreSQL that is started for the run are measured.`,
		Example: `  cardea bench oauth --rounds 5 --duration 2s
  cardea bench oauth --dsn postgres://bench@db/bench -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchOAuth(cmd.Context(), f) },
	}
	f.add(cmd.Flags())
	a.resultFlags(cmd)
	cmd.AddCommand(a.benchOAuthFloorCommand())
	return cmd
}

// benchOAuthFloorCommand runs the server that only does what cannot be avoided.
func (a *app) benchOAuthFloorCommand() *cobra.Command {
	var dsn, address string
	cmd := &cobra.Command{
		Use: "floor", Hidden: true, Args: cobra.NoArgs,
		Short:   "Do what tokens cannot be made without, and no more",
		Example: "  cardea bench oauth floor --dsn sqlite://floor.db --address 127.0.0.1:8080",
		RunE: func(cmd *cobra.Command, _ []string) error {
			floor, err := bench.OpenOAuthFloor(cmd.Context(), dsn)
			if err != nil {
				return err
			}
			s := &http.Server{Addr: address, Handler: floor, ReadHeaderTimeout: time.Minute}
			defer context.AfterFunc(cmd.Context(), func() { _ = s.Close() })()
			if err = s.ListenAndServe(); errors.Is(err, http.ErrServerClosed) {
				err = nil
			}
			return errors.Join(err, floor.Close())
		},
	}
	cmd.Flags().StringVar(&dsn, "dsn", "", "the database")
	cmd.Flags().StringVar(&address, "address", "127.0.0.1:0", "where to listen")
	return cmd
}

func (a *app) benchOAuth(ctx context.Context, f httpFlags) error {
	if err := f.validate(func(name string) bool { _, ok := bench.OAuthBars[name]; return ok }); err != nil {
		return err
	}
	return a.eachDatabase(ctx, f.dsn, func(on database) error { return a.benchOAuthOn(ctx, f, on) })
}

// benchOAuthOn measures a server and a floor on a database.
func (a *app) benchOAuthOn(ctx context.Context, f httpFlags, on database) error {
	r := a.newResult("oauth-"+on.name, "Tokens and logins on "+on.name)
	start := func(ctx context.Context, dsn string, callers int) (*child, driven, error) {
		return startOAuth(ctx, dsn, on.folder, callers, f.profile != "")
	}
	err := f.trips(ctx, on.dsn, start, r, func(name string) *bench.Bar { return bench.AtMost(bench.OAuthBars[name].Trips) })
	if err != nil {
		return err
	}
	names, rounds, err := a.measureHTTP(ctx, f, on, start, func(string) bool { return true })
	if err != nil {
		return err
	}
	r.AddOAuth(names, rounds)
	return a.printResult(r)
}

// startOAuth starts this program as a server whose challenges the driver answers.
func startOAuth(ctx context.Context, dsn, folder string, callers int, profiled bool) (*child, driven, error) {
	config := filepath.Join(folder, "cardea.yaml")
	text := fmt.Sprintf(`oauth:
  urls: {login: %[1]slogin, consent: %[1]sconsent}
serve:
  pprof: %[2]t
secrets:
  system: [a secret for benchmarks]
janitor:
  interval: 24h
`, bench.OAuthPages, profiled)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, nil, err
	}
	s, err := startChild(ctx, folder, "serve", "--config", config, "--dsn", dsn)
	if err != nil {
		return nil, nil, err
	}
	o, err := bench.NewOAuth(ctx, "http://"+s.public, "http://"+s.admin, callers)
	if err != nil {
		s.stop()
	}
	return s, o, err
}

func startOAuthFloor(ctx context.Context, dsn, folder string) (*bench.Process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	addrs, err := freeAddresses(1)
	if err != nil {
		return nil, "", err
	}
	if strings.HasPrefix(dsn, "sqlite:") {
		dsn = "sqlite://" + filepath.Join(folder, "floor.db")
	}
	at := "http://" + addrs[0]
	p, _, err := bench.StartHTTP(ctx, filepath.Join(folder, "floor.log"), at, self, "bench", "oauth", "floor", "--dsn", dsn, "--address", addrs[0])
	return p, at, err
}
