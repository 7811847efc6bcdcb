package pg

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/cockroach-go/v2/crdb"
	crdbpgx "github.com/cockroachdb/cockroach-go/v2/crdb/crdbpgxv5"
	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// cockroach is a CockroachDB cluster. Its revisions are times of the hybrid logical
// clock, rows have the commit times of transactions, which reading the time pins,
// and all transactions are serializable.
//
// A time is a revision once it is known that no transaction will commit before it
// that has not yet: the head is the time of a statement that reads the log from an
// older revision to its open end, and the database makes whoever writes there
// afterwards commit later. A commit that was acknowledged before lies in what the
// statement reads, so the statement's time is pushed behind it, also when the
// clocks of two nodes differ. A read at a revision has the same effect on the keys
// that it reads, so it does not change when it is repeated.
type cockroach struct {
	mu  sync.Mutex
	low map[int64]hlc // for each network, a revision from which ask may read the log
}

func (*cockroach) dialect() string { return "cockroach" }
func (*cockroach) transacts() bool { return false }
func (*cockroach) tells() bool     { return false }

// settings see that transactions are serializable, whatever the database was told:
// weaker ones have no time.
func (*cockroach) settings() map[string]string {
	return map[string]string{"default_transaction_isolation": "serializable"}
}

func (*cockroach) parse(rev engine.Revision) (position, error) {
	if rev == "" {
		return hlc{}, nil
	}
	t, err := parseHLC(string(rev))
	if err != nil || t.revision() != rev { // only canonical ones were given out
		return nil, errMalformed()
	}
	return t, nil
}

func (*cockroach) parseRaw(text string) (position, error) {
	t, err := parseHLC(text)
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the database returned a malformed time")
	}
	return t, nil
}

func (*cockroach) head(string) string       { return "cluster_logical_timestamp()::text" }
func (*cockroach) mark(string, bool) string { return "cluster_logical_timestamp()::text" }
func (*cockroach) groups() bool             { return false }
func (*cockroach) newestArgs(int64) []any   { return nil }
func (*cockroach) now() string              { return "cluster_logical_timestamp()" }
func (*cockroach) living() string           { return "9223372036854775807::DECIMAL" }
func (*cockroach) never() string            { return "0::DECIMAL" }
func (*cockroach) guard() string            { return "" }
func (*cockroach) stop() string             { return "'1'" }

func (c *cockroach) lives(column string) string { return column + " = " + c.living() }

func (*cockroach) analyze() string { return "" }

func (*cockroach) seen(column, param string) string { return column + " <= " + param + "::DECIMAL" }

func (*cockroach) older(column, param string) string { return column + " <= " + param + "::DECIMAL" }

func (*cockroach) newer(column string, first, _ int) []string {
	return []string{column + " > " + placeholder(first) + "::DECIMAL"}
}

// foreign compares with a parameter, since an index cannot be asked for what is behind
// a time that the statement itself reads.
func (*cockroach) foreign(column string) string { return column + " > $2::DECIMAL" }

// ahead leaves room for the clocks of nodes to differ.
func (c *cockroach) ahead(ctx context.Context, db *DB) ([]any, error) {
	t, err := c.clock(ctx, db)
	if err != nil {
		return nil, err
	}
	return []any{hlc{wall: t.wall + int64(maxAhead)}.arg()}, nil
}

// clock asks a node of the database for its time.
func (c *cockroach) clock(ctx context.Context, db *DB) (hlc, error) {
	var now string
	err := db.read(ctx, "read the time", func(b *pgx.Batch) {
		b.Queue("SELECT " + c.head("$1")).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	})
	if err != nil {
		return hlc{}, err
	}
	return parseHLC(now)
}

// anew is a time before the transaction of Restored rather than its own: one that has
// read its time may not be moved, which the database does to all that take longer than
// seconds. Nobody else writes meanwhile.
func (c *cockroach) anew(ctx context.Context, db *sql.DB) (created, revision string, err error) {
	var now string
	if err := db.QueryRowContext(ctx, "SELECT "+c.head("$1")).Scan(&now); err != nil {
		return "", "", classify(ctx, err, "read the time")
	}
	t, err := parseHLC(now)
	if err != nil {
		return "", "", err
	}
	return "'" + t.String() + "'::DECIMAL", "'" + t.String() + "'", nil
}

// sure has doubts where an answer can stand for a commit whose end the node did not see:
// a statement that ran out of time while it was committed says no more than that.
func (*cockroach) sure(err error) bool {
	c := code(err)
	return sureOf(err) && !strings.HasPrefix(c, "57") && !strings.HasPrefix(c, "58") && !strings.HasPrefix(c, "XX")
}

func (*cockroach) settled(column string) string { return column + " < cluster_logical_timestamp()" }

