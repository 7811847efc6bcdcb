package pg

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Restored makes a database usable again that was restored from a dump, into this
// server or another one, or whose server lost its newest transactions. The rows
// speak of transactions that are none of this server's history, so Restored writes
// all that lives as of now, forgets what was removed, the history of models and the
// keys of requests, and begins a new epoch: tokens from before are refused from then
// on. No node may have the database open. It takes about as long as the restoration.
//
// Invalid, Unavailable: as for Open. Refused: as for Open, but for the rows.
func Restored(ctx context.Context, dsn string, o Options) error {
	o.defaults()
	kind, config, err := probe(ctx, dsn, o)
	if err != nil {
		return err
	}
	if err := fits(ctx, kind, config); err != nil {
		return err
	}
	config = config.Copy()
	config.RuntimeParams["statement_timeout"] = "0"
	db := stdlib.OpenDB(*config)
	defer db.Close()
	return kind.migrating(ctx, db, o, func(ctx context.Context) error {
		created, revision, err := kind.anew(ctx, db)
		if err != nil {
			return err
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return classify(ctx, err, "begin a transaction")
		}
		defer tx.Rollback()
		for _, text := range []string{
			"UPDATE meta SET epoch = epoch + 1 WHERE one = 1",
			"UPDATE network SET oldest = " + kind.never() + " WHERE true",
			"DELETE FROM purged WHERE true",
			"DELETE FROM request WHERE true",
			"DELETE FROM tuple WHERE removed < " + kind.living(),
			"UPDATE tuple SET created = " + created + " WHERE true",
			"UPDATE model SET created = " + created + ", revision = " + revision + " WHERE true",
		} {
			if _, err := tx.ExecContext(ctx, text); err != nil {
				return classify(ctx, err, "begin a new epoch")
			}
		}
		if err := tx.Commit(); err != nil {
			return classify(ctx, err, "begin a new epoch")
		}
		return nil
	})
}

// belongs reports Refused if a row speaks of a transaction that this server has not
// come to: what lives would not be seen, and what was removed would live.
func (s *Store) belongs(ctx context.Context) error {
	ahead, err := s.db.server.ahead(ctx, s.db)
	if err != nil {
		return err
	}
	strange := false
	err = s.db.read(ctx, "look at the newest rows", func(b *pgx.Batch) {
		b.Queue(s.db.sql.strange, append([]any{s.network}, ahead...)...).QueryRow(func(row pgx.Row) error { return row.Scan(&strange) })
	})
	if err != nil || !strange {
		return err
	}
	return errs.New(errs.Refused, "the database was restored from a dump, or its server has lost transactions: "+
		"its rows are newer than the server; begin a new epoch with cardea migrate restored")
}
