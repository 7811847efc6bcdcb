package bench_test

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/cardea-iam/cardea/bench"
)

func TestResult(t *testing.T) {
	r := bench.NewResult("speed", "Speed", []string{"bench", "speed"})
	r.Add("fast enough", "µs", bench.AtMost(10), 30, 5, 4)
	r.Add("too little", "checks/s", bench.AtLeast(1000), 500)
	r.Add("a peer", "checks/s", nil, 12345)
	r.Point("p50", 64, "at 64 callers", "µs", bench.AtMost(20), 20)
	if row := r.Rows[0]; row.Measured != 5 || row.Ratio != 0.5 || !*row.Met || len(row.Rounds) != 3 {
		t.Errorf("at most: %+v", row)
	}
	if row := r.Rows[1]; row.Ratio != 0.5 || *row.Met || row.Rounds != nil {
		t.Errorf("at least: %+v", row)
	}
	if row := r.Rows[3]; !*row.Met || row.Series != "p50" || row.X != 64 {
		t.Errorf("a point: %+v", row)
	}
	if r.Met() {
		t.Error("a bar was missed, and Met says otherwise")
	}
	want := [][]any{
		{"what", "bar", "measured", "unit", "spread", "of the bar", "met"},
		{"fast enough", "at most 10", "5", "µs", "4 to 30", "0.50", "yes"},
		{"too little", "at least 1,000", "500", "checks/s", "-", "0.50", "NO"},
		{"a peer", "-", "12,345", "checks/s", "-", "-", "-"},
		{"at 64 callers", "at most 20", "20", "µs", "-", "1.00", "yes"},
	}
	if got := r.Table(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}

	folder := t.TempDir()
	if err := r.Save(folder); err != nil {
		t.Fatal(err)
	}
	again, err := bench.LoadResult(filepath.Join(folder, "speed.json"))
	if err != nil || !reflect.DeepEqual(again, r) {
		t.Errorf("got %+v, %v, want %+v", again, err, r)
	}
	wrong := filepath.Join(folder, "wrong.json")
	if err := os.WriteFile(wrong, []byte(`{"checks": 1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bench.LoadResult(wrong); err == nil {
		t.Error("what is no result was read as one")
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 2, 100}, 3}} {
		if got := bench.Median(tt.values); got != tt.want {
			t.Errorf("%v: %v, want %v", tt.values, got, tt.want)
		}
	}
}
