package bench_test

import (
	"testing"
	"time"

	"github.com/cardea-iam/cardea/bench"
)

// TestInProcess: what cardea bench engine and size measure is answered right, and
// takes no memory.
func TestInProcess(t *testing.T) {
	s := bench.Shaped{Drive: bench.NewDrive(5000, 1)}
	p, err := bench.StartInProcess(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Engine.Close()
	for _, shape := range s.Shapes() {
		micros, err := p.Micros(t.Context(), shape.Questions, 2, time.Millisecond)
		if err != nil || len(micros) != 2 || micros[0] <= 0 {
			t.Errorf("%s: %v, %v", shape.Name, micros, err)
		}
	}
	p50, p99, err := p.Quantiles(t.Context(), bench.Mix{Granted: 0.5}, 2, 100)
	if err != nil || len(p50) != 2 || p50[0] <= 0 || p99[1] < p50[1] {
		t.Errorf("%v, %v, %v", p50, p99, err)
	}
	subject, documents := s.Lister()
	first, last, err := p.List(t.Context(), subject, documents, 2)
	if err != nil || len(first) != 2 || last[0] < first[0] {
		t.Errorf("%v, %v, %v", first, last, err)
	}

	w := workload(t, "rbac", 5000, 1)
	full, err := bench.StartInProcess(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	stats := full.Engine.Stats()
	memory, loading := stats.Bytes, 16*stats.Tuples // loading: of tuples that are not in the graph yet
	if err := full.Engine.Close(); err != nil {
		t.Fatal(err)
	}
	for budget, complete := range map[int64]bool{memory / 2: false, memory + loading: true} {
		got, err := bench.Bounded(t.Context(), bench.Fixed{Workload: w}.Index(), budget, bench.Mix{Granted: 0.5}, 10, 500)
		if err != nil || (got.Hits == 1) != complete || (got.Rounds == 0) != complete {
			t.Errorf("%d of %d bytes: %+v, %v", budget, memory, got, err)
		}
	}

	wrong := s.Shapes()[0].Questions
	wrong[0].Want = false
	if _, err := p.Micros(t.Context(), wrong, 1, time.Millisecond); err == nil {
		t.Error("a wrong answer passes")
	}
	if _, _, err := p.List(t.Context(), subject, documents+1, 1); err == nil {
		t.Error("a list that lacks something passes")
	}
}
