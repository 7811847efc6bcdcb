package bench

import (
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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

// A stopwatch measures the processor time of its goroutine's thread, so that what
// else the machine does meanwhile counts little. On a machine that does nothing else
// it shows the same as a clock.
type stopwatch struct{ start time.Duration }

// startWatch begins to measure, until stop.
func startWatch() stopwatch {
	runtime.LockOSThread()
	return stopwatch{threadTime()}
}

func (w stopwatch) elapsed() time.Duration { return threadTime() - w.start }

func (w stopwatch) stop() { runtime.UnlockOSThread() }

func threadTime() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // fails for clocks that there are not
	return time.Duration(t.Nano())
}
