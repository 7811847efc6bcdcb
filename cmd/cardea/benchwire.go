package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/server"
)

// A wireFlags is what bench wire is asked to do.
type wireFlags struct {
	tuples      []int
	concurrency []int
	rounds      int
	duration    time.Duration
	seed        uint64
	writes      bool
	batch       int
}

func (a *app) benchWireCommand() *cobra.Command {
	var f wireFlags
	cmd := &cobra.Command{
		Use:   "wire",
		Short: "What a check costs over gRPC, beside a server that answers without looking",
		Long: `Ask a server checks of the Drive workload over gRPC, and in turn with it a second
one on the same stack that gives every question the same answer. Both run in
processes of their own. The report has the rate of each and the processor time
that it takes for a check, and the ratios of the two: what the check itself adds
to a call. Medians are of all rounds. A wrong answer or an error ends the run.`,
		Example: `  cardea bench wire --tuples 100000,1000000 --concurrency 16,64
  cardea bench wire --writes --duration 10s`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchWire(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.IntSliceVar(&f.tuples, "tuples", []int{100_000, 1_000_000}, "about how many tuples the workloads have")
	flags.IntSliceVar(&f.concurrency, "concurrency", []int{16, 64}, "callers, each of which waits for its answer before it asks again")
	flags.IntVar(&f.rounds, "rounds", 5, "how often both servers are asked in turn")
	flags.DurationVar(&f.duration, "duration", 3*time.Second, "how long to ask one server in a round")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the workload and of the questions")
	flags.BoolVar(&f.writes, "writes", false, "compare the server with itself while 1 in 100 requests is a write")
	flags.IntVar(&f.batch, "batch", 0, "ask so many questions in a request, without a server beside")
	a.resultFlags(cmd)
	cmd.AddCommand(a.benchFloorCommand())
	return cmd
}

// benchFloorCommand runs the server that answers without looking.
func (a *app) benchFloorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "floor", Hidden: true, Args: cobra.NoArgs,
		Short:   "Answer every check without looking",
		Example: "  cardea bench wire floor --read 127.0.0.1:0",
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := server.LoadConfig(cmd.Flags())
			if err != nil {
				return err
			}
			defer server.TendHeap()()
			s, err := server.NewFloor(config)
			if err != nil {
				return err
			}
			return s.Run(cmd.Context())
		},
	}
	server.Flags(cmd.Flags())
	return cmd
}

func (f wireFlags) validate() error {
	var bad []error
	for _, n := range f.tuples {
		if n < 100 || n > 100_000_000 {
			bad = append(bad, fmt.Errorf("--tuples has %d: expected 100 to 100,000,000", n))
		}
	}
	for _, n := range f.concurrency {
		if n < 1 || n > 10_000 {
			bad = append(bad, fmt.Errorf("--concurrency has %d: expected 1 to 10,000", n))
		}
	}
	if f.rounds < 1 {
		bad = append(bad, fmt.Errorf("--rounds is %d: expected 1 or more", f.rounds))
	}
	if f.duration <= 0 {
		bad = append(bad, fmt.Errorf("--duration is %s: expected more than 0", f.duration))
	}
	if f.batch < 0 || f.batch > 10_000 {
		bad = append(bad, fmt.Errorf("--batch is %d: expected 0 for single questions, to 10,000", f.batch))
	}
	return errors.Join(bad...)
}

