package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for the program. No test passes because of it.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := binaryDir(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

var binaryDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "cardea-e2e-") })

// build builds the program once. It reads the sources as well, so that go test
// knows that the results depend on them and does not answer from its cache.
var build = sync.OnceValues(func() (string, error) {
	if err := readSources(); err != nil {
		return "", err
	}
	dir, err := binaryDir()
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "cardea")
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/cardea")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
})

func readSources() error {
	return filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "data" || strings.HasPrefix(d.Name(), ".") && d.Name() != ".."):
			return fs.SkipDir
		case !d.IsDir() && (slices.Contains([]string{".go", ".sql", ".ts", ".html", ".css", ".js", ".svg"}, filepath.Ext(path))):
			_, err = os.ReadFile(path)
		}
		return err
	})
}

func binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// An instance is a running server.
type instance struct {
	Read, Write, Metrics string // addresses
	Banner               string

	cmd   *exec.Cmd
	ended chan error // gets what Wait returned
	logs  *bytes.Buffer
}

// start starts a server whose data is in dir and waits until it can answer.
// Flags come after those that start sets itself. The test ends it.
func start(t testing.TB, dir string, flags ...string) *instance {
	t.Helper()
	args := append([]string{"serve", "--dsn", "sqlite://" + filepath.Join(dir, "cardea.db"),
		"--read", "127.0.0.1:0", "--write", "127.0.0.1:0", "--public", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--opl", ""}, flags...)
	s := &instance{cmd: exec.Command(binary(t), args...), ended: make(chan error, 1), logs: &bytes.Buffer{}}
	s.cmd.Stderr = s.logs
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	banner := make(chan string, 1)
	go func() {
		banner <- readBanner(out)
		io.Copy(io.Discard, out)
		s.ended <- s.cmd.Wait()
	}()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("the end of the server's log:\n%s", lastLines(s.logs.String(), 40))
		}
	})
	select {
	case s.Banner = <-banner:
	case <-time.After(patience):
		s.kill(t)
		t.Fatalf("the server did not say that it is ready; its log:\n%s", s.logs)
	}
	s.Read, s.Write, s.Metrics = s.address("read"), s.address("write"), s.address("metrics")
	if s.Read == "" || s.Write == "" {
		t.Fatalf("the server ended while it began: %v\n%s", <-s.ended, s.logs)
	}
	return s
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// readBanner reads until the line that invites to try something, or the end.
func readBanner(r io.Reader) string {
	var banner strings.Builder
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fmt.Fprintln(&banner, lines.Text())
		if strings.Contains(lines.Text(), " model show") {
			break // the last line of the banner
		}
	}
	return banner.String()
}

// address finds the address of a listener in the banner.
func (s *instance) address(listener string) string {
	found := regexp.MustCompile(`(?m)^  ` + listener + ` +(\S+)`).FindStringSubmatch(s.Banner)
	if found == nil {
		return ""
	}
	return found[1]
}

// stop ends the server as an operator does and returns its exit code.
func (s *instance) stop(t testing.TB) int {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.wait(t)
	return s.cmd.ProcessState.ExitCode()
}

// kill ends the server as a power failure does.
func (s *instance) kill(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.wait(t)
}

func (s *instance) wait(t testing.TB) {
	t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		t.Fatal("the server did not end")
	}
}

// A result is what one run of the program gave.
type result struct {
	out, err string
	code     int
}

// cardea runs the program against the server.
func (s *instance) cardea(t testing.TB, args ...string) result {
	t.Helper()
	return runIn(t, "", s.env(), args...)
}

func (s *instance) env() []string {
	return []string{"CARDEA_READ_REMOTE=" + s.Read, "CARDEA_WRITE_REMOTE=" + s.Write, "CARDEA_PUBLIC_REMOTE=" + s.address("public")}
}

// runIn runs the program with a standard input and additions to the environment.
func runIn(t testing.TB, stdin string, env []string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// must fails the test unless the run ended with 0, and returns what it printed.
func (r result) must(t testing.TB) string {
	t.Helper()
	if r.code != 0 {
		t.Fatalf("exit code %d\n%s%s", r.code, r.out, r.err)
	}
	return r.out
}

// get asks over HTTP and returns status and body.
func get(t testing.TB, url string) (int, string) {
	t.Helper()
	return call(t, http.MethodGet, url, "")
}

func call(t testing.TB, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body == "" {
		req.Body = nil
	}
	resp, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
