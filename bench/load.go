package bench

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"github.com/cardea-iam/cardea/engine"
)

// A Target is the server under test.
type Target interface {
	ApplyModel(ctx context.Context, source string) error
	Insert(ctx context.Context, tuples []engine.Tuple) error
	Check(ctx context.Context, t engine.Tuple) (bool, error)
}

// Fill loads the workload's model and tuples. progress is called after each
// batch with the number of tuples so far.
func Fill(ctx context.Context, to Target, w Workload, progress func(int)) error {
	const size = 1000
	if err := to.ApplyModel(ctx, w.Model()); err != nil {
		return err
	}
	done := 0
	batch := make([]engine.Tuple, 0, size)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := to.Insert(ctx, batch); err != nil {
			return err
		}
		done += len(batch)
		batch = batch[:0]
		progress(done)
		return nil
	}
	for t := range w.Tuples() {
		if batch = append(batch, t); len(batch) == size {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// Load says how checks are driven.
type Load struct {
	// Concurrency is the number of callers. In a closed loop (Rate is 0) each of
	// them waits for its answer before it asks again, so a server that is slow is
	// asked less. With a rate it bounds how many questions are on their way.
	Concurrency int

	// Rate is how many questions arrive a second, independent of one another and of
	// the answers (a Poisson process). The latency of an answer counts from when its
	// question arrived, also if it had to wait for a caller: what a server that is
	// slow keeps waiting is measured and not left out.
	Rate float64

	// Duration is how long to ask, after the warm-up, in which answers are compared
	// and nothing is measured.
	Duration, WarmUp time.Duration

	Mix  Mix
	Seed uint64
}

// A Report is what a run measured. Latencies are in microseconds, as seen by
// the callers, without the time that a caller spent on its next question.
// Unanswered ones were still on their way, or had not been asked, some time after the
// end of an open loop.
type Report struct {
	Checks  int64 `json:"checks"`
	Allowed int64 `json:"allowed"`
	Wrong   int64 `json:"wrong"`
	Errors  int64 `json:"errors"`

	Unanswered int64 `json:"unanswered,omitempty"`

	Seconds float64 `json:"seconds"`
	QPS     float64 `json:"qps"`
	P50     int64   `json:"p50_us"`
	P95     int64   `json:"p95_us"`
	P99     int64   `json:"p99_us"`
	P999    int64   `json:"p999_us"`
	Max     int64   `json:"max_us"`

	FirstWrong string `json:"first_wrong,omitempty"`
	FirstError string `json:"first_error,omitempty"`
}

func (r Report) String() string {
	text := fmt.Sprintf("%d checks in %.1f s: %.0f/s, p50 %d µs, p95 %d µs, p99 %d µs, max %d µs; %d allowed, %d errors, %d wrong answers",
		r.Checks, r.Seconds, r.QPS, r.P50, r.P95, r.P99, r.Max, r.Allowed, r.Errors, r.Wrong)
	if r.Unanswered > 0 {
		text += fmt.Sprintf(", %d unanswered", r.Unanswered)
	}
	if r.FirstWrong != "" {
		text += "\nfirst wrong answer: " + r.FirstWrong
	}
	if r.FirstError != "" {
		text += "\nfirst error: " + r.FirstError
	}
	return text
}

// Run asks questions until the time is over, or the context is done.
func Run(ctx context.Context, on Target, w Workload, l Load) (Report, error) {
	if l.WarmUp > 0 {
		first := l
		first.Duration, first.WarmUp, first.Seed = l.WarmUp, 0, ^l.Seed
		report, err := Run(ctx, on, w, first)
		if err != nil || report.Wrong > 0 || report.Errors > 0 || ctx.Err() != nil {
			return report, err
		}
	}
	callers := make([]caller, l.Concurrency)
	for i := range callers {
		callers[i].latency = hdrhistogram.New(1, longest.Microseconds(), 3)
		callers[i].questions = w.Questions(rand.New(rand.NewPCG(l.Seed, uint64(i))), l.Mix)
	}
	if l.Rate > 0 {
		return openLoop(ctx, on, callers, l)
	}
	return closedLoop(ctx, on, callers, l)
}

func closedLoop(ctx context.Context, on Target, callers []caller, l Load) (Report, error) {
	// Not a deadline: that would travel to the server, and come back as an error
	// of the last calls a moment before ctx itself ends.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(l.Duration, cancel).Stop()
	var g errgroup.Group
	start := time.Now()
	for i := range callers {
		c := &callers[i]
		g.Go(func() error {
			for q := range c.questions {
				if over, err := c.ask(ctx, on, q, time.Now()); over || err != nil {
					return err
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

// A caller is one goroutine of a run and what it saw.
type caller struct {
	questions iter.Seq[Question]
	latency   *hdrhistogram.Histogram // microseconds
	report    Report
}

// ask asks a question that arrived at a time, and reports whether the run is over:
// then it did not count.
func (c *caller) ask(ctx context.Context, on Target, q Question, arrived time.Time) (over bool, err error) {
	allowed, err := on.Check(ctx, q.Tuple)
	took := time.Since(arrived)
	if ctx.Err() != nil {
		return true, nil // cut off by the end of the run
	}
	c.count(q, allowed, err)
	return false, c.latency.RecordValue(min(max(took, time.Microsecond), longest).Microseconds())
}

func (c *caller) count(q Question, allowed bool, err error) {
	c.report.Checks++
	switch {
	case err != nil:
		c.report.Errors++
		if c.report.FirstError == "" {
			c.report.FirstError = q.Tuple.String() + ": " + err.Error()
		}
	case allowed != q.Want:
		c.report.Wrong++
		if c.report.FirstWrong == "" {
			c.report.FirstWrong = fmt.Sprintf("%s: got %v, want %v", q.Tuple, allowed, q.Want)
		}
	case allowed:
		c.report.Allowed++
	}
}

func summarise(callers []caller, took time.Duration) Report {
	all := hdrhistogram.New(1, longest.Microseconds(), 3)
	var sum Report
	for _, c := range callers {
		all.Merge(c.latency)
		sum.Checks += c.report.Checks
		sum.Allowed += c.report.Allowed
		sum.Errors += c.report.Errors
		sum.Wrong += c.report.Wrong
		sum.Unanswered += c.report.Unanswered
		if sum.FirstWrong == "" {
			sum.FirstWrong = c.report.FirstWrong
		}
		if sum.FirstError == "" {
			sum.FirstError = c.report.FirstError
		}
	}
	sum.Seconds = took.Seconds()
	sum.QPS = float64(sum.Checks) / sum.Seconds
	sum.P50, sum.P95 = all.ValueAtQuantile(50), all.ValueAtQuantile(95)
	sum.P99, sum.P999, sum.Max = all.ValueAtQuantile(99), all.ValueAtQuantile(99.9), all.Max()
	return sum
}
