package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc. The kernel's interface has it at 100 a second
// on every machine, whatever its own clock does.
const tick = 10 * time.Millisecond

// A usage is processor time since some start: of the server, of PostgreSQL with all
// its children, of this process, and of the machine altogether.
type usage struct{ server, database, self, machine time.Duration }

func (u usage) minus(v usage) usage {
	return usage{u.server - v.server, u.database - v.database, u.self - v.self, u.machine - v.machine}
}

// others is the time of processes that have nothing to do with the run.
func (u usage) others() time.Duration { return max(0, u.machine-u.server-u.database-u.self) }

// usageOf reads the times of now.
func usageOf(server, postmaster int) (usage, error) {
	var u usage
	var err error
	if u.server, err = familyTime(server); err != nil {
		return u, err
	}
	if u.database, err = familyTime(postmaster); err != nil {
		return u, err
	}
	self, err := readStat(os.Getpid()) // whose children are the others
	if err != nil {
		return u, err
	}
	u.self = self.own
	u.machine, err = machineTime()
	return u, err
}

// familyTime is the time of a process and its children, those included that have
// ended.
func familyTime(pid int) (time.Duration, error) {
	for {
		before, err := readStat(pid)
		if err != nil {
			return 0, err
		}
		children, err := childrenOf(pid)
		if err != nil {
			return 0, err
		}
		sum := before.own + before.reaped
		for _, c := range children {
			sum += c.own + c.reaped
		}
		// A child that ended meanwhile was counted twice or not at all.
		after, err := readStat(pid)
		if err != nil || after.reaped == before.reaped {
			return sum, err
		}
	}
}

// A stat is what /proc says of a process.
type stat struct {
	parent      int
	own, reaped time.Duration // of the process, and of its children that have ended
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(text))
}

// parseStat reads "pid (name) state parent ...". The name may hold anything.
func parseStat(text string) (stat, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const parent, utime, stime, cutime, cstime = 1, 11, 12, 13, 14 // state is 0
	if len(fields) <= cstime {
		return stat{}, fmt.Errorf("%q is no line of /proc/PID/stat", text)
	}
	n := func(i int) int64 {
		v, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0 // the kernel writes numbers
		}
		return v
	}
	return stat{
		parent: int(n(parent)),
		own:    time.Duration(n(utime)+n(stime)) * tick,
		reaped: time.Duration(n(cutime)+n(cstime)) * tick,
	}, nil
}

func childrenOf(pid int) ([]stat, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var list []stat
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // it has ended
		}
		if s, err := parseStat(string(text)); err == nil && s.parent == pid {
			list = append(list, s)
		}
	}
	return list, nil
}

// machineTime is how long the processors of this machine were not idle.
func machineTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line) // cpu user nice system idle iowait irq softirq steal
	if len(fields) < 9 {
		return 0, fmt.Errorf("%q is no line of /proc/stat", line)
	}
	var sum time.Duration
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}

// residentMiB is how much memory a process has now.
func residentMiB(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib >> 10, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no VmRSS", pid)
}
