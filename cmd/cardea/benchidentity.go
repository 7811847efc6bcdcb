package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/bench"
)

// An identityFlags is what bench identity is asked to do.
type identityFlags struct {
	dsn      string
	rounds   int
	duration time.Duration
	callers  int
	crowd    int
	only     []string
	profile  string
}

func (a *app) benchIdentityCommand() *cobra.Command {
	var f identityFlags
	cmd := &cobra.Command{
		Use:   "identity",
		Short: "What whoami, flows and logins cost, and what a crowd of logins does to memory",
		Long: `Ask a server who has a session, for flows and their pages, for logins, registrations
and logouts, and what administrators ask for. It runs in a process of its own. The
report has the processor time that it takes for each, how long callers wait, and how
many times as much Kratos took on a machine like that of the saved results; medians
are of all rounds. A second server, the floor, looks up one row by its key and knows
nothing of sessions: whoami is compared with that. On a database server the round trips of each are counted on the
wire. A wrong answer or an error ends the run, and a missed bar makes the exit code 1.

All that is measured first with a password hash that costs nothing, so that it is seen
what else a login takes. Then a server as it is configured by default hashes passwords,
first for a few callers and then for a crowd, which shows what share the hash has, and
whether its memory stays within the bound.

Without --dsn both SQLite and a PostgreSQL that is started for the run are measured.`,
		Example: `  cardea bench identity --rounds 5 --duration 2s
  cardea bench identity --dsn sqlite://bench.db --only whoami --profile cpu.pprof`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.validate(); err != nil {
				return err
			}
			return a.eachDatabase(cmd.Context(), f.dsn, func(on database) error { return a.benchIdentityOn(cmd.Context(), f, on) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dsn, "dsn", "", "the database, one that serves nothing else: sqlite://PATH, postgres://... or cockroach://...; empty: an SQLite file and a PostgreSQL for the run")
	flags.IntVar(&f.rounds, "rounds", 5, "how often each operation is measured, all of them in turn")
	flags.DurationVar(&f.duration, "duration", time.Second, "how long an operation is repeated in a round")
	flags.IntVar(&f.callers, "concurrency", 4, "callers, each of which waits for its answer before it asks again")
	flags.IntVar(&f.crowd, "crowd", 100, "logins at the same time while memory is watched")
	flags.StringSliceVar(&f.only, "only", nil, "measure these operations only, and no crowd")
	flags.StringVar(&f.profile, "profile", "", "file for a profile of the server's processor time during the last round of the last operation")
	a.resultFlags(cmd)
	return cmd
}

func (f identityFlags) validate() error {
	bad := []error{oauthFlags{rounds: f.rounds, duration: f.duration, callers: f.callers}.validate()}
	if f.crowd < 1 || f.crowd > 10_000 {
		bad = append(bad, fmt.Errorf("--crowd is %d: expected 1 to 10,000", f.crowd))
	}
	for _, name := range f.only {
		if _, known := bench.IdentityBars[name]; !known {
			bad = append(bad, fmt.Errorf("--only names %q, which is not measured", name))
		}
	}
	return errors.Join(bad...)
}

// wants reports whether an operation is to be measured.
func (f identityFlags) wants(name string) bool {
	return len(f.only) == 0 || slices.Contains(f.only, name)
}

func (a *app) benchIdentityOn(ctx context.Context, f identityFlags, on database) error {
	r := a.newResult("identity-"+on.name, "Sessions, flows and logins on "+on.name)
	if err := identityTrips(ctx, f, on.dsn, on.folder, r); err != nil {
		return err
	}
	rounds, err := a.identityRounds(ctx, f, on.dsn, on.folder, r)
	if err != nil {
		return err
	}
	if len(f.only) == 0 {
		if err := identityHashing(ctx, f, on.dsn, on.folder, r, rounds[bench.IdentityLogin]); err != nil {
			return err
		}
	}
	return a.printResult(r)
}

// identityRounds measures all operations in turn.
func (a *app) identityRounds(ctx context.Context, f identityFlags, dsn, folder string, r *bench.Result) (map[string][]bench.HTTPReport, error) {
	s, err := startIdentity(ctx, dsn, folder, cheapHash, f.profile != "")
	if err != nil {
		return nil, err
	}
	defer s.stop()
	i, err := bench.NewIdentity(ctx, "http://"+s.public, "http://"+s.admin, f.callers)
	if err != nil {
		return nil, err
	}
	defer i.Close()
	floor, at, err := startOAuthFloor(ctx, dsn, folder)
	if err != nil {
		return nil, err
	}
	defer func() { _ = floor.Stop() }()
	ops := slices.DeleteFunc(i.Ops(), func(op bench.HTTPOp) bool { return !f.wants(op.Name) })
	theirs := slices.DeleteFunc(bench.OAuthFloorOps(at, f.callers), func(op bench.HTTPOp) bool { return op.Name != bench.FloorSelect })
	rounds := map[string][]bench.HTTPReport{}
	for n := range f.rounds + 1 {
		for at, op := range append(theirs, ops...) {
			of := s.process
			if at < len(theirs) {
				of = floor
			}
			c, err := op.Prepare(ctx, f.callers)
			if err != nil {
				return nil, err
			}
			if f.profile != "" && n == f.rounds && at == len(theirs)+len(ops)-1 {
				wait := profileOf(ctx, s.metrics, f.profile, f.duration)
				defer func() {
					if err := wait(); err != nil {
						fmt.Fprintln(a.stderr, "no profile:", err)
					}
				}()
			}
			report, err := c.Run(ctx, of, f.duration)
			if err != nil {
				return nil, err
			}
			if n > 0 { // the first one warms up
				rounds[op.Name] = append(rounds[op.Name], report)
			}
		}
	}
	for _, op := range ops {
		r.AddIdentity(op.Name, rounds)
	}
	return rounds, nil
}

// identityTrips counts the round trips to a database server.
func identityTrips(ctx context.Context, f identityFlags, dsn, folder string, r *bench.Result) error {
	if strings.HasPrefix(dsn, "sqlite:") {
		return nil
	}
	wire, err := bench.CountTrips(dsn)
	if err != nil {
		return err
	}
	defer func() { _ = wire.Close() }()
	s, err := startIdentity(ctx, wire.DSN(), folder, cheapHash, false)
	if err != nil {
		return err
	}
	defer s.stop()
	i, err := bench.NewIdentity(ctx, "http://"+s.public, "http://"+s.admin, 1)
	if err != nil {
		return err
	}
	defer i.Close()
	for _, op := range i.Ops() {
		if !f.wants(op.Name) {
			continue
		}
		c, err := op.Prepare(ctx, 1)
		if err != nil {
			return err
		}
		trips, err := c.TripsOf(ctx, wire, f.rounds)
		if err != nil {
			return err
		}
		var bar *bench.Bar
		if most := bench.IdentityBars[op.Name].Trips; most > 0 {
			bar = bench.AtMost(most)
		}
		r.Add(op.Name+": round trips to the database", "", bar, trips...)
	}
	return nil
}

// identityHashing measures logins whose passwords are hashed as by default. without is
// what they cost without.
func identityHashing(ctx context.Context, f identityFlags, dsn, folder string, r *bench.Result, without []bench.HTTPReport) error {
	beside, err := identityCrowd(ctx, f, dsn, folder, cheapHash, func(*child, *bench.Identity) error { return nil })
	if err != nil {
		return err
	}
	crowd, err := identityCrowd(ctx, f, dsn, folder, "", func(s *child, i *bench.Identity) error {
		with, err := identityLogins(ctx, f, s, i, len(without))
		if err == nil {
			r.AddHashing(without, with)
		}
		return err
	})
	if err == nil {
		r.AddCrowd(f.crowd, crowd, beside, hashBound)
	}
	return err
}

// identityCrowd lets a crowd log in at a new server, and calls then.
func identityCrowd(ctx context.Context, f identityFlags, dsn, folder, hashers string, then func(*child, *bench.Identity) error) (c bench.CrowdReport, err error) {
	s, err := startIdentity(ctx, dsn, folder, hashers, false)
	if err != nil {
		return c, err
	}
	defer s.stop()
	i, err := bench.NewIdentity(ctx, "http://"+s.public, "http://"+s.admin, f.crowd)
	if err != nil {
		return c, err
	}
	defer i.Close()
	if c, err = i.Crowd(ctx, s.process, f.crowd, max(4*f.duration, identityCrowdTime)); err != nil {
		return c, err
	}
	return c, then(s, i)
}

// identityLogins measures logins in some rounds.
func identityLogins(ctx context.Context, f identityFlags, s *child, i *bench.Identity, rounds int) (reports []bench.HTTPReport, err error) {
	for _, op := range i.Ops() {
		if op.Name != bench.IdentityLogin {
			continue
		}
		c, err := op.Prepare(ctx, f.callers)
		if err != nil {
			return nil, err
		}
		for range rounds {
			report, err := c.Run(ctx, s.process, f.duration)
			if err != nil {
				return nil, err
			}
			reports = append(reports, report)
		}
	}
	return reports, nil
}

const (
	// hashBound is the default of identity.hashers.argon2.dedicated_memory.
	hashBound = 256 << 20

	// identityCrowdTime is longer than anybody waits for a turn.
	identityCrowdTime = 6 * time.Second

	cheapHash = "  hashers: {argon2: {memory: 64, iterations: 1}}\n"
)

// startIdentity starts this program as a server of identities, which lets one address do as
// much as it can. hashers is a piece of its configuration.
func startIdentity(ctx context.Context, dsn, folder, hashers string, profiled bool) (*child, error) {
	config := filepath.Join(folder, "cardea.yaml")
	text := fmt.Sprintf("identity:\n  enabled: true\n  limits: {openings: 0, submissions: 0, failures: 0}\n%sserve:\n  pprof: %t\nsecrets:\n  system: [a secret for benchmarks]\njanitor:\n  interval: 24h\n", hashers, profiled)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return startChild(ctx, folder, "serve", "--config", config, "--dsn", dsn)
}
