package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/bench"
)

func sample() *Report {
	mode := func(m mode, server, database, qps float64) ModeReport {
		return ModeReport{Mode: m, ServerMillis: server, DatabaseMillis: database, Report: bench.Report{QPS: qps, Checks: 1}}
	}
	return &Report{Engines: []EngineReport{
		{Name: "cardea", Modes: []ModeReport{mode(minimizeLatency, 0.01, 0.01, 1000), mode(withToken, 0, 0, 0)}},
		{Name: "other", Modes: []ModeReport{mode(minimizeLatency, 1, 3, 10), mode(withToken, 1, 1, 10), mode(fullyConsistent, 1, 1, 10)}},
	}}
}

func TestCompare(t *testing.T) {
	r := sample()
	r.compare()
	got := r.Engines[1].Modes
	if got[0].CPURatio != 200 || got[0].QPSRatio != 0.01 {
		t.Errorf("ratios are %v and %v, want 200 and 0.01", got[0].CPURatio, got[0].QPSRatio)
	}
	if got[1].CPURatio != 0 || got[2].CPURatio != 0 {
		t.Errorf("ratios to what took nothing, or was not measured, are %v and %v", got[1].CPURatio, got[2].CPURatio)
	}
}

func TestWrong(t *testing.T) {
	r := sample()
	if err := r.wrong(); err != nil {
		t.Errorf("all answers were right: %v", err)
	}
	r.Engines[1].Modes[2].Errors = 2
	r.Engines[0].Modes[0].Wrong, r.Engines[0].Modes[0].FirstWrong = 1, "this one"
	err := r.wrong()
	if err == nil || !strings.Contains(err.Error(), "cardea, minimize_latency: 1 wrong answers (this one)") ||
		!strings.Contains(err.Error(), "other, fully_consistent: 0 wrong answers (), 2 errors") {
		t.Errorf("got %v", err)
	}
}

// TestSave: the numbers of the load driver are beside those of this package.
func TestSave(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	r := sample()
	r.compare()
	if err := r.save(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Engines []struct {
			Modes []map[string]any
		}
	}
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	m := back.Engines[1].Modes[0]
	if m["qps"] != 10.0 || m["database_cpu_ms_per_check"] != 3.0 || m["cpu_times_cardea"] != 200.0 {
		t.Errorf("got %v", m)
	}
}

func TestDescribe(t *testing.T) {
	got := describe("engine", [][]string{{"serve", "--dsn", "postgres://x", "--addr", "127.0.0.1:123", "--config", "/tmp/dir/file", "--off", ""}}, "postgres://x", "/tmp/dir")
	if want := `engine serve --dsn $DSN --addr 127.0.0.1:$PORT --config $DIR/file --off ""`; len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestResult: the ratios have the bars of their modes.
func TestResult(t *testing.T) {
	r := sample()
	r.compare()
	got := r.result()
	if err := got.Save(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != 3 || got.Rows[2].What != "minimize_latency: other" || got.Rows[2].Measured != 200 || !*got.Rows[2].Met || got.Rows[2].Bar.AtLeast != 100 {
		t.Errorf("%+v", got.Rows)
	}
}
