package bench_test

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/engine"
)

func workload(tb testing.TB, name string, tuples int, seed uint64) bench.Workload {
	tb.Helper()
	w, err := bench.NewWorkload(name, tuples, seed)
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

func eachWorkload(t *testing.T, do func(t *testing.T, name string)) {
	for _, w := range bench.Workloads() {
		t.Run(w[0], func(t *testing.T) { do(t, w[0]) })
	}
}

// TestWorkloads: the workloads' own answers and the engine's agree, and both kinds
// of answer come often enough to show something. A test of package engine compares
// them with its reference.
func TestWorkloads(t *testing.T) {
	eachWorkload(t, func(t *testing.T, name string) {
		w := workload(t, name, 20_000, 1)
		local := filled(t, w)
		allowed, asked := 0, 0
		for q := range w.Questions(rand.New(rand.NewPCG(1, 1)), bench.Mix{Skew: 1.2, Granted: 0.5}) {
			got, err := local.Check(t.Context(), q.Tuple)
			if err != nil || got != q.Want {
				t.Fatalf("%s: got %v, %v, want %v", q.Tuple, got, err, q.Want)
			}
			if got {
				allowed++
			}
			if asked++; asked == 20_000 {
				break
			}
		}
		if allowed < asked/10 || allowed > asked*3/4 {
			t.Errorf("%d of %d allowed", allowed, asked)
		}
	})
}

// TestSameSeedSameWorkload: also that there are about as many tuples as were asked
// for, few of them twice, and that ids are as long as real ones.
func TestSameSeedSameWorkload(t *testing.T) {
	eachWorkload(t, func(t *testing.T, name string) {
		const n = 100_000
		first := slices.Collect(workload(t, name, n, 7).Tuples())
		if !slices.Equal(first, slices.Collect(workload(t, name, n, 7).Tuples())) {
			t.Error("two workloads from one seed differ")
		}
		if slices.Equal(first, slices.Collect(workload(t, name, n, 8).Tuples())) {
			t.Error("another seed makes the same workload")
		}
		distinct := map[engine.Tuple]bool{}
		for _, tuple := range first {
			distinct[tuple] = true
			if l := len(tuple.Object.ID); l < 20 || l > 36 {
				t.Fatalf("%s: an id of %d characters", tuple, l)
			}
		}
		if len(distinct) < n*8/10 || len(first) > n*12/10 {
			t.Errorf("%d tuples, %d of them distinct, for %d", len(first), len(distinct), n)
		}
	})
}

// TestWorkloadsTakeNoMemory: what is generated is not kept.
func TestWorkloadsTakeNoMemory(t *testing.T) {
	eachWorkload(t, func(t *testing.T, name string) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := workload(t, name, 100_000_000, 1)
		tuples := 0
		for range w.Tuples() {
			if tuples++; tuples == 1000 {
				break
			}
		}
		asked := 0
		for range w.Questions(rand.New(rand.NewPCG(1, 1)), bench.Mix{Granted: 0.5}) {
			if asked++; asked == 100 {
				break
			}
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
			t.Errorf("%d bytes allocated for 1000 tuples and 100 questions of 100 M", took)
		}
	})
}

func TestNoSuchWorkload(t *testing.T) {
	if _, err := bench.NewWorkload("dive", 1000, 1); err == nil {
		t.Error("a workload that there is not")
	}
}

func BenchmarkQuestions(b *testing.B) {
	for _, info := range bench.Workloads() {
		b.Run(info[0], func(b *testing.B) {
			w := workload(b, info[0], 1_000_000, 1)
			b.ReportAllocs()
			b.ResetTimer()
			asked := 0
			for range w.Questions(rand.New(rand.NewPCG(1, 1)), bench.Mix{Granted: 0.5}) {
				if asked++; asked >= b.N {
					break
				}
			}
		})
	}
}
