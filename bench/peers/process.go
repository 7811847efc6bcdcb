package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

const (
	// startTime bounds how long an engine may take until it serves.
	startTime = time.Minute
	// stopTime bounds how long it may take to end before it is killed.
	stopTime = 15 * time.Second
)

// A process is a server that runs. It ends with this process, however that ends.
type process struct {
	cmd   *exec.Cmd
	log   string        // path of what it says
	ended chan struct{} // closed when it has ended
}

func startProcess(log string, env []string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{cmd: exec.Command(args[0], args[1:]...), log: log, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = out, out, append(os.Environ(), env...)
	// A group of its own, so that ^C reaches this process alone, which then ends it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go func() {
		// Pdeathsig comes when the thread ends that started the process, so it has to
		// be a thread that lasts.
		runtime.LockOSThread()
		defer close(p.ended)
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended does not matter: its log says why
		}
	}()
	return p, <-started
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process and waits for that.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(stopTime):
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.ended
	return nil
}

// tail returns the end of what the process said.
func tail(log string) string {
	text, _ := os.ReadFile(log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// A starter takes the steps that start an engine. After one that fails the others
// do nothing, and err says why.
type starter struct {
	ctx context.Context
	at  site
	env []string
	err error

	commands [][]string
	process  *process
	conns    []*grpc.ClientConn
}

func (s *starter) log() string { return filepath.Join(s.at.folder, "log") }

// run runs the engine's program to its end.
func (s *starter) run(args ...string) {
	if s.err != nil {
		return
	}
	s.commands = append(s.commands, args)
	cmd := exec.CommandContext(s.ctx, s.at.binary, args...)
	cmd.Env = append(os.Environ(), s.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.err = fmt.Errorf("%s %s: %w: %s", filepath.Base(s.at.binary), args[0], err, strings.TrimSpace(string(out)))
	}
}

// serve starts the engine's program and waits until it serves gRPC at addr.
func (s *starter) serve(addr string, args ...string) {
	if s.err != nil {
		return
	}
	s.commands = append(s.commands, args)
	if s.process, s.err = startProcess(s.log(), s.env, append([]string{s.at.binary}, args...)...); s.err != nil {
		s.process = nil
		return
	}
	s.await(addr)
}

// await waits until the engine serves gRPC at addr.
func (s *starter) await(addr string) {
	if s.err != nil {
		return
	}
	conn, err := connect(addr)
	if err != nil {
		s.err = err
		return
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(s.ctx, startTime)
	defer cancel()
	health := healthpb.NewHealthClient(conn)
	s.err = until(ctx, func() (bool, error) {
		select {
		case <-s.process.ended:
			return false, errors.New("it ended while it began")
		default:
		}
		answer, err := health.Check(ctx, &healthpb.HealthCheckRequest{})
		return answer.GetStatus() == healthpb.HealthCheckResponse_SERVING || status.Code(err) == codes.Unimplemented, nil
	})
}

// dial connects to the engine.
func (s *starter) dial(addr string, opts ...grpc.DialOption) *grpc.ClientConn {
	if s.err != nil {
		return nil
	}
	conn, err := connect(addr, opts...)
	if err != nil {
		s.err = err
		return nil
	}
	s.conns = append(s.conns, conn)
	return conn
}

func connect(addr string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+addr, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
}

// fail undoes the steps and says why they ended.
func (s *starter) fail() error {
	return errors.Join(fmt.Errorf("%w; its log says: %s", s.err, tail(s.log())), s.close())
}

func (s *starter) close() error {
	var bad []error
	for _, c := range s.conns {
		bad = append(bad, c.Close())
	}
	if s.process != nil {
		bad = append(bad, s.process.stop())
	}
	return errors.Join(bad...)
}

// instance is what the steps have started.
func (s *starter) instance(c client) *instance {
	return &instance{client: c, process: s.process, commands: s.commands, close: s.close}
}

// until asks ten times a second until done says so, fails, or the context ends.
func until(ctx context.Context, done func() (bool, error)) error {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("it was not so in time: %w", ctx.Err())
		}
	}
}

// freeAddresses returns n different addresses on loopback that nobody listens at.
func freeAddresses(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after the last, so that all differ
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }
