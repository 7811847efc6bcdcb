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
// with its flag and default, and no row is of something else. One row is enough for what all
// flows and methods have.
func TestSettingsDocument(t *testing.T) {
	ends := regexp.MustCompile(`^(identity\.selfservice\.flows\.)[a-z]+(\.before|\.after)(\.[a-z_]+)?(\.hooks|\.default_browser_return_url)$`)
	rows, known := map[string]string{}, map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z][a-zA-Z0-9._]*)` \\|([^|\n]*)\\|([^|\n]*)\\|").FindAllStringSubmatch(operateDocument(t)+document(t, "oauth"), -1) {
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
		key := s.key
		if parts := ends.FindStringSubmatch(key); parts != nil {
			key = parts[1] + "FLOW" + parts[2]
			if parts[3] != "" {
				key += ".METHOD"
			}
			key += parts[4]
		}
		known[key] = true
		if got, ok := rows[key]; !ok || clean(got) != clean(flag+"|"+value) {
			t.Errorf("%s: the document has %q, want %q", s.key, got, flag+"|"+value)
		}
	}
	for key := range rows {
		if !known[key] {
			t.Errorf("the document has %s, which is no setting", key)
		}
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
