package engine

import (
	"context"
	"sync"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A follower runs rounds: each asks the store for its head and moves the
// engine's state there. Whoever needs a fresh state waits for the next round to
// start and end, never for one that is under way, since that one may have read
// the head before the write that must be seen. So however many wait, one round
// serves them all, and at most two rounds are needed.
type follower struct {
	round func(context.Context) error
	wake  chan struct{}
	done  chan struct{}
	stop  context.CancelFunc

	mu struct {
		sync.Mutex
		next *round
		last error // of the newest round, nil if it succeeded
	}
}

type round struct {
	done chan struct{}
	err  error
}

func newRound() *round { return &round{done: make(chan struct{})} }

// follow starts a follower, which also runs a round every poll interval.
func follow(one func(context.Context) error, poll time.Duration) *follower {
	ctx, stop := context.WithCancel(context.Background())
	f := &follower{round: one, wake: make(chan struct{}, 1), done: make(chan struct{}), stop: stop}
	f.mu.next = newRound()
	go f.run(ctx, poll)
	return f
}

func (f *follower) run(ctx context.Context, poll time.Duration) {
	defer close(f.done)
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-f.wake:
		}
		f.mu.Lock()
		r := f.mu.next
		f.mu.next = newRound()
		f.mu.Unlock()
		r.err = f.safely(ctx)
		f.mu.Lock()
		f.mu.last = r.err
		f.mu.Unlock()
		close(r.done)
	}
}

// safely runs a round; a panic becomes its error, so that a bug met while
// following does not end the process.
func (f *follower) safely(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errs.New(errs.Internal, "panic while following the log: %v", p)
		}
	}()
	if ctx.Err() != nil {
		return errs.New(errs.Unavailable, "the server is shutting down")
	}
	return f.round(ctx)
}

// sync returns after a round that started after sync was called.
func (f *follower) sync(ctx context.Context) error {
	f.mu.Lock()
	r := f.mu.next
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	case <-f.done:
		return errs.New(errs.Unavailable, "the server is shutting down")
	}
}

func (f *follower) lastError() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.last
}

func (f *follower) close() {
	f.stop()
	<-f.done
}
