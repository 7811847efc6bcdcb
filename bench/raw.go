package bench

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "modernc.org/sqlite" // the driver that Cardea uses

	"github.com/cardea-iam/cardea/engine"
)

// A raw is the least that somebody would write who keeps tuples in a table of
// their own: no history, no revisions, no checks of anything, but as durable, and
// with the indexes that the two questions "who" and "what" need.
type raw interface {
	// insertOne inserts one row in a transaction of its own.
	insertOne(ctx context.Context, t engine.Tuple) error
	// insertMany inserts rows in one transaction, in the fastest way there is.
	insertMany(ctx context.Context, tuples []engine.Tuple) error
	// close removes the table.
	close(ctx context.Context) error
}

const rawColumns = "namespace, object, relation, subject_namespace, subject_id, subject_relation"

func rawFields(t engine.Tuple) []any {
	return []any{t.Object.Namespace, t.Object.ID, t.Relation, t.Subject.Namespace, t.Subject.ID, t.Subject.Relation}
}

// openRaw makes the table in the database of dsn, or, if that is a file, in
// another one in the same folder.
func openRaw(ctx context.Context, dsn string, connections int) (raw, error) {
	if path, ok := strings.CutPrefix(dsn, "sqlite://"); ok {
		return openRawSQLite(ctx, filepath.Dir(path))
	}
	return openRawServer(ctx, dsn, connections)
}

type rawSQLite struct {
	folder string
	db     *sql.DB
	one    *sql.Stmt
}

const rawInsert = "INSERT INTO raw_tuple (" + rawColumns + ") VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"

func openRawSQLite(ctx context.Context, beside string) (raw, error) {
	folder, err := os.MkdirTemp(beside, "raw-")
	if err != nil {
		return nil, err
	}
	r := rawSQLite{folder: folder}
	if err := r.open(ctx); err != nil {
		return nil, errors.Join(err, r.close(ctx))
	}
	return r, nil
}

func (r *rawSQLite) open(ctx context.Context) error {
	abs, err := filepath.Abs(filepath.Join(r.folder, "raw.db"))
	if err != nil {
		return err
	}
	params := url.Values{"_pragma": {"journal_mode(wal)", "synchronous(full)", "cache_size(-65536)", "busy_timeout(10000)"}, "_txlock": {"immediate"}}
	if r.db, err = sql.Open("sqlite", "file://"+(&url.URL{Path: filepath.ToSlash(abs)}).EscapedPath()+"?"+params.Encode()); err != nil {
		return err
	}
	r.db.SetMaxOpenConns(1) // SQLite has one writer at a time
	for _, statement := range []string{
		`CREATE TABLE raw_tuple (namespace TEXT NOT NULL, object TEXT NOT NULL, relation TEXT NOT NULL,
			subject_namespace TEXT NOT NULL, subject_id TEXT NOT NULL, subject_relation TEXT NOT NULL,
			PRIMARY KEY (` + rawColumns + `)) WITHOUT ROWID`,
		`CREATE INDEX raw_tuple_by_subject ON raw_tuple (subject_namespace, subject_id, subject_relation)`,
	} {
		if _, err := r.db.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	r.one, err = r.db.PrepareContext(ctx, rawInsert)
	return err
}

func (r rawSQLite) insertOne(ctx context.Context, t engine.Tuple) error {
	_, err := r.one.ExecContext(ctx, rawFields(t)...)
	return err
}

func (r rawSQLite) insertMany(ctx context.Context, tuples []engine.Tuple) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	insert := tx.StmtContext(ctx, r.one)
	for _, t := range tuples {
		if _, err := insert.ExecContext(ctx, rawFields(t)...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (r rawSQLite) close(context.Context) error {
	var bad []error
	if r.one != nil {
		bad = append(bad, r.one.Close())
	}
	if r.db != nil {
		bad = append(bad, r.db.Close())
	}
	return errors.Join(append(bad, os.RemoveAll(r.folder))...)
}

type rawServer struct {
	pool *pgxpool.Pool
	copy bool // whether the server takes binary COPY
}

func openRawServer(ctx context.Context, dsn string, connections int) (raw, error) {
	config, err := pgxpool.ParseConfig(serverDSN(dsn))
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(connections)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	isCockroach, err := cockroach(ctx, pool)
	if err != nil {
		pool.Close()
		return nil, err
	}
	r := rawServer{pool: pool, copy: !isCockroach}
	text := "TEXT NOT NULL"
	if r.copy {
		text = `TEXT COLLATE "C" NOT NULL` // as fast as it gets
	}
	for _, statement := range []string{
		`DROP TABLE IF EXISTS cardea_bench_raw`,
		`CREATE TABLE cardea_bench_raw (` + strings.ReplaceAll(rawColumns, ",", " "+text+",") + " " + text + `, PRIMARY KEY (` + rawColumns + `))`,
		`CREATE INDEX ON cardea_bench_raw (subject_namespace, subject_id, subject_relation)`,
	} {
		if _, err := pool.Exec(ctx, statement); err != nil {
			pool.Close()
			return nil, err
		}
	}
	return r, nil
}

func (r rawServer) insertOne(ctx context.Context, t engine.Tuple) error {
	_, err := r.pool.Exec(ctx, "INSERT INTO cardea_bench_raw ("+rawColumns+") VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING", rawFields(t)...)
	return err
}

func (r rawServer) insertMany(ctx context.Context, tuples []engine.Tuple) error {
	if r.copy {
		_, err := r.pool.CopyFrom(ctx, pgx.Identifier{"cardea_bench_raw"}, strings.Split(rawColumns, ", "),
			pgx.CopyFromSlice(len(tuples), func(i int) ([]any, error) { return rawFields(tuples[i]), nil }))
		return err
	}
	columns := make([][]string, 6)
	for _, t := range tuples {
		for i, field := range rawFields(t) {
			columns[i] = append(columns[i], field.(string))
		}
	}
	_, err := r.pool.Exec(ctx, "INSERT INTO cardea_bench_raw ("+rawColumns+`)
		SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::text[]), unnest($6::text[])
		ON CONFLICT DO NOTHING`, columns[0], columns[1], columns[2], columns[3], columns[4], columns[5])
	return err
}

func (r rawServer) close(ctx context.Context) error {
	defer r.pool.Close()
	_, err := r.pool.Exec(ctx, "DROP TABLE cardea_bench_raw")
	return err
}
