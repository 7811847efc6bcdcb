package pg

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// chunk is how many tuples one statement writes, so that each ends in time.
const chunk = 10_000

// patience is how long all tries of the job may take: longer if there is much to do.
func (j *job) patience() time.Duration {
	p := patience(j.s.db.options.StatementTimeout)
	return p + p/4*time.Duration((len(j.inserts)+len(j.deletes))/chunk)
}

// queueChecks queues what must hold, in the order in which the caller is told, and
// returns how many statements that are.
func (j *job) queueChecks(b *pgx.Batch) int {
	stop := j.s.db.server.stop()
	before := b.Len()
	if j.w.Key != "" {
		b.Queue("SELECT hash, revision, inserted, deleted, "+stop+" FROM request WHERE network = $1 AND key = $2",
			j.s.network, []byte(j.w.Key)).Query(j.readRequest)
	}
	if j.put || j.expected != 0 {
		b.Queue("SELECT n, CASE WHEN n <> $2 THEN "+stop+" END FROM (SELECT coalesce(max(number), 0) AS n FROM model WHERE network = $1) AS m",
			j.s.network, j.expected).QueryRow(func(row pgx.Row) error {
			var active int64
			if err := row.Scan(&active, nil); err != nil {
				return err
			}
			if active != j.expected {
				j.refuse(staleModel(active, j.expected))
			}
			return nil
		})
	}
	for i, p := range j.w.If {
		st := &statement{}
		st.sql("SELECT x, CASE WHEN x <> ", st.arg(p.Exists), " THEN ", stop, " END FROM (SELECT EXISTS (SELECT 1 FROM tuple WHERE ")
		j.s.filter(st, p.Query)
		st.sql(" AND removed = ", j.s.db.server.living(), ") AS x) AS p")
		b.Queue(st.text.String(), st.args...).QueryRow(func(row pgx.Row) error {
			var exists bool
			if err := row.Scan(&exists, nil); err != nil {
				return err
			}
			if exists != p.Exists {
				j.refuse(unmet(i, exists))
			}
			return nil
		})
	}
	return b.Len() - before
}

func unmet(i int, exists bool) error {
	if exists {
		return errs.New(errs.Refused, "precondition %d does not hold: there is such a tuple", i)
	}
	return errs.New(errs.Refused, "precondition %d does not hold: there is no such tuple", i)
}

// readRequest reads what the first write with the key did.
func (j *job) readRequest(rows pgx.Rows) error {
	for rows.Next() {
		var hash []byte
		var done engine.Written
		var mark string
		if err := rows.Scan(&hash, &mark, &done.Inserted, &done.Deleted, nil); err != nil {
			return err
		}
		if string(hash) != string(j.hash[:]) {
			j.refuse(errs.New(errs.Invalid, "the key %q was used for another write: expected a new one", j.w.Key))
			return nil
		}
		j.done, j.mark, j.repeated = done, mark, true
	}
	return rows.Err()
}

// queueChanges queues what the job does after deletions by query, and the mark.
func (j *job) queueChanges(b *pgx.Batch, guard string) {
	if j.put {
		j.queueModel(b, guard)
		return
	}
	j.queueTuples(b, guard)
	j.queueMark(b, guard)
}

func (j *job) queueTuples(b *pgx.Batch, guard string) {
	for ts := j.deletes; len(ts) > 0; ts = rest(ts) {
		j.queueDelete(b, ts[:min(chunk, len(ts))], guard)
	}
	for ts := j.inserts; len(ts) > 0; ts = rest(ts) {
		if len(j.w.Delete) > 0 {
			j.queueRestore(b, ts[:min(chunk, len(ts))])
		}
		j.queueInsert(b, ts[:min(chunk, len(ts))], guard)
	}
}

// queueMark queues what tells the revision.
func (j *job) queueMark(b *pgx.Batch, guard string) {
	if j.w.Key != "" {
		j.queueRequest(b, guard)
		return
	}
	b.Queue("SELECT "+j.s.db.server.mark("$1", false), j.s.db.server.newestArgs(j.s.network)...).QueryRow(func(row pgx.Row) error { return row.Scan(j.unlessRepeated(&j.mark)) })
}

// unlessRepeated returns p, or nothing if the job's key was used before.
func (j *job) unlessRepeated(p *string) *string {
	if j.repeated {
		return new(string)
	}
	return p
}

func rest(ts []engine.Tuple) []engine.Tuple { return ts[min(chunk, len(ts)):] }

func where(guard string) string {
	if guard == "" {
		return ""
	}
	return " WHERE " + guard
}

func and(guard string) string {
	if guard == "" {
		return ""
	}
	return " AND " + guard
}

const (
	oneRow   = "$1::int, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text"
	manyRows = "$1::int, unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::text[]), unnest($6::text[]), unnest($7::text[])"
)

// source returns SQL of rows with the network and the columns of the tuples, and
// its arguments.
func (s *Store) source(ts []engine.Tuple) (string, []any) {
	args := make([]any, 0, 1+len(columns))
	args = append(args, s.network)
	if len(ts) == 1 {
		for _, part := range split(ts[0]) {
			args = append(args, part)
		}
		return oneRow, args
	}
	var by [len(columns)][]string
	for c := range by {
		by[c] = make([]string, len(ts))
	}
	for i, t := range ts {
		for c, part := range split(t) {
			by[c][i] = part
		}
	}
	for _, column := range by {
		args = append(args, column)
	}
	return manyRows, args
}

