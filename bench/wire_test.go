package bench_test

import (
	"math/rand/v2"
	"testing"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/engine"
)

// BenchmarkDrive asks questions all over 300,000 tuples, so that the processor's
// caches do not have what they are about.
func BenchmarkDrive(b *testing.B) {
	d := bench.NewDrive(300_000, 1)
	local := filled(b, d)
	var questions []engine.Tuple
	for q := range d.Questions(rand.New(rand.NewPCG(1, 1)), bench.Mix{Granted: 0.5}) {
		if questions = append(questions, q.Tuple); len(questions) == 200_000 {
			break
		}
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := local.Check(b.Context(), questions[n%len(questions)]); err != nil {
			b.Fatal(err)
		}
		n++
	}
}
