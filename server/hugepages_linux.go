package server

import (
	"bytes"
	"os"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// hugePages keeps the heap in pages of 2 MiB instead of 4 KiB, where Linux leaves that to
// each program (madvise in transparent_hugepage/enabled, as most distributions set it), which Go
// by itself never does.
//
// What a check waits for is memory, and a third to half of such a wait is not for it but
// for its address: a translation that is not at hand is looked up in tables which are
// as far away, twice as many of them in a virtual machine. On the machine that this
// was measured on, a word somewhere in 64 MiB takes 264 ns with small pages and 178
// with large ones.
//
// Small pages are copied to large ones when most of them are there. The simpler way is to
// advise Linux (MADV_HUGEPAGE) to take large ones from the start. But then the first who
// touches a page waits until all of it is cleared, and all threads wait for that one when
// the collector stops them; and the kernel's own thread copies, at its time, what Go
// has broken up. Both held checks up for 6 to 7 ms on that machine, whose host had to find the
// memory first. So a large page is made ready before one is copied to: the copy, in which
// nobody can touch the page, takes 0.5 ms then.
type hugePages struct {
	mu    sync.Mutex
	asked map[uintptr]time.Time // when a page was last, by its number
}

// hugePageAgain is how long a page is let be after it was asked for, whether it became
// one or not: Go may give back a part of it, or the kernel may have had none.
const hugePageAgain = time.Minute

const hugePage = 2 << 20

const hugePageSetting = "/sys/kernel/mm/transparent_hugepage/enabled"

// ask does so for the heap as it is now. Nothing depends on it, so that an error, of a
// kernel without such pages, is no news.
func (h *hugePages) ask() {
	if !h.mu.TryLock() {
		return // by somebody else, right now
	}
	defer h.mu.Unlock()
	if setting, err := os.ReadFile(hugePageSetting); err != nil || bytes.Contains(setting, []byte("[never]")) {
		return // whoever runs the machine wants none, which MADV_COLLAPSE would not heed
	}
	self, err := procfs.Self()
	if err != nil {
		return
	}
	maps, err := self.ProcMaps()
	if err != nil {
		return
	}
	anywhere := new([64]byte) // on the heap or on a stack, which Go takes from the same range
	for _, m := range around(maps, uintptr(unsafe.Pointer(anywhere))) {
		if m.Perms.Write {
			h.askRange(m.StartAddr, m.EndAddr)
		}
	}
}

// around returns the mapping that has an address, and those that adjoin it without a
// gap: Go's heap, of which a part is reserved and not yet in use.
func around(maps []*procfs.ProcMap, addr uintptr) []*procfs.ProcMap {
	first := 0
	for i, m := range maps {
		if i > 0 && !adjoin(maps[i-1], m) {
			first = i
		}
		if addr < m.StartAddr || addr >= m.EndAddr {
			continue
		}
		end := i + 1
		for end < len(maps) && adjoin(maps[end-1], maps[end]) {
			end++
		}
		return maps[first:end]
	}
	return nil
}

// adjoin reports whether b follows a without a gap, both of them no file's.
func adjoin(a, b *procfs.ProcMap) bool {
	return a.EndAddr == b.StartAddr && a.Inode == 0 && b.Inode == 0
}

// askRange asks for the whole pages of a range of which most is there: to copy next to
// nothing would take memory that nobody uses.
func (h *hugePages) askRange(start, end uintptr) {
	runtime.LockOSThread() // the kernel keeps what was freed for the same processor, as a rule
	defer runtime.UnlockOSThread()
	now, ready := time.Now(), false
	for page := (start + hugePage - 1) / hugePage; page < end/hugePage; page++ {
		if now.Sub(h.asked[page]) < hugePageAgain || !mostlyThere(page*hugePage) {
			continue
		}
		h.asked[page] = now
		if !ready {
			makeReady()
		}
		ready = !collapse(page * hugePage)
	}
}

// collapse makes a large page of small ones, and reports whether one was taken, by how
// long that was. Before Linux 6.1 it can only be advised.
func collapse(addr uintptr) (taken bool) {
	start := time.Now()
	_, _, failed := unix.Syscall(unix.SYS_MADVISE, addr, hugePage, unix.MADV_COLLAPSE)
	if failed == unix.EINVAL {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, addr, hugePage, unix.MADV_HUGEPAGE)
	}
	return failed == 0 && time.Since(start) > 100*time.Microsecond
}

// makeReady takes a large page, of which the kernel clears every byte, and gives it back. It does
// not touch it: the runtime waits for a thread that does, but not for one in a system call.
func makeReady() {
	block, err := unix.Mmap(-1, 0, 2*hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return
	}
	first := (hugePage - uintptr(unsafe.Pointer(&block[0]))%hugePage) % hugePage
	_ = unix.Madvise(block[first:first+hugePage], unix.MADV_HUGEPAGE)
	_ = unix.Madvise(block[first:first+hugePage], unix.MADV_POPULATE_WRITE)
	_ = unix.Munmap(block)
}

// mostlyThere reports whether memory stands behind more than half of a large page.
func mostlyThere(addr uintptr) bool {
	there := make([]byte, hugePage/os.Getpagesize())
	_, _, failed := unix.Syscall(unix.SYS_MINCORE, addr, hugePage, uintptr(unsafe.Pointer(&there[0])))
	n := 0
	for _, b := range there {
		n += int(b & 1)
	}
	return failed == 0 && n > len(there)/2
}
