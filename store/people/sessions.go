package people

import (
	"context"
	"slices"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/script"
)

const sessionColumns = "s.id, s.version, s.token, s.identity, s.active, s.aal, s.methods, s.authenticated, s.issued, s.expires, s.seen, s.devices"

// A sessionRow is where the columns of a session go.
type sessionRow struct {
	identity.Session
	active, authenticated, issued, expires, seen int64
	aal, methods, devices                        string
}

func (r *sessionRow) dest() []any {
	return []any{&r.ID, &r.Version, &r.TokenHash, &r.Identity, &r.active, &r.aal, &r.methods, &r.authenticated, &r.issued, &r.expires, &r.seen, &r.devices}
}

func (r *sessionRow) session() (*identity.Session, error) {
	s := r.Session
	s.Active, s.AAL = r.active != 0, identity.AAL(r.aal)
	s.AuthenticatedAt, s.IssuedAt, s.ExpiresAt, s.SeenAt = clock(r.authenticated), clock(r.issued), clock(r.expires), clock(r.seen)
	var err error
	if s.Methods, err = methods(r.methods); err != nil {
		return nil, err
	}
	s.Devices, err = devices(r.devices)
	return &s, err
}

// SessionByToken implements identity.Sessions.
func (s *Store) SessionByToken(ctx context.Context, hash []byte) (session *identity.Session, of *identity.Identity, err error) {
	err = s.run.Read(ctx, "read a session", func(sc *script.Script) {
		session, of = nil, nil
		sc.Ask(func(scan script.Scan) (err error) {
			var row sessionRow
			var who identityRow
			if err = scan(append(row.dest(), who.dest()...)...); err != nil {
				return err
			}
			if session, err = row.session(); err != nil {
				return err
			}
			of, err = who.identity()
			return err
		}, "SELECT "+sessionColumns+", "+identityColumns+` FROM identity_session AS s
			JOIN identity AS i ON i.network = s.network AND i.id = s.identity WHERE s.network = $1 AND s.token = $2`,
			s.run.Network(), hash)
	})
	if err == nil && session == nil {
		err = errs.New(errs.NotFound, "there is no such session")
	}
	return session, of, err
}

