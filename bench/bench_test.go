package bench_test

import (
	"context"
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

func filled(tb testing.TB, w bench.Workload) bench.Local {
	tb.Helper()
	c := cluster(tb, "mem:", 1)
	local := bench.Local{Engine: c.Nodes[0]}
	if err := bench.Fill(tb.Context(), local, w, func(int) {}); err != nil {
		tb.Fatal(err)
	}
	return local
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
