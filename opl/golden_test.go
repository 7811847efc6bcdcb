package opl_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/internal/golden"
	"github.com/cardea-iam/cardea/opl"
)

// TestGolden compares what each testdata/parse/*.opl gives with the .golden
// file next to it: the canonical text and the model, or the errors. A first
// line "// opl: WORDS" sets options. go test ./opl -update rewrites the files.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/parse/*.opl")
	if err != nil || len(files) == 0 {
		t.Fatal("no test files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			src := opl.Source{Name: filepath.Base(file), Text: text}
			o := options(text)
			m, err := opl.Compile([]opl.Source{src}, o)
			if failed := strings.HasPrefix(src.Name, "err_"); failed != (err != nil) {
				t.Errorf("error %v", err)
			}
			if err != nil {
				golden.Check(t, file+".golden", err.Error()+"\n")
				return
			}
			f, err := opl.Parse(src, o)
			if err != nil {
				t.Fatal(err)
			}
			golden.Check(t, file+".golden", string(opl.Format(f))+"---\n"+dump(m))
			checkFormat(t, src, o, m)
		})
	}
}

// options reads the options of a test file from its first line.
func options(text []byte) opl.Options {
	var o opl.Options
	line, _, _ := bytes.Cut(text, []byte("\n"))
	words, _ := bytes.CutPrefix(line, []byte("// opl: "))
	for _, word := range strings.Fields(string(words)) {
		switch word {
		case "compat":
			o.Compat = true
		case "typescript":
			o.Precedence = opl.TypeScript
		case "keto":
			o.Precedence = opl.Keto
		}
	}
	return o
}

// checkFormat fails t unless the canonical text of src is stable, means the
// same, and holds all comments.
func checkFormat(t testing.TB, src opl.Source, o opl.Options, m *opl.Model) {
	t.Helper()
	f, err := opl.Parse(src, o)
	if err != nil {
		t.Fatal(err)
	}
	text := opl.Format(f)
	canonical := opl.Source{Name: "canonical", Text: text}
	again, err := opl.Parse(canonical, o)
	if err != nil {
		t.Fatalf("canonical text is not accepted: %v\nof\n%s\nis\n%s", err, src.Text, text)
	}
	if second := opl.Format(again); !bytes.Equal(second, text) {
		t.Errorf("canonical text changes when formatted again: of\n%q\nfirst\n%s\nsecond\n%s", src.Text, text, second)
	}
	if m == nil {
		return
	}
	m2, err := opl.Compile([]opl.Source{canonical}, o)
	if err != nil || m2.Hash() != m.Hash() {
		t.Errorf("canonical text means something else: error %v, of\n%s\nis\n%s", err, src.Text, text)
	}
}

// dump prints a model.
func dump(m *opl.Model) string {
	var b strings.Builder
	for _, n := range m.Namespaces {
		fmt.Fprintf(&b, "%s\n", n.Name)
		for _, r := range n.Relations {
			if r.Permission {
				fmt.Fprintf(&b, "  %s = %s\n", r.Name, r.Rewrite)
			} else {
				fmt.Fprintf(&b, "  %s: %v\n", r.Name, r.Types)
			}
		}
	}
	return b.String()
}
