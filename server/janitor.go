package server

import (
	"context"
	"math/rand/v2"
	"time"
)

// A JanitorConfig says how what has served its time is removed: tokens, grants and
// logins of OAuth 2, sessions and flows of identities.
type JanitorConfig struct {
	Interval time.Duration // between two rounds, on average
	Batch    int           // rows of each kind at a time
}

// breath is between two batches, so that others get to the database.
const breath = 20 * time.Millisecond

// janitor removes what has served its time, now and then, until ctx ends. All nodes do
// so, at times that are not the same; a row that two of them find is removed once.
func (s *Server) janitor(ctx context.Context) {
	every := s.config.Janitor.Interval
	for pause(ctx, every/2+rand.N(every)) {
		for _, n := range s.core.networks {
			if n.oauth != nil {
				s.removeAll(ctx, n.name, "oauth", func() (int64, error) { return n.oauth.Purge(ctx, s.config.Janitor.Batch) })
			}
			if n.people != nil {
				s.removeAll(ctx, n.name, "identity", func() (int64, error) { return n.people.Purge(ctx) })
			}
		}
	}
}

// removeAll removes batches until nothing is left.
func (s *Server) removeAll(ctx context.Context, network, part string, batch func() (int64, error)) {
	for {
		n, err := batch()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			s.core.metrics.purgeErrors.WithLabelValues(network, part).Inc()
			s.log.Error("what has served its time was not removed", "network", network, "part", part, "err", err)
			return
		}
		s.core.metrics.purged.WithLabelValues(network, part).Add(float64(n))
		if n == 0 || !pause(ctx, breath) {
			return
		}
	}
}

// pause reports whether ctx is still there after d.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
