package people

import (
	"context"
	"slices"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/script"
)

const messageColumns = "id, status, type, channel, recipient, template, data, send_count, dispatches, due, created, updated"

func scanMessage(scan script.Scan) (*identity.Message, error) {
	var m identity.Message
	var dispatches string
	var count, due, created, updated int64
	err := scan(&m.ID, &m.Status, &m.Type, &m.Channel, &m.Recipient, &m.Template, &m.Data, &count, &dispatches, &due, &created, &updated)
	m.Dispatches, m.SendCount = raw(dispatches), int(count)
	m.DueAt, m.CreatedAt, m.UpdatedAt = clock(due), clock(created), clock(updated)
	return &m, err
}

func (s *Store) putMessage(sc *script.Script, m identity.Message) {
	sc.Do(`INSERT INTO identity_message (network, `+messageColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (network, id) DO NOTHING`,
		s.run.Network(), m.ID, m.Status, m.Type, m.Channel, m.Recipient, m.Template, m.Data,
		int64(m.SendCount), jsonOr(m.Dispatches, "[]"), micros(m.DueAt), micros(m.CreatedAt), micros(m.UpdatedAt))
}

// returnMessage decides by the end of the lease who has the message: no two leases of
// one message end at the same time.
func (s *Store) returnMessage(sc *script.Script, op identity.ReturnMessage) {
	const mine = " WHERE network = $1 AND id = $2 AND status = 'processing' AND due = $3"
	m, n := op.Message, s.run.Network()
	conflict := errs.New(errs.Conflict, "message %s was taken by another courier", m.ID)
	if op.Drop {
		sc.Must(conflict, "DELETE FROM identity_message"+mine, n, m.ID, micros(op.Lease))
		return
	}
	sc.Must(conflict, "UPDATE identity_message SET status = $4, data = $5, send_count = $6, dispatches = $7, due = $8, updated = $9"+mine,
		n, m.ID, micros(op.Lease), m.Status, m.Data, int64(m.SendCount), jsonOr(m.Dispatches, "[]"), micros(m.DueAt), micros(m.UpdatedAt))
}

// TakeMessages implements identity.Messages. The second look at due is for a message
// that another worker takes between the inner statement and the outer one.
func (s *Store) TakeMessages(ctx context.Context, now time.Time, lease time.Duration, n int) ([]*identity.Message, error) {
	var taken []*identity.Message
	err := s.run.Write(ctx, "take messages", func(sc *script.Script) {
		taken = nil
		sc.Ask(func(scan script.Scan) error {
			m, err := scanMessage(scan)
			taken = append(taken, m)
			return err
		}, `UPDATE identity_message SET status = 'processing', due = $3, updated = $2
			WHERE network = $1 AND status IN ('queued', 'processing') AND due <= $2 AND id IN (
				SELECT id FROM identity_message WHERE network = $1 AND status IN ('queued', 'processing') AND due <= $2 ORDER BY due LIMIT $4)
			RETURNING `+messageColumns, s.run.Network(), micros(now), micros(now.Add(lease)), int64(n))
	})
	slices.SortFunc(taken, func(a, b *identity.Message) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return taken, err
}

// Message implements identity.Messages.
func (s *Store) Message(ctx context.Context, id string) (*identity.Message, error) {
	found, err := s.messages(ctx, func(q *query) { q.add(" AND id = ?", id) })
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errs.New(errs.NotFound, "there is no such message")
	}
	return found[0], nil
}

// ListMessages implements identity.Messages.
func (s *Store) ListMessages(ctx context.Context, want identity.MessageQuery, after identity.MessagePosition, limit int) ([]*identity.Message, error) {
	return s.messages(ctx, func(q *query) {
		if want.Status != "" {
			q.add(" AND status = ?", want.Status)
		}
		if want.Recipient != "" {
			q.add(" AND recipient = ?", want.Recipient)
		}
		if after.ID != "" {
			at := micros(after.CreatedAt)
			q.add(" AND (created < ? OR created = ? AND id < ?)", at, at, after.ID)
		}
		q.add(" ORDER BY created DESC, id DESC LIMIT ?", int64(limit))
	})
}

func (s *Store) messages(ctx context.Context, where func(*query)) ([]*identity.Message, error) {
	var found []*identity.Message
	err := s.run.Read(ctx, "read messages", func(sc *script.Script) {
		found = nil
		q := s.query("SELECT " + messageColumns + " FROM identity_message WHERE network = $1")
		where(q)
		q.ask(sc, func(scan script.Scan) error {
			m, err := scanMessage(scan)
			found = append(found, m)
			return err
		})
	})
	return found, err
}

// ListEvents implements identity.Events.
func (s *Store) ListEvents(ctx context.Context, of, before string, limit int) ([]*identity.Event, error) {
	var found []*identity.Event
	err := s.run.Read(ctx, "read events", func(sc *script.Script) {
		found = nil
		q := s.query("SELECT id, at, type, identity, session, client, detail FROM identity_event WHERE network = $1")
		if of != "" {
			q.add(" AND identity = ?", of)
		}
		if before != "" {
			q.add(" AND id < ?", before)
		}
		q.add(" ORDER BY id DESC LIMIT ?", int64(limit))
		q.ask(sc, func(scan script.Scan) error {
			var e identity.Event
			var at int64
			var detail string
			err := scan(&e.ID, &at, &e.Type, &e.Identity, &e.Session, &e.Client, &detail)
			e.At, e.Detail = clock(at), raw(detail)
			found = append(found, &e)
			return err
		})
	})
	return found, err
}
