package localdb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// guard is the shell that starts a server and outlives this process by as long
// as it takes to end it. Its arguments are the signal that ends the server, the
// folder to remove, the log, and the server's own command.
//
// Descriptor 3 is the write end of a pipe that only the server keeps open, so
// that its end is that of the server with all its children. A line on standard
// input means that the server has ended and its folder is to stay; the end of
// the input, that nobody is left who needs either. SIGCONT goes along because a
// stopped server would not notice any other signal.
const guard = `
signal=$1 folder=$2 log=$3
shift 3
"$@" </dev/null >>"$log" 2>&1 &
server=$!
exec 3>&-
echo $server
exec >/dev/null 2>&1
if read -r _; then
	wait $server
	exit 0
fi
kill -s "$signal" $server
kill -s CONT $server
( sleep 10; kill -s KILL $server ) &
wait $server
kill $!
rm -rf "$folder"
`

// A process is one run of a server.
type process struct {
	pid   int
	shell *exec.Cmd
	hold  io.WriteCloser // closing it ends the server
	ended chan struct{}  // closed when the server and all its children have ended
}

// A command says how a server is run.
type command struct {
	args   []string
	env    []string // on top of this process's
	folder string   // removed when the server is stopped
	log    string   // a file; appended to
	signal string   // ends the server
	as     *syscall.Credential
}

func (c command) start() (*process, error) {
	alive, keep, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer keep.Close()
	shell := exec.Command("/bin/sh", append([]string{"-c", guard, "sh", c.signal, c.folder, c.log}, c.args...)...)
	shell.Dir = c.folder
	shell.Env = append(os.Environ(), c.env...)
	shell.ExtraFiles = []*os.File{keep}
	// A session of its own, so that a ^C for this process does not reach it.
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.as}
	hold, err := shell.StdinPipe()
	if err != nil {
		alive.Close()
		return nil, err
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		alive.Close()
		return nil, err
	}
	if err := shell.Start(); err != nil {
		alive.Close()
		return nil, err
	}
	p := &process{shell: shell, hold: hold, ended: make(chan struct{})}
	go func() {
		io.Copy(io.Discard, alive)
		alive.Close()
		close(p.ended)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		p.pid, err = strconv.Atoi(strings.TrimSpace(line))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the shell that starts %s said %q: %w", c.args[0], line, err), p.stop())
	}
	return p, nil
}

// stop ends the server and removes its folder.
func (p *process) stop() error {
	p.hold.Close()
	if err := p.shell.Wait(); err != nil {
		return fmt.Errorf("the shell that ends the server: %w", err)
	}
	return nil
}

// release lets go of a server that has ended; its folder stays.
func (p *process) release() error {
	_, err := io.WriteString(p.hold, "\n")
	return errors.Join(err, p.stop())
}

// runs reports whether the server runs, or one of its children does.
func (p *process) runs() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// kill ends the server and its children as a power failure does, and waits
// until all of them are gone. One that has ended may be killed again.
func (p *process) kill(ctx context.Context) error {
	if p.runs() {
		if err := p.signalAll(syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// signalAll sends a signal to the server and to all its children. The server is
// stopped meanwhile: it makes no further children, and keeps those that it has.
func (p *process) signalAll(s syscall.Signal) error {
	if !p.runs() {
		return errs.New(errs.Refused, "the server does not run")
	}
	if err := syscall.Kill(p.pid, syscall.SIGSTOP); err != nil {
		return err
	}
	sent := map[int]bool{}
	for {
		children, err := childrenOf(p.pid)
		if err != nil {
			return err
		}
		before := len(sent)
		for _, child := range children {
			if sent[child] {
				continue
			}
			sent[child] = true
			if err := syscall.Kill(child, s); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
		if len(sent) == before {
			return syscall.Kill(p.pid, s)
		}
	}
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) ([]int, error) {
	out, err := processTable()
	if err != nil {
		return nil, err
	}
	var children []int
	for line := range strings.Lines(out) {
		var child, parent int
		if _, err := fmt.Sscan(line, &child, &parent); err == nil && parent == pid {
			children = append(children, child)
		}
	}
	return children, nil
}

// processTable lists all processes, one a line: its number, its parent's. It asks
// the system's files where there are any, since small systems have no ps.
func processTable() (string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil || len(entries) == 0 {
		out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
		return string(out), err
	}
	var table strings.Builder
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent ...; the name may hold anything.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		if fields := strings.Fields(rest); len(fields) > 1 {
			fmt.Fprintln(&table, entry.Name(), fields[1])
		}
	}
	return table.String(), nil
}

// until asks again and again until done says so or fails, the server ends, or
// the context does.
func (p *process) until(ctx context.Context, done func(context.Context) (bool, error)) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if ok, err := done(ctx); ok || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-p.ended:
			return errors.New("the server ended while it began")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
