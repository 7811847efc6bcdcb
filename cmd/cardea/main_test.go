package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/cardea-iam/cardea/examples"
	"github.com/cardea-iam/cardea/opl"
)

// try runs the program in this process.
func try(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &errs)
	return code, out.String(), errs.String()
}

// TestHelp: every command says in a line what it does, and shows an example
// that calls it.
func TestHelp(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" {
			t.Errorf("%s: no short help", cmd.CommandPath())
		}
		if !cmd.HasSubCommands() && !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: no example of it", cmd.CommandPath())
		}
		if cmd.RunE == nil {
			t.Errorf("%s: does nothing", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk((&app{}).root())

	code, out, errs := try(t, "", "tuples", "import", "--help")
	if code != exitYes || errs != "" || !strings.Contains(out, "Examples:") {
		t.Errorf("%d, %q, %q", code, out, errs)
	}
}

func TestErrors(t *testing.T) {
	tests := []struct {
		args string
		want string
	}{
		{"chek a b c", "did you mean check?"},
		{"tuples improt x", "cardea tuples has no command \"improt\""},
		{"check a b", "2 arguments"},
		{"check a b c:d --timeout soon", "--timeout"},
		{"check a b c:d -o xml", "expected one of text, json"},
		{"check a b c:d --read-remote 127.0.0.1:1", "cannot reach the server at 127.0.0.1:1"},
		{"tuples create x:y#z@a --write-remote 127.0.0.1:1", "--write-remote"},
		{"model apply", "no model"},
		{"model check --compat hydra x.ts", "expected keto"},
		{"opl fmt -w -l x.ts", "write"},
		{"serve --example nope", "drive, github, rbac"},
		{"migrate up --dsn nonsense", "dsn"},
	}
	for _, tt := range tests {
		code, out, errs := try(t, "", strings.Fields(tt.args)...)
		if code != exitError || out != "" || !strings.HasPrefix(errs, "cardea: ") || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: %d, %q, %q; want 2 and %q", tt.args, code, out, errs, tt.want)
		}
	}
}

// TestExamplesAreFormatted: the examples are in the layout of opl fmt, and are
// models.
func TestExamplesAreFormatted(t *testing.T) {
	code, out, errs := try(t, "", "opl", "fmt", "-l", "../../examples")
	if code != exitYes {
		t.Errorf("run opl fmt -w on: %s%s", out, errs)
	}
	for _, name := range examples.Names() {
		if code, out, errs := try(t, "", "model", "check", "../../examples/"+name+"/model.ts"); code != exitYes {
			t.Errorf("%s: %s%s", name, out, errs)
		}
	}
}

func TestFormatKeepsModeAndRest(t *testing.T) {
	dir := t.TempDir()
	messy, tidy := filepath.Join(dir, "messy.ts"), filepath.Join(dir, "tidy.ts")
	for path, text := range map[string]string{messy: "class  A implements Namespace{}", tidy: "class A implements Namespace {}\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := try(t, "", "opl", "fmt", "-w", dir)
	if code != exitYes || out != messy+"\n" {
		t.Fatalf("%d, %q, %q; want only messy.ts to be written", code, out, errs)
	}
	got, err := os.ReadFile(messy)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(messy)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != "class A implements Namespace {}\n" || info.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v", got, info.Mode())
	}
}

// TestJoinedPlaces: a line of the joined text is found in its file again.
func TestJoinedPlaces(t *testing.T) {
	j := join([]opl.Source{
		{Name: "a", Text: []byte("1\n2\n")},
		{Name: "b", Text: []byte("1\n2")}, // no line break at the end
		{Name: "c", Text: []byte("1\n")},
	})
	lines := strings.Split(j.text, "\n")
	want := []string{"a:1", "a:2", "b:1", "b:2", "c:1"}
	for i, place := range want {
		if got := j.place(i + 1).String(); got != place {
			t.Errorf("line %d (%q) is at %s, want %s", i+1, lines[i], got, place)
		}
	}
	if got := j.place(99).file; got != "c" {
		t.Errorf("a line behind the end is in %s, want the last file", got)
	}
}

func TestRefusedUpdate(t *testing.T) {
	tests := []struct {
		msg string
		at  int
		why string
		ok  bool
	}{
		{"update 3: relation does not exist", 3, "relation does not exist", true},
		{"updates[2].tuple.subject is missing", 2, "tuple.subject is missing", true},
		{"update 10: x", 0, "", false}, // there were only 10
		{"the store is closed", 0, "", false},
	}
	for _, tt := range tests {
		at, why, ok := refusedUpdate(&remoteError{msg: tt.msg}, 10)
		if ok != tt.ok || ok && (at != tt.at || why != tt.why) {
			t.Errorf("%q: %d, %q, %t", tt.msg, at, why, ok)
		}
	}
}
