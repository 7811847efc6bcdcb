package identity

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A messageBody is a message in Kratos's JSON.
type messageBody struct {
	ID         string          `json:"id"`
	Status     string          `json:"status"`
	Type       string          `json:"type"`
	Recipient  string          `json:"recipient"`
	Subject    string          `json:"subject"`
	Body       string          `json:"body"`
	Template   string          `json:"template_type"`
	Channel    string          `json:"channel,omitempty"`
	SendCount  int             `json:"send_count"`
	Dispatches json.RawMessage `json:"dispatches,omitempty"`
	CreatedAt  time.Time       `json:"created_at"`
	UpdatedAt  time.Time       `json:"updated_at"`
}

// messageBody shows a message to an administrator. Codes and links in it are made
// unreadable: an administrator need not be able to be somebody else.
func (s *Service) messageBody(m *Message, dispatches bool) messageBody {
	b := messageBody{ID: m.ID, Status: m.Status, Type: m.Type, Recipient: m.Recipient, Template: m.Template, Channel: m.Channel,
		SendCount: m.SendCount, CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt}
	if dispatches {
		b.Dispatches = m.Dispatches
	}
	n, err := s.openNote(m)
	if err != nil || s.options.Courier.Letters == nil {
		return b
	}
	if !s.options.Courier.Plain {
		n.hide()
	}
	if l, err := s.letter(m, n); err == nil {
		b.Subject, b.Body = l.Subject, l.Text
	}
	return b
}

func (s *Service) adminMessages(w http.ResponseWriter, r *http.Request) error {
	size, token, err := page(r)
	if err != nil {
		return err
	}
	after, err := parseMessagePosition(token)
	if err != nil {
		return err
	}
	q := MessageQuery{Status: r.URL.Query().Get("status"), Recipient: r.URL.Query().Get("recipient")}
	if !slices.Contains([]string{"", queued, processing, sent, abandoned}, q.Status) {
		return errs.New(errs.Invalid, "status is %.20q: expected queued, processing, sent or abandoned", q.Status)
	}
	if unseen(q.Recipient) {
		return errs.New(errs.Invalid, "recipient %.80q: no message can be to that", q.Recipient)
	}
	if to, ok := normalize(q.Recipient); ok {
		q.Recipient = to
	}
	found, err := s.store.ListMessages(r.Context(), q, after, size+1)
	if err != nil {
		return err
	}
	next := ""
	if len(found) > size {
		found = found[:size]
		last := found[size-1]
		next = strconv.FormatInt(last.CreatedAt.UnixMicro(), 10) + " " + last.ID
	}
	bodies := []messageBody{}
	for _, m := range found {
		bodies = append(bodies, s.messageBody(m, false))
	}
	links(w, r, size, next)
	return reply(w, http.StatusOK, bodies)
}

func parseMessagePosition(token string) (MessagePosition, error) {
	at, err := parsePosition(token)
	return MessagePosition{CreatedAt: at.IssuedAt, ID: at.ID}, err
}

func (s *Service) adminMessage(w http.ResponseWriter, r *http.Request) error {
	id := strings.ToLower(r.PathValue("id"))
	if _, ok := parseUUID(id); !ok {
		return errs.New(errs.Invalid, "message %.80q: expected a UUID", id)
	}
	m, err := s.store.Message(r.Context(), id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, s.messageBody(m, true))
}
