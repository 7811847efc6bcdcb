package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/cardea-iam/cardea/engine"
)

// A Pause is how long a check was held up at most while something else went on in the
// process, in milliseconds.
type Pause struct {
	During  string
	Checks  int
	Writes  int64   // made meanwhile
	Cycles  int64   // of the garbage collector
	Stopped float64 // the longest time that the runtime stopped all threads, at most
	Own     float64 // the longest check by its thread's processor time: with work that was put on it
	Clock   float64 // the longest check by the clock, with whatever else the machine did
}

// A pauser is what Pauses asks, and what goes on meanwhile.
type pauser struct {
	*InProcess
	questions []Question
	written   int64
}

// A PauseRound is a round of what may hold a check up, one after the other.
type PauseRound struct {
	Pauses []Pause
	Missed float64 // the longest time that a thread missed that did nothing but look at the clock, in milliseconds
}

// Pauses loads a workload, and in each round checks without a break for a duration beside each
// of what may be in the way: writes, the garbage collector, checkpoints.
//
// What the thread's own clock tells of a check is apart from what else the machine does.
// What the runtime tells of stops is not quite: a stop lasts until all threads have come to
// it, also one whose processor has just gone to another thread.
func Pauses(ctx context.Context, w Workload, rounds int, each time.Duration) ([]PauseRound, error) {
	e, err := engine.New(ctx, &growing{Fixed: Fixed{Workload: w}}, engine.Options{Poll: time.Hour})
	if err != nil {
		return nil, err
	}
	p := &pauser{InProcess: &InProcess{Engine: e, Workload: w}, questions: Draw(w, Mix{Granted: 0.5}, 10_000)}
	var out []PauseRound
	for range rounds {
		round, err := p.round(ctx, each)
		if err != nil {
			return nil, errors.Join(err, e.Close())
		}
		out = append(out, round)
	}
	return out, e.Close()
}

func (p *pauser) round(ctx context.Context, each time.Duration) (PauseRound, error) {
	out := PauseRound{Missed: missed(each)}
	for _, during := range []struct {
		name string
		do   []func(context.Context) error
	}{
		{"nothing else", nil},
		{"writes", []func(context.Context) error{p.write}},
		{"garbage collection", []func(context.Context) error{collect}},
		{"checkpoints", []func(context.Context) error{p.checkpoint}},
		{"all of them", []func(context.Context) error{p.write, collect, p.checkpoint}},
	} {
		pause, err := p.beside(ctx, each, during.do)
		if err != nil {
			return out, fmt.Errorf("beside %s: %w", during.name, err)
		}
		pause.During = during.name
		out.Pauses = append(out.Pauses, pause)
	}
	return out, nil
}

// missed looks at the clock for a duration, and returns the longest step that it made.
func missed(each time.Duration) (longest float64) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := time.Now()
	for last := start; last.Sub(start) < each; {
		now := time.Now()
		longest, last = max(longest, float64(now.Sub(last))/1e6), now
	}
	return longest
}

// beside checks for a duration while the others run.
func (p *pauser) beside(ctx context.Context, each time.Duration, others []func(context.Context) error) (Pause, error) {
	p.written = 0
	before := runtimeNow()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group sync.WaitGroup
	failures := make([]error, len(others))
	for i, other := range others {
		group.Go(func() {
			failures[i] = other(ctx)
			if failures[i] != nil {
				stop()
			}
		})
	}
	result, err := p.probe(ctx, each)
	ended := ctx.Err() != nil
	stop()
	group.Wait()
	if ended && errors.Is(err, context.Canceled) {
		err = nil // one of the others failed
	}
	after := runtimeNow()
	result.Writes, result.Cycles = p.written, after.cycles-before.cycles
	result.Stopped = after.longestSince(before) * 1e3
	return result, errors.Join(append(failures, err)...)
}

func (p *pauser) probe(ctx context.Context, each time.Duration) (Pause, error) {
	var result Pause
	watch := startWatch()
	defer watch.stop()
	for start := time.Now(); time.Since(start) < each; {
		own, clock := watch.elapsed(), time.Now()
		if err := p.answer(ctx, &p.questions[result.Checks%len(p.questions)]); err != nil {
			return result, err
		}
		result.Own = max(result.Own, float64(watch.elapsed()-own)/1e6)
		result.Clock = max(result.Clock, float64(time.Since(clock))/1e6)
		result.Checks++
	}
	return result, nil
}

// write adds and removes tuples, a thousand a second, of documents that no question is
// about, so that the answers stay known.
func (p *pauser) write(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var w engine.Write
		for i := range 10 {
			t := engine.Tuple{
				Object: engine.Object{Namespace: "Document", ID: fmt.Sprintf("written-%d", (n/2*10+i)%100_000)}, Relation: "viewers",
				Subject: engine.Subject{Object: engine.Object{Namespace: "User", ID: fmt.Sprintf("writer-%d", i)}},
			}
			w.Updates = append(w.Updates, engine.Update{Op: engine.Insert + engine.Op(n%2), Tuple: t})
		}
		done, err := p.Engine.Write(ctx, w)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		p.written += done.Inserted + done.Deleted
	}
}

// collect collects garbage over and over.
func collect(ctx context.Context) error {
	for ctx.Err() == nil {
		runtime.GC()
	}
	return nil
}

// checkpoint writes checkpoints over and over, to nowhere.
func (p *pauser) checkpoint(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := p.Engine.WriteCheckpoint(io.Discard); err != nil {
			return err
		}
	}
	return nil
}

// A runtimeState is what the runtime has counted so far.
type runtimeState struct {
	cycles int64
	stops  []*metrics.Float64Histogram // of the garbage collector, and for other reasons
}

func runtimeNow() runtimeState {
	samples := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/sched/pauses/total/gc:seconds"}, {Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(samples)
	return runtimeState{int64(samples[0].Value.Uint64()), []*metrics.Float64Histogram{samples[1].Value.Float64Histogram(), samples[2].Value.Float64Histogram()}}
}

// longestSince returns the longest stop since an earlier state, in seconds: the upper
// end of its bucket.
func (s runtimeState) longestSince(before runtimeState) float64 {
	longest := 0.0
	for i, h := range s.stops {
		for bucket, n := range h.Counts {
			if n == before.stops[i].Counts[bucket] {
				continue
			}
			if end := h.Buckets[bucket+1]; !math.IsInf(end, 1) {
				longest = max(longest, end)
			} else {
				longest = max(longest, h.Buckets[bucket])
			}
		}
	}
	return longest
}
