package bench_test

import (
	"context"
	"iter"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/engine"
)

// A generated store has the tuples of a workload and never changes.
type generated struct {
	engine.Store
	drive *bench.Drive
}

func (g generated) ID() engine.StoreID                            { return engine.StoreID{} }
func (g generated) Wake() <-chan struct{}                         { return nil }
func (g generated) Ping(context.Context) error                    { return nil }
func (g generated) Covers(a, b engine.Revision) (bool, error)     { return true, nil }
func (g generated) Head(context.Context) (engine.Revision, error) { return "1", nil }
func (g generated) Tail(_ context.Context, from engine.Revision, _ func(engine.Change) error) (engine.Revision, error) {
	return from, nil
}

func (g generated) Model(context.Context, engine.Revision) (engine.ModelVersion, error) {
	return engine.ModelVersion{Number: 1, Source: bench.DriveModel}, nil
}

func (g generated) Read(context.Context, engine.Revision, engine.Query, engine.Page) iter.Seq2[engine.Tuple, error] {
	return func(yield func(engine.Tuple, error) bool) {
		for t := range g.drive.Tuples() {
			if !yield(t, nil) {
				return
			}
		}
	}
}

// resident returns the resident memory of the process in bytes, 0 if the system
// does not tell.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

// BenchmarkGraph loads the Drive workload into an engine and asks it questions
// with known answers. CARDEA_BENCH_TUPLES sets the number of tuples.
func BenchmarkGraph(b *testing.B) {
	n := 1_000_000
	if text := os.Getenv("CARDEA_BENCH_TUPLES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	drive := bench.NewDrive(n, 1)
	debug.FreeOSMemory()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	rss := resident()
	start := time.Now()
	e, err := engine.New(b.Context(), generated{drive: drive}, engine.Options{Poll: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	took := time.Since(start)
	peak := resident()
	debug.FreeOSMemory()
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	tuples := float64(e.Stats().Tuples)
	b.Logf("%.0f tuples in %v: %.0f tuples/s; heap %.1f, resident %.1f (peak %.1f), estimated %.1f bytes a tuple", tuples, took.Round(time.Millisecond), tuples/took.Seconds(),
		float64(after.HeapAlloc-before.HeapAlloc)/tuples, float64(resident()-rss)/tuples, float64(peak-rss)/tuples, float64(e.Stats().Bytes)/tuples)
	r := rand.New(rand.NewPCG(1, 1))
	questions := make([]bench.Question, 0, 1<<16)
	for q := range drive.Questions(r, bench.Mix{Granted: 0.5}) {
		if questions = append(questions, q); len(questions) == cap(questions) {
			break
		}
	}
	b.Run("check", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			q := questions[i%len(questions)]
			i++
			answer, err := e.Check(b.Context(), q.Tuple, engine.Consistency{})
			if err != nil || answer.Allowed != q.Want {
				b.Fatalf("%s: %v, %v", q.Tuple, answer.Allowed, err)
			}
		}
	})
	b.Run("objects", func(b *testing.B) {
		results := 0
		var first time.Duration
		for b.Loop() {
			q := engine.ObjectQuery{Namespace: "Document", Relation: "view", Subject: questions[r.IntN(len(questions))].Tuple.Subject}
			start := time.Now()
			list, _, err := e.Objects(b.Context(), q, engine.Consistency{})
			if err != nil {
				b.Fatal(err)
			}
			got := 0
			for _, err := range list {
				if err != nil {
					b.Fatal(err)
				}
				if got++; got == 1 {
					first += time.Since(start)
				}
			}
			results += got
		}
		b.ReportMetric(float64(results)/float64(b.N), "results/op")
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(results), "ns/result")
		b.ReportMetric(float64(first.Nanoseconds())/float64(b.N), "ns-to-first")
	})
}
