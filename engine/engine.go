package engine

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cardea-iam/cardea/internal/errs"
)

// An Engine answers questions about the tuples of one store. Its methods may be
// called from many goroutines at once.
//
// Errors of all methods that take a Consistency: Invalid for a token that is
// malformed, of another store, or ahead of this one; Unavailable if the store
// cannot be asked for what the consistency needs; Expired, with Exact, for a
// revision that is no longer kept.
type Engine struct {
	store    Store
	options  Options
	follower *follower
	counters counters
	resumed  error // why the checkpoint was of no use

	// live is what questions are answered at. publish moves it to another revision
	// or model; in bounded mode it also moves when sets come into memory.
	live       line
	configured atomic.Pointer[model] // set if the model does not come from the store

	background sync.WaitGroup
	closing    context.Context
	close      context.CancelFunc

	// renumbering is guarded by live.mu.
	renumbering struct {
		gone int64 // tuples that left since the last time
		busy bool
	}

	mu struct {
		sync.Mutex
		past  []*state      // the newest last, without the current one
		held  int64         // bytes that they take beside it
		moved chan struct{} // closed when the current state is replaced
	}
	exact struct {
		sync.Mutex
		last *state // made for a question at an exact revision
	}
}

// New loads all tuples of the store, or those of the checkpoint and what changed
// since, and follows its log until Close.
func New(ctx context.Context, s Store, o Options) (*Engine, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	e := &Engine{store: s, options: o.withDefaults()}
	e.mu.moved = make(chan struct{})
	e.closing, e.close = context.WithCancel(context.Background())
	e.resumed = e.resume(ctx)
	if e.live.now.Load() == nil {
		head, err := s.Head(ctx)
		if err != nil {
			return nil, err
		}
		first, err := e.begin(ctx, head)
		if err != nil {
			return nil, err
		}
		e.live.now.Store(first)
	}
	e.follower = follow(e.catchUp, s.Wake(), e.options.Poll)
	return e, nil
}

// Resumed returns why Options.Checkpoint was of no use; nil if it was, or if there
// was none.
func (e *Engine) Resumed() error { return e.resumed }

// Close stops following the log. It does not close the store.
func (e *Engine) Close() error {
	e.follower.close()
	e.close()
	e.background.Wait()
	if s := e.live.now.Load(); s.shelf != nil {
		s.shelf.close()
	}
	return nil
}

// catchUp moves the current state to the store's head, and reports whether there
// was anything new. Only the follower calls it.
func (e *Engine) catchUp(ctx context.Context) (found bool, err error) {
	e.counters.rounds.Add(1)
	e.counters.storeRounds.Add(1)
	from := e.live.now.Load().revision
	var changes []Change
	head, err := e.store.Tail(ctx, from, func(c Change) error {
		changes = append(changes, c)
		return nil
	})
	e.counters.storeRows.Add(int64(len(changes)))
	switch {
	case errs.KindOf(err) == errs.Expired:
		return true, e.reload(ctx) // too far behind: start anew
	case err != nil:
		return false, err
	case head == from:
		return false, nil
	}
	e.live.mu.Lock()
	defer e.live.mu.Unlock()
	now := e.live.now.Load()
	next, err := e.advance(now).all(changes, head)
	if err == nil && next.shelf == nil && !e.fits(next.snap.Bytes()) {
		next, err = e.goBounded(ctx, head, next.model)
	}
	if err != nil {
		return false, err
	}
	if next.shelf != nil {
		e.live.remember(batch{from, head, changes})
	}
	e.publish(next)
	e.gone(next, changes)
	return len(changes) > 0, nil
}

// reload reads the whole store anew.
func (e *Engine) reload(ctx context.Context) error {
	head, err := e.store.Head(ctx)
	if err != nil {
		return err
	}
	e.live.mu.Lock()
	defer e.live.mu.Unlock()
	next, err := e.begin(ctx, head)
	if err != nil {
		return err
	}
	e.publish(next)
	return nil
}

// publish makes next the current state. e.line is held. A state that differs
// from the one before in nothing but its revision takes its place.
func (e *Engine) publish(next *state) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.live.now.Load()
	switch {
	case next.shelf != nil:
		e.mu.past, e.mu.held = nil, 0
	case now.snap != next.snap:
		next.behind = now.snap.Beside(next.snap)
		e.mu.past, e.mu.held = append(e.mu.past, now), e.mu.held+next.behind
	case now.program != next.program:
		next.behind = 0
		e.mu.past = append(e.mu.past, now)
	default:
		next.behind = now.behind
	}
	e.forget(next)
	e.live.now.Store(next)
	close(e.mu.moved)
	e.mu.moved = make(chan struct{})
}

// forget lets go of the oldest past states, until those that are left are no more
// and hold no more memory than they may. e.mu is held; next is to be the current
// state.
func (e *Engine) forget(next *state) {
	limit := max(next.snap.Bytes()/8, keepBytes)
	n := 0
	for ; n < len(e.mu.past) && (len(e.mu.past)-n > e.options.KeepStates || e.mu.held > limit); n++ {
		after := next
		if n+1 < len(e.mu.past) {
			after = e.mu.past[n+1]
		}
		e.mu.held -= after.behind
	}
	clear(e.mu.past[:n])
	e.mu.past = e.mu.past[n:]
}

