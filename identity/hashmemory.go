package identity

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/cardea-iam/cardea/internal/errs"
)

// A hashMemory bounds the memory that hashes take at the same time. What a hash took
// counts until the garbage collector has found it: hashes take some 64 MiB each, and
// those that are done would else come on top of those that are made.
type hashMemory struct {
	free    *semaphore.Weighted // KiB
	waiting atomic.Int64        // hashes that wait for memory
	running atomic.Int64        // hashes
	done    atomic.Int64        // hashes whose memory was not found yet
	made    atomic.Int64        // hashes, ever

	collecting sync.Mutex
}

func newHashMemory(total int64) *hashMemory {
	return &hashMemory{free: semaphore.NewWeighted(total)}
}

// A busyError says that there was no memory for a hash in time. It has the kind Unavailable.
type busyError struct{ err error }

func (e *busyError) Error() string { return textBusy.Text }

// Unwrap gives the error its kind.
func (e *busyError) Unwrap() error { return errs.Wrap(errs.Unavailable, e.err, "%s", e.Error()) }

// turn waits for memory, in KiB, and hashes.
//
// Unavailable: too many are being hashed.
func (h *hasher) turn(ctx context.Context, memory uint32, hash func()) error {
	waiting, cancel := context.WithTimeout(ctx, h.options.MaxWait)
	defer cancel()
	need := min(int64(memory), h.total) // one that is larger than all has it alone
	if err := h.memory.take(waiting, need); err != nil {
		return &busyError{err}
	}
	defer h.memory.leave(need)
	h.memory.made.Add(1)
	hash()
	return nil
}

// take waits for memory. If nothing runs that would, it sees to it that some is found.
func (m *hashMemory) take(ctx context.Context, need int64) error {
	if !m.free.TryAcquire(need) {
		m.waiting.Add(1)
		defer m.waiting.Add(-1)
		if m.running.Load() == 0 {
			m.collect()
		}
		if err := m.free.Acquire(ctx, need); err != nil {
			return err
		}
	}
	m.running.Add(1)
	return nil
}

// leave says that a hash is done. Its memory is found together with left.
func (m *hashMemory) leave(need int64) {
	left := &struct{ next *hashMemory }{m} // with a pointer, since small objects without share their fate
	runtime.AddCleanup(left, func(need int64) {
		m.done.Add(-1)
		m.free.Release(need)
	}, need)
	m.done.Add(1)
	m.running.Add(-1)
	if m.waiting.Load() > 0 {
		m.collect()
	}
}

// collect finds the memory of hashes that were done before it was called.
func (m *hashMemory) collect() {
	m.collecting.Lock()
	defer m.collecting.Unlock()
	if m.done.Load() > 0 {
		runtime.GC()
	}
}
