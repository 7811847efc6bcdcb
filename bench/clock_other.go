//go:build !linux

package bench

import "time"

// A pacer waits for points in time. What the runtime's timers are late counts as
// latency.
type pacer struct{ timer *time.Timer }

func newPacer() pacer { return pacer{time.NewTimer(0)} }

func (p pacer) close() { p.timer.Stop() }

// until returns at t, or at once if that has passed.
func (p pacer) until(t time.Time) {
	p.timer.Reset(time.Until(t))
	<-p.timer.C
}

// A stopwatch measures how long something takes.
type stopwatch struct{ start time.Time }

func startWatch() stopwatch { return stopwatch{time.Now()} }

func (w stopwatch) elapsed() time.Duration { return time.Since(w.start) }

func (w stopwatch) stop() {}
