package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/server"
)

func (a *app) benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure servers and stores, with answers that are known",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.benchLoadCommand(), a.benchConsistencyCommand(), a.benchWriteCommand(), a.benchLagCommand(),
		a.benchEngineCommand(), a.benchSizeCommand(), a.benchWorkloadCommand(), a.benchPlotCommand(), a.benchWireCommand())
	return cmd
}

// A loadFlags is what bench load is asked to do.
type loadFlags struct {
	tuples int
	seed   uint64
	remote bool
	fill   bool
	load   bench.Load
}

func (a *app) benchLoadCommand() *cobra.Command {
	var f loadFlags
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Ask checks of the Drive workload over gRPC and report rate and latency",
		Long: `Ask checks of the Drive workload (documents in nested folders, shared with users
and nested groups) over gRPC and report rate and latency. Every answer is
compared with the one that the workload knows, and a wrong one or an error makes
the exit code 1.

Without --remote the command starts a server of its own on loopback, with its
tuples in memory, in the same process. With --remote it loads the workload, model
included, into the server at --read-remote and --write-remote; use one that
serves nothing else.`,
		Example: `  cardea bench load --tuples 100000 --concurrency 16 --duration 10s
  cardea bench load --skew 1.1 --granted 0.9 -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchLoad(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.tuples, "tuples", 100_000, "about how many tuples the workload has")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the workload and of the questions")
	flags.BoolVar(&f.remote, "remote", false, "ask a running server instead of starting one")
	flags.BoolVar(&f.fill, "fill", true, "load the workload first; false if it is there from a run with the same --tuples and --seed")
	flags.IntVar(&f.load.Concurrency, "concurrency", 16, "callers, each of which waits for its answer before it asks again")
	flags.DurationVar(&f.load.Duration, "duration", 10*time.Second, "how long to ask")
	flags.Float64Var(&f.load.Mix.Skew, "skew", 0, "exponent of the Zipf law for documents and users, above 1; 0 is even")
	flags.Float64Var(&f.load.Mix.Granted, "granted", 0.5, "share of the questions, 0 to 1, that are about somebody the document is shared with")
	a.clientFlags(cmd)
	a.outputFlag(cmd, "text", "json")
	return cmd
}

func (f loadFlags) validate() error {
	var bad []error
	if f.tuples < 100 || f.tuples > 100_000_000 {
		bad = append(bad, fmt.Errorf("--tuples is %d: expected 100 to 100,000,000", f.tuples))
	}
	if f.load.Concurrency < 1 || f.load.Concurrency > 10_000 {
		bad = append(bad, fmt.Errorf("--concurrency is %d: expected 1 to 10,000", f.load.Concurrency))
	}
	if f.load.Duration <= 0 {
		bad = append(bad, fmt.Errorf("--duration is %s: expected more than 0", f.load.Duration))
	}
	if f.load.Mix.Skew != 0 && f.load.Mix.Skew <= 1 {
		bad = append(bad, fmt.Errorf("--skew is %v: expected 0 or more than 1", f.load.Mix.Skew))
	}
	if f.load.Mix.Granted < 0 || f.load.Mix.Granted > 1 {
		bad = append(bad, fmt.Errorf("--granted is %v: expected 0 to 1", f.load.Mix.Granted))
	}
	return errors.Join(bad...)
}

func (a *app) benchLoad(ctx context.Context, f loadFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	f.load.Seed = f.seed
	if f.remote {
		return a.benchServer(ctx, f)
	}
	return a.withServer(ctx, func(ctx context.Context) error { return a.benchServer(ctx, f) })
}

// withServer runs do while a server of this process listens where the client
// flags then point to.
func (a *app) withServer(ctx context.Context, do func(context.Context) error) error {
	const anyPort = "127.0.0.1:0"
	config, err := server.LoadConfig(nil)
	if err != nil {
		return err
	}
	config.DSN, config.Log.Level = "mem:", slog.LevelWarn
	config.Serve.Read.Address, config.Serve.Write.Address = anyPort, anyPort
	config.Serve.Metrics.Address, config.Serve.OPL.Address = "", ""
	s, err := server.New(ctx, config)
	if err != nil {
		return err
	}
	a.client.read, a.client.write = s.Address("read").String(), s.Address("write").String()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	g.Go(func() error { return s.Run(ctx) })
	err = do(ctx)
	stop()
	return errors.Join(err, g.Wait())
}

func (a *app) benchServer(ctx context.Context, f loadFlags) error {
	read, err := a.readRemote()
	if err != nil {
		return err
	}
	defer read.Close()
	write, err := a.writeRemote()
	if err != nil {
		return err
	}
	defer write.Close()
	d := bench.NewDrive(f.tuples, f.seed)
	target := bench.NewRemote(read, write)
	if f.fill {
		start, last := time.Now(), 0
		if err := bench.Fill(ctx, target, d, func(n int) { last = n }); err != nil {
			return err
		}
		took := time.Since(start)
		fmt.Fprintf(a.stderr, "loaded %d tuples in %.1f s, %.0f/s\n", last, took.Seconds(), float64(last)/took.Seconds())
	}
	report, err := bench.Run(ctx, target, d, f.load)
	if err != nil {
		return err
	}
	if err := a.printReport(report); err != nil {
		return err
	}
	if report.Wrong > 0 || report.Errors > 0 {
		return errNo
	}
	return nil
}

func (a *app) printReport(r bench.Report) error {
	return a.print(r, "%s\n(%d processors, %s; client and server share them unless --remote points elsewhere)\n",
		r, runtime.GOMAXPROCS(0), runtime.Version())
}