func (a *app) benchWire(ctx context.Context, f wireFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	name, title := "wire-check", "A check over gRPC, beside a call that answers without looking"
	switch {
	case f.batch > 0:
		name, title = "wire-batch", "Checks in batches over gRPC"
	case f.writes:
		name, title = "wire-writes", "Checks over gRPC with and without 1 % writes"
	}
	result := bench.NewResult(name, title, os.Args[1:])
	folder, err := os.MkdirTemp("", "cardea-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	floor, err := startChild(ctx, folder, "bench", "wire", "floor")
	if err != nil {
		return err
	}
	defer floor.stop()
	for _, n := range f.tuples {
		if err := wireSize(ctx, f, n, filepath.Join(folder, fmt.Sprint(n)), floor, result); err != nil {
			return err
		}
	}
	return a.printResult(result)
}

// wireSize measures a server that has n tuples.
func wireSize(ctx context.Context, f wireFlags, n int, folder string, floor *child, result *bench.Result) error {
	if err := os.Mkdir(folder, 0o700); err != nil {
		return err
	}
	s, err := startChild(ctx, folder, "serve", "--dsn", "sqlite://"+filepath.Join(folder, "cardea.db"))
	if err != nil {
		return err
	}
	defer s.stop()
	d := bench.NewDrive(n, f.seed)
	if err := bench.Fill(ctx, s.target(), d, func(int) {}); err != nil {
		return err
	}
	w := bench.NewWire(d, f.seed)
	if f.batch > 0 {
		w.InBatches(f.batch)
		return wireBatches(ctx, f, n, s, w, result)
	}
	for _, c := range f.concurrency {
		load := bench.WireLoad{Concurrency: c, Duration: f.duration, Known: true}
		beside, other := load, floor
		if f.writes {
			load.Write, other = bench.Fresh(s.write.ClientConn), s
		} else {
			beside.Known = false
		}
		var rounds wireRounds
		for i := range f.rounds + 1 {
			one, err := w.Run(ctx, s.process, s.read.ClientConn, load)
			if err != nil {
				return err
			}
			two, err := w.Run(ctx, other.process, other.read.ClientConn, beside)
			if err != nil {
				return err
			}
			if i > 0 { // the first one warms up
				rounds = append(rounds, [2]bench.WireReport{one, two})
			}
		}
		rounds.addTo(result, fmt.Sprintf("%s tuples, %d callers: ", short(n), c), f.writes)
	}
	return nil
}

func wireBatches(ctx context.Context, f wireFlags, n int, s *child, w *bench.Wire, result *bench.Result) error {
	for _, c := range f.concurrency {
		var rates, server, both []float64
		for i := range f.rounds + 1 {
			r, err := w.Run(ctx, s.process, s.read.ClientConn, bench.WireLoad{Concurrency: c, Duration: f.duration, Known: true})
			if err != nil {
				return err
			}
			if i > 0 { // the first one warms up
				rates, server, both = append(rates, r.QPS), append(server, r.CPU), append(both, r.CPU+r.Own)
			}
		}
		what := fmt.Sprintf("%s tuples, %d callers, batches of %d: ", short(n), c, f.batch)
		result.Add(what+"rate", "checks/s", bench.AtLeast(500_000), rates...)
		result.Add(what+"CPU of a check", "µs", nil, server...)
		// What two cores of nothing else would do: the rate above is of a machine that
		// does other things, too.
		result.Add(what+"CPU of a check, callers included", "µs", bench.AtMost(2/0.5), both...)
	}
	return nil
}

// short writes a number of tuples with k or M.
func short(n int) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%g M", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%g k", float64(n)/1e3)
	default:
		return fmt.Sprint(n)
	}
}

// wireRounds are what a server and the one beside it did in each round.
type wireRounds [][2]bench.WireReport

func (w wireRounds) side(i int, of func(bench.WireReport) float64) (out []float64) {
	for _, r := range w {
		out = append(out, of(r[i]))
	}
	return out
}

func (w wireRounds) ratio(of func(bench.WireReport) float64) (out []float64) {
	for _, r := range w {
		out = append(out, of(r[0])/of(r[1]))
	}
	return out
}

func (w wireRounds) addTo(r *bench.Result, what string, writes bool) {
	qps := func(r bench.WireReport) float64 { return r.QPS }
	cpu := func(r bench.WireReport) float64 { return r.CPU }
	p50 := func(r bench.WireReport) float64 { return float64(r.P50) }
	p99 := func(r bench.WireReport) float64 { return float64(r.P99) }
	longest := func(r bench.WireReport) float64 { return float64(r.Max) }
	for _, row := range []struct {
		what, unit string
		of         func(bench.WireReport) float64
	}{{"rate", "checks/s", qps}, {"CPU of a check", "µs", cpu}, {"p50", "µs", p50}, {"p99", "µs", p99}, {"longest", "µs", longest}} {
		beside := ", no-op"
		if writes {
			beside = ", without writes"
		}
		r.Add(what+row.what, row.unit, nil, w.side(0, row.of)...)
		r.Add(what+row.what+beside, row.unit, nil, w.side(1, row.of)...)
	}
	if writes {
		r.Add(what+"p99 by that without writes", "times", bench.AtMost(1.5), w.ratio(p99)...)
		return
	}
	r.Add(what+"rate by the no-op's", "times", bench.AtLeast(0.85), w.ratio(qps)...)
	r.Add(what+"CPU by the no-op's", "times", bench.AtMost(1.2), w.ratio(cpu)...)
}

// A child is a server that was started from this program.
type child struct {
	process *bench.Process
	read    *remote
	write   *remote
	started time.Duration

	admin, public, metrics string // addresses of HTTP
}

// startChild starts this program as a server on loopback and connects to it.
func startChild(ctx context.Context, folder string, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addrs, err := freeAddresses(4)
	if err != nil {
		return nil, err
	}
	args = append([]string{self}, append(args, "--read", addrs[0], "--write", addrs[1], "--public", addrs[2],
		"--metrics", addrs[3], "--opl", "", "--log-level", "warn")...)
	c := &child{admin: addrs[1], public: addrs[2], metrics: addrs[3]}
	if c.process, c.started, err = bench.StartProcess(ctx, filepath.Join(folder, "log"), addrs[0], args...); err != nil {
		return nil, err
	}
	client := clientFlags{timeout: time.Minute}
	var errRead, errWrite error
	c.read, errRead = client.dial(addrs[0], "--read")
	c.write, errWrite = client.dial(addrs[1], "--write")
	if err := errors.Join(errRead, errWrite); err != nil {
		return nil, errors.Join(err, c.process.Stop())
	}
	return c, nil
}

func (c *child) target() bench.Target { return bench.NewRemote(c.read, c.write) }

func (c *child) stop() { _ = errors.Join(c.read.Close(), c.write.Close(), c.process.Stop()) }

// freeAddresses returns n addresses on loopback that nobody listens at.
func freeAddresses(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after the last, so that all differ
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}
