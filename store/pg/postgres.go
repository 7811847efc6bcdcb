package pg

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// oldestPostgres is the first version with 64-bit transaction ids in SQL.
const oldestPostgres = 13

// postgres is a PostgreSQL server. Its revisions are snapshots, rows have the
// ids of transactions, and statements run in READ COMMITTED under locks, see
// locks.go.
type postgres struct{}

func (postgres) dialect() string { return "postgres" }

func (postgres) transacts() bool { return true }
func (postgres) tells() bool     { return true }

func (p snapshot) revision() engine.Revision { return engine.Revision(p.String()) }

func (p snapshot) readable(oldest string, newest position) error {
	if p.xmax > newest.(snapshot).xmax {
		return errs.New(errs.Invalid, "the revision lies ahead of the store: expected one of this store")
	}
	last, err := parseXID(oldest)
	if err != nil && oldest != "0" {
		return errs.Wrap(errs.Internal, err, "the start of the history is malformed in the database")
	}
	if last > 0 && p.xmin() <= last {
		return errExpired()
	}
	return nil
}

func (p snapshot) arg() string {
	if text := p.String(); text != "" {
		return text
	}
	return "1:1:"
}

// marks are the first transaction that nothing is known of, and those below it
// that were still running, if there are any: mostly there are none, and to look for
// none costs as much as for some.
func (p snapshot) marks() []any {
	if len(p.xip) == 0 {
		return []any{p.xmax}
	}
	return []any{p.xmax, p.xip}
}

func (postgres) parse(rev engine.Revision) (position, error) {
	s, err := parseSnapshot(string(rev))
	if err != nil {
		return nil, err
	}
	if s.String() != string(rev) { // only canonical ones were given out
		return nil, errMalformed()
	}
	return s, nil
}

// maxGap is by how many ids a revision may grow so that it shows one transaction.
// They are those that began between the newest that has ended and this one, as many
// as there are connections, unless somebody uses up ids in savepoints.
const maxGap = 10_000

// errWide says that the exact revision of a write would be too long to hand out.
var errWide = errors.New("the revision has too many running transactions")

// parseRaw reads a snapshot, perhaps + and a transaction that it must show, and ^
// and the newest transaction that left something, above which the revision ends.
//
// The server reuses transaction ids after a crash: those of transactions that were
// rolled back, or changed nothing, are not on the disk when a snapshot counts them
// as ended. A revision that mentioned one would take the next transaction with the
// same id for known. What left a row is on the disk, and all ids up to it are spent.
func (postgres) parseRaw(text string) (position, error) {
	text, newest, _ := strings.Cut(text, "^")
	text, own, _ := strings.Cut(text, "+")
	s, err := parseSnapshot(text)
	if err == nil && own != "" {
		var x uint64
		if x, err = parseXID(own); err == nil {
			if s.gap(x) > maxGap {
				return nil, errWide
			}
			s = s.with(x)
		}
	}
	last := uint64(0)
	if err == nil && newest != "0" {
		last, err = parseXID(newest)
	}
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the database returned a malformed snapshot")
	}
	return s.until(last), nil
}

func (p postgres) head(network string) string {
	return "pg_current_snapshot()::text || '^' || " + p.newest(network, "")
}

func (postgres) groups() bool { return true }

func (postgres) sure(err error) bool { return sureOf(err) }

func (postgres) script(text string) string { return text }

func (postgres) newestArgs(network int64) []any { return []any{network} }

// newest is the newest transaction that is visible and left something in a network,
// or the one that is given if that is newer still.
func (p postgres) newest(network, own string) string {
	last := func(table, column, where string) string {
		return "(SELECT x." + column + " FROM " + table + " AS x WHERE x.network = " + network + where +
			" ORDER BY x.network DESC, x." + column + " DESC LIMIT 1)"
	}
	return "greatest(" + last("tuple", "created", "") + ", " + last("tuple", "removed", " AND x.removed < "+p.living()) + ", " +
		last("model", "created", "") + ", " + last("purged", "removed", "") +
		", (SELECT x.oldest FROM network AS x WHERE x.id = " + network + ")" + own + ")::text"
}
func (postgres) now() string    { return "pg_current_xact_id()" }
func (postgres) never() string  { return "'0'::xid8" }
func (postgres) living() string { return "'18446744073709551615'::xid8" }

