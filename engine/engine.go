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

	// current is what questions are answered at. It is replaced by publish only.
	current    atomic.Pointer[state]
	configured atomic.Pointer[model] // set if the model does not come from the store

	mu struct {
		sync.Mutex
		past []*state // the newest last, without the current one
	}
	exact struct {
		sync.Mutex
		last *state // made for a question at an exact revision
	}
}

// New loads all tuples of the store and follows its log until Close.
func New(ctx context.Context, s Store, o Options) (*Engine, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	e := &Engine{store: s, options: o.withDefaults()}
	head, err := s.Head(ctx)
	if err != nil {
		return nil, err
	}
	first, err := e.load(ctx, head)
	if err != nil {
		return nil, err
	}
	e.current.Store(first)
	e.follower = follow(e.catchUp, e.options.Poll)
	return e, nil
}

// Close stops following the log. It does not close the store.
func (e *Engine) Close() error {
	e.follower.close()
	return nil
}

// catchUp moves the current state to the store's head.
func (e *Engine) catchUp(ctx context.Context) error {
	e.counters.rounds.Add(1)
	head, err := e.store.Head(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.current.Load()
	if now.revision == head {
		return nil
	}
	next, err := e.advance(ctx, now, head, now.snap.Build())
	if errs.KindOf(err) == errs.Expired {
		next, err = e.load(ctx, head) // too far behind: start anew
	}
	if err != nil {
		return err
	}
	e.publish(next)
	return nil
}

// publish makes next the current state. e.mu is held. A state that differs from
// the one before in nothing but its revision takes its place.
func (e *Engine) publish(next *state) {
	if now := e.current.Load(); now.snap != next.snap || now.program != next.program {
		e.mu.past = append(e.mu.past, now)
	}
	if over := len(e.mu.past) - e.options.KeepStates; over > 0 {
		clear(e.mu.past[:over])
		e.mu.past = e.mu.past[over:]
	}
	e.current.Store(next)
}

// at chooses the state for a question.
func (e *Engine) at(ctx context.Context, c Consistency) (*state, error) {
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
		return e.current.Load(), nil
	case FullyConsistent:
		if err := e.sync(ctx); err != nil {
			return nil, err
		}
		return e.current.Load(), nil
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
	now := e.current.Load()
	covered, err := e.store.Covers(now.revision, need)
	if err != nil || covered {
		return now, err
	}
	if err := e.sync(ctx); err != nil {
		return nil, err
	}
	now = e.current.Load()
	if covered, err = e.store.Covers(now.revision, need); err == nil && !covered {
		err = errs.New(errs.Invalid, "snaptoken lies ahead of this store, which was perhaps restored from a backup")
	}
	return now, err
}

// atExactly returns the state at one revision: a past one that is still here, or
// one made from the nearest past one and the log, or else read from the store.
func (e *Engine) atExactly(ctx context.Context, need Revision) (*state, error) {
	if _, err := e.atLeast(ctx, need); err != nil {
		return nil, err
	}
	e.exact.Lock()
	defer e.exact.Unlock()
	nearest := e.nearest(need)
	if nearest != nil && nearest.revision == need {
		return nearest, nil
	}
	var made *state
	var err error
	if nearest == nil {
		made, err = e.load(ctx, need)
	} else {
		made, err = e.advance(ctx, nearest, need, nearest.snap.Fork().Build())
	}
	if err != nil {
		return nil, err
	}
	e.exact.last = made
	return made, nil
}

// nearest returns the newest state in memory that need covers, nil if there is
// none. e.exact is held.
func (e *Engine) nearest(need Revision) *state {
	e.mu.Lock()
	defer e.mu.Unlock()
	if last := e.exact.last; last != nil && last.revision == need {
		return last
	}
	if now := e.current.Load(); now.revision == need {
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
	s, err := e.at(ctx, Consistency{Mode: FullyConsistent})
	if err != nil {
		return "", err
	}
	return s.token, nil
}

// Ready returns why the engine cannot answer with full consistency at present.
func (e *Engine) Ready(ctx context.Context) error {
	if err := e.store.Ping(ctx); err != nil {
		return err
	}
	return e.follower.lastError()
}
