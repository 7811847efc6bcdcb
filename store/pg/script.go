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
// CockroachDB only one statement is.
func (r Runner) Write(ctx context.Context, doing string, build func(*script.Script)) error {
	db := r.s.db
	var probe script.Script
	build(&probe)
	if !db.server.transacts() && len(probe.Steps) > 1 {
		return db.transact(ctx, doing, func(b *pgx.Batch) { queue(b, build) })
	}
	return db.read(ctx, doing, func(b *pgx.Batch) { queue(b, build) })
}

// transact makes a transaction of a batch.
func (db *DB) transact(ctx context.Context, doing string, build func(*pgx.Batch)) error {
	limited, cancel := context.WithTimeout(ctx, patience(db.options.StatementTimeout))
	defer cancel()
	for try := 0; ; try++ {
		err := db.tryTransact(limited, build)
		if err == nil {
			return nil
		}
		if try == retries || !transient(err) || !pause(limited, try) {
			return classify(ctx, err, doing)
		}
	}
}

func (db *DB) tryTransact(ctx context.Context, build func(*pgx.Batch)) error {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return crdbpgx.ExecuteTx(crdb.WithMaxRetries(ctx, restarts), conn, pgx.TxOptions{}, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		build(b)
		return db.send(ctx, tx, b)
	})
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
