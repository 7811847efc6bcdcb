package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/internal/localdb"
	"github.com/cardea-iam/cardea/store"
)

// An httpFlags is what a benchmark of a server that is asked over HTTP is told.
type httpFlags struct {
	dsn      string
	rounds   int
	duration time.Duration
	callers  int
	only     []string
	profile  string
}

func (f *httpFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.dsn, "dsn", "", "the database, one that serves nothing else: sqlite://PATH, postgres://... or cockroach://...; empty: an SQLite file and a PostgreSQL for the run")
	flags.IntVar(&f.rounds, "rounds", 5, "how often each operation is measured, all of them in turn")
	flags.DurationVar(&f.duration, "duration", time.Second, "how long an operation is repeated in a round")
	flags.IntVar(&f.callers, "concurrency", 4, "callers, each of which waits for its answer before it asks again")
	flags.StringArrayVar(&f.only, "only", nil, "measure only this operation; can be given several times")
	flags.StringVar(&f.profile, "profile", "", "file for a profile of the server's processor time during the last round of the last operation")
}

// validate reports all that is wrong. known reports whether there is an operation.
func (f httpFlags) validate(known func(name string) bool) error {
	var bad []error
	if f.rounds < 1 || f.rounds > 1000 {
		bad = append(bad, fmt.Errorf("--rounds is %d: expected 1 to 1,000", f.rounds))
	}
	if f.duration <= 0 {
		bad = append(bad, fmt.Errorf("--duration is %s: expected more than 0", f.duration))
	}
	if f.callers < 1 || f.callers > 1000 {
		bad = append(bad, fmt.Errorf("--concurrency is %d: expected 1 to 1,000", f.callers))
	}
	for _, name := range f.only {
		if !known(name) {
			bad = append(bad, fmt.Errorf("--only names %q, which is not measured", name))
		}
	}
	return errors.Join(bad...)
}

// of returns those of some operations that are to be measured.
func (f httpFlags) of(ops []bench.HTTPOp) []bench.HTTPOp {
	if len(f.only) == 0 {
		return ops
	}
	return slices.DeleteFunc(ops, func(op bench.HTTPOp) bool { return !slices.Contains(f.only, op.Name) })
}

// A driven is a server that a benchmark asks, and what it asks.
type driven interface {
	Ops() []bench.HTTPOp
	Close()
}

// A starter starts a server on a database, and prepares what so many callers ask.
type starter func(ctx context.Context, dsn string, callers int) (*child, driven, error)

// trips counts the round trips of each operation to a database server, of which bar is
// promised.
func (f httpFlags) trips(ctx context.Context, dsn string, start starter, r *bench.Result, bar func(name string) *bench.Bar) error {
	if strings.HasPrefix(dsn, "sqlite:") {
		return nil
	}
	wire, err := bench.CountTrips(dsn)
	if err != nil {
		return err
	}
	defer func() { _ = wire.Close() }()
	s, d, err := start(ctx, wire.DSN(), 1)
	if err != nil {
		return err
	}
	defer s.stop()
	defer d.Close()
	for _, op := range f.of(d.Ops()) {
		c, err := op.Prepare(ctx, 1)
		if err != nil {
			return err
		}
		trips, err := c.TripsOf(ctx, wire, f.rounds)
		if err != nil {
			return err
		}
		r.Add(op.Name+": round trips to the database", "", bar(op.Name), trips...)
	}
	return nil
}

// measureHTTP lets callers do all operations in turn, and in turn with them those of a floor on
// the same database for whose names floor is true. It returns the names of the first and
// the rounds of both.
func (a *app) measureHTTP(ctx context.Context, f httpFlags, on database, start starter, floor func(name string) bool) (names []string, rounds map[string][]bench.HTTPReport, err error) {
	s, d, err := start(ctx, on.dsn, f.callers)
	if err != nil {
		return nil, nil, err
	}
	defer s.stop()
	defer d.Close()
	below, at, err := startOAuthFloor(ctx, on.dsn, on.folder)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = below.Stop() }()
	theirs := slices.DeleteFunc(bench.OAuthFloorOps(at, f.callers), func(op bench.HTTPOp) bool { return !floor(op.Name) })
	ours := f.of(d.Ops())
	for _, op := range ours {
		names = append(names, op.Name)
	}
	ops := append(theirs, ours...)
	rounds = map[string][]bench.HTTPReport{}
	for n := range f.rounds + 1 {
		for i, op := range ops {
			of := s.process
			if i < len(theirs) {
				of = below
			}
			c, err := op.Prepare(ctx, f.callers)
			if err != nil {
				return nil, nil, err
			}
			if f.profile != "" && n == f.rounds && i == len(ops)-1 {
				wait := profileOf(ctx, s.metrics, f.profile, f.duration)
				defer func() {
					if err := wait(); err != nil {
						fmt.Fprintln(a.stderr, "no profile:", err)
					}
				}()
			}
			report, err := c.Run(ctx, of, f.duration)
			if err != nil {
				return nil, nil, err
			}
			if n > 0 { // the first one warms up
				rounds[op.Name] = append(rounds[op.Name], report)
			}
		}
	}
	return names, rounds, nil
}

// eachDatabase calls do with that of dsn, or if it is empty, with the databases of the machine. A
// bar that is missed on one does not keep it from the other.
func (a *app) eachDatabase(ctx context.Context, dsn string, do func(database) error) error {
	prepared := func(dsn string) error { return prepare(ctx, dsn, do) }
	if dsn != "" {
		return prepared(dsn)
	}
	first := onSQLite(prepared)
	if first != nil && !errors.Is(first, errNo) {
		return first
	}
	if _, err := localdb.PostgresBinaries(); err != nil {
		fmt.Fprintln(a.stderr, "no server:", err)
		return first
	}
	if err := a.onServer(ctx, "", prepared); err != nil {
		return err
	}
	return first
}

// A database is one to measure a server on.
type database struct{ name, dsn, folder string } // folder: for what the run writes

// prepare brings a database up to date, and calls do.
func prepare(ctx context.Context, dsn string, do func(database) error) error {
	name, err := bench.DatabaseName(ctx, dsn)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "cardea-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if _, err := store.Migrate(ctx, dsn); err != nil {
		return err
	}
	return do(database{name, dsn, folder})
}
