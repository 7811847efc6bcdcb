package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/bench"
)

// A timingFlags is what bench timing is asked to do.
type timingFlags struct {
	dsn    string
	n      int
	rounds int
	cheap  bool
}

func (a *app) benchTimingCommand() *cobra.Command {
	var f timingFlags
	cmd := &cobra.Command{
		Use:   "timing",
		Short: "Whether the time of an answer tells who has an account",
		Long: `Log in with a wrong password, ask for a code, for a recovery, and register, for
addresses that have an account and as many that have none, one at a time and in a random
order, at a server in a process of its own. The report has the statistic of the two-sample
Kolmogorov-Smirnov test: how far the distributions of both times lie apart. The bar is
what one pair in a hundred exceeds whose distributions are the same; the median of the
rounds counts. The exit code is 1 if it is missed.

Passwords are hashed as by default. With --cheap-hash a hash costs nothing, which shows
what it hides: to find somebody in the database takes longer than to find nobody.

Without --dsn both SQLite and a PostgreSQL that is started for the run are measured.`,
		Example: `  cardea bench timing
  cardea bench timing --dsn sqlite://bench.db --cheap-hash --rounds 3`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.n < 20 || f.n > 10_000 {
				return fmt.Errorf("--answers is %d: expected 20 to 10,000", f.n)
			}
			if f.rounds < 1 || f.rounds > 100 {
				return fmt.Errorf("--rounds is %d: expected 1 to 100", f.rounds)
			}
			return a.eachDatabase(cmd.Context(), f.dsn, func(on database) error { return a.benchTimingOn(cmd.Context(), f, on) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dsn, "dsn", "", "the database, one that serves nothing else: sqlite://PATH, postgres://... or cockroach://...; empty: an SQLite file and a PostgreSQL for the run")
	flags.IntVar(&f.n, "answers", 200, "timed answers of each kind in a round")
	flags.IntVar(&f.rounds, "rounds", 1, "how often that is done, with other addresses")
	flags.BoolVar(&f.cheap, "cheap-hash", false, "hash passwords at no cost")
	a.resultFlags(cmd)
	return cmd
}

func (a *app) benchTimingOn(ctx context.Context, f timingFlags, on database) error {
	config := fmt.Sprintf("  courier: {folder: %q, max_per_client: 1000000}\n", filepath.Join(on.folder, "mail")) +
		"  selfservice: {flows: {login: {style: identifier_first}}, methods: {code: {passwordless_enabled: true}}}\n"
	if f.cheap {
		config += cheapHash
	}
	s, err := startIdentity(ctx, on.dsn, on.folder, config, false)
	if err != nil {
		return err
	}
	defer s.stop()
	var rounds [][]bench.TimingReport
	for n := range f.rounds + 1 {
		answers := f.n
		if n == 0 { // the first one warms up
			answers = 20
		}
		reports, err := bench.Timings(ctx, "http://"+s.public, "http://"+s.admin, answers)
		if err != nil {
			return err
		}
		if n > 0 {
			rounds = append(rounds, reports)
		}
	}
	r := a.newResult("timing-"+on.name, "Times of answers for somebody and nobody on "+on.name)
	r.AddTimings(f.n, rounds)
	return a.printResult(r)
}
