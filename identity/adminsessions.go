package identity

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

func (s *Service) adminSessions(w http.ResponseWriter, r *http.Request) error {
	return s.adminListSessions(w, r, "")
}

func (s *Service) adminSessionsOf(w http.ResponseWriter, r *http.Request) error {
	id, err := adminID(r)
	if err != nil {
		return err
	}
	if _, err := s.store.Identity(r.Context(), id, false); err != nil {
		return err
	}
	return s.adminListSessions(w, r, id)
}

func (s *Service) adminListSessions(w http.ResponseWriter, r *http.Request, of string) error {
	size, token, err := page(r)
	if err != nil {
		return err
	}
	after, err := parsePosition(token)
	if err != nil {
		return err
	}
	query := SessionQuery{Identity: of, Now: s.now(), Idle: s.options.SessionIdle}
	if text := r.URL.Query().Get("active"); text != "" {
		active, err := strconv.ParseBool(text)
		if err != nil {
			return errs.New(errs.Invalid, "active %.20q: expected true or false", text)
		}
		query.Active = &active
	}
	found, err := s.store.Sessions(r.Context(), query, after, size+1)
	if err != nil {
		return err
	}
	next := ""
	if len(found) > size {
		found = found[:size]
		next = position(found[size-1])
	}
	bodies, err := s.expanded(r, found)
	if err != nil {
		return err
	}
	links(w, r, size, next)
	return reply(w, http.StatusOK, bodies)
}

// expanded shows sessions, with their identities if the request asks for them.
func (s *Service) expanded(r *http.Request, sessions []*Session) ([]*SessionBody, error) {
	expand := split(r.URL.Query()["expand"])
	for _, e := range expand {
		if !strings.EqualFold(e, "identity") && !strings.EqualFold(e, "devices") { // which are always there
			return nil, errs.New(errs.Invalid, "expand %.20q: expected identity or devices", e)
		}
	}
	people := map[string]*Identity{}
	if slices.ContainsFunc(expand, func(e string) bool { return strings.EqualFold(e, "identity") }) && len(sessions) > 0 {
		var ids []string
		for _, x := range sessions {
			if !slices.Contains(ids, x.Identity) {
				ids = append(ids, x.Identity)
			}
		}
		found, err := s.store.Identities(r.Context(), IdentityQuery{IDs: ids}, "", len(ids))
		if err != nil {
			return nil, err
		}
		for _, i := range found {
			people[i.ID] = i
		}
	}
	bodies := []*SessionBody{}
	for _, x := range sessions {
		bodies = append(bodies, s.sessionBody(x, people[x.Identity]))
	}
	return bodies, nil
}

func position(s *Session) string { return strconv.FormatInt(s.IssuedAt.UnixMicro(), 10) + " " + s.ID }

func parsePosition(token string) (SessionPosition, error) {
	if token == "" {
		return SessionPosition{}, nil
	}
	at, id, ok := strings.Cut(token, " ")
	micros, err := strconv.ParseInt(at, 10, 64)
	if !ok || err != nil {
		return SessionPosition{}, errs.New(errs.Invalid, "page_token is not one that was given out")
	}
	return SessionPosition{IssuedAt: time.UnixMicro(micros).UTC(), ID: id}, nil
}

// adminFind returns the session that the path names.
func (s *Service) adminFind(r *http.Request) (*Session, error) {
	id, err := sessionID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	found, err := s.store.Sessions(r.Context(), SessionQuery{IDs: []string{id}}, SessionPosition{}, 1)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errs.New(errs.NotFound, "there is no session %.80q", id)
	}
	return found[0], nil
}

// sessionID reads the id of a session.
func sessionID(text string) (string, error) {
	id := strings.ToLower(text)
	if _, ok := parseUUID(id); !ok {
		return "", errs.New(errs.Invalid, "session %.80q: expected a UUID", text)
	}
	return id, nil
}

func (s *Service) adminSession(w http.ResponseWriter, r *http.Request) error {
	found, err := s.adminFind(r)
	if err != nil {
		return err
	}
	bodies, err := s.expanded(r, []*Session{found})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, bodies[0])
}

func (s *Service) adminRevoke(w http.ResponseWriter, r *http.Request) error {
	found, err := s.adminFind(r)
	if err != nil {
		return err
	}
	err = s.store.Write(r.Context(), RevokeSessions{IDs: []string{found.ID}}, s.adminEvent(r, "admin.session.revoked", found.Identity))
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Service) adminDeleteSessionsOf(w http.ResponseWriter, r *http.Request) error {
	id, err := adminID(r)
	if err != nil {
		return err
	}
	var n int64
	err = s.store.Write(r.Context(), RevokeSessions{Identity: id, Delete: true, Count: &n}, s.adminEvent(r, "admin.sessions.deleted", id))
	if err != nil {
		return err
	}
	if n == 0 {
		return errs.New(errs.NotFound, "the identity %s has no sessions", id)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// adminExtend lets a session last as long as a new one, if it is near enough to its end.
func (s *Service) adminExtend(w http.ResponseWriter, r *http.Request) error {
	found, err := s.adminFind(r)
	if err != nil {
		return err
	}
	now := s.now()
	if !s.counts(found, now) {
		return errs.New(errs.Invalid, "the session %s is not active", found.ID)
	}
	if early := s.options.ExtendWithin; early > 0 && found.ExpiresAt.Sub(now) > early {
		return s.extended(w, found)
	}
	i, err := s.store.Identity(r.Context(), found.Identity, false)
	if err != nil {
		return err
	}
	s.prolong(found, i, now)
	found.SeenAt = now // its last use may not be noted
	if err := s.store.Write(r.Context(), SaveSession{found}, s.adminEvent(r, "admin.session.extended", found.Identity)); err != nil {
		return err
	}
	return s.extended(w, found)
}

// extended answers with a session, or with nothing if that is wanted.
func (s *Service) extended(w http.ResponseWriter, x *Session) error {
	if s.options.BriefExtend {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return reply(w, http.StatusOK, s.sessionBody(x, nil))
}
