package main

import (
	"fmt"

	"github.com/cardea-iam/cardea/bench"
)

// bars are how many times Cardea's processor time a check of another engine is to take,
// that of the server and of the database.
var bars = map[mode]float64{minimizeLatency: 100, withToken: 100, fullyConsistent: 50}

// result is the ratios to Cardea in the form of all results of the bench.
func (r *Report) result() *bench.Result {
	out := bench.NewResult("peers", fmt.Sprintf("Processor time of a check by Cardea's, server and PostgreSQL, %d tuples", r.Workload.Tuples), nil)
	out.Date, out.Command = r.Date, "cd bench/peers && "+r.Command
	for _, e := range r.Engines {
		for _, m := range e.Modes {
			if e.Name == "cardea" {
				out.Add(string(m.Mode)+": Cardea", "ms", nil, m.cpu())
			} else if m.CPURatio > 0 {
				out.Add(string(m.Mode)+": "+e.Name, "times", bench.AtLeast(bars[m.Mode]), m.CPURatio)
			}
		}
	}
	return out
}
