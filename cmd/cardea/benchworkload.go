package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/bench"
)

// A workloadFlags names a workload and says how questions about it are drawn.
type workloadFlags struct {
	name   string
	tuples int
	seed   uint64
	mix    bench.Mix
}

// workloadFlags adds the flags of a benchmark on a workload.
func (a *app) workloadFlags(cmd *cobra.Command, f *workloadFlags, tuples int) {
	flags := cmd.Flags()
	flags.IntVar(&f.tuples, "tuples", tuples, "about how many tuples the workload has")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the workload and of the questions")
	flags.Float64Var(&f.mix.Skew, "skew", 0, "exponent of the Zipf law by which objects and users are drawn, above 1; 0 is even")
	flags.Float64Var(&f.mix.Granted, "granted", 0.5, "share of the questions, 0 to 1, that are about somebody the object is shared with")
}

func (f workloadFlags) validate() error {
	var bad []error
	if f.tuples < 100 || f.tuples > 100_000_000 {
		bad = append(bad, fmt.Errorf("--tuples is %d: expected 100 to 100,000,000", f.tuples))
	}
	if f.mix.Skew != 0 && f.mix.Skew <= 1 {
		bad = append(bad, fmt.Errorf("--skew is %v: expected 0 or more than 1", f.mix.Skew))
	}
	if f.mix.Granted < 0 || f.mix.Granted > 1 {
		bad = append(bad, fmt.Errorf("--granted is %v: expected 0 to 1", f.mix.Granted))
	}
	return errors.Join(bad...)
}

// workload makes the workload that the flags name.
func (f workloadFlags) workload() (bench.Workload, error) {
	w, err := bench.NewWorkload(f.name, f.tuples, f.seed)
	return w, errors.Join(err, f.validate())
}

// workloadHelp lists the workloads.
func workloadHelp() string {
	text := "\nThe workloads:\n"
	for _, w := range bench.Workloads() {
		text += fmt.Sprintf("  %-7s %s\n", w[0], w[1])
	}
	return text
}

func (a *app) benchWorkloadCommand() *cobra.Command {
	var f workloadFlags
	var load, model bool
	var questions int
	cmd := &cobra.Command{
		Use:   "workload NAME",
		Short: "Print a workload, or load it into a server",
		Long: `Print the tuples of a workload, or, with --model, its model, or, with --questions,
questions with the right answers; or load model and tuples into the server at
--write-remote. Equal flags give equal workloads, of any size in no memory.
` + workloadHelp(),
		Example: `  cardea bench workload github --tuples 1000000 > tuples.txt
  cardea bench workload github --tuples 1000000 --questions 1000
  cardea bench workload rbac --tuples 100000 --load`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.name = args[0]
			w, err := f.workload()
			switch {
			case err != nil:
				return err
			case load:
				return a.loadWorkload(cmd.Context(), w)
			case model:
				_, err := fmt.Fprint(a.stdout, w.Model())
				return err
			default:
				return a.printWorkload(w, f, questions)
			}
		},
	}
	a.workloadFlags(cmd, &f, 100_000)
	flags := cmd.Flags()
	flags.BoolVar(&load, "load", false, "load it into the server at --write-remote, which should serve nothing else")
	flags.BoolVar(&model, "model", false, "print the model")
	flags.IntVar(&questions, "questions", 0, "print so many questions with their answers")
	cmd.MarkFlagsMutuallyExclusive("load", "model", "questions")
	a.clientFlags(cmd)
	return cmd
}

// printWorkload prints tuples in the form that cardea tuples import reads, or
// questions in that of the examples.
func (a *app) printWorkload(w bench.Workload, f workloadFlags, questions int) error {
	out := bufio.NewWriterSize(a.stdout, 1<<16)
	if questions > 0 {
		for q := range w.Questions(rand.New(rand.NewPCG(f.seed, 0)), f.mix) {
			verdict := "deny"
			if q.Want {
				verdict = "allow"
			}
			if _, err := fmt.Fprintln(out, verdict, q.Tuple); err != nil {
				return err
			}
			if questions--; questions == 0 {
				break
			}
		}
		return out.Flush()
	}
	for t := range w.Tuples() {
		if _, err := fmt.Fprintln(out, t); err != nil {
			return err
		}
	}
	return out.Flush()
}

// loadWorkload loads a workload into the server that the client flags name.
func (a *app) loadWorkload(ctx context.Context, w bench.Workload) error {
	return a.withRemote(func(s served) error { return a.fill(ctx, s.target, w) })
}

// fill loads a workload and says how long it took.
func (a *app) fill(ctx context.Context, to bench.Target, w bench.Workload) error {
	start, last := time.Now(), 0
	if err := bench.Fill(ctx, to, w, func(n int) { last = n }); err != nil {
		return err
	}
	took := time.Since(start)
	fmt.Fprintf(a.stderr, "loaded %d tuples in %.1f s, %.0f/s\n", last, took.Seconds(), float64(last)/took.Seconds())
	return nil
}
