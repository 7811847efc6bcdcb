package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/procfs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// A Process is a server in a process of its own, so that its processor time and its
// memory are not those of the callers. /proc has both, so it takes Linux.
type Process struct {
	cmd   *exec.Cmd
	proc  procfs.Proc
	log   string
	ended chan error
}

// StartProcess starts a program and returns when it serves gRPC at addr, with how
// long that took. What it says goes to the file log. The caller stops it.
func StartProcess(ctx context.Context, log, addr string, args ...string) (p *Process, took time.Duration, err error) {
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, 0, err
	}
	defer conn.Close()
	return startProcess(ctx, log, func(ctx context.Context) error {
		conn.ResetConnectBackoff() // which grows to minutes
		answer, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
		if err == nil && answer.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			err = fmt.Errorf("its health is %s", answer.GetStatus())
		}
		return err
	}, args...)
}

// StartHTTP does the same with a program that answers a GET of url.
func StartHTTP(ctx context.Context, log, url string, args ...string) (p *Process, took time.Duration, err error) {
	return startProcess(ctx, log, func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}, args...)
}

func startProcess(ctx context.Context, log string, ready func(context.Context) error, args ...string) (p *Process, took time.Duration, err error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, 0, err
	}
	defer out.Close()
	start := time.Now()
	p = &Process{cmd: exec.Command(args[0], args[1:]...), log: log, ended: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, 0, err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	if p.proc, err = procfs.NewProc(p.cmd.Process.Pid); err == nil {
		err = p.await(ctx, ready)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w; it said: %s", strings.Join(args[1:], " "), err, p.said())
		return nil, 0, errors.Join(err, p.Stop())
	}
	return p, time.Since(start), nil
}

// startTime bounds how long a server may take until it serves.
const startTime = 10 * time.Minute

// await returns when ready reports no error.
func (p *Process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case ended := <-p.ended:
			p.ended <- ended
			return fmt.Errorf("it ended while it began: %v", ended)
		case <-ctx.Done():
			return fmt.Errorf("it does not serve: %w", err)
		}
	}
}

func (p *Process) said() string {
	f, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 4096))
	return strings.TrimSpace(string(text))
}

// CPU returns the processor time that the process has used, in and for itself.
func (p *Process) CPU() (time.Duration, error) {
	s, err := p.proc.Stat()
	return time.Duration(s.CPUTime() * float64(time.Second)), err
}

// Resident returns the bytes of memory that the process holds.
func (p *Process) Resident() (int64, error) {
	s, err := p.proc.Stat()
	return int64(s.ResidentMemory()), err
}

// Peak returns the most bytes of memory that the process has held.
func (p *Process) Peak() (int64, error) {
	s, err := p.proc.NewStatus()
	return int64(s.VmHWM), err
}

// stopTime bounds how long a process may take to end before it is killed.
const stopTime = time.Minute

// Stop ends the process and waits for that.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	late := time.AfterFunc(stopTime, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	err := <-p.ended
	p.ended <- err
	return err
}
