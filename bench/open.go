package bench

import (
	"context"
	"iter"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"
)

// drainTime is how long an open loop waits for what it asked, after its end.
const drainTime = 10 * time.Second

// openLoop asks questions as they arrive, whether earlier ones were answered or not.
func openLoop(ctx context.Context, on Target, callers []caller, l Load) (Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(l.Duration+drainTime, cancel).Stop()
	// Questions that no caller is free for wait here with their time. When it is
	// full, the next ones come late, and their times do not.
	arrived := make(chan time.Time, 1<<16)
	var g errgroup.Group
	start := time.Now()
	g.Go(func() error {
		defer close(arrived)
		arrivals(ctx, start, l, arrived)
		return nil
	})
	for i := range callers {
		c := &callers[i]
		g.Go(func() error {
			next, stop := iter.Pull(c.questions)
			defer stop()
			for at := range arrived {
				q, _ := next()
				over, err := c.ask(ctx, on, q, at)
				if err != nil {
					cancel()
					return err
				}
				if over {
					c.report.Unanswered++
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return Report{}, err
	}
	return summarise(callers, time.Since(start)), nil
}

// arrivals sends the times at which questions arrive, when they have come.
func arrivals(ctx context.Context, start time.Time, l Load, to chan<- time.Time) {
	r := rand.New(rand.NewPCG(l.Seed, 1<<63))
	p := newPacer()
	defer p.close()
	for at := start; ; {
		at = at.Add(time.Duration(r.ExpFloat64() / l.Rate * float64(time.Second)))
		if at.Sub(start) >= l.Duration {
			return
		}
		p.until(at)
		select {
		case to <- at:
		case <-ctx.Done():
			return
		}
	}
}
