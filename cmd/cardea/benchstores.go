package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/localdb"
)

// A storesFlags is what the benchmarks of stores are asked to do.
type storesFlags struct {
	dsn      string
	tuples   int
	seed     uint64
	writes   int
	duration time.Duration
	callers  int
}

const storesHelp = `
The nodes run in this process, without their doors. Tuples go to a network of
their own, which stays in the database of --dsn: use one that serves nothing else.
Without --dsn a PostgreSQL is started for the run, if this machine has one.`

func (a *app) benchConsistencyCommand() *cobra.Command {
	var f storesFlags
	cmd := &cobra.Command{
		Use:   "consistency",
		Short: "What each mode of consistency costs, on each store",
		Long: `Ask one node checks of the Drive workload in each mode of consistency while
another node writes, and report rate, latency and round trips to the store. The
modes that take a token get that of the newest write. Every answer is compared
with the one that the workload knows, and a wrong one or an error makes the exit
code 1.
` + storesHelp,
		Example: `  cardea bench consistency --tuples 100000 --duration 5s
  cardea bench consistency --dsn postgres://bench@db/bench -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.benchConsistency(cmd.Context(), f) },
	}
	a.storesFlags(cmd, &f, 5*time.Second, "how long to ask in each mode")
	cmd.Flags().IntVar(&f.tuples, "tuples", 100_000, "about how many tuples the workload has")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "seed of the workload and of the questions")
	cmd.Flags().IntVar(&f.writes, "writes", 50, "tuples that the other node writes a second")
	cmd.Flags().IntVar(&f.callers, "concurrency", 16, "callers, each of which waits for its answer before it asks again")
	return cmd
}

func (a *app) benchWriteCommand() *cobra.Command {
	var f storesFlags
	cmd := &cobra.Command{
		Use:   "write",
		Short: "Durable tuples a second, beside raw SQL",
		Long: `Write tuples one at a time with 1 caller and with 64, and in bulk, and report how
many a second were durable, beside raw SQL that inserts the same rows into a table
with the same columns, a primary key and an index by subject. Raw SQL keeps no
history and no log, and checks nothing.
` + storesHelp,
		Example: `  cardea bench write --duration 5s`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.benchWrite(cmd.Context(), f) },
	}
	a.storesFlags(cmd, &f, 5*time.Second, "how long to write in each way")
	return cmd
}

func (a *app) benchLagCommand() *cobra.Command {
	var f storesFlags
	cmd := &cobra.Command{
		Use:   "lag",
		Short: "How soon one node shows what another has written",
		Long: `Write on one of two nodes and report how long it takes from the acknowledgement
of a write until the other node shows it, first to a question that asks for no
freshness, and then to one with the write's own token, which reads the tail of the
log.
` + storesHelp,
		Example: `  cardea bench lag --tuples 1000000 --writes 200`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.benchLag(cmd.Context(), f) },
	}
	a.storesFlags(cmd, &f, 10*time.Second, "how long to write")
	cmd.Flags().IntVar(&f.tuples, "tuples", 1_000_000, "about how many tuples the workload has")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "seed of the workload")
	cmd.Flags().IntVar(&f.writes, "writes", 200, "tuples that one node writes a second")
	return cmd
}

// storesFlags adds the flags that all benchmarks of stores have.
func (a *app) storesFlags(cmd *cobra.Command, f *storesFlags, duration time.Duration, durationHelp string) {
	f.tuples, f.writes, f.callers = 100, 1, 1
	cmd.Flags().StringVar(&f.dsn, "dsn", "", "a database beside SQLite: postgres://... or cockroach://...")
	cmd.Flags().DurationVar(&f.duration, "duration", duration, durationHelp)
	a.outputFlag(cmd, "text", "json")
}

func (f storesFlags) validate() error {
	var bad []error
	if f.tuples < 100 || f.tuples > 100_000_000 {
		bad = append(bad, fmt.Errorf("--tuples is %d: expected 100 to 100,000,000", f.tuples))
	}
	if f.writes < 1 || f.writes > 100_000 {
		bad = append(bad, fmt.Errorf("--writes is %d: expected 1 to 100,000", f.writes))
	}
	if f.callers < 1 || f.callers > 10_000 {
		bad = append(bad, fmt.Errorf("--concurrency is %d: expected 1 to 10,000", f.callers))
	}
	if f.duration <= 0 {
		bad = append(bad, fmt.Errorf("--duration is %s: expected more than 0", f.duration))
	}
	return errors.Join(bad...)
}

// onSQLite calls do with the DSN of a new SQLite file.
func onSQLite(do func(dsn string) error) error {
	folder, err := os.MkdirTemp("", "cardea-bench-")
	if err != nil {
		return err
	}
	return errors.Join(do("sqlite://"+filepath.Join(folder, "cardea.db")), os.RemoveAll(folder))
}

// onServer calls do with the DSN of a database server: the one that was given,
// or one that is started for it.
func (a *app) onServer(ctx context.Context, dsn string, do func(dsn string) error) error {
	if dsn != "" {
		return do(dsn)
	}
	server, err := localdb.StartPostgres(ctx)
	if err != nil {
		return err
	}
	return errors.Join(do(server.DSN()), server.Stop())
}

// onStores calls do with the DSNs of SQLite and of a server, if there is one.
func (a *app) onStores(ctx context.Context, f storesFlags, do func(dsn string) error) error {
	if err := f.validate(); err != nil {
		return err
	}
	if err := onSQLite(do); err != nil {
		return err
	}
	if _, err := localdb.PostgresBinaries(); err != nil && f.dsn == "" {
		fmt.Fprintln(a.stderr, "no server:", err)
		return nil
	}
	return a.onServer(ctx, f.dsn, do)
}

func (a *app) benchConsistency(ctx context.Context, f storesFlags) error {
	var reports []bench.ConsistencyReport
	err := a.onStores(ctx, f, func(dsn string) error {
		return a.withCluster(ctx, dsn, f, func(store string, c *bench.Cluster, d *bench.Drive) error {
			for _, m := range bench.Modes {
				load := bench.Load{Concurrency: f.callers, Duration: f.duration, Mix: bench.Mix{Granted: 0.5}, Seed: f.seed}
				report, err := bench.Consistency(ctx, c, d, load, m.Mode, f.writes)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", store, m.Name, err)
				}
				report.Store, report.Mode = store, m.Name
				reports = append(reports, report)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	failed := false
	rows := [][]any{{"store", "mode", "checks/s", "p50 µs", "p99 µs", "round trips/check", "wrong", "errors"}}
	for _, r := range reports {
		failed = failed || r.Wrong > 0 || r.Errors > 0
		rows = append(rows, []any{r.Store, r.Mode, math.Round(r.QPS), r.P50, r.P99, fmt.Sprintf("%.4f", r.RoundsPerCheck), r.Wrong, r.Errors})
	}
	if err := a.printTable(reports, rows); err != nil {
		return err
	}
	for _, r := range reports {
		if r.Wrong > 0 || r.Errors > 0 {
			fmt.Fprintf(a.stderr, "%s, %s: %s %s\n", r.Store, r.Mode, r.FirstWrong, r.FirstError)
		}
	}
	if failed {
		return errNo
	}
	return nil
}

// withCluster calls do with two nodes on the database of dsn that hold the
// workload.
func (a *app) withCluster(ctx context.Context, dsn string, f storesFlags, do func(store string, c *bench.Cluster, d *bench.Drive) error) error {
	store, err := bench.DatabaseName(ctx, dsn)
	if err != nil {
		return err
	}
	c, err := bench.StartCluster(ctx, dsn, 2, engine.Options{})
	if err != nil {
		return err
	}
	d := bench.NewDrive(f.tuples, f.seed)
	start, last := time.Now(), 0
	err = bench.Fill(ctx, bench.Local{Engine: c.Nodes[1]}, d, func(n int) { last = n })
	if err == nil {
		took := time.Since(start)
		fmt.Fprintf(a.stderr, "%s: loaded %d tuples in %.1f s, %.0f/s\n", store, last, took.Seconds(), float64(last)/took.Seconds())
		if _, err = c.Nodes[0].Head(ctx); err == nil { // the other node has it, too
			err = do(store, c, d)
		}
	}
	return errors.Join(err, c.Close())
}

func (a *app) benchWrite(ctx context.Context, f storesFlags) error {
	var reports []bench.WriteReport
	rows := [][]any{{"store", "load", "cardea tuples/s", "raw SQL tuples/s", "ratio", "p50 µs", "p99 µs"}}
	err := a.onStores(ctx, f, func(dsn string) error {
		store, err := bench.DatabaseName(ctx, dsn)
		if err != nil {
			return err
		}
		c, err := bench.StartCluster(ctx, dsn, 1, engine.Options{})
		if err != nil {
			return err
		}
		err = (bench.Local{Engine: c.Nodes[0]}).ApplyModel(ctx, bench.DriveModel)
		for _, load := range bench.WriteLoads {
			if err != nil {
				break
			}
			var r bench.WriteReport
			if r, err = bench.Writes(ctx, c, dsn, load, f.duration); err == nil {
				r.Store = store
				reports = append(reports, r)
				rows = append(rows, []any{r.Store, r.Load, math.Round(r.Cardea), math.Round(r.Raw), fmt.Sprintf("%.2f", r.Ratio), r.P50, r.P99})
			}
		}
		return errors.Join(err, c.Close())
	})
	if err != nil {
		return err
	}
	return a.printTable(reports, rows)
}

func (a *app) benchLag(ctx context.Context, f storesFlags) error {
	if err := f.validate(); err != nil {
		return err
	}
	var report bench.LagReport
	err := a.onServer(ctx, f.dsn, func(dsn string) error {
		return a.withCluster(ctx, dsn, f, func(store string, c *bench.Cluster, _ *bench.Drive) (err error) {
			report, err = bench.Lag(ctx, c, f.writes, f.duration)
			report.Store = store
			return err
		})
	})
	if err != nil {
		return err
	}
	rows := [][]any{{report.Store, "p50 µs", "p99 µs", "max µs"}}
	for _, line := range []struct {
		name string
		bench.Latency
	}{
		{"a write is acknowledged after", report.Write},
		{"then the other node shows it after", report.Lag},
		{"a check there with its token takes", report.Token},
	} {
		rows = append(rows, []any{line.name, line.P50, line.P99, line.Max})
	}
	if err := a.printTable(report, rows); err != nil || a.output == "json" {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%d tuples, %d writes; %d checks with tokens took %d reads of the log's tail, one of them at most %d\n",
		report.Tuples, report.Writes, report.TokenChecks, report.TailReads, report.MostTailReads)
	return err
}

// printTable prints v if the output is JSON, and otherwise rows, whose first one
// is the heading.
func (a *app) printTable(v any, rows [][]any) error {
	return a.print(v, "%s(%d processors, %s; nodes and databases share them unless --dsn points elsewhere)\n",
		columns(rows), runtime.GOMAXPROCS(0), runtime.Version())
}