// Sessions implements identity.Sessions.
func (s *Store) Sessions(ctx context.Context, want identity.SessionQuery, after identity.SessionPosition, limit int) ([]*identity.Session, error) {
	if nothing(want.IDs) {
		return nil, ctx.Err()
	}
	var found []*identity.Session
	err := s.run.Read(ctx, "read sessions", func(sc *script.Script) {
		found = nil
		q := s.query("SELECT " + sessionColumns + " FROM identity_session AS s WHERE s.network = $1")
		if want.IDs != nil {
			q.add(" AND s.id IN ")
			q.in(want.IDs)
		}
		if want.Identity != "" {
			q.add(" AND s.identity = ?", want.Identity)
		}
		if want.Active != nil && *want.Active {
			q.add(" AND s.active = 1"+counting, micros(want.Now), seenAfter(want.Now, want.Idle))
		} else if want.Active != nil {
			q.add(" AND (s.active = 0 OR s.expires <= ? OR s.seen <= ?)", micros(want.Now), seenAfter(want.Now, want.Idle))
		}
		if after.ID != "" {
			at := micros(after.IssuedAt)
			q.add(" AND (s.issued < ? OR s.issued = ? AND s.id < ?)", at, at, after.ID)
		}
		q.add(" ORDER BY s.issued DESC, s.id DESC LIMIT ?", int64(limit))
		q.ask(sc, func(scan script.Scan) error {
			var row sessionRow
			if err := scan(row.dest()...); err != nil {
				return err
			}
			session, err := row.session()
			found = append(found, session)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (s *Store) saveSession(sc *script.Script, x *identity.Session) {
	args := []any{s.run.Network(), x.ID, x.TokenHash, x.Identity, bit(x.Active), string(x.AAL), list(x.Methods),
		micros(x.AuthenticatedAt), micros(x.IssuedAt), micros(x.ExpiresAt), list(x.Devices), micros(x.SeenAt)}
	conflict := errs.New(errs.Conflict, "session %s was changed by another request: read it again", x.ID)
	if x.Version == 0 {
		sc.Must(conflict, `INSERT INTO identity_session (network, id, token, identity, active, aal, methods, authenticated, issued, expires, devices, seen, version)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1) ON CONFLICT DO NOTHING`, args...)
		return
	}
	sc.Must(conflict, `UPDATE identity_session SET token = $3, identity = $4, active = $5, aal = $6, methods = $7, authenticated = $8,
		issued = $9, expires = $10, devices = $11, seen = CASE WHEN seen < $12 THEN $12 ELSE seen END, version = version + 1
		WHERE network = $1 AND id = $2 AND version = $13`,
		append(args, x.Version)...)
}

// counting selects sessions that have not ended by themselves. Most have not, so the sum
// keeps a database without statistics from looking for them by their ends.
const counting = " AND s.expires + 0 > ? AND s.seen > ?"

// seenAfter is when a session that is not idle was seen after.
func seenAfter(now time.Time, idle time.Duration) int64 {
	if idle <= 0 {
		return -1
	}
	return micros(now.Add(-idle))
}

// limit ends the oldest sessions. Their number bounds what is read: an identity has few
// more than it may.
func (s *Store) limit(sc *script.Script, op identity.LimitSessions) {
	if op.Count == nil {
		op.Count = new(int64)
	}
	where := s.query(" WHERE network = $1")
	where.add(" AND active = 1 AND id IN (SELECT s.id FROM identity_session AS s WHERE s.network = $1 AND s.identity = ? AND s.id <> ? AND s.active = 1",
		op.Identity, op.New)
	where.add(counting, micros(op.Now), seenAfter(op.Now, op.Idle))
	where.add(" ORDER BY s.issued DESC, s.id DESC LIMIT 1000 OFFSET ?)", int64(op.Others))
	s.note(sc, where, op.Tell)
	sc.Count(op.Count, endSessions+where.text.String(), where.args...)
}

const endSessions = "UPDATE identity_session SET active = 0, version = version + 1"

// note keeps notes of the active sessions that where selects, unless at is zero.
func (s *Store) note(sc *script.Script, where *query, at time.Time) {
	if at.IsZero() {
		return
	}
	q := &query{args: slices.Clone(where.args)}
	q.add("INSERT INTO identity_ended (network, identity, session, at) SELECT network, identity, id, CAST(? AS BIGINT) FROM identity_session", micros(at))
	q.text.WriteString(where.text.String() + " AND active = 1 ON CONFLICT (network, identity, session) DO UPDATE SET at = excluded.at")
	sc.Do(q.text.String(), q.args...)
}

// Ended implements identity.Sessions.
func (s *Store) Ended(ctx context.Context, limit int) (notes []identity.Ended, err error) {
	err = s.run.Read(ctx, "read which sessions have ended", func(sc *script.Script) {
		notes = nil
		sc.Ask(func(scan script.Scan) error {
			var note identity.Ended
			var at int64
			err := scan(&note.Identity, &note.Session, &at)
			note.At = clock(at)
			notes = append(notes, note)
			return err
		}, "SELECT identity, session, at FROM identity_ended WHERE network = $1 ORDER BY at, identity, session LIMIT $2", s.run.Network(), int64(limit))
	})
	return notes, err
}

// revoke ends sessions. Without an identity and ids it ends none.
func (s *Store) revoke(sc *script.Script, op identity.RevokeSessions) {
	if op.Count == nil {
		op.Count = new(int64)
	}
	if op.Identity == "" && len(op.IDs) == 0 {
		*op.Count = 0
		return
	}
	q := s.query(" WHERE network = $1")
	if op.Identity != "" {
		q.add(" AND identity = ?", op.Identity)
	}
	if len(op.IDs) > 0 {
		q.add(" AND id IN ")
		q.in(op.IDs)
	}
	if op.Except != "" {
		q.add(" AND id <> ?", op.Except)
	}
	s.note(sc, q, op.Tell)
	if op.Delete {
		sc.Count(op.Count, "DELETE FROM identity_session"+q.text.String(), q.args...)
		return
	}
	q.add(" AND active = 1")
	sc.Count(op.Count, endSessions+q.text.String(), q.args...)
}
