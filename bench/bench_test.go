package bench_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/engine"
)

func cluster(tb testing.TB, dsn string, nodes int) *bench.Cluster {
	tb.Helper()
	c, err := bench.StartCluster(tb.Context(), dsn, nodes, engine.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

func filled(tb testing.TB, d *bench.Drive) bench.Local {
	tb.Helper()
	c := cluster(tb, "mem:", 1)
	local := bench.Local{Engine: c.Nodes[0]}
	if err := bench.Fill(tb.Context(), local, d, func(int) {}); err != nil {
		tb.Fatal(err)
	}
	return local
}

// TestDrive: the workload's own answers and the engine's agree, and both kinds
// of answer come often enough to show something.
func TestDrive(t *testing.T) {
	d := bench.NewDrive(3000, 1)
	local := filled(t, d)
	allowed, asked := 0, 0
	for q := range d.Questions(rand.New(rand.NewPCG(1, 1)), bench.Mix{Skew: 1.2, Granted: 0.5}) {
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
	if allowed < asked/4 || allowed > asked*3/4 {
		t.Errorf("%d of %d allowed", allowed, asked)
	}
}

func TestSameSeedSameWorkload(t *testing.T) {
	a, b := bench.NewDrive(1000, 7), bench.NewDrive(1000, 7)
	var first []engine.Tuple
	for tuple := range a.Tuples() {
		first = append(first, tuple)
	}
	i := 0
	for tuple := range b.Tuples() {
		if tuple != first[i] {
			t.Fatalf("tuple %d: %s and %s", i, first[i], tuple)
		}
		i++
	}
	if i != len(first) || i < 500 || i > 2000 {
		t.Errorf("%d and %d tuples for 1000", len(first), i)
	}
}

// liar answers the opposite of every tenth question.
type liar struct {
	bench.Local
	n int
}

func (l *liar) Check(ctx context.Context, t engine.Tuple) (bool, error) {
	allowed, err := l.Local.Check(ctx, t)
	l.n++
	return allowed != (l.n%10 == 0), err
}

// TestRunCountsWrongAnswers: a server that is fast and wrong does not pass.
func TestRunCountsWrongAnswers(t *testing.T) {
	d := bench.NewDrive(500, 1)
	load := bench.Load{Concurrency: 1, Duration: 50 * time.Millisecond}
	local := filled(t, d)
	report, err := bench.Run(t.Context(), local, d, load)
	if err != nil || report.Wrong != 0 || report.Errors != 0 || report.Checks == 0 {
		t.Errorf("%v, %v", report, err)
	}
	report, err = bench.Run(t.Context(), &liar{Local: local}, d, load)
	if err != nil || report.Wrong == 0 || report.FirstWrong == "" {
		t.Errorf("%v, %v", report, err)
	}
}
