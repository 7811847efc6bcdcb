package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/server"
)

// runServer starts a server in this process and returns the flags that name it.
func runServer(t *testing.T) []string {
	t.Helper()
	c, err := server.LoadConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	c.DSN, c.Log.Level = "mem:", slog.LevelError+1
	c.Serve.Read.Address, c.Serve.Write.Address = "127.0.0.1:0", "127.0.0.1:0"
	c.Serve.Public.Address, c.Serve.Metrics.Address, c.Serve.OPL.Address = "", "", ""
	s, err := server.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return []string{"--read-remote", s.Address("read").String(), "--write-remote", s.Address("write").String()}
}

// TestBenchCheck: both loops are driven against a server, and what was measured is
// printed and saved.
func TestBenchCheck(t *testing.T) {
	remote := runServer(t)
	for _, tt := range []struct{ flags, name string }{
		{"--concurrency 1,4", "check-rbac"},
		{"--rate 200,400 --fill=false", "rate-rbac"},
	} {
		folder := t.TempDir()
		args := append(strings.Fields("bench check --workload rbac --tuples 2000 --remote --rounds 2 --duration 100ms --warm-up 10ms -o json --save="+folder+" "+tt.flags), remote...)
		code, out, errs := try(t, "", args...)
		if code != exitYes {
			t.Fatalf("%s: %d, %s, %s", tt.flags, code, out, errs)
		}
		var printed bench.Result
		if err := json.Unmarshal([]byte(out), &printed); err != nil {
			t.Fatal(err)
		}
		saved, err := bench.LoadResult(filepath.Join(folder, tt.name+".json"))
		if err != nil || len(saved.Rows) != len(printed.Rows) || !strings.HasPrefix(saved.Command, "cardea bench check") {
			t.Errorf("%v, %+v", err, saved)
		}
		for _, row := range saved.Rows {
			if row.Measured <= 0 || len(row.Rounds) != 2 {
				t.Errorf("%+v", row)
			}
		}
		if code, _, errs := try(t, "", "bench", "plot", filepath.Join(folder, tt.name+".json")); code != exitYes {
			t.Errorf("plot: %d, %s", code, errs)
		}
	}
	for _, args := range []string{"--workload dive", "--concurrency 0", "--rate -1", "--rounds 0", "--concurrency 4 --rate 5"} {
		if code, _, _ := try(t, "", strings.Fields("bench check "+args)...); code != exitError {
			t.Errorf("%s: %d", args, code)
		}
	}
}

// TestBenchEngine: the in-process benchmarks run, and say which bars are missed.
func TestBenchEngine(t *testing.T) {
	for _, args := range []string{
		"engine --tuples 2000 --rounds 1 --duration 1ms", "size --sizes 1000,2000 --rounds 1 --duration 1ms",
		"bounded --tuples 2000 --budgets 50,100 --skews 0,1.5 --warm-up 100 --checks 100",
	} {
		code, out, errs := try(t, "", strings.Fields("bench "+args+" -o json")...)
		var r bench.Result
		if err := json.Unmarshal([]byte(out), &r); err != nil || code == exitError || (code == exitYes) != r.Met() || len(r.Rows) < 10 {
			t.Errorf("%s: %v, %d, %s", args, err, code, errs)
		}
	}
}
