package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/cardea-iam/cardea/engine"
)

// A LagReport says how soon one node shows what another has written.
type LagReport struct {
	Store  string `json:"store"`
	Tuples int64  `json:"tuples"`
	Writes int64  `json:"writes"`

	// Lag is the time from the moment that a write is acknowledged by one node to
	// the moment that the other shows it to a question that asks for no freshness.
	Lag Latency `json:"lag_us"`

	// Write is how long the writes took, Token how long a check took that the
	// other node was asked with the write's own token, right after it.
	Write Latency `json:"write_us"`
	Token Latency `json:"token_check_us"`

	TokenChecks   int64 `json:"token_checks"`
	TailReads     int64 `json:"tail_reads"`      // by the other node while it answered them
	MostTailReads int64 `json:"most_tail_reads"` // while one of them was answered, when they came one at a time
}

// Latency is a distribution in microseconds.
type Latency struct {
	P50 int64 `json:"p50"`
	P99 int64 `json:"p99"`
	Max int64 `json:"max"`
}

// A recorder is a histogram for many goroutines.
type recorder struct {
	mu   sync.Mutex
	hist *hdrhistogram.Histogram
}

const longest = 60 * time.Second

func newRecorder() *recorder { return &recorder{hist: hdrhistogram.New(1, longest.Microseconds(), 3)} }

func (r *recorder) add(d time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hist.RecordValue(max(d.Microseconds(), 1))
}

func (r *recorder) latency() Latency {
	return Latency{P50: r.hist.ValueAtQuantile(50), P99: r.hist.ValueAtQuantile(99), Max: r.hist.Max()}
}

// Lag measures two nodes of a filled cluster, of which one writes so many tuples
// a second. First the other is only looked at, then it is asked with the tokens.
func Lag(ctx context.Context, c *Cluster, writes int, duration time.Duration) (LagReport, error) {
	from, to := Local{Engine: c.Nodes[0]}, c.Nodes[1]
	report := LagReport{Tuples: to.Stats().Tuples}
	lag, wrote, token := newRecorder(), newRecorder(), newRecorder()
	var n atomic.Int64
	err := while(ctx, writes, func(ctx context.Context) error {
		t := fresh(engine.MinimizeLatency, n.Add(1))
		start := time.Now()
		if _, err := from.write(ctx, t); err != nil {
			return err
		}
		done := time.Now()
		if err := untilShown(ctx, to, t); err != nil {
			return err
		}
		return errors.Join(wrote.add(done.Sub(start)), lag.add(time.Since(done)))
	}, func(ctx context.Context) error { return pause(ctx, duration) })
	if err != nil {
		return report, err
	}
	before := to.Stats().Rounds
	for i := range int64(writes) {
		t := fresh(engine.AtLeastAsFresh, i)
		made, err := from.write(ctx, t)
		if err != nil {
			return report, err
		}
		rounds, start := to.Stats().Rounds, time.Now()
		answer, err := to.Check(ctx, t, engine.Consistency{Mode: engine.AtLeastAsFresh, Token: made})
		if err == nil && !answer.Allowed {
			err = errors.New("a check with a write's own token does not see the write: " + t.String())
		}
		if err == nil {
			err = token.add(time.Since(start))
		}
		if err != nil {
			return report, err
		}
		report.TokenChecks++
		report.MostTailReads = max(report.MostTailReads, to.Stats().Rounds-rounds)
	}
	report.TailReads = to.Stats().Rounds - before
	report.Writes = n.Load()
	report.Lag, report.Write, report.Token = lag.latency(), wrote.latency(), token.latency()
	return report, nil
}

// untilShown waits until a node shows a tuple to those who ask for no freshness.
func untilShown(ctx context.Context, on *engine.Engine, t engine.Tuple) error {
	ticker := time.NewTicker(250 * time.Microsecond)
	defer ticker.Stop()
	for {
		answer, err := on.Check(ctx, t, engine.Consistency{})
		if err != nil || answer.Allowed {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pause waits; nobody is asked meanwhile.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
