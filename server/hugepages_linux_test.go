package server

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/prometheus/procfs"
)

// TestHugePages: what the heap has is asked for, once a minute, and no other memory.
func TestHugePages(t *testing.T) {
	if setting, err := os.ReadFile(hugePageSetting); err != nil || strings.Contains(string(setting), "[never]") {
		t.Skip("this machine has no large pages")
	}
	block := make([]byte, 3*hugePage)
	for i := range block {
		block[i] = 1
	}
	h := hugePages{asked: map[uintptr]time.Time{}}
	h.ask()
	middle := uintptr(unsafe.Pointer(&block[len(block)/2])) / hugePage
	first := h.asked[middle]
	if first.IsZero() {
		t.Fatal("the page of the block was not asked for")
	}
	if h.ask(); h.asked[middle] != first {
		t.Error("a page was asked for again at once")
	}
	long := first.Add(-hugePageAgain)
	h.asked[middle] = long
	if h.ask(); h.asked[middle] == long {
		t.Error("a page was not asked for again after a minute")
	}
	for page := range h.asked {
		if flags := flagsOf(t, page*hugePage); !slices.Contains(flags, "wr") {
			t.Errorf("%x was asked for, whose flags are %q", page*hugePage, flags)
		}
	}
	for i := range block { // copied whole
		if block[i] != 1 {
			t.Fatalf("byte %d is %d", i, block[i])
		}
	}
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
