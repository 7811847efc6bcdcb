package server_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestAPIDocument sends every request that docs/api.md lists to the listeners it
// is said to be on, and to no others: there it must be found, whatever else is
// wrong with it.
func TestAPIDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	n := startWithModel(t)
	ports := map[string]string{"read": n.read, "write": n.write, "opl": n.opl, "metrics": n.metrics}
	rows := regexp.MustCompile(`(?m)^\| (GET|POST|PUT|PATCH|DELETE) (\S+) \| ([a-z, ]+) \|`).FindAllStringSubmatch(string(text), -1)
	if len(rows) < 25 {
		t.Errorf("only %d requests are listed", len(rows))
	}
	for _, row := range rows {
		method, path, on := row[1], row[2], strings.Split(row[3], ", ")
		if row[3] == "all" {
			on = slices.Collect(maps.Keys(ports))
		}
		if strings.HasSuffix(path, "/watch") {
			path += "?heartbeat=never" // else it would not end
		}
		for name, address := range ports {
			got := n.do(method, address, path, "")
			missing := got.status == 405 || got.body == "404 page not found"
			if missing == slices.Contains(on, name) {
				t.Errorf("%s %s on %s gives %d %.100s", method, path, name, got.status, got.body)
			}
		}
	}
}
