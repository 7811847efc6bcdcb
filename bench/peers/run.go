package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/localdb"
)

// settleTime bounds the wait until an engine shows what was loaded to those who ask
// for no freshness.
const settleTime = time.Minute

// A run measures engines, one after the other, on one PostgreSQL.
type run struct {
	options  options
	drive    *bench.Drive
	database *database
	find     binaries
	progress io.Writer
	written  atomic.Int64 // tuples that are not of the workload
}

func startRun(o options, db *database, find binaries, progress io.Writer) *run {
	return &run{options: o, drive: bench.NewDrive(o.tuples, o.seed), database: db, find: find, progress: progress}
}

// engine measures one engine.
func (r *run) engine(ctx context.Context, p program, binary string) (report EngineReport, err error) {
	folder, err := os.MkdirTemp("", "cardea-peers-")
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	dsn, err := localdb.NewDatabase(ctx, r.database.server.DSN())
	if err != nil {
		return report, err
	}
	defer func() {
		err = errors.Join(err, localdb.DropDatabase(context.WithoutCancel(ctx), r.database.server.DSN(), dsn))
	}()
	fmt.Fprintf(r.progress, "%s: starting\n", p.name)
	in, err := p.start(ctx, site{binary: binary, dsn: dsn, folder: folder})
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	report = EngineReport{
		Name: p.name, Version: r.find.version(ctx, p, binary), Settings: p.settings,
		Commands: describe(p.binary, in.commands, dsn, folder),
	}
	m := &measured{run: r, program: p, instance: in, dsn: dsn}
	if report.Load, err = m.fill(ctx); err != nil {
		return report, m.withLog(err)
	}
	if report.Modes, err = m.allModes(ctx); err != nil {
		return report, m.withLog(err)
	}
	report.ResidentMiB, err = residentMiB(in.process.pid())
	return report, err
}

// measured is an engine that runs.
type measured struct {
	*run
	program  program
	instance *instance
	dsn      string
	newest   atomic.Pointer[string] // token of the last write
}

func (m *measured) withLog(err error) error {
	return fmt.Errorf("%w; the end of its log: %s", err, tail(m.instance.process.log))
}

func (m *measured) usage() (usage, error) {
	return usageOf(m.instance.process.pid(), m.database.postmaster)
}

// fill loads the workload and waits until every answer shows it.
func (m *measured) fill(ctx context.Context) (LoadReport, error) {
	before, err := m.usage()
	if err != nil {
		return LoadReport{}, err
	}
	start, done := time.Now(), 0
	if err := bench.Fill(ctx, target{m: m}, m.drive, func(n int) { done = n }); err != nil {
		return LoadReport{}, err
	}
	took := time.Since(start)
	after, err := m.usage()
	if err != nil {
		return LoadReport{}, err
	}
	spent := after.minus(before)
	report := LoadReport{
		Tuples: done, Seconds: took.Seconds(),
		ServerMicros: perCheck(spent.server, int64(done)) * 1000, DatabaseMicros: perCheck(spent.database, int64(done)) * 1000,
	}
	fmt.Fprintf(m.progress, "%s: %d tuples in %.1f s\n", m.program.name, done, took.Seconds())
	if err := m.settle(ctx); err != nil {
		return report, err
	}
	return report, m.database.tidy(ctx, m.dsn)
}