func (p postgres) mark(network string, sure bool) string {
	if sure {
		return "pg_current_snapshot()::text || '+' || pg_current_xact_id()::text || '^' || " + p.newest(network, ", pg_current_xact_id()")
	}
	return "pg_current_snapshot()::text || '+' || coalesce(pg_current_xact_id_if_assigned()::text, '') || '^' || " + p.newest(network, "")
}

func (p postgres) ask(ctx context.Context, s *Store) (position, error) {
	var head string
	err := s.db.read(ctx, "read the newest revision", func(b *pgx.Batch) {
		b.Queue(s.db.sql.newest, s.db.server.newestArgs(s.network)...).QueryRow(func(row pgx.Row) error { return row.Scan(&head) })
	})
	if err != nil {
		return nil, err
	}
	return p.parseRaw(head)
}

func (postgres) lives(column string) string {
	return "NOT pg_visible_in_snapshot(" + column + ", pg_current_snapshot())"
}

func (postgres) analyze() string { return "ANALYZE tuple" }

func (postgres) seen(column, param string) string {
	return "pg_visible_in_snapshot(" + column + ", " + param + "::pg_snapshot)"
}

func (postgres) newer(column string, first, marks int) []string {
	if marks == 1 {
		return []string{column + " >= " + placeholder(first) + "::xid8"}
	}
	return []string{
		column + " >= " + placeholder(first) + "::xid8 AND " + placeholder(first+1) + "::xid8[] IS NOT NULL",
		column + " = ANY(" + placeholder(first+1) + "::xid8[]) AND " + column + " < " + placeholder(first) + "::xid8",
	}
}

func (postgres) older(column, param string) string {
	return column + " < pg_snapshot_xmax(" + param + "::pg_snapshot)"
}

// everyNamespace walks from one namespace to the next by index.
func (postgres) everyNamespace(network string) string {
	return `namespace = ANY(ARRAY(
	WITH RECURSIVE n (name) AS (
		(SELECT namespace FROM tuple WHERE network = ` + network + ` ORDER BY namespace LIMIT 1)
		UNION ALL
		SELECT (SELECT namespace FROM tuple WHERE network = ` + network + ` AND namespace > n.name ORDER BY namespace LIMIT 1) FROM n WHERE n.name IS NOT NULL
	) SELECT name FROM n WHERE name IS NOT NULL))`
}

// The planner cannot know how many keys come, so the look-up of each is spelled out,
// and leads to the places of the rows. Who uses them asks for removed again, since a
// row that another transaction has just removed moves to a new place.
func (p postgres) these(rows, removed string) string {
	return p.oneOf("SELECT x.place FROM (SELECT "+rows+") AS k (network, "+list+`)
	CROSS JOIN LATERAL (SELECT ctid AS place FROM tuple WHERE network = k.network AND namespace = k.namespace AND object = k.object
	AND relation = k.relation AND subject_namespace = k.subject_namespace AND subject_id = k.subject_id
	AND subject_relation = k.subject_relation AND removed = `+removed+" LIMIT 1) AS x") + " AND removed = " + removed
}

// oneOf selects the rows whose places a query returns.
func (postgres) oneOf(query string) string { return "ctid = ANY(ARRAY(" + query + "))" }

func (p postgres) deleteSome(table, where, order, limit string) string {
	return "DELETE FROM " + table + " WHERE " + p.oneOf("SELECT ctid FROM "+table+" WHERE "+where+" ORDER BY "+order+" LIMIT "+limit)
}

func (p postgres) removeSome(where, limit string) string {
	return "WITH page AS (SELECT " + list + ", ctid FROM tuple WHERE " + where + " AND removed = " + p.living() + " ORDER BY " + list + " LIMIT " + limit +
		"), gone AS (UPDATE tuple SET removed = " + p.now() + ", removed_at = now() WHERE removed = " + p.living() +
		" AND " + p.oneOf("SELECT ctid FROM page") + " RETURNING 1) SELECT (SELECT count(*) FROM gone), " + list + " FROM page"
}

// settings keep the planner from plans that are better for some arguments only, and
// from planning each time: every statement is written for the one plan that seeks by
// index.
func (postgres) settings() map[string]string {
	return map[string]string{
		"default_transaction_isolation":       "read committed",
		"synchronous_commit":                  "on", // what is visible is on the disk
		"plan_cache_mode":                     "force_generic_plan",
		"enable_seqscan":                      "off",
		"enable_bitmapscan":                   "off",
		"enable_hashjoin":                     "off",
		"enable_mergejoin":                    "off",
		"max_parallel_workers_per_gather":     "0",
		"jit":                                 "off",
		"idle_in_transaction_session_timeout": "60000",
	}
}

