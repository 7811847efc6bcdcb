package engine_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/engine"
)

// TestWorkloads compares the answers that the workloads of the bench know by
// construction with the reference. Package bench compares them with the engine, on
// larger ones.
func TestWorkloads(t *testing.T) {
	for _, info := range bench.Workloads() {
		t.Run(info[0], func(t *testing.T) {
			asked := 0
			for seed := uint64(1); asked < 40; seed++ {
				w, err := bench.NewWorkload(info[0], 1000, seed)
				if err != nil {
					t.Fatal(err)
				}
				tuples := slices.Collect(w.Tuples())
				here := 0
				for q := range w.Questions(rand.New(rand.NewPCG(seed, 0)), bench.Mix{Granted: 0.7}) {
					allowed, known, err := engine.ReferenceAnswer(w.Model(), tuples, q.Tuple)
					if err != nil || !known || allowed != q.Want {
						t.Fatalf("seed %d: %s: the reference says %v (known: %v), %v, and the workload %v", seed, q.Tuple, allowed, known, err, q.Want)
					}
					asked++
					if here++; here == 10 {
						break
					}
				}
			}
		})
	}
}
