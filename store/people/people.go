package people

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/store/script"
)

// A Store is the identity.Store of one network.
type Store struct{ run script.Runner }

var _ identity.Store = (*Store)(nil)

// New returns the store of the runner's network.
func New(run script.Runner) *Store { return &Store{run} }

// A query is a statement that is being written, with its arguments. The first is the
// network.
type query struct {
	text strings.Builder
	args []any
}

func (s *Store) query(text string) *query {
	q := &query{args: []any{s.run.Network()}}
	q.text.WriteString(text)
	return q
}

// arg adds an argument and returns its placeholder.
func (q *query) arg(value any) string {
	q.args = append(q.args, value)
	return "$" + strconv.Itoa(len(q.args))
}

// add appends text, in which ? stands for the arguments.
func (q *query) add(text string, args ...any) {
	for _, a := range args {
		before, after, _ := strings.Cut(text, "?")
		q.text.WriteString(before)
		q.text.WriteString(q.arg(a))
		text = after
	}
	q.text.WriteString(text)
}

// in appends a list of arguments in parentheses.
func (q *query) in(values []string) {
	q.text.WriteString("(")
	for i, v := range values {
		if i > 0 {
			q.text.WriteString(", ")
		}
		q.text.WriteString(q.arg(v))
	}
	q.text.WriteString(")")
}

func (q *query) ask(sc *script.Script, row func(script.Scan) error) {
	sc.Ask(row, q.text.String(), q.args...)
}

// list is one in which an empty selection selects nothing.
func nothing(ids []string) bool { return ids != nil && len(ids) == 0 }

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func clock(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// raw returns a JSON column; "" is nothing.
func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

// encode writes what is made of texts, times and truths only.
func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func decode(text string, into any) error {
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return errs.Wrap(errs.Internal, err, "a row of an identity is malformed")
	}
	return nil
}

// Purge implements identity.Store.
func (s *Store) Purge(ctx context.Context, t time.Time) (int64, error) {
	counts := make([]int64, 6)
	err := s.run.Write(ctx, "purge what flows left", func(sc *script.Script) {
		for i, where := range []string{
			"identity_flow WHERE network = $1 AND expires < $2",
			"identity_code WHERE network = $1 AND expires < $2",
			"identity_invitation WHERE network = $1 AND expires < $2",
			"identity_session WHERE network = $1 AND expires < $2",
			"identity_attempt WHERE network = $1 AND until < $2",
			"identity_message WHERE network = $1 AND status IN ('sent', 'abandoned') AND due < $2",
		} {
			sc.Count(&counts[i], "DELETE FROM "+where, s.run.Network(), micros(t))
		}
	})
	total := int64(0)
	for _, n := range counts {
		total += n
	}
	return total, err
}
