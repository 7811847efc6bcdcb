package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/prometheus/procfs"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// An InProcess is an engine in this process with a workload that never changes: what
// a check costs without a wire and a database.
type InProcess struct {
	Engine   *engine.Engine
	Workload Workload
	Loaded   time.Duration // how long it took to make and load the tuples
	Heap     int64         // bytes that they take on the heap
	Resident int64         // and of the process's memory; 0 where the system does not tell
}

// StartInProcess loads a workload. The caller closes the engine.
func StartInProcess(ctx context.Context, w Workload) (*InProcess, error) {
	heap, resident := memory()
	start := time.Now()
	e, err := engine.New(ctx, Fixed{Workload: w}, engine.Options{Poll: time.Hour})
	if err != nil {
		return nil, err
	}
	p := &InProcess{Engine: e, Workload: w, Loaded: time.Since(start)}
	heapNow, residentNow := memory()
	p.Heap, p.Resident = heapNow-heap, residentNow-resident
	return p, nil
}

// memory returns the live bytes of the heap and the resident ones of the process,
// after what is free has gone back to the system.
func memory() (heap, resident int64) {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if self, err := procfs.Self(); err == nil {
		if s, err := self.Stat(); err == nil {
			resident = int64(s.ResidentMemory())
		}
	}
	return int64(m.HeapAlloc), resident
}

// Tuples returns how many tuples are in memory.
func (p *InProcess) Tuples() int64 { return p.Engine.Stats().Tuples }

// answer asks a question and compares the answer.
func (p *InProcess) answer(ctx context.Context, q *Question) error {
	got, err := p.Engine.Check(ctx, q.Tuple, engine.Consistency{})
	if err == nil && got.Allowed != q.Want {
		err = errs.New(errs.Internal, "wrong answer: %s is %t, expected %t", q.Tuple, got.Allowed, q.Want)
	}
	return err
}

// Micros returns how many microseconds a check takes in each round: the questions
// are asked in turn, for the duration, by one caller, and its processor time is divided
// by their number. Before the first round all are asked once.
func (p *InProcess) Micros(ctx context.Context, questions []Question, rounds int, each time.Duration) ([]float64, error) {
	var list []float64
	for i := range questions {
		if err := p.answer(ctx, &questions[i]); err != nil {
			return nil, err
		}
	}
	for range rounds {
		asked := 0
		watch := startWatch()
		for start := time.Now(); time.Since(start) < each; {
			for range 64 {
				if err := p.answer(ctx, &questions[asked%len(questions)]); err != nil {
					watch.stop()
					return nil, err
				}
				asked++
			}
		}
		list = append(list, watch.elapsed().Seconds()*1e6/float64(asked))
		watch.stop()
	}
	return list, nil
}

// Quantiles returns the medians and the 99th percentiles, in microseconds, of rounds
// of checks that are drawn from the workload.
func (p *InProcess) Quantiles(ctx context.Context, m Mix, rounds, each int) (p50, p99 []float64, err error) {
	questions := Draw(p.Workload, m, rounds*each)
	for round := range slices.Chunk(questions, each) {
		hist := hdrhistogram.New(1, longest.Nanoseconds(), 3)
		for i := range round {
			start := time.Now()
			if err := p.answer(ctx, &round[i]); err != nil {
				return nil, nil, err
			}
			if err := hist.RecordValue(time.Since(start).Nanoseconds()); err != nil {
				return nil, nil, err
			}
		}
		p50 = append(p50, float64(hist.ValueAtQuantile(50))/1e3)
		p99 = append(p99, float64(hist.ValueAtQuantile(99))/1e3)
	}
	return p50, p99, nil
}

// Draw takes n questions of a workload.
func Draw(w Workload, m Mix, n int) []Question {
	questions := make([]Question, 0, n)
	for q := range w.Questions(rand.New(rand.NewPCG(1, 1)), m) {
		if questions = append(questions, q); len(questions) == n {
			break
		}
	}
	return questions
}

// Allocations returns how many times a check allocates memory, on average over the
// questions, once it is warm.
func (p *InProcess) Allocations(ctx context.Context, questions []Question) (float64, error) {
	var before, after runtime.MemStats
	times := max(3200/len(questions), 2)
	for round := range 2 {
		if round == 1 {
			runtime.ReadMemStats(&before)
		}
		for range times {
			for i := range questions {
				if err := p.answer(ctx, &questions[i]); err != nil {
					return 0, err
				}
			}
		}
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(times*len(questions)), nil
}

// List lists the documents that a user may view and returns how many milliseconds
// of processor time it took to the first and to the last, in each round. As many rounds go
// before, and their garbage is collected: pages of memory that the system has to find
// first cost a virtual machine several times what a list does.
func (p *InProcess) List(ctx context.Context, u engine.Subject, want, rounds int) (first, last []float64, err error) {
	for range rounds {
		if _, _, _, err := p.listOnce(ctx, u); err != nil {
			return nil, nil, err
		}
	}
	runtime.GC()
	for range rounds {
		one, all, got, err := p.listOnce(ctx, u)
		if err == nil && got != want {
			err = fmt.Errorf("%s may view %d documents, expected %d", u, got, want)
		}
		if err != nil {
			return nil, nil, err
		}
		first, last = append(first, one), append(last, all)
	}
	return first, last, nil
}

func (p *InProcess) listOnce(ctx context.Context, u engine.Subject) (first, last float64, got int, err error) {
	watch := startWatch()
	defer watch.stop()
	list, _, err := p.Engine.Objects(ctx, engine.ObjectQuery{Namespace: "Document", Relation: "view", Subject: u}, engine.Consistency{})
	if err != nil {
		return 0, 0, 0, err
	}
	for _, err := range list {
		if err != nil {
			return 0, 0, got, err
		}
		if got++; got == 1 {
			first = watch.elapsed().Seconds() * 1e3
		}
	}
	return first, watch.elapsed().Seconds() * 1e3, got, nil
}
