package pg

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

func clock(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// readModels reads number, revision, time and source into out.
func (s *Store) readModels(out *[]engine.ModelVersion) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			m, err := s.model(rows.RawValues())
			if err != nil {
				return err
			}
			*out = append(*out, m)
			s.db.rows.Add(1)
		}
		return rows.Err()
	}
}

const modelColumns = "SELECT number::text AS digits, revision, " + micros + ", source FROM model WHERE network = $1 AND "

// Model implements engine.Store.
func (s *Store) Model(ctx context.Context, rev engine.Revision) (engine.ModelVersion, error) {
	at, err := s.db.server.parse(rev)
	if err != nil {
		return engine.ModelVersion{}, err
	}
	var found []engine.ModelVersion
	err = s.readAt(ctx, "read the model", func(b *pgx.Batch) {
		found = nil
		b.Queue(modelColumns+s.db.server.seen("created", "$2")+" ORDER BY number DESC LIMIT 1", s.network, at.arg()).Query(s.readModels(&found))
	}, at)
	if err != nil || len(found) == 0 {
		return engine.ModelVersion{}, err
	}
	return found[0], nil
}

// Models implements engine.Store. A limit below 1 means all.
func (s *Store) Models(ctx context.Context, before int64, limit int) ([]engine.ModelVersion, error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	if limit <= 0 {
		limit = math.MaxInt32
	}
	var found []engine.ModelVersion
	err := s.db.read(ctx, "read models", func(b *pgx.Batch) {
		found = nil
		b.Queue(modelColumns+"number < $2 ORDER BY number DESC LIMIT $3", s.network, before, limit).Query(s.readModels(&found))
	})
	return found, err
}

func staleModel(active, expected int64) error {
	return errs.New(errs.Conflict, "model version %d is active: expected %d", active, expected)
}

// PutModel implements engine.Store.
func (s *Store) PutModel(ctx context.Context, source string, after int64) (engine.ModelVersion, error) {
	j := &job{s: s, put: true, model: engine.ModelVersion{Number: after + 1, Source: source}, expected: after}
	if err := j.run(ctx); err != nil {
		return engine.ModelVersion{}, err
	}
	j.model.Revision = j.done.Revision
	return j.model, nil
}

// queueModel inserts the model of j.
func (j *job) queueModel(b *pgx.Batch, guard string) {
	text := "INSERT INTO model (network, number, created, revision, at, source) SELECT $1::int, $2::int8, " +
		j.s.db.server.now() + ", " + j.s.db.server.mark("$1::int", true) + ", now(), $3::text" + where(guard) + " RETURNING " + micros + ", revision"
	b.Queue(text, j.s.network, j.model.Number, j.model.Source).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			raw := rows.RawValues()
			created, err := strconv.ParseInt(string(raw[0]), 10, 64)
			if err != nil {
				return err
			}
			j.model.Created, j.mark = clock(created), string(raw[1])
		}
		return rows.Err()
	})
}
