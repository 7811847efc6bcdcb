package server_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// An apiRow is a request that docs/api.md lists.
type apiRow struct{ method, path, listeners string }

// on reports whether the document says that the request is on a listener.
func (r apiRow) on(listener string) bool {
	return r.listeners == "all" || slices.Contains(strings.Split(r.listeners, ", "), listener)
}

func apiRows(t *testing.T) []apiRow {
	t.Helper()
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []apiRow
	for _, row := range regexp.MustCompile(`(?m)^\| (GET|POST|PUT|PATCH|DELETE) (\S+) \| ([a-z, ]+) \|`).FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, apiRow{row[1], row[2], row[3]})
	}
	if len(rows) < 25 {
		t.Errorf("only %d requests are listed", len(rows))
	}
	return rows
}

// TestAPIDocument sends every request that docs/api.md lists to the listeners it
// is said to be on, and to no others: there it must be found, whatever else is
// wrong with it.
func TestAPIDocument(t *testing.T) {
	n := startWithModel(t)
	for _, row := range apiRows(t) {
		path := row.path
		if strings.HasSuffix(path, "/watch") {
			path += "?heartbeat=never" // else it would not end
		}
		for name, address := range map[string]string{"read": n.read, "write": n.write, "opl": n.opl, "metrics": n.metrics} {
			got := n.do(row.method, address, path, "")
			missing := got.status == 405 || strings.Contains(got.body, "there is nothing at")
			if missing == row.on(name) {
				t.Errorf("%s %s on %s gives %d %.100s", row.method, path, name, got.status, got.body)
			}
		}
	}
}
