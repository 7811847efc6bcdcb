package bench_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cardea-iam/cardea/bench"
)

// wellFormed reads a picture as XML and returns how often each element occurs.
func wellFormed(t *testing.T, svg []byte) map[string]int {
	t.Helper()
	count := map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		if start, ok := token.(xml.StartElement); ok {
			count[start.Name.Local]++
		}
	}
}

func TestPlotOfSeries(t *testing.T) {
	r := bench.NewResult("size", "Latency & size", []string{"bench", "size", `--x="<"`})
	r.Plot = &bench.Axes{X: "tuples", Y: "µs", LogX: true, LogY: true, Bar: bench.AtMost(10)}
	for _, n := range []float64{1e5, 1e6, 1e7} {
		r.Point("p50", n, "p50", "µs", nil, 2, 3, 4)
		r.Point("p99", n, "p99", "µs", nil, 8)
	}
	svg := r.SVG()
	got := wellFormed(t, svg)
	if got["polyline"] != 2 || got["circle"] != 6 {
		t.Errorf("got %v, want two lines of three points", got)
	}
	if n := strings.Count(string(svg), `class="error"`); n != 3 {
		t.Errorf("got %d error bars, want one for each point with several rounds", n)
	}
	for _, text := range []string{"tuples", "µs", "100k", "10M", "p99", "at most 10"} {
		if !strings.Contains(string(svg), text+"</text>") {
			t.Errorf("no %q in %s", text, svg)
		}
	}
}

func TestPlotOfBars(t *testing.T) {
	r := bench.NewResult("rows", "Rows", []string{"bench", "rows"})
	r.Add("kept", "µs", bench.AtMost(10), 5, 6)
	r.Add("missed", "µs", bench.AtMost(10), 50)
	r.Add("not promised", "µs", nil, 7)
	svg := r.SVG()
	if got := wellFormed(t, svg); got["rect"] != 3 { // the page and two bars
		t.Errorf("got %v", got)
	}
	if n := strings.Count(string(svg), `class="block bad"`); n != 1 {
		t.Errorf("%d rows are marked as missed, want 1", n)
	}

	free := bench.NewResult("free", "Free", nil)
	free.Add("a", "ms", nil, 0.5)
	free.Add("b", "ms", nil, 0)
	if got := wellFormed(t, free.SVG()); got["rect"] != 3 {
		t.Errorf("got %v", got)
	}
}
