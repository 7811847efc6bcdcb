package server

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/store"
)

func operateDocument(t *testing.T) string {
	t.Helper()
	return document(t, "operate")
}

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/" + name + ".md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestSettingsDocument holds the settings against the documents that list them: each has a row
// with its flag and default, and no row is of something else.
func TestSettingsDocument(t *testing.T) {
	rows := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z][a-z0-9._]*)` \\|([^|\n]*)\\|([^|\n]*)\\|").FindAllStringSubmatch(operateDocument(t)+document(t, "oauth"), -1) {
		if !strings.HasPrefix(row[1], "cardea_") {
			rows[row[1]] = row[2] + "|" + row[3]
		}
	}
	for _, s := range settings {
		flag, value := "", ""
		if s.flag != "" {
			flag = "`--" + s.flag + "`"
		}
		if s.value != "" {
			value = "`" + s.value + "`"
		}
		clean := func(text string) string { return strings.ReplaceAll(text, " ", "") }
		if got, ok := rows[s.key]; !ok || clean(got) != clean(flag+"|"+value) {
			t.Errorf("%s: the document has %q, want %q", s.key, got, flag+"|"+value)
		}
		delete(rows, s.key)
	}
	for key := range rows {
		t.Errorf("the document has %s, which is no setting", key)
	}
}

// TestMetricsDocument holds the metrics against docs/operate.md.
func TestMetricsDocument(t *testing.T) {
	db, err := store.Open(t.Context(), "mem:", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tuples, err := db.Network(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(t.Context(), tuples, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	m := newMetrics()
	m.export("default", e)
	m.rpc("x")
	m.route("x").observe(200, 0)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, name := range regexp.MustCompile("`(cardea_[a-z_]+)`").FindAllStringSubmatch(operateDocument(t), -1) {
		named[name[1]] = true
	}
	exported := map[string]bool{}
	for _, f := range families {
		if name := f.GetName(); strings.HasPrefix(name, "cardea_") && name != "cardea_build_info" {
			exported[name] = true
		}
	}
	for name := range exported {
		if !named[name] {
			t.Errorf("the document does not have %s", name)
		}
	}
	for name := range named {
		if !exported[name] {
			t.Errorf("the document has %s, which is no metric", name)
		}
	}
}
