package engine

import "sync/atomic"

type counters struct {
	checks, steps, errors atomic.Int64
	rounds, waits         atomic.Int64
}

// Stats are numbers for operators. Those marked "total" only grow.
type Stats struct {
	Checks      int64 // total questions answered or failed, each item of a batch counting
	Steps       int64 // total steps of all checks
	CheckErrors int64 // total questions that failed
	Rounds      int64 // total reads of the log's head
	Waits       int64 // total requests that waited for such a read
	Tuples      int64 // in memory at the current revision
	Model       int64 // version of the active model, 0 if it is none of the store's
}

// Stats returns the numbers as they are now.
func (e *Engine) Stats() Stats {
	s := e.current.Load()
	return Stats{
		Checks: e.counters.checks.Load(), Steps: e.counters.steps.Load(), CheckErrors: e.counters.errors.Load(),
		Rounds: e.counters.rounds.Load(), Waits: e.counters.waits.Load(),
		Tuples: s.snap.Tuples(), Model: s.model.version.Number,
	}
}
