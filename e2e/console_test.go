package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the outputs in testdata/*.console that differ")

// A step is a command of a console session and what it prints, stdout and
// stderr together. In what it prints, three dots stand for anything in a line,
// and alone in a line for any lines.
type step struct {
	line    int // of the command in its file
	command string
	want    string
}

// steps reads a session: "$ " begins a command, "> " continues it, and what
// follows is its output. first is the number of the first line.
func steps(text string, first int) []step {
	var all []step
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		more, isMore := strings.CutPrefix(line, "> ")
		switch last := len(all) - 1; {
		case isCommand:
			all = append(all, step{line: first + i, command: command})
		case last < 0: // a comment at the top
		case isMore && all[last].want == "":
			all[last].command += "\n" + more
		default:
			all[last].want += line + "\n"
		}
	}
	return all
}

// matches reports whether got is what want describes.
func matches(want, got string) bool {
	var pattern strings.Builder
	for line := range strings.Lines(want) {
		if line == "...\n" {
			pattern.WriteString(`(?:.*\n)*`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, `.*`))
	}
	return regexp.MustCompile(`^` + pattern.String() + `$`).MatchString(got)
}

// bash runs a command as a shell does in dir, with cardea on its path.
func (s *instance) bash(t *testing.T, dir, command string) (output string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), s.env()...)
	cmd.Env = append(cmd.Env, "PATH="+filepath.Dir(binary(t))+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// neutral replaces the addresses of s by the default ones, so that a session
// reads the same whatever the ports.
func (s *instance) neutral(text string) string {
	return strings.NewReplacer(s.Read, "127.0.0.1:4466", s.Write, "127.0.0.1:4467", s.Metrics, "127.0.0.1:4468").Replace(text)
}

// actual is the opposite of neutral.
func (s *instance) actual(text string) string {
	return strings.NewReplacer("127.0.0.1:4466", s.Read, "127.0.0.1:4467", s.Write, "127.0.0.1:4468", s.Metrics).Replace(text)
}

// TestConsole runs the sessions of testdata, each in a folder and on a server
// with the drive example of its own. A line [exit N] ends the output of a
// command that does not end with 0.
func TestConsole(t *testing.T) {
	files, err := filepath.Glob("testdata/*.console")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sessions: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".console"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			s := start(t, filepath.Join(dir, "data"), "--example", "drive")
			rewritten := string(text[:max(0, strings.Index(string(text), "$ "))])
			for _, st := range steps(string(text), 1) {
				got, code := s.bash(t, dir, s.actual(st.command))
				got = s.neutral(got)
				if got != "" && !strings.HasSuffix(got, "\n") {
					got += "\n"
				}
				if code != 0 {
					got += fmt.Sprintf("[exit %d]\n", code)
				}
				if !matches(st.want, got) {
					if !*update {
						t.Errorf("%s:%d: %s\ngot\n%swant\n%s", file, st.line, st.command, got, st.want)
					}
					st.want = got
				}
				rewritten += "$ " + strings.ReplaceAll(st.command, "\n", "\n> ") + "\n" + st.want
			}
			if *update {
				if err := os.WriteFile(file, []byte(rewritten), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestMatches(t *testing.T) {
	tests := []struct {
		want, got string
		ok        bool
	}{
		{"a\n", "a\n", true},
		{"a\n", "b\n", false},
		{"a\n", "a\nb\n", false},
		{"token ...\n", "token xyz\n", true},
		{"token ...\n", "token x\ny\n", false},
		{"a\n...\nz\n", "a\nb\nc\nz\n", true},
		{"a\n...\nz\n", "a\nz\n", true},
		{"", "", true},
		{"", "x\n", false},
		{"a.b\n", "axb\n", false},
	}
	for _, tt := range tests {
		if got := matches(tt.want, tt.got); got != tt.ok {
			t.Errorf("matches(%q, %q) is %t", tt.want, tt.got, got)
		}
	}
}
