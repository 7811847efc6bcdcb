package identity

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"

	"github.com/cardea-iam/cardea/internal/errs"
)

// Bounds of a batch. Hashing a password takes its time, so there are fewer of those.
const (
	maxBatch          = 1000
	maxBatchPasswords = 200
	batchWrite        = 50 // identities in one transaction
)

// An identityPatch is one part of a batch.
type identityPatch struct {
	Create *draft `json:"create"`
	ID     string `json:"patch_id"`
}

// A patchAnswer says what became of one part.
type patchAnswer struct {
	Action   string `json:"action"` // create or error
	Identity string `json:"identity,omitempty"`
	ID       string `json:"patch_id,omitempty"`
	Error    any    `json:"error,omitempty"`
}

// A newcomer is an identity of a batch that can be stored.
type newcomer struct {
	at  int // in the batch
	id  string
	ops []Op
}

// adminBatch creates many identities. Each is created or refused on its own.
func (s *Service) adminBatch(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Identities []identityPatch `json:"identities"`
	}
	if err := readJSON(r, &body); err != nil {
		return err
	}
	if err := checkBatch(body.Identities); err != nil {
		return err
	}
	answers := make([]patchAnswer, len(body.Identities))
	fail := func(at int, err error) { answers[at].Action, answers[at].Error = "error", s.batchError(err) }
	var ready []newcomer
	for n, p := range body.Identities {
		answers[n].ID = p.ID
		i, err := s.drafted(r.Context(), *p.Create)
		if err != nil {
			fail(n, err)
			continue
		}
		ops, err := s.entered(r, *p.Create, i)
		if err != nil {
			fail(n, err)
			continue
		}
		ready = append(ready, newcomer{n, i.ID, ops})
	}
	token := ""
	for len(ready) > 0 {
		part := ready[:min(batchWrite, len(ready))]
		ready = ready[len(part):]
		for n, err := range s.enter(r.Context(), part, &token) {
			if err != nil {
				fail(part[n].at, err)
				continue
			}
			answers[part[n].at].Action, answers[part[n].at].Identity = "create", part[n].id
		}
	}
	showToken(w, token)
	return reply(w, http.StatusOK, map[string]any{"identities": answers})
}

func checkBatch(all []identityPatch) error {
	if len(all) == 0 || len(all) > maxBatch {
		return errs.New(errs.Invalid, "identities has %d entries: expected 1 to %d", len(all), maxBatch)
	}
	passwords := 0
	for n, p := range all {
		if p.Create == nil {
			return errs.New(errs.Invalid, "identities.%d: expected create", n)
		}
		if _, ok := parseUUID(p.ID); p.ID != "" && !ok {
			return errs.New(errs.Invalid, "identities.%d.patch_id %.80q: expected a UUID", n, p.ID)
		}
		var config struct {
			Password string `json:"password"`
		}
		if c, ok := p.Create.Credentials[string(Password)]; ok && json.Unmarshal(c.Config, &config) == nil && config.Password != "" {
			passwords++
		}
	}
	if passwords > maxBatchPasswords {
		return errs.New(errs.Invalid, "identities has %d passwords that are not hashed: expected at most %d", passwords, maxBatchPasswords)
	}
	return nil
}

// enter stores identities, all at once if that goes, and returns the error of each. token
// becomes one that shows what relations they have.
func (s *Service) enter(ctx context.Context, part []newcomer, token *string) []error {
	failed := make([]error, len(part))
	var ops []Op
	for _, one := range part {
		ops = append(ops, one.ops...)
	}
	err := s.store.Write(ctx, s.shown(token, ops...)...)
	if err == nil {
		return failed
	}
	for n, one := range part {
		failed[n] = err
		switch errs.KindOf(err) {
		case errs.Conflict, errs.Invalid, errs.NotFound, errs.Refused: // one of them is in the way
			if err := s.store.Write(ctx, s.shown(token, one.ops...)...); err != nil {
				failed[n] = s.unborn(ctx, one.id, err)
			} else {
				failed[n] = nil
			}
		}
	}
	return failed
}

// drafted returns the new identity that a draft describes.
//
// Invalid: it is not what an identity may be. Unsupported: a credential cannot be
// imported.
func (s *Service) drafted(ctx context.Context, d draft) (*Identity, error) {
	now := s.now()
	i := newIdentity("", nil, now)
	if _, ok := parseUUID(d.ID); d.ID != "" && !ok {
		return nil, errs.New(errs.Invalid, "id %.80q: expected a UUID", d.ID)
	} else if ok {
		i.ID = d.ID
	}
	d.State = cmp.Or(d.State, Active)
	if err := s.apply(ctx, d, i, now); err != nil {
		return nil, err
	}
	i.Verifiable, i.Recovery = d.Verifiable, d.Recovery
	complete(i, now)
	s.settle(i, nil, now)
	return i, nil
}

// batchError is an error as Kratos has it in a batch. What is our fault keeps its
// details to itself.
func (s *Service) batchError(err error) any {
	status, reason := http.StatusInternalServerError, err.Error()
	switch errs.KindOf(err) {
	case errs.Invalid:
		status = http.StatusBadRequest
	case errs.NotFound, errs.Refused:
		status = http.StatusUnprocessableEntity
	case errs.Conflict:
		status = http.StatusConflict
	case errs.Unsupported:
		status = http.StatusNotImplemented
	case errs.Unavailable:
		status = http.StatusServiceUnavailable
	default:
		s.options.Log.Error("an identity of a batch could not be stored", "error", err)
		reason = ""
	}
	body := s.errorBody(err, status, "The identity could not be created").Error
	body.Reason = cmp.Or(body.Reason, reason)
	return body
}
