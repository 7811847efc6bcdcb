package server

import (
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
	"testing"
	"time"
)

func TestGrowth(t *testing.T) {
	for live, want := range map[uint64]int{0: 1600, 1 << 20: 1600, 64 << 20: 100, 128 << 20: 50, 1 << 30: 25, 100 << 30: 25} {
		if got := growth(live); got != want {
			t.Errorf("%d bytes may grow by %d %%, want %d", live, got, want)
		}
	}
}

// TestTendHeap: the percentage follows the heap, cycle by cycle, and is put back.
func TestTendHeap(t *testing.T) {
	t.Setenv("GOGC", "") // restores it; unset as far as TendHeap is concerned
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	stop := TendHeap()
	percent := func() int { // without a change to it, which the pacer would not know of
		sample := []runtimemetrics.Sample{{Name: "/gc/gogc:percent"}}
		runtimemetrics.Read(sample)
		return int(sample[0].Value.Uint64())
	}
	for _, size := range []int{512 << 20, 0, 256 << 20} {
		ballast := make([]byte, size)
		want := growth(uint64(size))
		deadline := time.Now().Add(20 * time.Second)
		for got := 0; ; got = percent() {
			if near := want / 3; got > want-near && got < want+near {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("with %d bytes the heap may grow by %d %%, want about %d", size, percent(), want)
			}
			runtime.GC()
		}
		runtime.KeepAlive(ballast)
	}
	stop()
	if got := percent(); got != 100 {
		t.Errorf("afterwards it is %d", got)
	}
	t.Setenv("GOGC", "50")
	debug.SetGCPercent(50)
	defer TendHeap()()
	if got := percent(); got != 50 {
		t.Errorf("GOGC=50 became %d", got)
	}
}
