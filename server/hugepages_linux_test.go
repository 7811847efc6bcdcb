package server

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/prometheus/procfs"
)

// TestHugePages: the kernel was asked for what the heap has, of which that is a part
// which was in use before, and not for other memory.
func TestHugePages(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("this kernel has no large pages")
	}
	block := make([]byte, 3*hugePage)
	for i := range block {
		block[i] = 1
	}
	h := hugePages{tries: map[uintptr]int{}}
	for range hugePageTries + 1 {
		h.ask()
	}
	middle := uintptr(unsafe.Pointer(&block[len(block)/2]))
	if n := h.tries[middle/hugePage]; n != hugePageTries {
		t.Errorf("the page of the block was asked for %d times, want %d", n, hugePageTries)
	}
	if flags := flagsOf(t, middle); !slices.Contains(flags, "hg") {
		t.Errorf("the flags of the heap's memory are %q, want hg among them", flags)
	}
	for page := range h.tries {
		if flags := flagsOf(t, page*hugePage); !slices.Contains(flags, "wr") {
			t.Errorf("%x was asked for, whose flags are %q", page*hugePage, flags)
		}
	}
	runtime.KeepAlive(block)
}

// flagsOf returns the flags of the mapping with an address, those of man proc_pid_smaps.
func flagsOf(t *testing.T, addr uintptr) []string {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var start, end uintptr
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x ", &start, &end); err == nil {
			inside = start <= addr && addr < end
		}
		if flags, ok := strings.CutPrefix(lines.Text(), "VmFlags:"); ok && inside {
			return strings.Fields(flags)
		}
	}
	return nil
}

// TestAround: of all mappings, those that adjoin the one with the address.
func TestAround(t *testing.T) {
	maps := []*procfs.ProcMap{
		{StartAddr: 10, EndAddr: 20, Inode: 7},
		{StartAddr: 20, EndAddr: 30}, // adjoins a file
		{StartAddr: 40, EndAddr: 50},
		{StartAddr: 50, EndAddr: 60},
		{StartAddr: 60, EndAddr: 70},
		{StartAddr: 80, EndAddr: 90},
	}
	for addr, want := range map[uintptr][2]int{25: {1, 2}, 40: {2, 5}, 55: {2, 5}, 69: {2, 5}, 80: {5, 6}} {
		if got := around(maps, addr); !slices.Equal(got, maps[want[0]:want[1]]) {
			t.Errorf("around %d are %d mappings from %d on, want %v", addr, len(got), got[0].StartAddr, want)
		}
	}
	if got := around(maps, 75); got != nil {
		t.Errorf("nothing has 75, got %v", got)
	}
}