func (j *job) queueInsert(b *pgx.Batch, ts []engine.Tuple, guard string) {
	on := j.s.db.server
	rows, args := j.s.source(ts)
	text := "INSERT INTO tuple (network, " + list + ", created, removed) SELECT " + rows + ", " + on.now() + ", " + on.living() + where(guard) + " ON CONFLICT DO NOTHING"
	if j.members != nil {
		j.queueFor(b, text, args, func(w *engine.Written) { w.Inserted++ })
		return
	}
	b.Queue(text, args...).Exec(func(tag pgconn.CommandTag) error {
		j.done.Inserted += tag.RowsAffected()
		return nil
	})
}

// these selects the rows of source with the value of removed.
func (s *Store) these(rows string, n int, removed string) string {
	if n == 1 {
		return "network = $1::int AND namespace = $2::text AND object = $3::text AND relation = $4::text AND subject_namespace = $5::text AND subject_id = $6::text AND subject_relation = $7::text AND removed = " + removed
	}
	return s.db.server.these(rows, removed)
}

func (j *job) queueDelete(b *pgx.Batch, ts []engine.Tuple, guard string) {
	on := j.s.db.server
	rows, args := j.s.source(ts)
	text := "UPDATE tuple SET removed = " + on.now() + ", removed_at = now() WHERE " + j.s.these(rows, len(ts), on.living()) + and(guard)
	if j.members != nil {
		j.queueFor(b, text, args, func(w *engine.Written) { w.Deleted++ })
		return
	}
	b.Queue(text, args...).Exec(func(tag pgconn.CommandTag) error {
		j.done.Deleted += tag.RowsAffected()
		return nil
	})
}

// queueRestore gives tuples back that a deletion by query has just removed: they
// were never away.
func (j *job) queueRestore(b *pgx.Batch, ts []engine.Tuple) {
	on := j.s.db.server
	rows, args := j.s.source(ts)
	b.Queue("UPDATE tuple SET removed = "+on.living()+", removed_at = NULL WHERE "+j.s.these(rows, len(ts), on.now()),
		args...).Exec(func(tag pgconn.CommandTag) error {
		j.done.Deleted -= tag.RowsAffected()
		return nil
	})
}

// queueRequest writes down what the write did, for those who repeat it.
func (j *job) queueRequest(b *pgx.Batch, guard string) {
	on := j.s.db.server
	args := []any{j.s.network, []byte(j.w.Key), j.hash[:]}
	count := func(column string) string {
		if j.counted {
			n := map[string]int64{"created": j.done.Inserted, "removed": j.done.Deleted}[column]
			args = append(args, n)
			return placeholder(len(args)) + "::int8"
		}
		// That removed is small names the partial index.
		return fmt.Sprintf("(SELECT count(*) FROM tuple WHERE network = $1::int AND %s = %s AND %s < %s)", column, on.now(), column, on.living())
	}
	if len(j.inserts)+len(j.deletes)+len(j.w.Delete) == 0 {
		count = func(string) string { return "0" }
	}
	text := "INSERT INTO request (network, key, hash, revision, inserted, deleted, at) SELECT $1::int, $2::bytea, $3::bytea, " +
		on.mark("$1::int", false) + ", " + count("created") + ", " + count("removed") + ", now()" + where(guard) + " RETURNING revision"
	b.Queue(text, args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := rows.Scan(j.unlessRepeated(&j.mark)); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// deletePage returns SQL that removes up to chunk tuples of q behind after. It
// returns the last of them and how many there were, or no row. It is false if
// there can be none.
func (j *job) deletePage(q engine.Query, after *engine.Tuple) (*statement, bool) {
	on := j.s.db.server
	st := &statement{}
	j.s.filter(st, q)
	if after != nil && !behind(st, q, *after) {
		return nil, false
	}
	text := on.removeSome(st.text.String(), st.arg(chunk))
	st.text.Reset()
	st.sql(text, " ORDER BY ", strings.ReplaceAll(list, ",", " DESC,"), " DESC LIMIT 1")
	return st, true
}

// deleteAll removes what w.Delete selects, page by page.
func (j *job) deleteAll(ctx context.Context, to sender) error {
	for _, q := range j.w.Delete {
		var after *engine.Tuple
		for {
			st, ok := j.deletePage(q, after)
			if !ok {
				break
			}
			var n int64
			var last []engine.Tuple
			b := &pgx.Batch{}
			b.Queue(st.text.String(), st.args...).Query(func(rows pgx.Rows) error {
				for rows.Next() {
					if err := rows.Scan(&n, nil, nil, nil, nil, nil, nil); err != nil {
						return err
					}
					last = append(last, tuple(rows.RawValues()[1:], nil))
				}
				return rows.Err()
			})
			if err := j.s.db.send(ctx, to, b); err != nil {
				return err
			}
			j.done.Deleted += n
			if len(last) == 0 || n < chunk {
				break
			}
			after = &last[0]
		}
	}
	return nil
}
