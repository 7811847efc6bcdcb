package engine

import "sync/atomic"

// The counters of checks stand in one line of the processors' caches, which every check
// takes from whichever core counted last, and which has nothing that others read.
type counters struct {
	_                     [64]byte
	asked                 [Exact + 1]atomic.Int64 // by Mode
	checks, steps, errors atomic.Int64
	_                     [64]byte

	rounds, waits atomic.Int64

	storeRounds, storeRows atomic.Int64
	checkRounds, checkRows atomic.Int64
	compactions            atomic.Int64
}

// ask counts a request.
func (c *counters) ask(at Consistency) { c.asked[min(at.Mode, Exact)].Add(1) }

// answered counts a question.
func (c *counters) answered(err error) {
	c.checks.Add(1)
	if err != nil {
		c.errors.Add(1)
	}
}

// failed counts n questions that failed together.
func (c *counters) failed(n int) {
	c.checks.Add(int64(n))
	c.errors.Add(int64(n))
}

// Stats are numbers for operators. Those marked "total" only grow.
type Stats struct {
	Asked       [Exact + 1]int64 // total requests by the Mode of their Consistency
	Checks      int64            // total questions answered or failed, each item of a batch counting
	Steps       int64            // total steps of all checks
	CheckErrors int64            // total questions that failed
	CheckRounds int64            // total round trips to the store for questions, in bounded mode
	CheckRows   int64            // total rows read in them
	Rounds      int64            // total reads of the log's tail
	Waits       int64            // total requests that waited for such a read
	StoreRounds int64            // total round trips to the store, to follow the log and to answer questions
	StoreRows   int64            // total rows read in them
	Tuples      int64            // in memory at the current revision
	Bytes       int64            // that they take, as estimated
	Bounded     bool             // whether the tuples did not fit Options.Memory
	Compactions int64            // total times that memory was cleared of names no longer used, in either mode
	Model       int64            // version of the active model, 0 if it is none of the store's
}

// Stats returns the numbers as they are now.
func (e *Engine) Stats() Stats {
	s, c := e.live.now.Load(), &e.counters
	var asked [Exact + 1]int64
	for mode := range asked {
		asked[mode] = c.asked[mode].Load()
	}
	return Stats{
		Asked:  asked,
		Checks: c.checks.Load(), Steps: c.steps.Load(), CheckErrors: c.errors.Load(),
		CheckRounds: c.checkRounds.Load(), CheckRows: c.checkRows.Load(),
		Rounds: c.rounds.Load(), Waits: c.waits.Load(),
		StoreRounds: c.storeRounds.Load(), StoreRows: c.storeRows.Load(),
		Tuples: s.snap.Tuples(), Bytes: s.snap.Bytes(), Bounded: s.shelf != nil, Compactions: c.compactions.Load(),
		Model: s.model.version.Number,
	}
}
