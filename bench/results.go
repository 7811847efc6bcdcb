package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// A Result is what one run of a command measured. Saved ones are in results/, and
// docs/performance.md is written from them.
type Result struct {
	Name    string  `json:"name"`  // of its file, without .json
	Title   string  `json:"title"` // of its plot
	Date    string  `json:"date"`  // of the start, UTC
	Command string  `json:"command"`
	Machine Machine `json:"machine"`
	Rows    []Row   `json:"rows"`
	Plot    *Axes   `json:"plot,omitempty"` // how rows with a series are drawn
}

// A Machine is where it was measured.
type Machine struct {
	CPU        string `json:"cpu"`
	Processors int    `json:"processors"` // that the program may use
	Memory     int64  `json:"memory_bytes,omitempty"`
	System     string `json:"system"`
	Go         string `json:"go"`
}

// A Row is one figure.
type Row struct {
	What     string    `json:"what"`
	Measured float64   `json:"measured"` // the median of the rounds
	Unit     string    `json:"unit"`
	Rounds   []float64 `json:"rounds,omitempty"` // each of them, if there was more than one

	// What the project promises, how much of it this is (measured / bar), and
	// whether that is good enough. Nil: nothing is promised, as for a peer.
	Bar   *Bar    `json:"bar,omitempty"`
	Ratio float64 `json:"ratio,omitempty"`
	Met   *bool   `json:"met,omitempty"`

	// A row with a series is a point of its line in the plot, at X.
	Series string  `json:"series,omitempty"`
	X      float64 `json:"x,omitempty"`
}

// A Bar is a promise: one of its fields is set.
type Bar struct {
	AtMost  float64 `json:"at_most,omitempty"`
	AtLeast float64 `json:"at_least,omitempty"`
}

// AtMost and AtLeast make bars.
func AtMost(x float64) *Bar { return &Bar{AtMost: x} }

func AtLeast(x float64) *Bar { return &Bar{AtLeast: x} }

func (b *Bar) limit() float64 { return b.AtMost + b.AtLeast }

func (b *Bar) String() string {
	switch {
	case b == nil:
		return "-"
	case b.AtLeast > 0:
		return "at least " + number(b.AtLeast)
	default:
		return "at most " + number(b.AtMost)
	}
}

// NewResult begins the result of a run that starts now. name is that of its file;
// args are the program's, as os.Args without the program.
func NewResult(name, title string, args []string) *Result {
	return &Result{
		Name: name, Title: title, Command: strings.Join(append(priority(), append([]string{"cardea"}, args...)...), " "),
		Date: time.Now().UTC().Format(time.DateOnly), Machine: ThisMachine(),
	}
}

// priority returns what the program was started with to have more of the processors than others
// have, or less.
func priority() []string {
	self, err := procfs.Self()
	if err != nil {
		return nil // not told here
	}
	if stat, err := self.Stat(); err == nil && stat.Nice != 0 {
		return []string{"nice", "-n", strconv.Itoa(stat.Nice)}
	}
	return nil
}

// Add appends a figure with the values that its rounds gave, at least one. A nil
// bar promises nothing. The row may be changed further.
func (r *Result) Add(what, unit string, bar *Bar, rounds ...float64) *Row {
	rounds = slices.Clone(rounds)
	for i, x := range rounds {
		rounds[i] = significant(x)
	}
	row := Row{What: what, Unit: unit, Measured: significant(Median(rounds)), Bar: bar}
	if len(rounds) > 1 {
		row.Rounds = rounds
	}
	if bar != nil {
		met := bar.AtLeast == 0 && row.Measured <= bar.AtMost || bar.AtLeast > 0 && row.Measured >= bar.AtLeast
		row.Ratio, row.Met = significant(row.Measured/bar.limit()), &met
	}
	r.Rows = append(r.Rows, row)
	return &r.Rows[len(r.Rows)-1]
}

// significant leaves five digits of a figure.
func significant(x float64) float64 {
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 5, 64), 64)
	if err != nil {
		return x
	}
	return rounded
}

// Point appends a point of a series in the plot.
func (r *Result) Point(series string, x float64, what, unit string, bar *Bar, rounds ...float64) {
	row := r.Add(what, unit, bar, rounds...)
	row.Series, row.X = series, x
}