func (*cockroach) everyNamespace(string) string { return "" }

// these is no (...) IN (SELECT ...), for which servers before 21.2 read the whole table.
func (*cockroach) these(rows, removed string) string {
	same := ""
	for _, c := range columns {
		same += " AND k." + c + " = tuple." + c
	}
	return "EXISTS (SELECT 1 FROM (SELECT " + rows + ") AS k (network, " + list + ") WHERE k.network = tuple.network" + same +
		") AND removed = " + removed + " AND $1::int IS NOT NULL AND " + casts(2, 1+len(columns))
}

// script asks for what is among the one row of a query rather than equal to it, since
// servers before 23.1 do not seek by the latter. (PostgreSQL does by nothing else,
// whatever it knows of its tables.)
func (*cockroach) script(text string) string {
	return strings.ReplaceAll(text, " = (SELECT ", " IN (SELECT ")
}

func (*cockroach) deleteSome(table, where, order, limit string) string {
	return "DELETE FROM " + table + " WHERE " + where + " ORDER BY " + order + " LIMIT " + limit
}

func (c *cockroach) removeSome(where, limit string) string {
	return "WITH gone AS (UPDATE tuple SET removed = " + c.now() + ", removed_at = now() WHERE " + where + " AND removed = " + c.living() +
		" ORDER BY " + list + " LIMIT " + limit + " RETURNING " + list + ") SELECT (SELECT count(*) FROM gone), " + list + " FROM gone"
}

// openFor is longer than any transaction stays open that could still commit at its
// old time; the database pushes such transactions forward after seconds.
const openFor = time.Hour

// ask reads the log behind the last revision that is known, or that of an hour ago,
// and forgets what it reads: all that counts is that it was read.
func (c *cockroach) ask(ctx context.Context, s *Store) (position, error) {
	c.mu.Lock()
	low, known := c.low[s.network]
	c.mu.Unlock()
	if !known {
		t, err := c.clock(ctx, s.db)
		if err != nil {
			return nil, err
		}
		low = hlc{wall: max(0, t.wall-int64(openFor))}
	}
	count := func(table, column, and string) string {
		return "(SELECT count(*) FROM " + table + " WHERE network = $1 AND " + column + " > $2::DECIMAL" + and + ")"
	}
	text := "SELECT " + c.head("$1") + ", " + count("tuple", "created", "") + ", " + count("tuple", "removed", " AND removed < "+c.living()) + ", " +
		count("model", "created", "")
	var head string
	err := s.db.read(ctx, "read the newest revision", func(b *pgx.Batch) {
		b.Queue(text, s.network, low.arg()).QueryRow(func(row pgx.Row) error { return row.Scan(&head, nil, nil, nil) })
	})
	if err != nil {
		return nil, err
	}
	t, err := parseHLC(head)
	if err != nil {
		return nil, err
	}
	c.learn(s.network, t)
	return t, nil
}

// learn notes that t is a revision of the network.
func (c *cockroach) learn(network int64, t hlc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.low == nil {
		c.low = map[int64]hlc{}
	}
	if c.low[network].less(t) {
		c.low[network] = t
	}
}

// restarts is how often a transaction starts again at once when the database asks.
const restarts = 10

// try runs the job in a transaction that looks at its checks before it writes, and
// starts again when the database asks for it.
func (*cockroach) try(ctx context.Context, j *job) (unsure bool, err error) {
	db := j.s.db
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	err = crdbpgx.ExecuteTx(crdb.WithMaxRetries(ctx, restarts), conn, pgx.TxOptions{}, func(tx pgx.Tx) error {
		j.reset()
		checks := &pgx.Batch{}
		if j.queueChecks(checks) > 0 {
			if err := db.send(ctx, tx, checks); err != nil || j.stopped() {
				return err
			}
		}
		if err := j.deleteAll(ctx, tx); err != nil {
			return err
		}
		if err := j.writeBeside(ctx, tx); err != nil {
			return err
		}
		changes := &pgx.Batch{}
		if j.w.Key == "" {
			j.queueChanges(changes, "")
			return db.send(ctx, tx, changes)
		}
		// To count what the transaction wrote would read the whole log, see foreign.
		if j.queueTuples(changes, ""); changes.Len() > 0 {
			if err := db.send(ctx, tx, changes); err != nil {
				return err
			}
		}
		j.counted = true
		request := &pgx.Batch{}
		j.queueRequest(request, "")
		return db.send(ctx, tx, request)
	})
	var ambiguous *crdb.AmbiguousCommitError
	return errors.As(err, &ambiguous), err
}

// leaseTime is how long a lease lasts that its holder does not renew.
const leaseTime = "1 minute"

