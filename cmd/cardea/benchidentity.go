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
)

// An identityFlags is what bench identity is asked to do.
type identityFlags struct {
	httpFlags
	crowd int
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
	f.add(cmd.Flags())
	cmd.Flags().IntVar(&f.crowd, "crowd", 100, "logins at the same time while memory is watched")
	cmd.Flags().Lookup("only").Usage += "; then there is no crowd"
	a.resultFlags(cmd)
	return cmd
}

func (f identityFlags) validate() error {
	bad := []error{f.httpFlags.validate(func(name string) bool { _, ok := bench.IdentityBars[name]; return ok })}
	if f.crowd < 1 || f.crowd > 10_000 {
		bad = append(bad, fmt.Errorf("--crowd is %d: expected 1 to 10,000", f.crowd))
	}
	return errors.Join(bad...)
}

func (a *app) benchIdentityOn(ctx context.Context, f identityFlags, on database) error {
	r := a.newResult("identity-"+on.name, "Sessions, flows and logins on "+on.name)
	start := func(ctx context.Context, dsn string, callers int) (*child, driven, error) {
		return startPeople(ctx, dsn, on.folder, cheapHash, callers, f.profile != "")
	}
	err := f.trips(ctx, on.dsn, start, r, func(name string) *bench.Bar {
		if most := bench.IdentityBars[name].Trips; most > 0 {
			return bench.AtMost(most)
		}
		return nil
	})
	if err != nil {
		return err
	}
	names, rounds, err := a.measureHTTP(ctx, f.httpFlags, on, start, func(name string) bool { return name == bench.FloorSelect })
	if err != nil {
		return err
	}
	r.AddIdentity(names, rounds)
	if len(f.only) == 0 {
		if err := identityHashing(ctx, f, on.dsn, on.folder, r, rounds[bench.IdentityLogin]); err != nil {
			return err
		}
	}
	return a.printResult(r)
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
	s, i, err := startPeople(ctx, dsn, folder, hashers, f.crowd, false)
	if err != nil {
		return c, err
	}
	defer s.stop()
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

// startPeople starts such a server, and makes people there.
func startPeople(ctx context.Context, dsn, folder, hashers string, callers int, profiled bool) (*child, *bench.Identity, error) {
	s, err := startIdentity(ctx, dsn, folder, hashers, profiled)
	if err != nil {
		return nil, nil, err
	}
	i, err := bench.NewIdentity(ctx, "http://"+s.public, "http://"+s.admin, callers)
	if err != nil {
		s.stop()
	}
	return s, i, err
}

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
