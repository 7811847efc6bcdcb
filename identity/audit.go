package identity

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// An eventBody is an entry of the audit log in JSON.
type eventBody struct {
	ID       string          `json:"id"`
	At       time.Time       `json:"at"`
	Type     string          `json:"type"`
	Identity string          `json:"identity_id,omitempty"`
	Session  string          `json:"session_id,omitempty"`
	Client   string          `json:"client_address,omitempty"`
	Detail   json.RawMessage `json:"detail,omitempty"`
}

// adminEvents lists the audit log, newest first: of one identity, or of all.
func (s *Service) adminEvents(w http.ResponseWriter, r *http.Request) error {
	size, before, err := page(r)
	if err != nil {
		return err
	}
	if before != "" && len(before) != len(eventID(s.now())) {
		return errs.New(errs.Invalid, "page_token is not one that was given out")
	}
	of := strings.ToLower(r.URL.Query().Get("identity_id"))
	if _, ok := parseUUID(of); of != "" && !ok {
		return errs.New(errs.Invalid, "identity_id is %.80q: expected a UUID", of)
	}
	found, err := s.store.ListEvents(r.Context(), of, before, size+1)
	if err != nil {
		return err
	}
	next := ""
	if len(found) > size {
		found = found[:size]
		next = found[size-1].ID
	}
	links(w, r, size, next)
	bodies := []eventBody{}
	for _, e := range found {
		bodies = append(bodies, eventBody{e.ID, e.At, e.Type, e.Identity, e.Session, e.Client, e.Detail})
	}
	return reply(w, http.StatusOK, bodies)
}

func (s *Service) adminEvent(r *http.Request, kind, identity string) Op {
	return s.AdminEvent(r, kind, identity, "")
}

// An adminDetail says who it was, and what it is about besides an identity.
type adminDetail struct {
	By    string `json:"by,omitempty"` // the name of an API key or certificate
	Group string `json:"group,omitempty"`
}

// AdminEvent is an entry of the audit log about a request of an administrator's: about an
// identity, or a group, or both.
func (s *Service) AdminEvent(r *http.Request, kind, identity, group string) Op {
	now := s.now()
	e := Event{ID: eventID(now), At: now, Type: kind, Identity: identity, Client: s.options.Client(r)}
	if d := (adminDetail{s.options.Administrator(r), group}); d != (adminDetail{}) {
		e.Detail, _ = json.Marshal(d)
	}
	return Record{e}
}

// failure adds to the audit log that a proof was wrong. What is only missing in a form is
// none.
func (s *Service) failure(st *Step, wrong *FormError) {
	f := st.Flow
	if f.Kind != Login && f.Kind != Recovery && f.Kind != Verification || len(wrong.Texts) == 0 {
		return
	}
	s.options.Guessed(st.Request, f.Kind)
	ids := []int{}
	for _, t := range wrong.Texts {
		ids = append(ids, t.ID)
	}
	ops := st.ops
	st.ops = nil
	st.Event(string(f.Kind)+".failed", cmp.Or(st.Identity, st.about), s.options.Client(st.Request), map[string]any{"method": f.Active, "messages": ids})
	st.always = append(st.always, st.ops...)
	st.ops = ops
}
