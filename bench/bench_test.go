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

// stuck answers nothing until it is let go.
type stuck struct {
	bench.Local
	release chan struct{}
}

func (s stuck) Check(ctx context.Context, t engine.Tuple) (bool, error) {
	<-s.release
	return s.Local.Check(ctx, t)
}

// TestOpenLoop: questions arrive at the rate, and those that had to wait for a slow
// server count from when they arrived.
func TestOpenLoop(t *testing.T) {
	d := bench.NewDrive(500, 1)
	local := filled(t, d)
	load := bench.Load{Concurrency: 4, Rate: 2000, Duration: 200 * time.Millisecond, WarmUp: 10 * time.Millisecond}
	report, err := bench.Run(t.Context(), local, d, load)
	if err != nil || report.Wrong != 0 || report.Errors != 0 || report.Unanswered != 0 || report.Checks < 200 || report.Checks > 800 {
		t.Errorf("%v, %v", report, err)
	}

	// One caller, who is let go when the loop has ended: all answers come after
	// that, and so most took at least half of the duration.
	slow := stuck{local, make(chan struct{})}
	time.AfterFunc(load.Duration, func() { close(slow.release) })
	load.Concurrency, load.WarmUp = 1, 0
	report, err = bench.Run(t.Context(), slow, d, load)
	if err != nil || report.Checks < 200 || report.P50 < load.Duration.Microseconds()/3 {
		t.Errorf("%v, %v: the median leaves out the wait", report, err)
	}
}
