package script_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestTexts: scripts keep to what all databases have, CockroachDB from 20.1 on among them,
// which is seldom at hand to try.
func TestTexts(t *testing.T) {
	bad := map[string]*regexp.Regexp{
		"a cast that SQLite does not know":                                             regexp.MustCompile(`\$\d+::`),
		"a parameter that CockroachDB would take for a text":                           regexp.MustCompile(`(?is)DO UPDATE.*CAST\s*\(\s*\$\d`),
		"a parameter that has its type inside FROM":                                    regexp.MustCompile(`(?is)FROM\s*\(\s*SELECT[^()]*CAST\s*\(\s*\$\d`),
		"an assignment that looks like a condition, which pg rewrites for CockroachDB": regexp.MustCompile(`(?is)\bSET\b.*= \(SELECT\b.*\bWHERE\b`),
		"a collation":                       regexp.MustCompile(`(?i)\bCOLLATE\b`),
		"a lock":                            regexp.MustCompile(`(?i)\bSKIP LOCKED\b|\bNOWAIT\b|\bFOR (UPDATE|SHARE)\b`),
		"an order of NULL":                  regexp.MustCompile(`(?i)\bNULLS (FIRST|LAST)\b`),
		"a conflict that is not by columns": regexp.MustCompile(`(?i)\bON CONSTRAINT\b|\bON CONFLICT \([^)]*\) WHERE\b`),
		"a statement that some do not know": regexp.MustCompile(`(?i)\bMERGE INTO\b|\bDELETE FROM \w+ USING\b|\bWITH RECURSIVE\b`),
		"a function that some do not know":  regexp.MustCompile(`(?i)\b(now|random|gen_random_uuid|last_insert_rowid|greatest|least)\s*\(`),
	}
	seen := 0
	for _, folder := range []string{"grants", "people"} {
		names, err := filepath.Glob(filepath.Join("..", folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					return true
				}
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				if !regexp.MustCompile(`\b(SELECT|INSERT|UPDATE|DELETE|WHERE|CASE)\b`).MatchString(text) {
					return true
				}
				seen++
				for what, pattern := range bad {
					if found := pattern.FindString(text); found != "" {
						t.Errorf("%s has %s: %.200s", files.Position(lit.Pos()), what, found)
					}
				}
				return true
			})
		}
	}
	if seen < 100 {
		t.Errorf("only %d texts were seen", seen)
	}
}
