package bench_test

import (
	"testing"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/engine"
)

// The guards are what checks of each workload cost in things that can be counted, so
// that a change that makes them dearer fails here and not on somebody's bill. Times
// depend on the machine; cardea bench measures those. Each limit is a tenth above what
// was counted when it was set; who makes checks cheaper lowers it.
var guards = map[string]struct {
	steps float64 // looks at objects or relations, of a check with everything in memory
	bytes float64 // of a tuple in memory, by the engine's own account

	// Of a check in bounded mode that finds nothing in memory.
	rounds float64 // trips to the store
	rows   float64 // read in them
}{
	"drive":  {5.4, 39.9, 4.04, 15.8},
	"github": {10.2, 45.7, 2.94, 44},
	"wide":   {137, 15.2, 2.2, 1108},
	"deep":   {33.4, 76, 45.8, 63.1},
	"rbac":   {14.3, 49.6, 2.94, 131},
	"social": {4.78, 24.4, 2.56, 11.7},
}

const guardTuples = 100_000

// questions draws n questions of a workload.
func questions(w bench.Workload, n int) []bench.Question {
	return bench.Draw(w, bench.Mix{Granted: 0.5}, n)
}

// TestGuards counts with everything in memory.
func TestGuards(t *testing.T) {
	notRacing(t)
	eachWorkload(t, func(t *testing.T, name string) {
		w := workload(t, name, guardTuples, 1)
		p, err := bench.StartInProcess(t.Context(), w)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Engine.Close()
		asked := questions(w, 2000)
		allocations, err := p.Allocations(t.Context(), asked)
		if err != nil {
			t.Fatal(err)
		}
		// The pool of walks may lose one to the garbage collector.
		if allocations > 0.05 {
			t.Errorf("%.2f allocations in a check, want none", allocations)
		}
		stats := p.Engine.Stats()
		within(t, "steps of a check", float64(stats.Steps)/float64(stats.Checks), guards[name].steps)
		within(t, "bytes of a tuple", float64(stats.Bytes)/float64(stats.Tuples), guards[name].bytes)
	})
}

func notRacing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector changes what is allocated, and takes its time")
	}
}

// within fails if a figure is above its limit, and says so if it is so far below that
// the limit guards nothing any more.
func within(t *testing.T, what string, got, limit float64) {
	t.Helper()
	if got > limit || got < limit*0.8 {
		t.Errorf("%s: %.2f; the limit in guards is %.2f, and has to be within a fifth above", what, got, limit)
	}
}

// TestBoundedGuards counts what few checks read that find nothing in memory, and that
// they read nothing when they are asked again.
func TestBoundedGuards(t *testing.T) {
	notRacing(t)
	eachWorkload(t, func(t *testing.T, name string) {
		w := workload(t, name, guardTuples, 1)
		e := boundedEngine(t, w)
		asked := questions(w, 3)
		ask := func() engine.Stats {
			before := e.Stats()
			for _, q := range asked {
				got, err := e.Check(t.Context(), q.Tuple, engine.Consistency{})
				if err != nil || got.Allowed != q.Want {
					t.Fatalf("%s: %v, %v", q.Tuple, got.Allowed, err)
				}
			}
			after := e.Stats()
			return engine.Stats{CheckRounds: after.CheckRounds - before.CheckRounds, CheckRows: after.CheckRows - before.CheckRows}
		}
		cold, n := ask(), float64(len(asked))
		within(t, "round trips of a cold check", float64(cold.CheckRounds)/n, guards[name].rounds)
		within(t, "rows of a cold check", float64(cold.CheckRows)/n, guards[name].rows)
		if warm := ask(); warm.CheckRounds != 0 {
			t.Errorf("asked again, %d checks made %d round trips, want none", len(asked), warm.CheckRounds)
		}
	})
}

// boundedEngine loads a workload into an engine that may use a little less memory than
// its tuples take.
func boundedEngine(t *testing.T, w bench.Workload) *engine.Engine {
	t.Helper()
	p, err := bench.StartInProcess(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	options := engine.Options{Memory: p.Engine.Stats().Bytes * 9 / 10}
	if err := p.Engine.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := bench.StartCluster(t.Context(), "mem:", 1, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := bench.Fill(t.Context(), bench.Local{Engine: c.Nodes[0]}, w, func(int) {}); err != nil {
		t.Fatal(err)
	}
	if !c.Nodes[0].Stats().Bounded {
		t.Fatal("the engine did not go over to bounded mode")
	}
	return c.Nodes[0]
}
