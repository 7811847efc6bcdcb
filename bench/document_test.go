package bench_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/bench"
	"github.com/cardea-iam/cardea/internal/golden"
)

// TestDocument: the tables of measurements are those of the saved results, which stand
// between <!-- NAME --> and <!-- end -->. go test ./bench -run Document -update writes
// them.
func TestDocument(t *testing.T) {
	for _, path := range []string{"../docs/performance.md", "../docs/oauth.md"} {
		checkTables(t, path)
	}
}

func checkTables(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?s)<!-- ([a-z0-9-]+) -->\n.*?<!-- end -->`)
	blocks := 0
	got := block.ReplaceAllStringFunc(string(text), func(old string) string {
		name := block.FindStringSubmatch(old)[1]
		r, err := bench.LoadResult(filepath.Join("results", name+".json"))
		if err != nil {
			t.Error(err)
			return old
		}
		blocks++
		return "<!-- " + name + " -->\n" + r.Markdown() + "\n`" + r.Command + "`, " + r.Date + "\n<!-- end -->"
	})
	if blocks == 0 {
		t.Errorf("%s has no tables", path)
	}
	golden.Check(t, path, got)

	for _, picture := range regexp.MustCompile(`\(\.\./bench/results/([a-z0-9-]+\.svg)\)`).FindAllStringSubmatch(string(text), -1) {
		if _, err := os.Stat(filepath.Join("results", picture[1])); err != nil {
			t.Error(err)
		}
	}
}

// TestSavedResults: what was saved can be read, has its own name, and says how it was
// made and nothing of the machine's folders.
func TestSavedResults(t *testing.T) {
	files, err := filepath.Glob("results/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		r, err := bench.LoadResult(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if filepath.Base(file) != r.Name+".json" || r.Machine.Go == "" || r.Date == "" || !strings.Contains(r.Command, "bench") || strings.Contains(r.Command, "/tmp") {
			t.Errorf("%s: %+v", file, r)
		}
	}
}
