package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/bench"
)

// An engineFlags is what the benchmarks in this process are asked to do.
type engineFlags struct {
	workloadFlags
	sizes  []int
	rounds int
	each   time.Duration
}

func (a *app) benchEngineCommand() *cobra.Command {
	var f engineFlags
	cmd := &cobra.Command{
		Use:   "engine",
		Short: "What a check costs in this process, by its shape",
		Long: `Load the Drive workload into an engine in this process and ask it questions of
known shapes, by one caller, without a wire and a database, and list what one user
may view. Every answer is compared with the one that the workload knows; a wrong
one or an error ends the run. The exit code is 1 if a bar is missed.`,
		Example: `  cardea bench engine --tuples 1000000 --rounds 9`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.benchEngine(cmd.Context(), f) },
	}
	a.engineFlags(cmd, &f)
	cmd.Flags().IntVar(&f.tuples, "tuples", 1_000_000, "about how many tuples the workload has")
	return cmd
}

func (a *app) benchSizeCommand() *cobra.Command {
	var f engineFlags
	cmd := &cobra.Command{
		Use:   "size",
		Short: "How checks and memory grow with the number of tuples",
		Long: `Load the Drive workload in several sizes into an engine in this process, one after
the other, and report for each how long checks of known shapes take, and those that
are drawn from the workload, and how many bytes a tuple takes in memory. Every
answer is compared with the one that the workload knows; a wrong one or an error
ends the run. The exit code is 1 if a bar is missed. Of the questions that are drawn
nothing is promised: in more data they walk farther, and find less of it in the
processor's caches.`,
		Example: `  cardea bench size --sizes 100000,1000000,10000000`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.benchSize(cmd.Context(), f) },
	}
	a.engineFlags(cmd, &f)
	cmd.Flags().IntSliceVar(&f.sizes, "sizes", []int{100_000, 1_000_000, 10_000_000}, "about how many tuples the workloads have")
	return cmd
}

func (a *app) engineFlags(cmd *cobra.Command, f *engineFlags) {
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the workload and of the questions")
	flags.IntVar(&f.rounds, "rounds", 7, "how often each figure is measured; the median counts")
	flags.DurationVar(&f.each, "duration", 300*time.Millisecond, "how long a round takes")
	a.resultFlags(cmd)
}

func (f engineFlags) validate() error {
	var bad []error
	for _, n := range f.sizes {
		g := f.workloadFlags
		g.tuples = n
		bad = append(bad, g.validate())
	}
	if f.rounds < 1 || f.rounds > 1000 {
		bad = append(bad, fmt.Errorf("--rounds is %d: expected 1 to 1,000", f.rounds))
	}
	if f.each <= 0 {
		bad = append(bad, fmt.Errorf("--duration is %s: expected more than 0", f.each))
	}
	return errors.Join(bad...)
}

// inProcess loads Drive with the shapes into an engine and calls do with it.
func (a *app) inProcess(ctx context.Context, n int, seed uint64, do func(p *bench.InProcess, s bench.Shaped) error) error {
	s := bench.Shaped{Drive: bench.NewDrive(n, seed)}
	p, err := bench.StartInProcess(ctx, s)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "loaded %d tuples in %.1f s, %.0f/s\n", p.Tuples(), p.Loaded.Seconds(), float64(p.Tuples())/p.Loaded.Seconds())
	return errors.Join(do(p, s), p.Engine.Close())
}

func (a *app) benchEngine(ctx context.Context, f engineFlags) error {
	f.sizes = []int{f.tuples}
	if err := f.validate(); err != nil {
		return err
	}
	r := a.newResult("engine", "A check in process, by its shape")
	err := a.inProcess(ctx, f.tuples, f.seed, func(p *bench.InProcess, s bench.Shaped) error {
		allocations := 0.0
		for _, shape := range s.Shapes() {
			micros, err := p.Micros(ctx, shape.Questions, f.rounds, f.each)
			if err != nil {
				return err
			}
			r.Add(shape.Name, "µs", bench.AtMost(shape.Micros), micros...)
			n, err := p.Allocations(ctx, shape.Questions)
			if err != nil {
				return err
			}
			allocations = max(allocations, n)
		}
		r.Add("allocations of a check, the most of all shapes", "", bench.AtMost(0.05), allocations)
		subject, documents := s.Lister()
		first, last, err := p.List(ctx, subject, documents, f.rounds)
		if err != nil {
			return err
		}
		r.Add("list 10,000 objects: the first after", "ms", bench.AtMost(1), first...)
		r.Add("list 10,000 objects: the last after", "ms", bench.AtMost(15), last...)
		return nil
	})
	if err != nil {
		return err
	}
	return a.printResult(r)
}

func (a *app) benchSize(ctx context.Context, f engineFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	r := a.newResult("size", "Checks in process as data grows")
	r.Plot = &bench.Axes{X: "tuples", Y: "µs for a check", LogX: true, LogY: true}
	least := map[string]float64{}
	for i, n := range f.sizes {
		err := a.inProcess(ctx, n, f.seed, func(p *bench.InProcess, s bench.Shaped) error {
			size := bench.Number(float64(n)) + " tuples"
			add := func(name string, micros []float64) {
				r.Point(name, float64(p.Tuples()), name+", "+size, "µs", nil, micros...)
			}
			for _, shape := range s.Shapes() {
				micros, err := p.Micros(ctx, shape.Questions, f.rounds, f.each)
				if err != nil {
					return err
				}
				add(shape.Name, micros)
				median := bench.Median(micros)
				if i == 0 {
					least[shape.Name] = median
				} else if i == len(f.sizes)-1 {
					what := fmt.Sprintf("%s, %s by %s", shape.Name, size, bench.Number(float64(f.sizes[0])))
					r.Add(what, "times", bench.AtMost(1.5), median/least[shape.Name])
				}
			}
			p50, p99, err := p.Quantiles(ctx, bench.Mix{Granted: 0.5}, f.rounds, 50_000)
			if err != nil {
				return err
			}
			add("Drive, p50", p50)
			add("Drive, p99", p99)
			r.Add("heap of a tuple, "+size, "bytes", nil, float64(p.Heap)/float64(p.Tuples()))
			bar := bench.AtMost(64)
			if n < 10_000_000 {
				bar = nil
			}
			if p.Resident > 0 {
				r.Add("resident memory of a tuple, "+size, "bytes", bar, float64(p.Resident)/float64(p.Tuples()))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	slices.SortStableFunc(r.Rows, func(x, y bench.Row) int { return boolean(x.Bar == nil) - boolean(y.Bar == nil) })
	return a.printResult(r)
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}
