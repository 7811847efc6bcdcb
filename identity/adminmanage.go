package identity

import (
	"net/http"
	"slices"
	"strings"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Bounds of what one request to manage sessions does.
const (
	maxManaged = 500  // ids that are named
	manageAll  = 5000 // sessions, if all are meant
)

// adminManage ends or deletes many sessions: those that are named, those of the
// identities that are named, or all, some thousands at a time.
func (s *Service) adminManage(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Action     string   `json:"action"`
		Identities []string `json:"identities"`
		Sessions   []string `json:"sessions"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	if body.Action != "disable" && body.Action != "delete" {
		return errs.New(errs.Invalid, "action %.20q: expected disable or delete", body.Action)
	}
	if (len(body.Identities) == 0) == (len(body.Sessions) == 0) {
		return errs.New(errs.Invalid, "expected either identities or sessions")
	}
	ids := body.Identities
	if len(ids) == 0 {
		ids = body.Sessions
	}
	if len(ids) > maxManaged {
		return errs.New(errs.Invalid, "%d ids are named: expected at most %d", len(ids), maxManaged)
	}
	for n, id := range ids {
		ids[n] = strings.ToLower(id)
		if _, ok := parseUUID(ids[n]); !ok && id != "*" {
			return errs.New(errs.Invalid, "%.80q: expected a UUID, or *", id)
		}
	}
	drop, more := body.Action == "delete", false
	if slices.Contains(ids, "*") {
		if len(ids) > 1 {
			return errs.New(errs.Invalid, "* stands for all: expected no other id beside it")
		}
		var err error
		if body.Sessions, more, err = s.someSessions(r, drop); err != nil {
			return err
		}
		body.Identities = nil
	}
	n, err := s.manage(r, body.Identities, body.Sessions, drop)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"processed": n, "more": more})
}

// someSessions returns the ids of sessions that can still be ended, or deleted, and
// whether there are more.
func (s *Service) someSessions(r *http.Request, drop bool) (ids []string, more bool, err error) {
	query := s.active("", s.now())
	if drop {
		query.Active = nil
	}
	found, err := s.store.Sessions(r.Context(), query, SessionPosition{}, manageAll+1)
	for _, x := range found[:min(len(found), manageAll)] {
		ids = append(ids, x.ID)
	}
	return ids, len(found) > manageAll, err
}

// manage ends or deletes sessions, and returns how many it were.
func (s *Service) manage(r *http.Request, identities, sessions []string, drop bool) (total int64, err error) {
	counts := make([]int64, len(identities)+len(sessions)/maxManaged+1)
	var ops []Op
	for _, id := range identities {
		ops = append(ops, RevokeSessions{Identity: id, Delete: drop, Count: &counts[len(ops)]})
	}
	for part := range slices.Chunk(sessions, maxManaged) {
		ops = append(ops, RevokeSessions{IDs: part, Delete: drop, Count: &counts[len(ops)]})
	}
	if len(ops) == 0 {
		return 0, nil
	}
	kind := "admin.sessions.disabled"
	if drop {
		kind = "admin.sessions.deleted"
	}
	of := "" // of many
	if len(identities) == 1 {
		of = identities[0]
	}
	if err := s.store.Write(r.Context(), append(ops, s.adminEvent(r, kind, of))...); err != nil {
		return 0, err
	}
	for _, n := range counts {
		total += n
	}
	return total, nil
}
