package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/bench"
)

// A checkFlags is what bench check is asked to do.
type checkFlags struct {
	workloadFlags
	dsn         string
	remote      bool
	fill        bool
	concurrency []int
	rates       []float64
	callers     int
	rounds      int
	duration    time.Duration
	warmUp      time.Duration
	profile     string
}

func (a *app) benchCheckCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Ask checks of a workload over gRPC and report rate and latency",
		Long: `Ask checks of a workload over gRPC and report rate and latency. Every answer is
compared with the one that the workload knows, and a wrong one or an error makes
the exit code 1.

With --concurrency the callers wait for their answers before they ask again (a
closed loop). With --rate questions arrive by themselves, at random and at that
rate a second (an open loop), and the latency of an answer counts from when its
question arrived: what a slow server keeps waiting is not left out. Each may be a
list, which is measured in its order.

Without --remote the command starts a server of its own on loopback, in a process
of its own. With --remote it loads the workload, model included, into the server at
--read-remote and --write-remote; use one that serves nothing else.
` + workloadHelp(),
		Example: `  cardea bench check --tuples 100000 --concurrency 1,16,64
  cardea bench check --workload github --rate 2000,5000,10000 --save
  cardea bench check --concurrency 64 --profile cpu.pprof`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchCheck(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.name, "workload", "drive", "which workload")
	a.workloadFlags(cmd, &f.workloadFlags, 100_000)
	flags.StringVar(&f.dsn, "dsn", "mem:", "the database of the server that is started; empty it first")
	flags.BoolVar(&f.remote, "remote", false, "ask a running server instead of starting one")
	flags.BoolVar(&f.fill, "fill", true, "load the workload first; false if it is there from a run with the same --workload, --tuples and --seed")
	flags.IntSliceVar(&f.concurrency, "concurrency", []int{16}, "callers, each of which waits for its answer before it asks again")
	flags.Float64SliceVar(&f.rates, "rate", nil, "questions that arrive a second, instead of --concurrency")
	flags.IntVar(&f.callers, "callers", 256, "with --rate, how many questions may be on their way at once")
	flags.IntVar(&f.rounds, "rounds", 3, "how often each figure is measured; the median counts")
	flags.DurationVar(&f.duration, "duration", 5*time.Second, "how long a round takes")
	flags.DurationVar(&f.warmUp, "warm-up", 2*time.Second, "how long to ask before the first round")
	flags.StringVar(&f.profile, "profile", "", "file for a profile of the server's processor time during the last round")
	cmd.MarkFlagsMutuallyExclusive("concurrency", "rate")
	cmd.MarkFlagsMutuallyExclusive("remote", "profile")
	cmd.MarkFlagsMutuallyExclusive("remote", "dsn")
	a.clientFlags(cmd)
	a.resultFlags(cmd)
	return cmd
}

func (f checkFlags) validate() error {
	bad := []error{f.workloadFlags.validate()}
	for _, n := range append(f.concurrency, f.callers) {
		if n < 1 || n > 10_000 {
			bad = append(bad, fmt.Errorf("%d callers: expected 1 to 10,000", n))
		}
	}
	for _, rate := range f.rates {
		if rate <= 0 || rate > 10_000_000 {
			bad = append(bad, fmt.Errorf("--rate has %v: expected more than 0, at most 10,000,000", rate))
		}
	}
	if f.rounds < 1 || f.rounds > 1000 {
		bad = append(bad, fmt.Errorf("--rounds is %d: expected 1 to 1,000", f.rounds))
	}
	if f.duration <= 0 || f.warmUp < 0 {
		bad = append(bad, fmt.Errorf("--duration is %s and --warm-up %s: expected more than 0, and 0 or more", f.duration, f.warmUp))
	}
	return errors.Join(bad...)
}

// A served is the server that is asked, and its process if it is ours.
type served struct {
	target  *bench.Remote
	process *bench.Process
	metrics string // address
}

func (a *app) benchCheck(ctx context.Context, f checkFlags) error {
	w, err := f.workload()
	if err := errors.Join(err, f.validate()); err != nil {
		return err
	}
	if f.remote {
		return a.withRemote(func(s served) error { return a.benchServer(ctx, f, w, s) })
	}
	return a.withServer(ctx, f.dsn, func(s served) error { return a.benchServer(ctx, f, w, s) })
}

// withRemote calls do with the server that the client flags name.
func (a *app) withRemote(do func(served) error) error {
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
	return do(served{target: bench.NewRemote(read, write)})
}

// withServer starts this program as a server on loopback, and calls do with it.
func (a *app) withServer(ctx context.Context, dsn string, do func(served) error) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "cardea-bench-")
	if err != nil {
		return err
	}
	addrs, err := freeAddresses(3)
	if err != nil {
		return errors.Join(err, os.RemoveAll(folder))
	}
	process, _, err := bench.StartProcess(ctx, filepath.Join(folder, "log"), addrs[0], self, "serve", "--dsn", dsn, "--dev",
		"--read", addrs[0], "--write", addrs[1], "--metrics", addrs[2], "--pprof", "--public", "", "--opl", "", "--log-level", "warn")
	if err != nil {
		return errors.Join(err, os.RemoveAll(folder))
	}
	a.client.read, a.client.write = addrs[0], addrs[1]
	err = a.withRemote(func(s served) error {
		s.process, s.metrics = process, addrs[2]
		return do(s)
	})
	return errors.Join(err, process.Stop(), os.RemoveAll(folder))
}