// settle writes one more tuple and waits until an answer that may be old shows it,
// and so everything before. SpiceDB takes up to 10 s.
func (m *measured) settle(ctx context.Context) error {
	if err := m.write(ctx, engine.Tuple{Object: last, Relation: "owners", Subject: somebody}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	question := engine.Tuple{Object: last, Relation: "view", Subject: somebody}
	return until(ctx, func() (bool, error) {
		return m.instance.check(ctx, question, freshness{mode: minimizeLatency})
	})
}

// What the workload does not have and no question is about.
var (
	last     = engine.Object{Namespace: "Document", ID: "last-of-all"}
	somebody = engine.SubjectSet("User", "somebody", "")
)

// write writes one tuple and remembers the token.
func (m *measured) write(ctx context.Context, t engine.Tuple) error {
	token, err := m.instance.insert(ctx, []engine.Tuple{t})
	if err == nil {
		m.newest.Store(&token)
	}
	return err
}

// allModes measures each mode. One that is asked for as another was is that one's
// measurement again.
func (m *measured) allModes(ctx context.Context) ([]ModeReport, error) {
	var list []ModeReport
	for i, at := range modes {
		how := m.program.asks[at]
		if same := asked(list, how); same != nil {
			again := *same
			again.Mode, again.SameAs = at, same.Mode
			list = append(list, again)
			continue
		}
		report, err := m.mode(ctx, at, m.options.seed+uint64(i))
		if err != nil {
			return list, fmt.Errorf("%s: %w", at, err)
		}
		report.How = how
		fmt.Fprintf(m.progress, "%s, %s: %s\n", m.program.name, at, report.Report)
		list = append(list, report)
	}
	return list, nil
}

func asked(list []ModeReport, how string) *ModeReport {
	for i := range list {
		if list[i].How == how {
			return &list[i]
		}
	}
	return nil
}

// mode measures one mode, after a while in which nothing is counted.
func (m *measured) mode(ctx context.Context, at mode, seed uint64) (ModeReport, error) {
	load := bench.Load{Concurrency: m.options.concurrency, Duration: m.options.warmUp, Mix: m.options.mix, Seed: seed + 1000}
	warm, _, err := m.ask(ctx, at, load)
	if err != nil {
		return ModeReport{}, err
	}
	before, err := m.read(ctx)
	if err != nil {
		return ModeReport{}, err
	}
	load.Duration, load.Seed = m.options.duration, seed
	report, writes, err := m.ask(ctx, at, load)
	if err != nil {
		return ModeReport{}, err
	}
	after, err := m.read(ctx)
	if err != nil {
		return ModeReport{}, err
	}
	if after.forgotten != before.forgotten {
		return ModeReport{}, errors.New("pg_stat_statements had no room for all statements, so that their number is not known")
	}
	// What was wrong while nothing was counted is wrong all the same.
	report.Wrong, report.Errors = report.Wrong+warm.Wrong, report.Errors+warm.Errors
	report.FirstWrong, report.FirstError = either(report.FirstWrong, warm.FirstWrong), either(report.FirstError, warm.FirstError)
	spent := after.usage.minus(before.usage)
	return ModeReport{
		Mode: at, Report: report, Writes: writes,
		ServerMillis: perCheck(spent.server, report.Checks), DatabaseMillis: perCheck(spent.database, report.Checks),
		Queries:     float64(after.queries-before.queries) / float64(max(report.Checks, 1)),
		OthersCores: spent.others().Seconds() / report.Seconds,
	}, nil
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// perCheck is milliseconds per check.
func perCheck(t time.Duration, checks int64) float64 {
	return t.Seconds() * 1000 / float64(max(checks, 1))
}

// counters is what is read before and after a measurement.
type counters struct {
	usage              usage
	queries, forgotten int64
}

func (m *measured) read(ctx context.Context) (c counters, err error) {
	if c.queries, err = m.database.queries(ctx, m.dsn); err != nil {
		return c, err
	}
	if c.forgotten, err = m.database.forgotten(ctx); err != nil {
		return c, err
	}
	c.usage, err = m.usage()
	return c, err
}

// ask asks questions in a mode, while somebody writes if the mode is about that. It
// returns how many tuples were written.
func (m *measured) ask(ctx context.Context, at mode, load bench.Load) (bench.Report, int64, error) {
	on := target{m: m, mode: at}
	if at != withToken || !m.program.hasToken() {
		report, err := bench.Run(ctx, on, m.drive, load)
		return report, 0, err
	}
	before := m.written.Load()
	var report bench.Report
	g, gctx := errgroup.WithContext(ctx)
	stop := make(chan struct{})
	g.Go(func() error { return m.writeUntil(gctx, stop) })
	g.Go(func() (err error) {
		defer close(stop)
		report, err = bench.Run(gctx, on, m.drive, load)
		return err
	})
	err := g.Wait()
	return report, m.written.Load() - before, err
}

// writeUntil writes so many tuples a second, one at a time.
func (m *measured) writeUntil(ctx context.Context, stop <-chan struct{}) error {
	ticker := time.NewTicker(time.Second / time.Duration(m.options.writes))
	defer ticker.Stop()
	for {
		t := engine.Tuple{
			Object:   engine.Object{Namespace: "Document", ID: fmt.Sprintf("fresh-%d", m.written.Add(1))},
			Relation: "viewers", Subject: somebody,
		}
		if err := m.write(ctx, t); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-stop:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A target is an engine as the load driver sees it, asked in one mode.
type target struct {
	m    *measured
	mode mode
}

// ApplyModel implements bench.Target.
func (t target) ApplyModel(ctx context.Context, source string) error {
	if source != bench.DriveModel {
		return errors.New("the peers know the Drive model only")
	}
	return t.m.instance.applyModel(ctx)
}

// Insert implements bench.Target.
func (t target) Insert(ctx context.Context, tuples []engine.Tuple) error {
	_, err := t.m.instance.insert(ctx, tuples)
	return err
}

// Check implements bench.Target.
func (t target) Check(ctx context.Context, tuple engine.Tuple) (bool, error) {
	at := freshness{mode: t.mode}
	if t.mode == withToken {
		at.token = *t.m.newest.Load()
	}
	return t.m.instance.check(ctx, tuple, at)
}

// describe writes commands as somebody would type them, with names for what differs
// from run to run.
func describe(binary string, commands [][]string, dsn, folder string) []string {
	var list []string
	for _, args := range commands {
		text := binary
		for _, a := range args {
			switch {
			case a == dsn:
				a = "$DSN"
			case a == "":
				a = `""`
			case filepath.IsAbs(a) && filepath.Dir(a) == folder:
				a = "$DIR/" + filepath.Base(a)
			default:
				a = withoutPort(a)
			}
			text += " " + a
		}
		list = append(list, text)
	}
	return list
}
