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
	Writes  int64   // tuples written meanwhile
	Anew    int64   // how often the graph was made anew
	Cycles  int64   // of the garbage collector
	Held    float64 // how long a stop of all threads held a check up, at most
	Stopped float64 // the longest stop of all threads, by the runtime's account
	Clock   float64 // the longest check by the clock, with whatever else the machine did
	Own     float64 // the longest check by its thread's processor time: with work that was put on it
	Nothing float64 // and the longest time of that kind in which the thread did nothing but look at the clock
}

// A span is some milliseconds of what one caller sees: the longest time between the ends of two
// checks, and the longest stop that the runtime has counted since the last span.
type span struct{ gap, stop float64 }

const spanLength = 5 * time.Millisecond

// held returns how long a stop of all threads held a check up, at most, which is no longer than
// the gap. The runtime counts until who starts the threads again has done so: where that one's
// processor goes to a thread that it has just woken, checks go on, and the stop is counted when that one
// has its turn again, up to 5 ms later. So stops of the next two spans may have been in this one.
func held(spans []span) (longest float64) {
	for i, s := range spans {
		for _, next := range spans[i:min(i+3, len(spans))] {
			longest = max(longest, min(s.gap, next.stop))
		}
	}
	return longest
}

// A pauser is what Pauses asks, and what goes on meanwhile.
type pauser struct {
	*InProcess
	questions []Question
	written   int64
}

// Pauses loads a workload, and in each round checks without a break beside each of what may be
// in the way, writes, renumbering, the garbage collector, checkpoints: for a duration by a goroutine like those
// of a server, and for as long again by one with a thread of its own, whose processor time can be
// told from what else the machine does. (Such a thread has to be woken after each stop, in
// two steps, which goroutines of a server are not.)
func Pauses(ctx context.Context, w Workload, rounds int, each time.Duration) ([][]Pause, error) {
	e, err := engine.New(ctx, &growing{Fixed: Fixed{Workload: w}}, engine.Options{Poll: time.Hour})
	if err != nil {
		return nil, err
	}
	p := &pauser{InProcess: &InProcess{Engine: e, Workload: w}, questions: Draw(w, Mix{Granted: 0.5}, 10_000)}
	var out [][]Pause
	for range rounds {
		round, err := p.round(ctx, each)
		if err != nil {
			return nil, errors.Join(err, e.Close())
		}
		out = append(out, round)
	}
	return out, e.Close()
}

func (p *pauser) round(ctx context.Context, each time.Duration) ([]Pause, error) {
	var out []Pause
	for _, during := range []struct {
		name string
		do   []func(context.Context) error
	}{
		{"nothing else", nil},
		{"writes", []func(context.Context) error{p.write}},
		{"renumbering", []func(context.Context) error{p.churn}},
		{"garbage collection", []func(context.Context) error{collect}},
		{"checkpoints", []func(context.Context) error{p.checkpoint}},
		{"all of them", []func(context.Context) error{p.write, collect, p.checkpoint}},
	} {
		pause, err := p.beside(ctx, each, during.do)
		if err != nil {
			return nil, fmt.Errorf("beside %s: %w", during.name, err)
		}
		pause.During = during.name
		out = append(out, pause)
	}
	return out, nil
}

// beside checks for twice the duration while the others run.
func (p *pauser) beside(ctx context.Context, each time.Duration, others []func(context.Context) error) (Pause, error) {
	p.written = 0
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
	anew, before := p.Engine.Stats().Compactions, runtimeNow()
	result, err := p.byClock(ctx, each)
	result.Cycles = runtimeNow().cycles - before.cycles
	if err == nil {
		result.Own, result.Nothing, err = p.byThread(ctx, each)
	}
	ended := ctx.Err() != nil
	stop()
	group.Wait()
	if ended && errors.Is(err, context.Canceled) {
		err = nil // one of the others failed
	}
	result.Writes, result.Anew = p.written, p.Engine.Stats().Compactions-anew
	return result, errors.Join(append(failures, err)...)
}

func (p *pauser) byClock(ctx context.Context, each time.Duration) (Pause, error) {
	var result Pause
	var spans []span
	var now span
	start, stops := time.Now(), runtimeNow()
	for last, began := start, start; last.Sub(start) < each; {
		if err := p.answer(ctx, &p.questions[result.Checks%len(p.questions)]); err != nil {
			return result, err
		}
		result.Checks++
		end := time.Now()
		now.gap, last = max(now.gap, float64(end.Sub(last))/1e6), end
		if last.Sub(began) < spanLength {
			continue
		}
		later := runtimeNow()
		now.stop = later.longestSince(stops) * 1e3
		result.Clock, result.Stopped = max(result.Clock, now.gap), max(result.Stopped, now.stop)
		spans, now, stops, began = append(spans, now), span{}, later, last
	}
	result.Held = held(spans)
	return result, nil
}

// byThread returns the processor time of the longest check, and of the longest step from one
// look at that clock to the next, which tells what the machine does to both.
func (p *pauser) byThread(ctx context.Context, each time.Duration) (own, nothing float64, err error) {
	watch := startWatch()
	defer watch.stop()
	start := time.Now()
	for n := 0; time.Since(start) < each; n++ {
		first := watch.elapsed()
		second := watch.elapsed()
		if err := p.answer(ctx, &p.questions[n%len(p.questions)]); err != nil {
			return 0, 0, err
		}
		own = max(own, float64(watch.elapsed()-second)/1e6)
		nothing = max(nothing, float64(second-first)/1e6)
	}
	return own, nothing, nil
}

// write adds and removes tuples, a thousand a second.
func (p *pauser) write(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := p.writeOne(ctx, n, 10); err != nil {
			return err
		}
	}
}

// churn adds and removes tuples as fast as it can, so that the engine makes its graph anew when
// as many have gone as there are.
func (p *pauser) churn(ctx context.Context) error {
	for n := 0; ctx.Err() == nil; n++ {
		if err := p.writeOne(ctx, n, 1000); err != nil {
			return err
		}
	}
	return nil
}

// writeOne makes the nth write: one with an even number adds tuples, of documents that no
// question is about, so that the answers stay known, and the next removes them.
func (p *pauser) writeOne(ctx context.Context, n, tuples int) error {
	var w engine.Write
	for i := range tuples {
		t := engine.Tuple{
			Object: engine.Object{Namespace: "Document", ID: fmt.Sprintf("written-%d", (n/2*tuples+i)%10_000)}, Relation: "viewers",
			Subject: engine.Subject{Object: engine.Object{Namespace: "User", ID: fmt.Sprintf("writer-%d", i)}},
		}
		w.Updates = append(w.Updates, engine.Update{Op: engine.Insert + engine.Op(n%2), Tuple: t})
	}
	done, err := p.Engine.Write(ctx, w)
	if ctx.Err() != nil {
		return nil
	}
	p.written += done.Inserted + done.Deleted
	return err
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
