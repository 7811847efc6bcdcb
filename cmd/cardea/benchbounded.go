package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/bench"
)

// A boundedFlags is what bench bounded is asked to do.
type boundedFlags struct {
	workloadFlags
	budgets []float64 // percent
	skews   []float64
	warm, n int
}

func (a *app) benchBoundedCommand() *cobra.Command {
	var f boundedFlags
	cmd := &cobra.Command{
		Use:   "bounded",
		Short: "How many checks bounded mode answers from memory, by budget and skew",
		Long: `Give an engine in this process less memory than the tuples of a workload take, let
memory fill with what is asked for most, and report how many checks then need
nothing from the store, and how many round trips the others cost. Budgets are in
percent of what complete mode takes. The store is in memory too, so this is about
what is read and not about how long that takes. A wrong answer ends the run.
` + workloadHelp(),
		Example: `  cardea bench bounded --tuples 100000 --budgets 10,50,100 --skews 0,1.2`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.benchBounded(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.name, "workload", "drive", "which workload")
	flags.IntVar(&f.tuples, "tuples", 100_000, "about how many tuples the workload has")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the workload")
	flags.Float64Var(&f.mix.Granted, "granted", 0.5, "share of the questions, 0 to 1, that are about somebody the object is shared with")
	flags.Float64SliceVar(&f.budgets, "budgets", []float64{5, 10, 25, 50, 99}, "memory, in percent of what complete mode takes")
	flags.Float64SliceVar(&f.skews, "skews", []float64{0, 1.1, 1.2, 1.5, 2}, "exponents of the Zipf law by which objects and users are drawn, above 1; 0 is even")
	flags.IntVar(&f.warm, "warm-up", 20_000, "checks before those that count")
	flags.IntVar(&f.n, "checks", 10_000, "checks that count")
	a.resultFlags(cmd)
	return cmd
}

func (f boundedFlags) validate() error {
	var bad []error
	for _, skew := range f.skews {
		g := f.workloadFlags
		g.mix.Skew = skew
		bad = append(bad, g.validate())
	}
	for _, budget := range f.budgets {
		if budget <= 0 || budget > 1000 {
			bad = append(bad, fmt.Errorf("--budgets has %v: expected more than 0, at most 1000", budget))
		}
	}
	if f.warm < 0 || f.n < 1 {
		bad = append(bad, fmt.Errorf("--warm-up is %d and --checks %d: expected 0 or more, and 1 or more", f.warm, f.n))
	}
	return errors.Join(bad...)
}

func (a *app) benchBounded(ctx context.Context, f boundedFlags) error {
	w, err := f.workload()
	if err := errors.Join(err, f.validate()); err != nil {
		return err
	}
	complete, err := bench.StartInProcess(ctx, w)
	if err != nil {
		return err
	}
	all := complete.Engine.Stats().Bytes
	if err := complete.Engine.Close(); err != nil {
		return err
	}
	fixed := bench.Fixed{Workload: w}.Index()
	r := a.newResult("bounded", fmt.Sprintf("Checks that bounded mode answers from memory: %s, %d tuples", f.name, f.tuples))
	r.Plot = &bench.Axes{X: "memory budget, in percent of what complete mode takes", Y: "% of the checks", LogX: true}
	r.Add("memory of complete mode", "KiB", nil, float64(all)/1024)
	for _, skew := range f.skews {
		series := fmt.Sprintf("Zipf %v", skew)
		if skew == 0 {
			series = "drawn evenly"
		}
		for _, budget := range f.budgets {
			mix := f.mix
			mix.Skew = skew
			got, err := bench.Bounded(ctx, fixed, int64(float64(all)*budget/100), mix, f.warm, f.n)
			if err != nil {
				return err
			}
			what := fmt.Sprintf("%s, %v %% of the memory: ", series, budget)
			r.Point(series, budget, what+"from memory", "%", nil, 100*got.Hits)
			r.Add(what+"round trips for a check", "", nil, got.Rounds)
			r.Add(what+"rows for a check", "", nil, got.Rows)
		}
	}
	return a.printResult(r)
}
