package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadme runs the tour of README.md: its blocks marked console, in order,
// on a server as make run starts it, and compares what is printed.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(makefile), "serve --dev --example drive\n") {
		t.Fatal("make run starts the server in another way than this test")
	}
	dir := t.TempDir()
	s := start(t, filepath.Join(dir, "data"), "--dev", "--example", "drive")
	tour := consoleBlocks(string(text))
	if len(tour) < 15 {
		t.Fatalf("the tour has %d commands: are its blocks marked console?", len(tour))
	}
	for _, st := range tour {
		program, _, _ := strings.Cut(st.command, " ")
		if _, err := exec.LookPath(program); program == "curl" && err != nil {
			t.Logf("README.md:%d: not run, there is no curl on this machine", st.line)
			continue
		}
		got, _ := s.bash(t, dir, s.actual(st.command))
		got = s.neutral(got)
		if got != "" && !strings.HasSuffix(got, "\n") {
			got += "\n"
		}
		if !matches(st.want, got) {
			t.Errorf("README.md:%d: %s\ngot\n%swant\n%s", st.line, st.command, got, st.want)
		}
	}
}

// consoleBlocks returns the steps of all fenced blocks marked console.
func consoleBlocks(text string) []step {
	var all []step
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] != "```console" {
			continue
		}
		first := i + 1
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		all = append(all, steps(strings.Join(lines[first:i], "\n"), first+1)...)
	}
	return all
}

// TestSettings feeds the table of docs/operate.md to the program, as a
// configuration in which every key has its default, and looks in the table for
// every flag of serve.
func TestSettings(t *testing.T) {
	text, err := os.ReadFile("../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z.]+)` \\| (?:`(--[a-z-]+)`)? *\\| (?:`([^`]*)`)? *\\|").FindAllStringSubmatch(string(text), -1)
	if len(rows) < 20 {
		t.Fatalf("found %d settings in the table", len(rows))
	}
	var config strings.Builder
	flags := map[string]bool{"--config": true, "--example": true, "--help": true}
	for _, row := range rows {
		key, flag, value := row[1], row[2], row[3]
		flags[flag] = true
		env := "CARDEA_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		fmt.Fprintf(&config, "%s=%s\n", env, value)
	}
	file := filepath.Join(t.TempDir(), "none.db")
	env := append(strings.Split(strings.TrimSpace(config.String()), "\n"), "CARDEA_DSN=sqlite://"+file)
	if r := runIn(t, "", env, "migrate", "status"); !strings.Contains(r.err, "is not there") {
		t.Errorf("the defaults of the table are not accepted: %+v", r)
	}
	help := runIn(t, "", nil, "serve", "--help").must(t)
	for _, flag := range regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z-]+)`).FindAllStringSubmatch(help, -1) {
		if !flags[flag[1]] {
			t.Errorf("docs/operate.md does not have %s", flag[1])
		}
	}
}
