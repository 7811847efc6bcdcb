package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestOAuthTour runs the first five minutes of docs/oauth.md on a server as make run
// starts it, with a real browser where the reader has one.
func TestOAuthTour(t *testing.T) {
	b := startBrowser(t)
	text, err := os.ReadFile("../docs/oauth.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := start(t, filepath.Join(dir, "data"), "--dev", "--example", "drive", "--public", "localhost:0")
	v := b.tab(t, "http://"+s.address("public"))
	tour := consoleBlocks(string(text))
	if len(tour) < 5 {
		t.Fatalf("the tour has %d commands: are its blocks marked console?", len(tour))
	}
	check := func(st step, got string) {
		t.Helper()
		got = strings.ReplaceAll(s.neutral(got), s.address("public"), "localhost:4444")
		if !matches(st.want, got) {
			t.Errorf("docs/oauth.md:%d: %s\ngot\n%swant\n%s", st.line, st.command, got, st.want)
		}
	}
	var app *waiting
	for _, st := range tour {
		if strings.Contains(st.command, "cardea oauth code") {
			app = s.begin(t, dir, st)
			v.open(app.address).sees("Sign in").press("Create an account").fill("traits.email", "ann@example.com").fill("password", browserPassword).
				press("Sign up").sees("Verify your address")
			continue
		}
		got, _ := s.bash(t, dir, st.command)
		check(st, got)
		if strings.HasPrefix(st.command, "grep") {
			v.fill("code", strings.TrimSpace(got)).press("Continue").sees("You successfully verified your email address").press("Continue")
			v.sees("Tea shop wants access to your account").press("Allow").sees("Done")
			check(app.step, app.end(t))
		}
	}
}

// A waiting is a cardea oauth code that waits for the browser.
type waiting struct {
	step
	address string // for the browser
	said    chan string
}

var authorizeAddress = regexp.MustCompile(`http://\S+/oauth2/auth\?\S+`)

// begin starts it, on any port.
func (s *instance) begin(t *testing.T, dir string, st step) *waiting {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", strings.Replace(st.command, "oauth code", "oauth code --port 0", 1))
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), s.env()...), "PATH="+filepath.Dir(binary(t))+":"+os.Getenv("PATH"))
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	w, address := &waiting{step: st, said: make(chan string, 1)}, make(chan string, 1)
	go func() {
		var said strings.Builder
		buffer := make([]byte, 4096)
		for {
			n, err := out.Read(buffer)
			said.Write(buffer[:n])
			if found := authorizeAddress.FindString(said.String()); found != "" && strings.HasSuffix(said.String(), "\n\n") {
				select {
				case address <- found:
				default:
				}
			}
			if err != nil {
				break
			}
		}
		_ = cmd.Wait() // what it says shows whether it went well
		w.said <- said.String()
	}()
	select {
	case w.address = <-address:
	case got := <-w.said:
		t.Fatalf("%s ended, and said %s", st.command, got)
	case <-time.After(patience):
		t.Fatalf("%s gives no address", st.command)
	}
	return w
}

// end waits for its end, and returns what it said.
func (w *waiting) end(t *testing.T) string {
	t.Helper()
	select {
	case got := <-w.said:
		return got
	case <-time.After(patience):
		t.Fatalf("%s does not end", w.command)
		return ""
	}
}
