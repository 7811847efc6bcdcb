package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	a.resultFlags(cmd)
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
	r := a.newResult("consistency", "Checks in each mode of consistency, while another node writes")
	wrong := false
	err := a.onStores(ctx, f, func(dsn string) error {
		return a.withCluster(ctx, dsn, f, func(store string, c *bench.Cluster, d *bench.Drive) error {
			for _, m := range bench.Modes {
				load := bench.Load{Concurrency: f.callers, Duration: f.duration, Mix: bench.Mix{Granted: 0.5}, Seed: f.seed}
				report, err := bench.Consistency(ctx, c, d, load, m.Mode, f.writes)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", store, m.Name, err)
				}
				if report.Wrong > 0 || report.Errors > 0 {
					wrong = true
					fmt.Fprintf(a.stderr, "%s, %s: %s\n", store, m.Name, report.Report)
				}
				what := store + ", " + m.Name + ": "
				r.Add(what+"rate", "checks/s", nil, report.QPS)
				r.Add(what+"p50", "µs", nil, float64(report.P50))
				r.Add(what+"p99", "µs", nil, float64(report.P99))
				r.Add(what+"round trips to the store for a check", "", nil, report.RoundsPerCheck)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if err := a.printResult(r); err != nil {
		return err
	}
	if wrong {
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
	r := a.newResult("write", "Durable tuples a second, beside raw SQL")
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
			var w bench.WriteReport
			if w, err = bench.Writes(ctx, c, dsn, load, f.duration); err == nil {
				what := store + ", " + load.Name + ": "
				r.Add(what+"by that of raw SQL", "times", bench.AtLeast(0.5), w.Ratio)
				r.Add(what+"Cardea", "tuples/s", nil, w.Cardea)
				r.Add(what+"raw SQL", "tuples/s", nil, w.Raw)
				r.Add(what+"p50 of a write", "µs", nil, float64(w.P50))
				r.Add(what+"p99 of a write", "µs", nil, float64(w.P99))
			}
		}
		return errors.Join(err, c.Close())
	})
	if err != nil {
		return err
	}
	return a.printResult(r)
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
	r := a.newResult("lag", fmt.Sprintf("How soon a node shows what another wrote: %s, %d tuples, %d writes", report.Store, report.Tuples, report.Writes))
	for _, line := range []struct {
		name string
		bench.Latency
	}{
		{"a write is acknowledged after", report.Write},
		{"then the other node shows it after", report.Lag},
		{"a check there with its token takes", report.Token},
	} {
		r.Add(line.name+": p50", "µs", nil, float64(line.P50))
		r.Add(line.name+": p99", "µs", nil, float64(line.P99))
		r.Add(line.name+": longest", "µs", nil, float64(line.Max))
	}
	r.Add("reads of the log's tail for a check with a token", "", nil, float64(report.TailReads)/float64(max(report.TokenChecks, 1)))
	r.Add("reads of the log's tail while one was answered, the most", "", nil, float64(report.MostTailReads))
	return a.printResult(r)
}
