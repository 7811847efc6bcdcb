package identity

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/cardea-iam/cardea/internal/errs"
)

// maxMine bounds the sessions that somebody sees of themselves, the newest ones.
const maxMine = 1000

// mySessions lists the other sessions of the caller.
func (s *Service) mySessions(w http.ResponseWriter, r *http.Request) error {
	session, i, err := s.current(r)
	if err != nil {
		return err
	}
	size, token, err := page(r)
	if err != nil {
		return err
	}
	after, err := parsePosition(token)
	if err != nil {
		return err
	}
	others, err := s.store.Sessions(r.Context(), s.active(i.ID, s.now()), SessionPosition{}, maxMine)
	if err != nil {
		return err
	}
	others = slices.DeleteFunc(others, func(x *Session) bool { return x.ID == session.ID })
	w.Header().Set("X-Total-Count", strconv.Itoa(len(others)))
	if after.ID != "" {
		others = slices.DeleteFunc(others, func(x *Session) bool { return !after.before(x) })
	}
	next := ""
	if len(others) > size {
		others = others[:size]
		next = position(others[size-1])
	}
	links(w, r, size, next)
	bodies := []*SessionBody{}
	for _, other := range others {
		bodies = append(bodies, s.sessionBody(other, i))
	}
	return reply(w, http.StatusOK, bodies)
}

// before reports whether a list has x behind the position.
func (p SessionPosition) before(x *Session) bool {
	return x.IssuedAt.Before(p.IssuedAt) || x.IssuedAt.Equal(p.IssuedAt) && x.ID < p.ID
}

func (s *Service) revokeMyOthers(w http.ResponseWriter, r *http.Request) error {
	session, i, err := s.current(r)
	if err != nil {
		return err
	}
	n, err := s.revokeOthersOf(r, session, i)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]int64{"count": n})
}

// revokeOthersOf ends the sessions of an identity except the one that asks, and returns
// how many it were.
func (s *Service) revokeOthersOf(r *http.Request, session *Session, i *Identity) (n int64, err error) {
	err = s.store.Write(r.Context(), RevokeSessions{Identity: i.ID, Except: session.ID, Count: &n}, s.ownEvent(r, "sessions.revoked", session))
	return n, err
}

func (s *Service) revokeMine(w http.ResponseWriter, r *http.Request) error {
	session, i, err := s.current(r)
	if err != nil {
		return err
	}
	id, err := sessionID(r.PathValue("id"))
	if err != nil {
		return err
	}
	if id == session.ID {
		return errs.New(errs.Invalid, "the current session cannot be revoked here: log out")
	}
	if err := s.revokeOneOf(r, session, i, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// revokeOneOf ends the session with an id, if it is the identity's.
func (s *Service) revokeOneOf(r *http.Request, session *Session, i *Identity, id string) error {
	return s.store.Write(r.Context(), RevokeSessions{Identity: i.ID, IDs: []string{id}}, s.ownEvent(r, "session.revoked", session))
}

// ownEvent says in the audit log what somebody did with a session.
func (s *Service) ownEvent(r *http.Request, kind string, session *Session) Op {
	now := s.now()
	return Record{Event{ID: eventID(now), At: now, Type: kind, Identity: session.Identity, Session: session.ID, Client: s.options.Client(r)}}
}