// Met reports whether no bar is missed.
func (r *Result) Met() bool {
	return !slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Met != nil && !*row.Met })
}

// Table returns the rows as a table whose first line is the heading.
func (r *Result) Table() [][]any {
	table := [][]any{{"what", "bar", "measured", "unit", "spread", "of the bar", "met"}}
	for _, row := range r.Rows {
		ratio, met, spread := "-", "-", "-"
		if row.Met != nil {
			ratio, met = fmt.Sprintf("%.2f", row.Ratio), map[bool]string{true: "yes", false: "NO"}[*row.Met]
		}
		if len(row.Rounds) > 1 {
			spread = number(slices.Min(row.Rounds)) + " to " + number(slices.Max(row.Rounds))
		}
		table = append(table, []any{row.What, row.Bar.String(), number(row.Measured), row.Unit, spread, ratio, met})
	}
	return table
}

// Markdown returns the rows as a table for a document: those with a bar, or, if there
// are none, all.
func (r *Result) Markdown() string {
	var text strings.Builder
	line := func(cells ...string) { text.WriteString("| " + strings.Join(cells, " | ") + " |\n") }
	if slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Bar != nil }) {
		line("what", "bar", "measured", "met")
		line("---", "---", "---", "---")
		for _, row := range r.Rows {
			if row.Bar != nil {
				line(row.What, row.Bar.String(), row.measured(), map[bool]string{true: "yes", false: "**no**"}[*row.Met])
			}
		}
		return text.String()
	}
	line("what", "measured")
	line("---", "---")
	for _, row := range r.Rows {
		line(row.What, row.measured())
	}
	return text.String()
}

// measured is the figure with its unit and spread.
func (row Row) measured() string {
	text := strings.TrimSpace(number(row.Measured) + " " + row.Unit)
	if lo, hi := row.spread(); lo < hi {
		text += " (" + number(lo) + " to " + number(hi) + ")"
	}
	return text
}

// Save writes the result to NAME.json and its plot to NAME.svg in a folder.
func (r *Result) Save(folder string) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, r.Name+".svg"), r.SVG(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, r.Name+".json"), text.Bytes(), 0o644)
}

// LoadResult reads what Save wrote.
func LoadResult(path string) (*Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r Result
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Name == "" || len(r.Rows) == 0 {
		return nil, fmt.Errorf("%s: %w", path, errors.New("not a result: it has no name or no rows"))
	}
	return &r, nil
}

// Median returns the middle of some values, of an even number the mean of the two
// in the middle.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[half-1] + sorted[half]) / 2
	}
	return sorted[half]
}

// Number writes a figure as results do: three digits, all of those before the point,
// and thousands apart.
func Number(x float64) string { return number(x) }

// number writes three digits of a figure, all of those before the point, and
// thousands apart.
func number(x float64) string {
	if x == 0 || math.IsInf(x, 0) || math.IsNaN(x) {
		return fmt.Sprint(x)
	}
	digits := min(max(2-int(math.Floor(math.Log10(math.Abs(x)))), 0), 9)
	text := strconv.FormatFloat(x, 'f', digits, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction = strings.TrimRight(fraction, "0"); fraction != "" {
		whole += "." + fraction
	}
	return whole
}

// ThisMachine describes this one, as far as it tells.
func ThisMachine() Machine {
	m := Machine{Processors: runtime.GOMAXPROCS(0), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	m.CPU = fieldOf("/proc/cpuinfo", "model name")
	if kb, err := strconv.ParseInt(strings.TrimSuffix(fieldOf("/proc/meminfo", "MemTotal"), " kB"), 10, 64); err == nil {
		m.Memory = kb << 10
	}
	return m
}

// fieldOf returns the first "name: value" of a file, or nothing.
func fieldOf(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (m Machine) String() string {
	text := fmt.Sprintf("%d processors", m.Processors)
	if m.CPU != "" {
		text += " of " + m.CPU
	}
	if m.Memory > 0 {
		text += fmt.Sprintf(", %d GiB", (m.Memory+1<<29)>>30)
	}
	return text + ", " + m.System + ", " + m.Go
}
