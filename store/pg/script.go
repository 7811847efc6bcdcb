package pg

import (
	"context"

	"github.com/cockroachdb/cockroach-go/v2/crdb"
	crdbpgx "github.com/cockroachdb/cockroach-go/v2/crdb/crdbpgxv5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/cardea-iam/cardea/store/script"
)

// A Runner runs scripts for one network.
type Runner struct{ s *Store }

var _ script.Runner = Runner{}

// Runner returns what runs scripts for the network name, which is made if it is new.
//
// Invalid, Refused: as for Network.
func (db *DB) Runner(ctx context.Context, name string) (Runner, error) {
	s, err := db.Network(ctx, name)
	return Runner{s}, err
}

// Network implements script.Runner.
func (r Runner) Network() int64 { return r.s.network }

// Read implements script.Runner.
func (r Runner) Read(ctx context.Context, doing string, build func(*script.Script)) error {
	return r.s.db.read(ctx, doing, func(b *pgx.Batch) { queue(b, build) })
}

// Write implements script.Runner. A batch is a transaction on PostgreSQL; on
// CockroachDB only one statement is. One that may have to be undone is made within an
// open transaction.
func (r Runner) Write(ctx context.Context, doing string, build func(*script.Script)) error {
	db := r.s.db
	var probe script.Script
	build(&probe)
	demands := probe.Demands()
	if demands || !db.server.transacts() && len(probe.Steps) > 1 {
		return db.transact(ctx, doing, !demands, func(b *pgx.Batch) { queue(b, build) })
	}
	return db.read(ctx, doing, func(b *pgx.Batch) { queue(b, build) })
}

// transact makes a transaction of a batch. again says that it may be made again when
// nobody knows whether it was committed.
func (db *DB) transact(ctx context.Context, doing string, again bool, build func(*pgx.Batch)) error {
	limited, cancel := context.WithTimeout(ctx, patience(db.options.StatementTimeout))
	defer cancel()
	for try := 0; ; try++ {
		unsure, err := db.tryTransact(limited, build)
		if err == nil {
			return nil
		}
		if unsure && !again {
			return unknown(ctx, err)
		}
		if try == retries || !transient(err) || !pause(limited, try) {
			return classify(ctx, err, doing)
		}
	}
}

// tryTransact reports whether the transaction may have been committed although it
// failed.
func (db *DB) tryTransact(ctx context.Context, build func(*pgx.Batch)) (unsure bool, err error) {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	committing := false
	do := func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		build(b)
		err := db.send(ctx, tx, b)
		committing = err == nil
		return err
	}
	if db.server.transacts() {
		err = pgx.BeginFunc(ctx, conn, do)
	} else {
		err = crdbpgx.ExecuteTx(crdb.WithMaxRetries(ctx, restarts), conn, pgx.TxOptions{}, do)
	}
	return err != nil && committing && !sureOf(err), err
}

func queue(b *pgx.Batch, build func(*script.Script)) {
	var sc script.Script
	build(&sc)
	for _, step := range sc.Steps {
		q := b.Queue(step.SQL, step.Args...)
		if step.Row == nil {
			q.Exec(func(tag pgconn.CommandTag) error {
				if step.N != nil {
					*step.N = tag.RowsAffected()
				}
				if tag.RowsAffected() == 0 {
					return step.Must
				}
				return nil
			})
			continue
		}
		q.Query(func(rows pgx.Rows) error {
			for rows.Next() {
				if err := step.Row(rows.Scan); err != nil {
					return err
				}
			}
			return rows.Err()
		})
	}
}
