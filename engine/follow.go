package engine

import (
	"context"
	"sync"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A follower runs rounds: each reads the tail of the store's log and moves the
// engine's state to its head. Whoever needs a fresh state waits for the next
// round to start and end, never for one that is under way, since that one may
// have read the head before the write that must be seen. So however many wait,
// one round serves them all, and at most two rounds are needed.
//
// A round also runs when the store hints that somebody wrote, and by the clock,
// since hints may be lost: soon after a round that found something, and later
// and later, up to the poll interval, while nothing happens.
type follower struct {
	round func(context.Context) (found bool, err error)
	hints <-chan struct{}
	poll  time.Duration
	wake  chan struct{}
	done  chan struct{}
	stop  context.CancelFunc

	full chan struct{} // receives when the crowd is there, see gather
	took time.Duration // by a round, an average over the last ones; run's own

	mu struct {
		sync.Mutex
		next  *round
		last  error // of the newest round, nil if it succeeded
		crowd int   // who was served by the last round, or waited when it ended
	}
}

type round struct {
	done    chan struct{}
	err     error
	waiters int // guarded by follower.mu
}

const (
	// firstPoll is how soon the clock asks again after a round that found
	// something.
	firstPoll = 20 * time.Millisecond
	// hintGap is how far apart rounds are that only hints ask for, so that a busy
	// writer elsewhere costs this node no more than a hundred small reads a second.
	hintGap = 10 * time.Millisecond
	// A round waits for those whom the last one served, who probably ask again.
	// Without that callers fall into two parties, each of which waits for the other
	// one's round to end, and the store is asked twice as often. It waits for as long
	// as four rounds take, within these bounds: the slower the database, or the busier
	// the machine, the later callers are back, and the more a round costs. With 16
	// callers over gRPC beside PostgreSQL, two rounds were 0.093 of them for a check
	// and 0.051 ms of processor time, database included; four were 0.065 and 0.047, and
	// answers took as long, since most waits end when the last one is back.
	minGather = 250 * time.Microsecond
	maxGather = time.Millisecond
)

func newRound() *round { return &round{done: make(chan struct{})} }

// follow starts a follower.
func follow(one func(context.Context) (bool, error), hints <-chan struct{}, poll time.Duration) *follower {
	ctx, stop := context.WithCancel(context.Background())
	f := &follower{round: one, hints: hints, poll: poll, wake: make(chan struct{}, 1), full: make(chan struct{}, 1), done: make(chan struct{}), stop: stop}
	f.mu.next = newRound()
	go f.run(ctx)
	return f
}

func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	wait := f.poll
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-f.wake:
			f.gather(ctx, timer)
		case <-f.hints:
			f.hold(ctx, timer)
		}
		if f.one(ctx) {
			wait = min(firstPoll, f.poll)
		} else {
			wait = min(2*wait, f.poll)
		}
		timer.Reset(wait)
	}
}

// hold waits hintGap, unless somebody waits for a round.
func (f *follower) hold(ctx context.Context, timer *time.Timer) {
	timer.Reset(hintGap)
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-f.wake:
	}
}

// gather waits until as many wait as lately did, but not for long.
func (f *follower) gather(ctx context.Context, timer *time.Timer) {
	select {
	case <-f.full: // of an earlier round
	default:
	}
	f.mu.Lock()
	there := f.mu.next.waiters >= f.mu.crowd
	f.mu.Unlock()
	if there {
		return
	}
	timer.Reset(min(max(4*f.took, minGather), maxGather))
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-f.full:
	}
}

// one runs a round for all who joined it, and reports whether it found anything.
func (f *follower) one(ctx context.Context) bool {
	f.mu.Lock()
	r := f.mu.next
	f.mu.next = newRound()
	f.mu.Unlock()
	var found bool
	start := time.Now()
	found, r.err = f.safely(ctx)
	f.took += (time.Since(start) - f.took) / 4
	f.mu.Lock()
	f.mu.last = r.err
	f.mu.crowd = r.waiters + f.mu.next.waiters
	f.mu.Unlock()
	close(r.done)
	return found
}

// safely runs a round; a panic becomes its error, so that a bug met while
// following does not end the process.
func (f *follower) safely(ctx context.Context) (found bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errs.New(errs.Internal, "panic while following the log: %v", p)
		}
	}()
	if ctx.Err() != nil {
		return false, errs.New(errs.Unavailable, "the server is shutting down")
	}
	return f.round(ctx)
}

// sync returns after a round that started after sync was called.
func (f *follower) sync(ctx context.Context) error {
	f.mu.Lock()
	r := f.mu.next
	r.waiters++
	full := r.waiters == f.mu.crowd
	f.mu.Unlock()
	poke(f.wake)
	if full {
		poke(f.full)
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

// poke sends if nothing is on its way yet.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
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
