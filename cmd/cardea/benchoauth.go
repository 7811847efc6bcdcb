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
	"github.com/cardea-iam/cardea/internal/localdb"
	"github.com/cardea-iam/cardea/store"
)

// An oauthFlags is what bench oauth is asked to do.
type oauthFlags struct {
	dsn      string
	rounds   int
	duration time.Duration
	callers  int
}

func (a *app) benchOAuthCommand() *cobra.Command {
	var f oauthFlags
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
	flags := cmd.Flags()
	flags.StringVar(&f.dsn, "dsn", "", "the database, one that serves nothing else: sqlite://PATH, postgres://... or cockroach://...; empty: an SQLite file and a PostgreSQL for the run")
	flags.IntVar(&f.rounds, "rounds", 5, "how often each operation is measured, all of them in turn")
	flags.DurationVar(&f.duration, "duration", time.Second, "how long an operation is repeated in a round")
	flags.IntVar(&f.callers, "concurrency", 4, "callers, each of which waits for its answer before it asks again")
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

func (f oauthFlags) validate() error {
	var bad []error
	if f.rounds < 1 || f.rounds > 1000 {
		bad = append(bad, fmt.Errorf("--rounds is %d: expected 1 to 1,000", f.rounds))
	}
	if f.duration <= 0 {
		bad = append(bad, fmt.Errorf("--duration is %s: expected more than 0", f.duration))
	}
	if f.callers < 1 || f.callers > 1000 {
		bad = append(bad, fmt.Errorf("--concurrency is %d: expected 1 to 1,000", f.callers))
	}
	return errors.Join(bad...)
}

func (a *app) benchOAuth(ctx context.Context, f oauthFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	return a.eachDatabase(ctx, f.dsn, func(on database) error { return a.benchOAuthOn(ctx, f, on) })
}

// eachDatabase calls do with that of dsn, or if it is empty, with the databases of the machine. A
// bar that is missed on one does not keep it from the other.
func (a *app) eachDatabase(ctx context.Context, dsn string, do func(database) error) error {
	prepared := func(dsn string) error { return prepare(ctx, dsn, do) }
	if dsn != "" {
		return prepared(dsn)
	}
	first := onSQLite(prepared)
	if first != nil && !errors.Is(first, errNo) {
		return first
	}
	if _, err := localdb.PostgresBinaries(); err != nil {
		fmt.Fprintln(a.stderr, "no server:", err)
		return first
	}
	if err := a.onServer(ctx, "", prepared); err != nil {
		return err
	}
	return first
}

// A database is one to measure a server on.
type database struct{ name, dsn, folder string } // folder: for what the run writes

// prepare brings a database up to date, and calls do.
func prepare(ctx context.Context, dsn string, do func(database) error) error {
	name, err := bench.DatabaseName(ctx, dsn)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "cardea-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if _, err := store.Migrate(ctx, dsn); err != nil {
		return err
	}
	return do(database{name, dsn, folder})
}

// benchOAuthOn measures a server and a floor on a database.
func (a *app) benchOAuthOn(ctx context.Context, f oauthFlags, on database) error {
	r := a.newResult("oauth-"+on.name, "Tokens and logins on "+on.name)
	if err := oauthTrips(ctx, f, on.dsn, on.folder, r); err != nil {
		return err
	}
	rounds, err := oauthRounds(ctx, f, on.dsn, on.folder)
	if err != nil {
		return err
	}
	r.AddOAuth(rounds)
	return a.printResult(r)
}

// oauthRounds measures all operations in turn.
func oauthRounds(ctx context.Context, f oauthFlags, dsn, folder string) (map[string][]bench.HTTPReport, error) {
	s, o, err := startOAuth(ctx, dsn, folder, f.callers)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	defer o.Close()
	floor, at, err := startOAuthFloor(ctx, dsn, folder)
	if err != nil {
		return nil, err
	}
	defer func() { _ = floor.Stop() }()
	type measured struct {
		bench.HTTPCallers
		of *bench.Process
	}
	all := map[string]measured{}
	var names []string
	for i, op := range append(o.Ops(), bench.OAuthFloorOps(at, f.callers)...) {
		of := s.process
		if i >= len(o.Ops()) {
			of = floor
		}
		c, err := op.Prepare(ctx, f.callers)
		if err != nil {
			return nil, err
		}
		all[op.Name], names = measured{c, of}, append(names, op.Name)
	}
	rounds := map[string][]bench.HTTPReport{}
	for i := range f.rounds + 1 {
		for _, name := range names {
			report, err := all[name].Run(ctx, all[name].of, f.duration)
			if err != nil {
				return nil, err
			}
			if i > 0 { // the first one warms up
				rounds[name] = append(rounds[name], report)
			}
		}
	}
	return rounds, nil
}

// oauthTrips counts the round trips to a database server.
func oauthTrips(ctx context.Context, f oauthFlags, dsn, folder string, r *bench.Result) error {
	if strings.HasPrefix(dsn, "sqlite:") {
		return nil
	}
	wire, err := bench.CountTrips(dsn)
	if err != nil {
		return err
	}
	defer func() { _ = wire.Close() }()
	s, o, err := startOAuth(ctx, wire.DSN(), folder, 1)
	if err != nil {
		return err
	}
	defer s.stop()
	defer o.Close()
	for _, op := range o.Ops() {
		c, err := op.Prepare(ctx, 1)
		if err != nil {
			return err
		}
		trips, err := c.TripsOf(ctx, wire, f.rounds)
		if err != nil {
			return err
		}
		r.Add(op.Name+": round trips to the database", "", bench.AtMost(bench.OAuthBars[op.Name].Trips), trips...)
	}
	return nil
}

// startOAuth starts this program as a server whose challenges the driver answers.
func startOAuth(ctx context.Context, dsn, folder string, callers int) (*child, *bench.OAuth, error) {
	config := filepath.Join(folder, "cardea.yaml")
	text := fmt.Sprintf(`oauth:
  urls: {login: %[1]slogin, consent: %[1]sconsent}
secrets:
  system: [a secret for benchmarks]
janitor:
  interval: 24h
`, bench.OAuthPages)
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
