package main

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	tests := []struct {
		in   string
		want stat
		bad  bool
	}{
		{"7 (postgres) S 3 7 7 0 -1 4194560 100 0 0 0 150 50 20 5 20 0 1 0 100 1 1", stat{3, 2 * time.Second, 250 * time.Millisecond}, false},
		{"7 (a) S 9 (b) R 3 7 7 0 -1 4194560 100 0 0 0 1 2 0 0 20 0", stat{3, 30 * time.Millisecond, 0}, false},
		{"7 (short) S 3", stat{}, true},
		{"", stat{}, true},
	}
	for _, tt := range tests {
		got, err := parseStat(tt.in)
		if (err != nil) != tt.bad || got != tt.want {
			t.Errorf("%q: %+v, %v, want %+v", tt.in, got, err, tt.want)
		}
	}
}

// TestFamilyTime: the time of a child counts while it runs and after it has ended.
func TestFamilyTime(t *testing.T) {
	const burn = `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; `
	cmd := exec.Command("/bin/sh", "-c", "("+burn+"); echo ended; read -r _")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	family, err := familyTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	parent, err := readStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if family == 0 || family < parent.reaped || parent.reaped == 0 {
		t.Errorf("the family took %s, of which the child that has ended took %s", family, parent.reaped)
	}
	if self, err := readStat(os.Getpid()); err != nil || cmd.Process.Pid == 0 || parent.parent != os.Getpid() {
		t.Errorf("the parent is %d, want %d (%+v, %v)", parent.parent, os.Getpid(), self, err)
	}
	in.Close()
	if err := cmd.Wait(); err == nil {
		t.Log("read returned 0")
	}
}

func TestUsage(t *testing.T) {
	u := usage{server: 3, database: 4, self: 5, machine: 20}.minus(usage{1, 1, 1, 1})
	if want := (usage{2, 3, 4, 19}); u != want {
		t.Errorf("got %+v, want %+v", u, want)
	}
	if got := u.others(); got != 10 {
		t.Errorf("others took %d, want 10", got)
	}
	if got := (usage{server: 9, machine: 8}).others(); got != 0 {
		t.Errorf("others took %d, want 0: clocks are coarse", got)
	}
}
