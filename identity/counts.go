package identity

import (
	"context"
	"time"
)

// counts is what a request has counted, by the keys, so that a step that starts again, since
// another request was in its way, is one attempt.
type counts map[string]tried

type tried struct {
	allowed bool
	next    time.Time
}

// count counts an attempt at what key names, once for each request; see Limiter.
func (s *Service) count(ctx context.Context, st *Step, key string, l Limit) (allowed bool, next time.Time, err error) {
	if before, again := st.counted[key]; again {
		return before.allowed, before.next, nil
	}
	allowed, next, err = s.store.Attempt(ctx, key, l, st.Now)
	if err == nil && st.counted != nil {
		st.counted[key] = tried{allowed, next}
	}
	return allowed, next, err
}