const leaseRenewal = 15 * time.Second

// A lease lets one node at a time do what its name says. It stands outside of the
// migrations, which need it.
type lease struct {
	db           *sql.DB
	name, holder string
}

func newLease(ctx context.Context, db *sql.DB, name string) (*lease, error) {
	l := &lease{db: db, name: name, holder: rand.Text()}
	const table = "CREATE TABLE IF NOT EXISTS node_lease (name TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, expires TIMESTAMPTZ NOT NULL)"
	for try := 0; ; try++ {
		_, err := db.ExecContext(ctx, table)
		if err == nil {
			return l, nil
		}
		// Another node that makes the table at the same time is in the way.
		if try > retries || !transient(err) && code(err) != "42P07" || !pause(ctx, try) {
			return nil, classify(ctx, err, "make the table of leases")
		}
	}
}

// take takes or renews the lease, and reports whether it is ours.
func (l *lease) take(ctx context.Context) (bool, error) {
	const text = `INSERT INTO node_lease (name, holder, expires) VALUES ($1, $2, now() + '` + leaseTime + `'::interval)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires = excluded.expires
		WHERE node_lease.expires < now() OR node_lease.holder = excluded.holder RETURNING holder`
	var holder string
	err := l.db.QueryRowContext(ctx, text, l.name, l.holder).Scan(&holder)
	if errors.Is(err, sql.ErrNoRows) || restart(err) {
		return false, nil
	}
	if err != nil {
		return false, classify(ctx, err, "take the lease to "+l.name)
	}
	return holder == l.holder, nil
}

// hold runs do, renews the lease meanwhile, and gives it back.
func (l *lease) hold(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() {
		tick := time.NewTicker(leaseRenewal)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if ours, err := l.take(ctx); err == nil && !ours {
					cancel() // somebody thought that we were dead
				}
			}
		}
	})
	err := do(ctx)
	cancel()
	renewing.Wait()
	returning, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
	defer cancel()
	_, _ = l.db.ExecContext(returning, "DELETE FROM node_lease WHERE name = $1 AND holder = $2", l.name, l.holder) // else it runs out
	return err
}

func (*cockroach) alone(ctx context.Context, db *DB, _ int64, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return classify(ctx, err, "purge")
	}
	shared := db.database()
	defer shared.Close()
	l, err := newLease(ctx, shared, "purge")
	if err != nil {
		return err
	}
	ours, err := l.take(ctx)
	if err != nil || !ours {
		return err
	}
	return l.hold(ctx, do)
}

// migrating waits for the lease. It makes the table of goose, whose own statement
// old servers do not understand.
func (c *cockroach) migrating(ctx context.Context, db *sql.DB, o Options, do func(context.Context) error) error {
	l, err := newLease(ctx, db, "migrate")
	if err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ours, err := l.take(ctx)
		if err != nil {
			return err
		}
		if ours {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return classify(ctx, ctx.Err(), "wait for another node that migrates the schema")
		}
	}
	return l.hold(ctx, func(ctx context.Context) error {
		for _, text := range []string{
			`CREATE TABLE IF NOT EXISTS goose_db_version (id INT8 NOT NULL DEFAULT unique_rowid() PRIMARY KEY,
				version_id INT8 NOT NULL, is_applied BOOL NOT NULL, tstamp TIMESTAMP NOT NULL DEFAULT now())`,
			`INSERT INTO goose_db_version (version_id, is_applied) SELECT 0, true WHERE NOT EXISTS (SELECT 1 FROM goose_db_version)`,
		} {
			if _, err := db.ExecContext(ctx, text); err != nil {
				return classify(ctx, err, "make the table of migrations")
			}
		}
		if err := do(ctx); err != nil || !o.HashSharded {
			return err
		}
		return c.shard(ctx, db)
	})
}

// shard spreads the ends of the log, where all writers meet, over ranges.
func (*cockroach) shard(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return classify(ctx, err, "connect to the database")
	}
	defer conn.Close()
	_, _ = conn.ExecContext(ctx, "SET experimental_enable_hash_sharded_indexes = on") // newer servers do not need it
	for _, text := range []string{
		"CREATE INDEX IF NOT EXISTS tuple_by_created_sharded ON tuple (network, created) USING HASH WITH BUCKET_COUNT = 8",
		"CREATE INDEX IF NOT EXISTS tuple_by_removed_sharded ON tuple (network, removed) USING HASH WITH BUCKET_COUNT = 8 STORING (created, removed_at)",
		"DROP INDEX IF EXISTS tuple@tuple_by_created",
		"DROP INDEX IF EXISTS tuple@tuple_by_removed",
	} {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return classify(ctx, err, "spread the log over ranges")
		}
	}
	return nil
}
