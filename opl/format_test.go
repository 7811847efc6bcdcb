package opl_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/opl"
)

// TestCommentsAnywhere puts comments of all forms into all gaps of the golden
// sources, one at a time and then many at once. Format must keep each, keep
// the meaning, and come to rest.
func TestCommentsAnywhere(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	forms := []string{" /* c */ ", " // c\n", "\n// c\n", "\n\n  /* c\n  d */\n\n", "/* c */ // d\n", "\n", "\n\n\n"}
	files, _ := filepath.Glob("testdata/parse/*.opl")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		o := options(text)
		src := opl.Source{Name: filepath.Base(file), Text: text}
		m, err := opl.Compile([]opl.Source{src}, o)
		if err != nil || strings.Contains(src.Name, "nesting") {
			continue
		}
		for _, gap := range opl.Gaps(src, o) {
			for _, form := range forms {
				src.Text = insert(text, gap, form)
				checkCommented(t, src, o, m)
			}
		}
		for range 200 {
			src.Text = text
			for range 1 + random.IntN(8) {
				gaps := opl.Gaps(src, o)
				src.Text = insert(src.Text, gaps[random.IntN(len(gaps))], forms[random.IntN(len(forms))])
			}
			checkCommented(t, src, o, m)
		}
	}
}

func insert(text []byte, at int, s string) []byte {
	return bytes.Join([][]byte{text[:at], []byte(s), text[at:]}, nil)
}

// checkCommented fails t unless src means m and can be formatted.
func checkCommented(t *testing.T, src opl.Source, o opl.Options, m *opl.Model) {
	t.Helper()
	commented, err := opl.Compile([]opl.Source{src}, o)
	if err != nil || commented.Hash() != m.Hash() {
		t.Fatalf("a comment changes the meaning: %v\n%s", err, src.Text)
	}
	checkFormat(t, src, o, m)
	checkComments(t, src, o)
	if t.Failed() {
		t.FailNow()
	}
}
