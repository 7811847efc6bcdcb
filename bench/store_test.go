package bench_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/internal/testdb"
)

// stores are the databases of which reports are made.
func stores(t *testing.T, do func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { do(t, "sqlite://"+filepath.Join(t.TempDir(), "cardea.db")) })
	t.Run("postgres", func(t *testing.T) { do(t, testdb.Postgres(t)) })
}

const short = 200 * time.Millisecond

// TestConsistency: every mode answers right while another node writes, and the
// strongest reads the log's tail.
func TestConsistency(t *testing.T) {
	stores(t, func(t *testing.T, dsn string) {
		c, d := cluster(t, dsn, 2), bench.NewDrive(500, 1)
		if err := bench.Fill(t.Context(), bench.Local{Engine: c.Nodes[1]}, d, func(int) {}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Nodes[0].Head(t.Context()); err != nil { // sees it all
			t.Fatal(err)
		}
		for _, m := range bench.Modes {
			load := bench.Load{Concurrency: 4, Duration: short, Mix: bench.Mix{Granted: 0.5}}
			report, err := bench.Consistency(t.Context(), c, d, load, m.Mode, 50)
			for err == nil && (report.Checks == 0 || report.Writes == 0) && load.Duration < 100*short { // on a busy machine
				load.Duration *= 2
				report, err = bench.Consistency(t.Context(), c, d, load, m.Mode, 50)
			}
			if err != nil || report.Checks == 0 || report.Wrong != 0 || report.Errors != 0 || report.Writes == 0 {
				t.Errorf("%s: %+v, %v", m.Name, report, err)
			}
			if m.Name == "fully_consistent" && (report.RoundsPerCheck <= 0 || report.RoundsPerCheck > 1) {
				t.Errorf("%s: %v round trips a check, want some and no more than one", m.Name, report.RoundsPerCheck)
			}
		}
	})
}

// TestWrites: what is counted was written, by Cardea and by raw SQL.
func TestWrites(t *testing.T) {
	stores(t, func(t *testing.T, dsn string) {
		c := cluster(t, dsn, 1)
		if err := (bench.Local{Engine: c.Nodes[0]}).ApplyModel(t.Context(), bench.DriveModel); err != nil {
			t.Fatal(err)
		}
		for _, load := range bench.WriteLoads {
			before := c.Nodes[0].Stats().Tuples
			report, err := bench.Writes(t.Context(), c, dsn, load, short)
			if err != nil || report.Cardea <= 0 || report.Raw <= 0 {
				t.Errorf("%s: %+v, %v", load.Name, report, err)
			}
			if c.Nodes[0].Stats().Tuples == before {
				t.Errorf("%s: nothing was written", load.Name)
			}
		}
	})
}

// TestLag: another node shows what one writes, and a check with the write's own
// token sees it.
func TestLag(t *testing.T) {
	stores(t, func(t *testing.T, dsn string) {
		c, d := cluster(t, dsn, 2), bench.NewDrive(500, 1)
		if err := bench.Fill(t.Context(), bench.Local{Engine: c.Nodes[0]}, d, func(int) {}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Nodes[1].Head(t.Context()); err != nil {
			t.Fatal(err)
		}
		report, err := bench.Lag(t.Context(), c, 50, short)
		if err != nil || report.Writes == 0 || report.Lag.Max == 0 || report.TokenChecks != 50 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}
