package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	cardeav1 "github.com/cardea-iam/cardea/proto/cardea/v1"
)

// A Wire drives checks over gRPC with as little work of its own as it can: the
// questions are made beforehand, and all callers share one connection, as those of
// one application do.
type Wire struct {
	questions []wireQuestion
	batches   []wireBatch
}

type wireQuestion struct {
	request *cardeav1.CheckRequest
	want    bool
}

type wireBatch struct {
	request *cardeav1.BatchCheckRequest
	want    []bool
}

// wireQuestions is how many questions are made: enough that they reach most of what
// a workload of a million tuples has, and no cache of a processor holds that.
const wireQuestions = 200_000

// NewWire draws questions from a workload.
func NewWire(d *Drive, seed uint64) *Wire {
	w := &Wire{questions: make([]wireQuestion, 0, wireQuestions)}
	for q := range d.Questions(rand.New(rand.NewPCG(seed, 1)), Mix{Granted: 0.5}) {
		w.questions = append(w.questions, wireQuestion{&cardeav1.CheckRequest{Tuple: message(q.Tuple)}, q.Want})
		if len(w.questions) == wireQuestions {
			break
		}
	}
	return w
}

// InBatches puts the questions together, so many to a request.
func (w *Wire) InBatches(size int) {
	for part := range slices.Chunk(w.questions, size) {
		b := wireBatch{request: &cardeav1.BatchCheckRequest{}}
		for _, q := range part {
			b.request.Tuples = append(b.request.Tuples, q.request.Tuple)
			b.want = append(b.want, q.want)
		}
		w.batches = append(w.batches, b)
	}
}

// A WireLoad says how a server is driven.
type WireLoad struct {
	Concurrency int // callers, each of which waits for its answer before it asks again
	Duration    time.Duration
	// Known is false for a server whose answers mean nothing.
	Known bool
	// Write is called before every hundredth question, if it is there.
	Write func(context.Context) error
}

// A WireReport is what one run measured. Latencies are in microseconds.
type WireReport struct {
	Checks int64   `json:"checks"`
	Writes int64   `json:"writes"`
	QPS    float64 `json:"qps"`
	CPU    float64 `json:"cpu_us"`     // of the server, for each check
	Own    float64 `json:"own_cpu_us"` // of the callers, for each check
	P50    int64   `json:"p50_us"`
	P99    int64   `json:"p99_us"`
	Max    int64   `json:"max_us"`
}

// Run asks p, which conn leads to, until the time is over. A wrong answer or an error
// ends the run.
func (w *Wire) Run(ctx context.Context, p *Process, conn grpc.ClientConnInterface, l WireLoad) (WireReport, error) {
	callers := make([]wireCaller, l.Concurrency)
	before, err := p.CPU()
	if err != nil {
		return WireReport{}, err
	}
	own, start := ownTime(), time.Now()
	g, gctx := errgroup.WithContext(ctx)
	for i := range callers {
		c := &callers[i]
		*c = wireCaller{client: cardeav1.NewCheckServiceClient(conn), latency: hdrhistogram.New(1, 60_000_000, 3)}
		part := float64(i) / float64(len(callers))
		g.Go(func() error {
			if w.batches != nil {
				return c.runBatches(gctx, w.batches, int(part*float64(len(w.batches))), start.Add(l.Duration))
			}
			return c.run(gctx, w.questions, int(part*float64(len(w.questions))), start.Add(l.Duration), l)
		})
	}
	if err := g.Wait(); err != nil {
		return WireReport{}, err
	}
	took := time.Since(start)
	after, err := p.CPU()
	if err != nil {
		return WireReport{}, err
	}
	all := hdrhistogram.New(1, 60_000_000, 3)
	var r WireReport
	for _, c := range callers {
		all.Merge(c.latency)
		r.Writes += c.writes
		r.Checks += c.checks
	}
	r.QPS = float64(r.Checks) / took.Seconds()
	r.CPU = float64((after - before).Nanoseconds()) / 1e3 / float64(max(r.Checks, 1))
	r.Own = (ownTime() - own) * 1e6 / float64(max(r.Checks, 1))
	r.P50, r.P99, r.Max = all.ValueAtQuantile(50), all.ValueAtQuantile(99), all.Max()
	return r, nil
}

type wireCaller struct {
	client  cardeav1.CheckServiceClient
	latency *hdrhistogram.Histogram // microseconds
	checks  int64
	writes  int64
}

// run asks the questions in a circle, from the first one on.
func (c *wireCaller) run(ctx context.Context, questions []wireQuestion, first int, until time.Time, l WireLoad) error {
	for n := first; ; n++ {
		if l.Write != nil && n%100 == 0 {
			if err := l.Write(ctx); err != nil {
				return fmt.Errorf("write: %w", err)
			}
			c.writes++
		}
		q := &questions[n%len(questions)]
		began := time.Now()
		if began.After(until) {
			return nil
		}
		answer, err := c.client.Check(ctx, q.request)
		took := time.Since(began)
		if err != nil {
			return err
		}
		if l.Known && answer.Allowed != q.want {
			return fmt.Errorf("wrong answer: %v is %t, expected %t", q.request.Tuple, answer.Allowed, q.want)
		}
		c.checks++
		if err := c.latency.RecordValue(max(took.Microseconds(), 1)); err != nil {
			return err
		}
	}
}

// runBatches does the same with whole batches, whose latency counts.
func (c *wireCaller) runBatches(ctx context.Context, batches []wireBatch, first int, until time.Time) error {
	for n := first; ; n++ {
		b := &batches[n%len(batches)]
		began := time.Now()
		if began.After(until) {
			return nil
		}
		answer, err := c.client.BatchCheck(ctx, b.request)
		took := time.Since(began)
		if err != nil {
			return err
		}
		for i, want := range b.want {
			if r := answer.Results[i]; r.Error != nil || r.Allowed != want {
				return fmt.Errorf("wrong answer: %v is %v, expected %t", b.request.Tuples[i], r, want)
			}
		}
		c.checks += int64(len(b.want))
		if err := c.latency.RecordValue(max(took.Microseconds(), 1)); err != nil {
			return err
		}
	}
}

// Fresh writes one new tuple that no question is about, by way of conn.
func Fresh(conn grpc.ClientConnInterface) func(context.Context) error {
	client := cardeav1.NewTupleWriteServiceClient(conn)
	var n atomic.Int64
	return func(ctx context.Context) error {
		_, err := client.Write(ctx, &cardeav1.WriteTuplesRequest{Updates: []*cardeav1.TupleUpdate{{
			Action: cardeav1.TupleUpdate_ACTION_INSERT, Tuple: message(fresh(0, n.Add(1))),
		}}})
		return err
	}
}
