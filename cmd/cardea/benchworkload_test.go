package main

import (
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/engine"
)

// TestBenchWorkload: what is printed is a model, tuples and questions.
func TestBenchWorkload(t *testing.T) {
	for _, w := range bench.Workloads() {
		code, out, errs := try(t, "", "bench", "workload", w[0], "--tuples", "1000")
		if code != exitYes || errs != "" {
			t.Fatalf("%s: %d, %s", w[0], code, errs)
		}
		for line := range strings.Lines(out) {
			if _, err := engine.ParseTuple(strings.TrimSpace(line)); err != nil {
				t.Fatalf("%s: %v", w[0], err)
			}
		}
		code, out, _ = try(t, "", "bench", "workload", w[0], "--tuples", "1000", "--questions", "50")
		if code != exitYes || strings.Count(out, "\n") != 50 || !strings.Contains(out, "allow ") || !strings.Contains(out, "deny ") {
			t.Errorf("%s: %d, %s", w[0], code, out)
		}
		if code, out, _ = try(t, "", "bench", "workload", w[0], "--model"); code != exitYes || !strings.Contains(out, "implements Namespace") {
			t.Errorf("%s: %d, %s", w[0], code, out)
		}
	}
	for _, args := range []string{"", "dive", "drive --tuples 1", "drive --skew 0.5", "drive --load --model"} {
		if code, _, errs := try(t, "", strings.Fields("bench workload "+args)...); code != exitError {
			t.Errorf("%s: %d, %s", args, code, errs)
		}
	}
}
