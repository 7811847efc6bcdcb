package engine

import (
	"context"

	"github.com/cardea-iam/cardea/engine/graph"
)

// Numbers of names are never used again, so an engine in complete mode whose
// tuples come and go would hold ever more names that nothing uses. When as many
// tuples have gone as there are, it makes the graph anew, beside the answers and
// the log, and the new one takes the old one's place. (In bounded mode see
// Engine.compacted.)

// renumberMin is how many tuples must have gone at least.
const renumberMin = 100_000

// gone counts tuples that left, and starts to renumber in time. live.mu is held.
func (e *Engine) gone(s *state, changes []Change) {
	for _, c := range changes {
		if c.Op == Delete {
			e.renumbering.gone++
		}
	}
	if s.shelf != nil || e.renumbering.busy || e.renumbering.gone < max(e.options.renumberMin, s.snap.Tuples()) {
		return
	}
	e.renumbering.gone, e.renumbering.busy = 0, true
	e.background.Go(func() {
		if err := e.renumber(s); err == nil {
			e.counters.compactions.Add(1)
		}
		e.live.mu.Lock()
		defer e.live.mu.Unlock()
		e.renumbering.busy = false
	})
}

// renumber makes the graph of s anew, and puts it in the place of the current one.
func (e *Engine) renumber(s *state) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(e.closing, cancel)()
	b := graph.Empty().Build()
	b.Gently()
	for t, err := range e.tuples(ctx, s) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		b.Insert(refs(b, t))
	}
	made := e.newState(s.revision, b, s.model)
	for { // what comes meanwhile is read without holding up others, and the rest is little
		now := e.live.now.Load()
		next, err := e.lead(ctx, made, now.revision)
		if err != nil {
			return err
		}
		if made = next; made.model != now.model { // one of the configuration
			made = e.newState(made.revision, made.snap.Build(), now.model)
		}
		if e.replace(now, made) {
			return nil
		}
	}
}

// replace publishes next if old is still the current state, or one like it.
func (e *Engine) replace(old, next *state) bool {
	e.live.mu.Lock()
	defer e.live.mu.Unlock()
	now := e.live.now.Load()
	if now.shelf != nil {
		return true // the graph is another one now, and nothing is to be done
	}
	if now.revision != old.revision || now.model != old.model {
		return false
	}
	e.publish(next)
	return true
}