func (postgres) guard() string {
	return "(SELECT coalesce(current_setting('cardea.stop', true), '') = '')"
}
func (postgres) stop() string { return "set_config('cardea.stop', '1', true)" }

// try sends everything in one round trip, which is one transaction: locks, checks,
// and changes that do nothing once a check has failed. A deletion by query takes
// as many round trips as it has pages.
func (p postgres) try(ctx context.Context, j *job) (unsure bool, err error) {
	db := j.s.db
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	if len(j.w.Delete) > 0 || j.beside != nil {
		return p.tryPages(ctx, conn, j)
	}
	b := &pgx.Batch{}
	j.queueLocks(b)
	guard := ""
	if j.queueChecks(b) > 0 {
		guard = p.guard()
	}
	j.queueChanges(b, guard)
	if err := db.send(ctx, conn, b); err != nil {
		return !sureOf(err), err
	}
	return false, nil
}

// tryPages is try for deletions by query, and for what is written beside tuples, which
// may say that nothing is to be written at all.
func (p postgres) tryPages(ctx context.Context, conn sender, j *job) (unsure bool, err error) {
	db := j.s.db
	b := &pgx.Batch{}
	b.Queue("BEGIN").Exec(ignored)
	j.queueLocks(b)
	j.queueChecks(b)
	if err := db.send(ctx, conn, b); err != nil {
		return false, err
	}
	if j.stopped() {
		return false, db.undo(ctx, conn)
	}
	if err := j.deleteAll(ctx, conn); err != nil {
		return false, err // the pool closes connections in a transaction
	}
	if err := j.writeBeside(ctx, conn); err != nil {
		_ = db.undo(ctx, conn) // or the pool closes it, too
		return false, err
	}
	end := &pgx.Batch{}
	j.queueChanges(end, "")
	end.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return errs.New(errs.Internal, "the database answers COMMIT with %s", tag)
		}
		return nil
	})
	if err := db.send(ctx, conn, end); err != nil {
		return !sureOf(err), err
	}
	return false, nil
}

func (p postgres) anew(context.Context, *sql.DB) (created, revision string, err error) {
	return p.now(), p.mark("model.network", true), nil
}

func (postgres) ahead(context.Context, *DB) ([]any, error) { return nil, nil }

func (postgres) foreign(column string) string {
	return column + " >= pg_snapshot_xmax(pg_current_snapshot())"
}

// settled says that whoever asks for a new revision sees the transaction in column.
func (postgres) settled(column string) string {
	return column + " < pg_snapshot_xmin(pg_current_snapshot())"
}

// alone holds a lock of the session, on a connection that does nothing else.
func (postgres) alone(ctx context.Context, db *DB, key int64, do func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, patience(db.options.StatementTimeout))
	defer cancel()
	conn, err := db.pool.Acquire(limited)
	if err != nil {
		return classify(ctx, err, "connect to the database")
	}
	defer conn.Release()
	var held bool
	if err := conn.QueryRow(limited, "SELECT pg_try_advisory_lock($1)", key).Scan(&held); err != nil {
		return classify(ctx, err, "lock the database")
	}
	if !held {
		return nil
	}
	defer func() {
		unlocking, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience(db.options.StatementTimeout))
		defer cancel()
		if _, err := conn.Exec(unlocking, "SELECT pg_advisory_unlock($1)", key); err != nil {
			_ = conn.Conn().Close(unlocking) // which unlocks as well
		}
	}()
	return do(ctx)
}

// migrating waits for the lock of the session by asking for it, since a statement
// that waits for a lock would keep indexes from being built concurrently.
func (postgres) migrating(ctx context.Context, db *sql.DB, _ Options, do func(context.Context) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return classify(ctx, err, "connect to the database")
	}
	defer conn.Close()
	key := lockName(0, schemaSlot)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for held := false; ; {
		if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", key).Scan(&held); err != nil {
			return classify(ctx, err, "lock the schema")
		}
		if held {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return classify(ctx, ctx.Err(), "wait for another node that migrates the schema")
		}
	}
	defer func() {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", key)
	}()
	return do(ctx)
}