// benchServer fills a server and measures each load on it.
func (a *app) benchServer(ctx context.Context, f checkFlags, w bench.Workload, s served) error {
	if f.fill {
		if err := a.fill(ctx, s.target, w); err != nil {
			return err
		}
	}
	r := a.newResult("check-"+f.name, fmt.Sprintf("Checks over gRPC: %s, %d tuples", f.name, f.tuples))
	r.Plot = &bench.Axes{X: "callers, each waiting for its answer", Y: "µs, from question to answer", LogX: true, LogY: true}
	loads := f.loads()
	if len(f.rates) > 0 {
		r.Name, r.Plot.X, r.Plot.LogX = "rate-"+f.name, "questions a second", false
	}
	for i, l := range loads {
		profile := ""
		if i == len(loads)-1 {
			profile = f.profile
		}
		if err := a.measure(ctx, r, w, l, s, f.rounds, profile); err != nil {
			return err
		}
	}
	return a.printResult(r)
}

// loads returns what is to be measured.
func (f checkFlags) loads() []bench.Load {
	one := bench.Load{Duration: f.duration, WarmUp: f.warmUp, Mix: f.mix, Seed: f.seed}
	var list []bench.Load
	if len(f.rates) == 0 {
		for _, one.Concurrency = range f.concurrency {
			list = append(list, one)
		}
		return list
	}
	one.Concurrency = f.callers
	for _, one.Rate = range f.rates {
		list = append(list, one)
	}
	return list
}

// measure adds what a load does to a server. A wrong answer or an error ends it.
func (a *app) measure(ctx context.Context, r *bench.Result, w bench.Workload, l bench.Load, s served, rounds int, profile string) error {
	x, at := float64(l.Concurrency), fmt.Sprintf("%d callers", l.Concurrency)
	if l.Rate > 0 {
		x, at = l.Rate, fmt.Sprintf("%v questions a second", l.Rate)
	}
	figures := map[string][]float64{}
	for i := range rounds {
		if i == rounds-1 && profile != "" {
			stop := profileOf(ctx, s.metrics, profile, l.Duration)
			defer func() {
				if err := stop(); err != nil {
					fmt.Fprintln(a.stderr, "no profile:", err)
				}
			}()
		}
		report, cpu, err := s.run(ctx, w, l)
		if err != nil {
			return err
		}
		if report.Wrong > 0 || report.Errors > 0 || report.Checks == 0 {
			fmt.Fprintln(a.stderr, report)
			return errNo
		}
		l.WarmUp = 0 // for the first round only
		l.Seed++
		for name, value := range map[string]float64{
			"rate": report.QPS, "cpu": cpu, "p50": float64(report.P50), "p99": float64(report.P99),
			"p99.9": float64(report.P999), "longest": float64(report.Max), "unanswered": float64(report.Unanswered),
		} {
			figures[name] = append(figures[name], value)
		}
	}
	r.Add("rate, "+at, "checks/s", nil, figures["rate"]...)
	for _, name := range []string{"p50", "p99", "p99.9", "longest"} {
		r.Point(name, x, name+", "+at, "µs", nil, figures[name]...)
	}
	if s.process != nil {
		r.Add("the server's CPU for a check, "+at, "µs", nil, figures["cpu"]...)
	}
	if bench.Median(figures["unanswered"]) > 0 {
		r.Add("unanswered, "+at, "", nil, figures["unanswered"]...)
	}
	return nil
}

// run asks the server, and returns its processor time for a check in microseconds.
func (s served) run(ctx context.Context, w bench.Workload, l bench.Load) (report bench.Report, cpu float64, err error) {
	if s.process == nil {
		report, err = bench.Run(ctx, s.target, w, l)
		return report, 0, err
	}
	if l.WarmUp > 0 {
		warm := l
		warm.Duration, warm.WarmUp, warm.Seed = l.WarmUp, 0, ^l.Seed
		if report, err = bench.Run(ctx, s.target, w, warm); err != nil || report.Wrong > 0 || report.Errors > 0 {
			return report, 0, err
		}
		l.WarmUp = 0
	}
	before, err := s.process.CPU()
	if err != nil {
		return report, 0, err
	}
	if report, err = bench.Run(ctx, s.target, w, l); err != nil {
		return report, 0, err
	}
	after, err := s.process.CPU()
	return report, (after - before).Seconds() * 1e6 / float64(max(report.Checks, 1)), err
}

// profileOf begins to fetch a profile of a server with a metrics port, and returns how to
// wait for it.
func profileOf(ctx context.Context, metrics, path string, d time.Duration) (wait func() error) {
	done := make(chan error, 1)
	go func() {
		done <- fetch(ctx, fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", metrics, max(int(d.Seconds()), 1)), path)
	}()
	return func() error { return <-done }
}

// fetch writes what a URL gives to a file.
func fetch(ctx context.Context, url, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, response.Body)
	return errors.Join(err, file.Close())
}
