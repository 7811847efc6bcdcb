package sqlite

import (
	"context"
	"math"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// PutModel implements engine.Store.
func (s *Store) PutModel(ctx context.Context, source string, after int64) (engine.ModelVersion, error) {
	var m engine.ModelVersion
	err := s.db.submit(ctx, 1, func(t *transaction) error {
		active := t.model(s)
		if after != active {
			return staleModel(active, after)
		}
		if err := t.advance(); err != nil {
			return err
		}
		active++
		_, err := t.tx.ExecContext(t.ctx, "INSERT INTO model (network, number, revision, at, source) VALUES (?, ?, ?, ?, ?)",
			s.network, active, t.revision, t.time, source)
		if err != nil {
			return classify(err, "write model version %d", active)
		}
		t.activate(s, active)
		m = engine.ModelVersion{Number: active, Source: source, Created: clock(t.time), Revision: revision(t.revision)}
		return nil
	})
	if err != nil {
		return engine.ModelVersion{}, err
	}
	return m, nil
}

func staleModel(active, expected int64) error {
	return errs.New(errs.Conflict, "model version %d is active: expected %d", active, expected)
}

// Model implements engine.Store.
func (s *Store) Model(ctx context.Context, rev engine.Revision) (engine.ModelVersion, error) {
	at, err := s.readable(rev)
	if err != nil {
		return engine.ModelVersion{}, err
	}
	found, err := s.readModels(ctx, "revision <= ? ORDER BY revision DESC", at, 1)
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
		limit = -1
	}
	return s.readModels(ctx, "number < ? ORDER BY number DESC", before, limit)
}

// readModels selects model versions of the network; the last of args is the limit.
func (s *Store) readModels(ctx context.Context, where string, args ...any) ([]engine.ModelVersion, error) {
	var out []engine.ModelVersion
	text := "SELECT number, revision, at, source FROM model WHERE network = ? AND " + where + " LIMIT ?"
	var m engine.ModelVersion
	var rev, at int64
	args = append([]any{s.network}, args...)
	err := s.db.query(ctx, text, args, []any{&m.Number, &rev, &at, &m.Source}, func() {
		m.Created, m.Revision = clock(at), revision(rev)
		out = append(out, m)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
