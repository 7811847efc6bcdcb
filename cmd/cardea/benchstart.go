package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/internal/localdb"
	"github.com/cardea-iam/cardea/server"
)

// A startFlags is what bench start is asked to do.
type startFlags struct {
	dsn      string
	tuples   int
	inStores int
	seed     uint64
	rounds   int
}

func (a *app) benchStartCommand() *cobra.Command {
	var f startFlags
	cmd := &cobra.Command{
		Use:   "start",
		Short: "How soon a node can answer: from a checkpoint, and from each store",
		Long: `Start engines in this process on the Drive workload: from a checkpoint file, and by
reading all tuples from SQLite and from a server. Writing them there first takes most
of the time, so the stores get fewer. Without --dsn a PostgreSQL is started for the
run, if this machine has one.`,
		Example: `  cardea bench start --tuples 10000000 --in-stores 1000000`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.benchStart(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dsn, "dsn", "", "a database beside SQLite: postgres://... or cockroach://...")
	flags.IntVar(&f.tuples, "tuples", 10_000_000, "about how many tuples the checkpoint has")
	flags.IntVar(&f.inStores, "in-stores", 1_000_000, "about how many tuples a store has")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the workload")
	flags.IntVar(&f.rounds, "rounds", 5, "how often each start is measured; the median counts")
	a.resultFlags(cmd)
	return cmd
}

func (f startFlags) validate() error {
	var bad []error
	for flag, n := range map[string]int{"tuples": f.tuples, "in-stores": f.inStores} {
		if n < 100 || n > 100_000_000 {
			bad = append(bad, fmt.Errorf("--%s is %d: expected 100 to 100,000,000", flag, n))
		}
	}
	if f.rounds < 1 || f.rounds > 1000 {
		bad = append(bad, fmt.Errorf("--rounds is %d: expected 1 to 1,000", f.rounds))
	}
	return errors.Join(bad...)
}

func (a *app) benchStart(ctx context.Context, f startFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	defer server.TendHeap()() // as a server does
	r := bench.NewResult("start", "How soon a node can answer", os.Args[1:])
	s, err := bench.StartFromCheckpoint(ctx, bench.NewDrive(f.tuples, f.seed), f.rounds)
	if err != nil {
		return err
	}
	var bar *bench.Bar
	if f.tuples == 10_000_000 {
		bar = bench.AtMost(3)
	}
	r.Add(fmt.Sprintf("from a checkpoint, %s tuples", short(f.tuples)), "s", bar, s.Seconds...)
	r.Add("of that, processor time", "s", nil, s.CPU...)
	if err := a.startStores(ctx, f, r); err != nil {
		return err
	}
	return a.printResult(r)
}

func (a *app) startStores(ctx context.Context, f startFlags, r *bench.Result) error {
	add := func(dsn string) error {
		name, err := bench.DatabaseName(ctx, dsn)
		if err != nil {
			return err
		}
		s, err := bench.StartFromStore(ctx, dsn, bench.NewDrive(f.inStores, f.seed), f.rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r.Add("from "+name, "tuples/s", bench.AtLeast(500_000), rates(s.Tuples, s.Seconds)...)
		r.Add("from "+name+", in a second of our processor time", "tuples/s", nil, rates(s.Tuples, s.CPU)...)
		return nil
	}
	if err := onSQLite(add); err != nil {
		return err
	}
	if _, err := localdb.PostgresBinaries(); err != nil && f.dsn == "" {
		fmt.Fprintln(a.stderr, "no server:", err)
		return nil
	}
	return a.onServer(ctx, f.dsn, add)
}

func rates(n int64, seconds []float64) (out []float64) {
	for _, s := range seconds {
		out = append(out, float64(n)/s)
	}
	return out
}
