package oauth

import (
	"context"
	"net/http"
	"strconv"

	"github.com/cardea-iam/cardea/internal/errs"
)

const (
	usualBatch = 500
	maxBatch   = 10_000
)

// Purge removes a batch of what has served its time, at most limit rows of each kind,
// and returns how many went; 0: nothing is left. Nodes may do so at the same time.
func (p *Provider) Purge(ctx context.Context, limit int) (int64, error) {
	return p.store.Purge(ctx, p.o.Now(), limit)
}

// servePurge removes one batch, so that who asks decides how fast it goes.
func (p *Provider) servePurge(w http.ResponseWriter, r *http.Request) error {
	limit := usualBatch
	if text := r.URL.Query().Get("batch"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxBatch {
			return errs.New(errs.Invalid, "batch: %.50q: expected a number from 1 to %d", text, maxBatch)
		}
	}
	n, err := p.Purge(r.Context(), limit)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, map[string]any{"purged": n})
}
