package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
)

// OAuthCallers do one operation, each waiting for its answer before it asks again.
type OAuthCallers struct {
	op  OAuthOp
	all []func(context.Context) error
}

// Prepare makes n callers of an operation.
func (op OAuthOp) Prepare(ctx context.Context, n int) (OAuthCallers, error) {
	c := OAuthCallers{op: op}
	for range n {
		do, err := op.New(ctx)
		if err != nil {
			return c, fmt.Errorf("%s: %w", op.Name, err)
		}
		c.all = append(c.all, do)
	}
	return c, nil
}

// An OAuthReport is what one round measured, in microseconds.
type OAuthReport struct{ CPU, P50, P99 float64 }

// Run lets all callers ask p for some time. A wrong answer or an error ends the run.
func (c OAuthCallers) Run(ctx context.Context, p *Process, d time.Duration) (OAuthReport, error) {
	before, err := p.CPU()
	if err != nil {
		return OAuthReport{}, err
	}
	latencies := make([]*hdrhistogram.Histogram, len(c.all))
	end := time.Now().Add(d)
	g, gctx := errgroup.WithContext(ctx)
	for i, do := range c.all {
		latencies[i] = hdrhistogram.New(1, 60_000_000, 3)
		g.Go(func() error { return repeat(gctx, do, end, latencies[i]) })
	}
	if err := g.Wait(); err != nil {
		return OAuthReport{}, fmt.Errorf("%s: %w", c.op.Name, err)
	}
	after, err := p.CPU()
	if err != nil {
		return OAuthReport{}, err
	}
	all := hdrhistogram.New(1, 60_000_000, 3)
	for _, l := range latencies {
		all.Merge(l)
	}
	return OAuthReport{
		CPU: float64((after - before).Microseconds()) / float64(all.TotalCount()),
		P50: float64(all.ValueAtQuantile(50)), P99: float64(all.ValueAtQuantile(99)),
	}, nil
}

// repeat does something at least once.
func repeat(ctx context.Context, do func(context.Context) error, end time.Time, latency *hdrhistogram.Histogram) error {
	for began := time.Now(); ; {
		if err := do(ctx); err != nil {
			return err
		}
		now := time.Now()
		if err := latency.RecordValue(max(now.Sub(began).Microseconds(), 1)); err != nil {
			return err
		}
		if now.After(end) {
			return nil
		}
		began = now
	}
}

// Trips lets one caller ask n times, and returns the round trips of each time by what t
// has counted.
func (c OAuthCallers) Trips(ctx context.Context, t *Trips, n int) (float64, error) {
	before := t.Count()
	for range n {
		if err := c.all[0](ctx); err != nil {
			return 0, fmt.Errorf("%s: %w", c.op.Name, err)
		}
	}
	return float64(t.Count()-before) / float64(n), nil
}
