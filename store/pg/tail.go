package pg

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// A news is what one statement of Tail found.
type news struct {
	head    position
	models  []engine.ModelVersion
	deleted []engine.Tuple
	created []engine.Tuple
	more    bool // some did not fit
	oldest  string
	expired bool // something was purged that the old revision does not show
}

// tailRows is how many rows of each kind a tail reads at once; if there are more
// it is read in pages.
const tailRows = 5000

// Tail implements engine.Store. What does not fit into the round trip is read in
// pages, and then what came meanwhile.
func (s *Store) Tail(ctx context.Context, from engine.Revision, yield func(engine.Change) error) (engine.Revision, error) {
	at, err := s.db.server.parse(from)
	for err == nil {
		var n news
		if n, err = s.tail(ctx, at); err != nil {
			break
		}
		if !n.more {
			if err = n.each(yield); err != nil {
				break
			}
			return n.head.revision(), nil
		}
		if err = s.changes(ctx, at, n.head, yield); err != nil {
			break
		}
		at = n.head
	}
	return "", err
}

// each yields the changes. What went comes before what came, because a tuple
// that did both is there now.
func (n *news) each(yield func(engine.Change) error) error {
	for i := range n.models {
		if err := yield(engine.Change{Model: &n.models[i]}); err != nil {
			return err
		}
	}
	for _, t := range n.deleted {
		if err := yield(engine.Change{Op: engine.Delete, Tuple: t}); err != nil {
			return err
		}
	}
	for _, t := range n.created {
		if err := yield(engine.Change{Op: engine.Insert, Tuple: t}); err != nil {
			return err
		}
	}
	return nil
}

// tail makes the round trip. The head and the changes come from one statement,
// and so from one state of the database.
func (s *Store) tail(ctx context.Context, from position) (n news, err error) {
	marks := from.marks()
	args := append([]any{s.network, tailRows + 1, from.arg()}, marks...)
	err = s.catchUp(ctx, func() error {
		err := s.db.read(ctx, "read the tail of the log", func(b *pgx.Batch) {
			b.Queue(s.db.sql.tail[len(marks)-1], args...).Query(func(rows pgx.Rows) (err error) {
				n, err = s.readNews(rows)
				return err
			})
		})
		switch {
		case err != nil:
			return err
		case n.head == nil:
			return errs.New(errs.Internal, "the network %s is gone from the database", s.name)
		case n.expired:
			return errExpired()
		}
		return from.readable(n.oldest, n.head)
	})
	if err != nil {
		return news{}, err
	}
	return n, nil
}

func (s *Store) readNews(rows pgx.Rows) (n news, err error) {
	counts := map[byte]int{}
	var last engine.Tuple
	for rows.Next() {
		raw := rows.RawValues()
		kind := raw[0][0]
		counts[kind]++
		switch kind {
		case 'h':
			n.oldest, n.expired = string(raw[2]), len(raw[3]) > 0
			n.head, err = s.db.server.parseRaw(string(raw[1]))
		case 'd':
			last = tuple(raw[1:], &last)
			n.deleted = append(n.deleted, last)
		case 'i':
			last = tuple(raw[1:], &last)
			n.created = append(n.created, last)
		case 'm':
			var m engine.ModelVersion
			if m, err = s.model(raw[1:]); err == nil {
				n.models = append(n.models, m)
			}
		}
		if err != nil {
			return news{}, err
		}
		n.more = n.more || counts[kind] > tailRows
	}
	s.db.rows.Add(int64(counts['d'] + counts['i'] + counts['m']))
	return n, rows.Err()
}

// model reads number, revision, time and source as text.
func (s *Store) model(raw [][]byte) (engine.ModelVersion, error) {
	number, err1 := strconv.ParseInt(string(raw[0]), 10, 64)
	at, err2 := s.db.server.parseRaw(string(raw[1]))
	created, err3 := strconv.ParseInt(string(raw[2]), 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return engine.ModelVersion{}, errs.New(errs.Internal, "model version %.20q of the network %s is malformed in the database", raw[0], s.name)
	}
	return engine.ModelVersion{Number: number, Source: string(raw[3]), Created: clock(created), Revision: at.revision()}, nil
}
