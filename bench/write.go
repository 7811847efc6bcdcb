package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cardea-iam/cardea/engine"
)

// A WriteLoad is one way to write.
type WriteLoad struct {
	Name        string
	Concurrency int // callers, each of which waits for its write before the next
	Batch       int // tuples in one write
}

// WriteLoads are the ways that a report has.
var WriteLoads = []WriteLoad{
	{Name: "single, 1 caller", Concurrency: 1, Batch: 1},
	{Name: "single, 64 callers", Concurrency: 64, Batch: 1},
	{Name: "bulk import", Concurrency: 1, Batch: 5000},
}

// A WriteReport compares durable tuples a second with those of raw SQL.
type WriteReport struct {
	Store  string  `json:"store"`
	Load   string  `json:"load"`
	Cardea float64 `json:"cardea_tuples_per_second"`
	Raw    float64 `json:"raw_tuples_per_second"`
	Ratio  float64 `json:"ratio"`
	P50    int64   `json:"p50_us"` // of a write
	P99    int64   `json:"p99_us"`
}

// Writes measures one way to write on the database of dsn: an engine with its
// rules, history and log, and then raw SQL with the same rows, each for the
// duration. c is a cluster on the same database that has the model of Drive.
func Writes(ctx context.Context, c *Cluster, dsn string, l WriteLoad, duration time.Duration) (WriteReport, error) {
	on := Local{Engine: c.Nodes[0]}
	latency := newRecorder()
	ours, err := l.run(ctx, duration, func(ctx context.Context, tuples []engine.Tuple) error {
		start := time.Now()
		if err := on.Insert(ctx, tuples); err != nil {
			return err
		}
		return latency.add(time.Since(start))
	})
	if err != nil {
		return WriteReport{}, fmt.Errorf("cardea: %w", err)
	}
	r, err := openRaw(ctx, dsn, l.Concurrency)
	if err != nil {
		return WriteReport{}, fmt.Errorf("raw SQL: %w", err)
	}
	theirs, err := l.run(ctx, duration, func(ctx context.Context, tuples []engine.Tuple) error {
		if l.Batch == 1 {
			return r.insertOne(ctx, tuples[0])
		}
		return r.insertMany(ctx, tuples)
	})
	if err := errors.Join(err, r.close(context.WithoutCancel(ctx))); err != nil {
		return WriteReport{}, fmt.Errorf("raw SQL: %w", err)
	}
	seen := latency.latency()
	return WriteReport{Load: l.Name, Cardea: ours, Raw: theirs, Ratio: ours / theirs, P50: seen.P50, P99: seen.P99}, nil
}

// run writes for the duration and returns how many tuples a second were durable.
// What is under way at its end is waited for and counted.
func (l WriteLoad) run(ctx context.Context, duration time.Duration, write func(context.Context, []engine.Tuple) error) (float64, error) {
	var next, written atomic.Int64
	start := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for range l.Concurrency {
		g.Go(func() error {
			for time.Since(start) < duration {
				tuples := make([]engine.Tuple, l.Batch)
				first := next.Add(int64(l.Batch))
				for i := range tuples {
					tuples[i] = l.tuple(first + int64(i))
				}
				if err := write(ctx, tuples); err != nil {
					return err
				}
				written.Add(int64(l.Batch))
			}
			return nil
		})
	}
	err := g.Wait()
	return float64(written.Load()) / time.Since(start).Seconds(), err
}

// tuple returns the i-th row. Documents are shared with users in no order, as in
// an application that serves many at once.
func (l WriteLoad) tuple(i int64) engine.Tuple {
	scattered := uint64(i) * 0x9E3779B97F4A7C15
	return engine.Tuple{
		Object:   engine.Object{Namespace: "Document", ID: fmt.Sprintf("%d-%d-%016x", l.Concurrency, l.Batch, scattered)},
		Relation: "viewers", Subject: user(int(scattered>>40) % 100_000),
	}
}
