package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/server"
	"github.com/cardea-iam/cardea/store"
)

func (a *app) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date, or say how it is",
		Long: `Works on the database itself, not through a server. cardea serve brings an SQLite
file up to date by itself when it starts. On PostgreSQL and CockroachDB it does so
with --dev only, and otherwise does not start on a schema that is too old: run
cardea migrate up first. Several at once do no harm.`,
		Example: "  cardea migrate status\n  cardea migrate up --dsn postgres://cardea@db.example.com/cardea",
		Args:    knownCommand,
		RunE:    help,
	}
	cmd.AddCommand(
		a.migration(&cobra.Command{
			Use:     "up",
			Short:   "Apply the steps that are missing",
			Example: "  cardea migrate up\n  cardea migrate up --dsn sqlite:///var/lib/cardea/cardea.db",
		}, func(cmd *cobra.Command, dsn string) error {
			steps, err := store.Migrate(cmd.Context(), dsn)
			if err != nil {
				return err
			}
			return a.printMigrations(steps, "the schema is up to date\n")
		}),
		a.migration(&cobra.Command{
			Use:     "status",
			Short:   "List the steps, and exit with 1 if any is missing",
			Example: "  cardea migrate status\n  cardea migrate status --config cardea.yaml -o json",
		}, func(cmd *cobra.Command, dsn string) error {
			steps, err := store.Status(cmd.Context(), dsn)
			if err != nil {
				return err
			}
			if err := a.printMigrations(steps, ""); err != nil {
				return err
			}
			for _, s := range steps {
				if s.Applied.IsZero() {
					return errNo
				}
			}
			return nil
		}),
		a.migration(&cobra.Command{
			Use:   "restored",
			Short: "Begin a new epoch of a database that was restored from a copy",
			Long: `A database that was restored from a backup, or has lost its newest writes, lacks
what snaptokens given out since speak of. After this all of them are refused, so
that none is misread. Stop all servers before, and start them after it. On
PostgreSQL and CockroachDB it writes all tuples anew and forgets what was
deleted, which takes about as long as the restoration.`,
			Example: "  cardea migrate restored --dsn postgres://cardea@db.example.com/cardea",
		}, func(cmd *cobra.Command, dsn string) error {
			if err := store.Restored(cmd.Context(), dsn); err != nil {
				return err
			}
			return a.print(struct {
				Restored bool `json:"restored"`
			}{true}, "a new epoch has begun\n")
		}),
	)
	return cmd
}

// migration completes a command that works on the database of the configuration.
func (a *app) migration(cmd *cobra.Command, work func(*cobra.Command, string) error) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := server.LoadConfig(cmd.Flags())
		if err != nil {
			return err
		}
		return work(cmd, cfg.DSN)
	}
	cmd.Flags().String("config", "", "YAML file with the configuration (CARDEA_CONFIG)")
	cmd.Flags().String("dsn", "", "where the data is, over the configuration (CARDEA_DSN)")
	a.outputFlag(cmd)
	return cmd
}

// printMigrations lists steps, or says none if there are none.
func (a *app) printMigrations(steps []store.Migration, none string) error {
	type step struct {
		Version int64  `json:"version"`
		Name    string `json:"name"`
		Applied string `json:"applied,omitempty"` // RFC 3339, UTC
	}
	list := []step{}
	var text strings.Builder
	for _, s := range steps {
		when, shown := "", "pending"
		if !s.Applied.IsZero() {
			when = s.Applied.UTC().Format(time.RFC3339)
			shown = when
		}
		list = append(list, step{s.Version, s.Name, when})
		fmt.Fprintf(&text, "%d\t%s\t%s\n", s.Version, s.Name, shown)
	}
	if len(steps) == 0 {
		text.WriteString(none)
	}
	return a.print(struct {
		Migrations []step `json:"migrations"`
	}{list}, "%s", text.String())
}
