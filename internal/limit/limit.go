// Package limit says how often something may be tried: a number of times at once, and
// then at a steady rate. It keeps two maps of a bounded size, so that nobody can fill
// the memory with keys; whoever overflows them makes old debts be forgotten.
package limit

import (
	"sync"
	"time"
)

// A Limiter counts tries by key. Its methods may be called from many goroutines at
// once.
type Limiter struct {
	every time.Duration // one try is forgiven each
	burst time.Duration // tries at once, as the time in which they are forgiven
	size  int
	now   func() time.Time

	mu       sync.Mutex
	new, old map[string]time.Time // when all tries of the key are forgiven
}

// New returns a limiter that allows burst tries of a key at once, and one more each
// every. It keeps at most 2*size keys. A nil now is time.Now.
func New(burst int, every time.Duration, size int, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	return &Limiter{every: every, burst: time.Duration(burst) * every, size: size, now: now, new: map[string]time.Time{}}
}

// Wait returns how long it takes until a key may try again; 0: now.
func (l *Limiter) Wait(key string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	return max(0, l.debt(key, now).Add(l.every).Sub(now)-l.burst)
}

// Count notes a try, allowed or not.
func (l *Limiter) Count(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.put(key, l.debt(key, now).Add(l.every))
}

// Try notes a try if it is allowed, and returns how long to wait if it is not.
func (l *Limiter) Try(key string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	free := l.debt(key, now).Add(l.every)
	if wait := free.Sub(now) - l.burst; wait > 0 {
		return wait
	}
	l.put(key, free)
	return 0
}

// Forget forgives all tries of a key.
func (l *Limiter) Forget(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.new, key)
	delete(l.old, key)
}

// debt is when the tries of a key are forgiven, at least now. It cannot lie more than
// a burst and a try ahead of a key that only counts, so counting does not lock out for
// longer.
func (l *Limiter) debt(key string, now time.Time) time.Time {
	at, ok := l.new[key]
	if !ok {
		at = l.old[key]
	}
	if at.Before(now) {
		return now
	}
	if most := now.Add(l.burst); at.After(most) {
		return most
	}
	return at
}

func (l *Limiter) put(key string, at time.Time) {
	if len(l.new) >= l.size {
		l.old, l.new = l.new, make(map[string]time.Time, l.size)
	}
	l.new[key] = at
}
