package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/server"
)

func (a *app) benchPauseCommand() *cobra.Command {
	var f engineFlags
	cmd := &cobra.Command{
		Use:   "pause",
		Short: "How long a check is held up by what else the process does",
		Long: `Load the Drive workload into an engine in this process and check without a break,
by one caller: beside nothing else, a thousand writes a second, so many writes that the
graph is made anew, the garbage collector over and over, checkpoints over and over, and all
of them but that. Two figures are promised: how long a stop of all threads held a check
up, and the processor time of the longest check, which has the work that was put on it.
The longest of all rounds counts. The median of what rounds had is beside it, which tells
what comes always from what came once; so are the stops as the runtime counts them, the
longest check by the clock, and the longest processor time of the same thread in which
nothing was done. Every answer is compared with the one that the workload knows. The exit
code is 1 if a bar is missed.

Two processors are needed, and whatever else wants them counts: where others are at the
machine, give the command priority (nice -n -20).`,
		Example: `  cardea bench pause --tuples 1000000 --rounds 3 --duration 10s`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.benchPause(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the workload and of the questions")
	flags.IntVar(&f.tuples, "tuples", 1_000_000, "about how many tuples the workload has")
	flags.IntVar(&f.rounds, "rounds", 5, "how often each is gone through")
	flags.DurationVar(&f.each, "duration", 4*time.Second, "how long is checked beside each in a round, twice")
	a.resultFlags(cmd)
	return cmd
}

func (a *app) benchPause(ctx context.Context, f engineFlags) error {
	f.sizes = []int{f.tuples}
	if err := f.validate(); err != nil {
		return err
	}
	defer server.TendHeap()() // as a server does
	r := a.newResult("pause", "What holds a check up")
	rounds, err := bench.Pauses(ctx, bench.NewDrive(f.tuples, f.seed), f.rounds, f.each)
	if err != nil {
		return err
	}
	for i, p := range rounds[0] {
		var held, stopped, own, nothing, clock []float64
		for _, round := range rounds {
			p := round[i]
			fmt.Fprintf(a.stderr, "%s: %d checks, %d tuples written, %d cycles of the collector, %d times made anew; the longest check by the clock %.2f ms\n",
				p.During, p.Checks, p.Writes, p.Cycles, p.Anew, p.Clock)
			held, stopped, clock = append(held, p.Held), append(stopped, p.Stopped), append(clock, p.Clock)
			own, nothing = append(own, p.Own), append(nothing, p.Nothing)
		}
		beside := "beside " + p.During + ": "
		r.Add(beside+"a check held up by a stop of all threads", "ms", bench.AtMost(5), slices.Max(held))
		r.Add(beside+"a check held up by a stop of all threads, median of rounds", "ms", nil, held...)
		r.Add(beside+"all threads stopped, as the runtime counts", "ms", nil, stopped...)
		r.Add(beside+"processor time of the longest check", "ms", bench.AtMost(5), slices.Max(own))
		r.Add(beside+"processor time of the longest check, median of rounds", "ms", nil, own...)
		r.Add(beside+"processor time of the longest nothing, by the same thread", "ms", nil, nothing...)
		r.Add(beside+"the longest check by the clock", "ms", nil, clock...)
	}
	return a.printResult(r)
}
