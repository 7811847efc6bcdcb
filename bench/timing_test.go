package bench_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/cardea-iam/cardea/bench"
)

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{1, 2, 3}, []float64{3, 1, 2}, 0},
		{[]float64{1, 2, 3}, []float64{4, 5, 6}, 1},
		{[]float64{1, 2, 3, 4}, []float64{3, 4, 5, 6}, 0.5},
		{[]float64{1, 1, 1, 2}, []float64{1, 2, 2, 2}, 0.5},
		{[]float64{1, 3}, []float64{2, 2, 2, 4}, 0.5},
	} {
		if got := bench.Distance(tt.a, tt.b); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%v and %v are %g apart, want %g", tt.a, tt.b, got, tt.want)
		}
		if got := bench.Distance(tt.b, tt.a); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%v and %v are %g apart, want %g", tt.b, tt.a, got, tt.want)
		}
	}
}

// TestDistanceTells: samples of one distribution are rarely told apart, and those of two are
// that differ by less than they vary.
func TestDistanceTells(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sample := func(shift float64) (out []float64) {
		for range 200 {
			out = append(out, r.NormFloat64()+shift)
		}
		return out
	}
	same, moved := 0, 0
	for range 1000 {
		if bench.Distance(sample(0), sample(0)) > bench.Indistinct(200) {
			same++
		}
		if bench.Distance(sample(0), sample(0.7)) > bench.Indistinct(200) {
			moved++
		}
	}
	if same > 20 || moved < 950 {
		t.Errorf("of 1000 pairs %d of one distribution are told apart, and %d of two", same, moved)
	}
}
