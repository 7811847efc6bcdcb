package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/internal/localdb"
)

// A database is the private PostgreSQL of a run.
type database struct {
	server     *localdb.Postgres
	own        *pgx.Conn // to the database postgres, which no engine uses
	postmaster int       // process id
	statements bool      // whether pg_stat_statements counts
	version    string
}

// settings of the server that are not its defaults, besides those of localdb. SpiceDB
// asks for the first.
var serverSettings = []string{"track_commit_timestamp = on"}

func startDatabase(ctx context.Context) (*database, error) {
	server, err := localdb.StartPostgres(ctx)
	if err != nil {
		return nil, err
	}
	d := &database{server: server}
	if err := d.prepare(ctx); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// prepare applies the settings, which takes a restart, and connects.
func (d *database) prepare(ctx context.Context) error {
	if err := d.connect(ctx); err != nil {
		return err
	}
	err := d.own.QueryRow(ctx, "SELECT count(*) > 0 FROM pg_available_extensions WHERE name = 'pg_stat_statements'").Scan(&d.statements)
	if err != nil {
		return err
	}
	settings := serverSettings
	if d.statements {
		settings = append(settings, "shared_preload_libraries = pg_stat_statements")
	}
	for _, s := range settings {
		if _, err := d.own.Exec(ctx, "ALTER SYSTEM SET "+s); err != nil {
			return err
		}
	}
	if err := errors.Join(d.own.Close(ctx), d.server.Kill(ctx), d.server.Start(ctx), d.connect(ctx)); err != nil {
		return err
	}
	if !d.statements {
		return nil
	}
	// BEGIN and COMMIT are no queries.
	for _, s := range []string{"CREATE EXTENSION pg_stat_statements", "ALTER SYSTEM SET pg_stat_statements.track_utility = off", "SELECT pg_reload_conf()"} {
		if _, err := d.own.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// connect connects and finds out the process id of the server.
func (d *database) connect(ctx context.Context) error {
	own, err := pgx.Connect(ctx, d.server.DSN())
	if err != nil {
		return err
	}
	d.own = own
	var backend int
	if err := d.own.QueryRow(ctx, "SELECT pg_backend_pid(), current_setting('server_version')").Scan(&backend, &d.version); err != nil {
		return err
	}
	s, err := readStat(backend)
	d.postmaster = s.parent
	return err
}

func (d *database) close() error {
	if d.own == nil {
		return d.server.Stop()
	}
	return errors.Join(d.own.Close(context.Background()), d.server.Stop())
}

// counting says what queries counts.
func (d *database) counting() string {
	if d.statements {
		return "pg_stat_statements: statements without BEGIN, COMMIT and the like"
	}
	return "pg_stat_database: transactions, since this server has no pg_stat_statements"
}

// queries returns how many queries the database of dsn has had.
func (d *database) queries(ctx context.Context, dsn string) (int64, error) {
	query := "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = $1)"
	if !d.statements {
		query = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1"
	}
	name, err := databaseName(dsn)
	if err != nil {
		return 0, err
	}
	var n int64
	err = d.own.QueryRow(ctx, query, name).Scan(&n)
	return n, err
}

// forgotten returns how often pg_stat_statements dropped statements for lack of
// room. What it dropped is missing in queries.
func (d *database) forgotten(ctx context.Context) (int64, error) {
	if !d.statements {
		return 0, nil
	}
	var n int64
	err := d.own.QueryRow(ctx, "SELECT dealloc FROM pg_stat_statements_info").Scan(&n)
	return n, err
}

// tidy does at once what the server would else do in the middle of a measurement.
func (d *database) tidy(ctx context.Context, dsn string) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	for _, statement := range []string{"VACUUM (ANALYZE)", "CHECKPOINT"} {
		if _, err := c.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func databaseName(dsn string) (string, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "", fmt.Errorf("a DSN of this run: %w", err)
	}
	return config.Database, nil
}

// settingsText says how the server is set up.
func (d *database) settingsText() string {
	return "defaults, jit=off, max_connections=200, " + strings.Join(serverSettings, ", ") + "; VACUUM (ANALYZE) and CHECKPOINT after loading"
}
