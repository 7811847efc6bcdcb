package bench

import (
	"runtime"
	"syscall"
	"time"
)

// A pacer waits for points in time. The runtime's timers may be a millisecond late
// when nothing else goes on, which would count as latency, so it has a thread of its
// own, which the system wakes within some 50 microseconds.
type pacer struct{}

func newPacer() pacer {
	runtime.LockOSThread()
	return pacer{}
}

func (pacer) close() { runtime.UnlockOSThread() }

// until returns at t, or at once if that has passed. A signal may end the wait
// early, so it goes on until then.
func (pacer) until(t time.Time) {
	for left := time.Until(t); left > 0; left = time.Until(t) {
		spec := syscall.NsecToTimespec(left.Nanoseconds())
		_ = syscall.Nanosleep(&spec, nil) // interrupted: the loop goes on
	}
}