// keepBytes is how much memory past states may take, or an eighth of what the
// current one does if that is more. Without a bound 256 of them take gigabytes
// after large writes, each of which copies many chunks of the graph.
const keepBytes = 16 << 20

// published returns the current state and a channel that is closed when another
// one takes its place.
func (e *Engine) published() (*state, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.live.now.Load(), e.mu.moved
}

// at chooses the state for a question, and counts it.
func (e *Engine) at(ctx context.Context, c Consistency) (*state, error) {
	e.counters.ask(c)
	return e.stateAt(ctx, c)
}

func (e *Engine) stateAt(ctx context.Context, c Consistency) (*state, error) {
	var need Revision
	if c.Token != "" {
		rev, err := c.Token.revision(e.store.ID())
		if err != nil {
			return nil, err
		}
		need = rev
	}
	switch c.Mode {
	case MinimizeLatency:
		return e.live.now.Load(), nil
	case FullyConsistent:
		if err := e.sync(ctx); err != nil {
			return nil, err
		}
		return e.live.now.Load(), nil
	case AtLeastAsFresh:
		return e.atLeast(ctx, need)
	default:
		if c.Token == "" {
			return nil, errs.New(errs.Invalid, "snaptoken is empty: exact consistency needs one")
		}
		return e.atExactly(ctx, need)
	}
}

// sync waits until the current state shows all that was acknowledged before.
func (e *Engine) sync(ctx context.Context) error {
	e.counters.waits.Add(1)
	err := e.follower.sync(ctx)
	if err != nil && ctx.Err() == nil && errs.KindOf(err) != errs.Unavailable {
		return errs.Wrap(errs.Unavailable, err, "the log of the store cannot be followed at present")
	}
	return err
}

func (e *Engine) atLeast(ctx context.Context, need Revision) (*state, error) {
	now := e.live.now.Load()
	covered, err := e.store.Covers(now.revision, need)
	if err != nil || covered {
		return now, err
	}
	if err := e.sync(ctx); err != nil {
		return nil, err
	}
	now = e.live.now.Load()
	if covered, err = e.store.Covers(now.revision, need); err == nil && !covered {
		err = errs.New(errs.Invalid, "snaptoken lies ahead of this store, which was perhaps restored from a backup")
	}
	return now, err
}

// atExactly returns the state at one revision: a past one that is still here, or
// one made from the nearest past one and the log, or else read from the store.
func (e *Engine) atExactly(ctx context.Context, need Revision) (*state, error) {
	now, err := e.atLeast(ctx, need)
	if err != nil {
		return nil, err
	}
	e.exact.Lock()
	defer e.exact.Unlock()
	if last := e.exact.last; last != nil && last.revision == need {
		if last.line == nil {
			return last, nil
		}
		if last = last.line.now.Load(); e.fits(8 * last.snap.Bytes()) {
			return last, nil
		}
	}
	made, err := e.makeExactly(ctx, now, need)
	if err == nil {
		e.exact.last = made
	}
	return made, err
}

func (e *Engine) makeExactly(ctx context.Context, now *state, need Revision) (*state, error) {
	if now.shelf != nil {
		return e.boundedAt(ctx, need)
	}
	nearest := e.nearest(need)
	switch {
	case nearest == nil:
		s, ok, err := e.load(ctx, need)
		if ok || err != nil {
			return s, err
		}
		return e.boundedAt(ctx, need)
	case nearest.revision == need:
		return nearest, nil
	default:
		return e.lead(ctx, nearest, need)
	}
}

// boundedAt returns a state in bounded mode that stays at rev.
func (e *Engine) boundedAt(ctx context.Context, rev Revision) (*state, error) {
	m, err := e.modelAt(ctx, rev)
	if err != nil {
		return nil, err
	}
	l := &line{}
	s, err := e.bounded(ctx, l, rev, m, newKeepAll())
	if err == nil {
		l.now.Store(s)
	}
	return s, err
}

// lead returns the state at rev, to which the log leads from s.
func (e *Engine) lead(ctx context.Context, s *state, rev Revision) (*state, error) {
	e.counters.storeRounds.Add(1)
	a, rows := e.advance(s), int64(0)
	for c, err := range e.store.Changes(ctx, s.revision, rev) {
		if err == nil {
			err = a.by(c)
		}
		if err != nil {
			return nil, err
		}
		rows++
	}
	e.counters.storeRows.Add(rows)
	return a.to(rev)
}

// nearest returns the newest state in memory that need covers, nil if there is
// none.
func (e *Engine) nearest(need Revision) *state {
	e.mu.Lock()
	defer e.mu.Unlock()
	if now := e.live.now.Load(); now.revision == need {
		return now
	}
	for _, s := range slices.Backward(e.mu.past) {
		if ok, err := e.store.Covers(need, s.revision); err == nil && ok {
			return s
		}
	}
	return nil
}

// Head returns a token that shows every write acknowledged before the call.
func (e *Engine) Head(ctx context.Context) (Token, error) {
	s, err := e.stateAt(ctx, Consistency{Mode: FullyConsistent})
	if err != nil {
		return "", err
	}
	return s.token, nil
}

// Applied returns the token of the revision that MinimizeLatency answers at.
func (e *Engine) Applied() Token { return e.live.now.Load().token }

// Ready returns why the engine cannot answer with full consistency at present.
func (e *Engine) Ready(ctx context.Context) error {
	if err := e.store.Ping(ctx); err != nil {
		return err
	}
	return e.follower.lastError()
}
