package e2e

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// npmClient copies a folder with a client, gets what it needs, as its
// package-lock.json pins it, and returns where it is. It skips the test where there is
// no node, or no registry.
func npmClient(t *testing.T, folder string) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s on this machine", program)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "client.mjs"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := in(t, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		if os.Getenv("CARDEA_TEST_NPM") != "" {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
		t.Skipf("npm cannot get the client (CARDEA_TEST_NPM=1 makes this a failure): %v: %s", err, lastLine(out))
	}
	return dir
}

// runNPM runs a client and counts what it did.
func runNPM(t *testing.T, dir string, operations int, args ...string) {
	t.Helper()
	out, err := in(t, dir, "node", append([]string{"client.mjs"}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := strings.Count(out, "ok "); n != operations {
		t.Errorf("%d operations, want %d:\n%s", n, operations, out)
	}
}

// A program of node runs until the test ends.
type nodeProgram struct {
	mu   sync.Mutex
	said []string
}

// serveNPM runs one that says when it listens.
func serveNPM(t *testing.T, dir string, env []string, args ...string) *nodeProgram {
	t.Helper()
	p := &nodeProgram{}
	cmd := exec.Command("node", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	listening, ended := make(chan bool, 1), make(chan error, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			p.mu.Lock()
			p.said = append(p.said, lines.Text())
			p.mu.Unlock()
			if strings.HasPrefix(lines.Text(), "Listening") {
				listening <- true
			}
		}
		ended <- cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		if t.Failed() {
			t.Logf("node %s said\n%s\n%s", args[0], strings.Join(p.lines(""), "\n"), errs.String())
		}
	})
	select {
	case <-listening:
	case err := <-ended:
		ended <- err
		t.Fatalf("node %s ended: %v\n%s", args[0], err, errs.String())
	case <-time.After(patience):
		t.Fatalf("node %s does not listen", args[0])
	}
	return p
}

// lines are those that the program said and that begin with a word.
func (p *nodeProgram) lines(word string) (found []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, line := range p.said {
		if strings.HasPrefix(line, word) {
			found = append(found, line)
		}
	}
	return found
}

// freePort is one that nobody listens at, for programs that must be told.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// TestKetoNPM runs Keto's npm client, unchanged.
func TestKetoNPM(t *testing.T) {
	dir := npmClient(t, "keto-client")
	s := load(t, "drive")
	runNPM(t, dir, 13, s.Read, s.Write)
}

// TestOpenIDClient runs a relying party with the npm package openid-client.
func TestOpenIDClient(t *testing.T) {
	dir := npmClient(t, "openid-client")
	p := startProvider(t)
	runNPM(t, dir, 17, p.issuer, "http://"+p.Write)
}

// TestHydraNPM runs Hydra's npm client, unchanged.
func TestHydraNPM(t *testing.T) {
	dir := npmClient(t, "hydra-client")
	data := t.TempDir()
	config := filepath.Join(data, "cardea.yaml")
	text := strings.ReplaceAll(`oauth:
  urls: {login: PAGES/login, consent: PAGES/consent, logout: PAGES/logout, error: PAGES/error, device: {verification: PAGES/device, success: PAGES/done}}
  oidc: {dynamic_client_registration: {enabled: true}}
`, "PAGES", "http://app.test")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, data, "--config", config)
	runNPM(t, dir, 18, s.address("public"), s.Write)
}

// in runs a program in a folder and returns what it printed.
func in(t *testing.T, dir, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestKratosNPM runs Kratos's npm client, unchanged.
func TestKratosNPM(t *testing.T) {
	dir := npmClient(t, "kratos-client")
	data := t.TempDir()
	config := filepath.Join(data, "cardea.yaml")
	if err := os.WriteFile(config, []byte("identity: {security: {account_enumeration: {mitigate: false}}}\n"), 0o600); err != nil { // as in Kratos
		t.Fatal(err)
	}
	s := start(t, data, "--dev", "--config", config)
	runNPM(t, dir, 37, s.address("public"), s.Write)
}
