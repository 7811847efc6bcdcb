// Command testreport reads what go test -json prints and shows it to people: a
// line per package, everything a failed test said, what passing tests logged, such
// as seeds, each reason why tests were skipped, once, and a last line that
// counts. It exits with 1 if anything failed or nothing ran.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	r := newReport(os.Stdout)
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	if !r.finish() {
		os.Exit(1)
	}
}

// An event is one line of go test -json; go doc test2json says what it means.
type event struct {
	Action     string
	Package    string
	ImportPath string // of what did not build
	Test       string
	Output     string
}

// A test is one that has not ended. Children counts the subtests that have.
type test struct {
	output         []string
	children       int
	failedChildren int
}

type report struct {
	out                        io.Writer
	tests                      map[string]*test // by package and name
	failed                     map[string]bool  // packages with a test that failed
	problems                   []string
	reasons                    []string       // why tests were skipped, each once
	skipped                    map[string]int // how many, by reason
	npassed, nfailed, nskipped int
}

func newReport(out io.Writer) *report {
	return &report{out: out, tests: map[string]*test{}, failed: map[string]bool{}, skipped: map[string]int{}}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// line handles one line; what is no event is passed on as it is.
func (r *report) line(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		fmt.Fprint(r.out, line)
		return
	}
	switch {
	case e.Action == "build-output":
		fmt.Fprint(r.out, e.Output)
	case e.Test == "":
		r.packageEvent(e)
	default:
		r.testEvent(e)
	}
}

func (r *report) packageEvent(e event) {
	switch e.Action {
	case "output":
		// "PASS" and the coverage of nothing say less than the line that follows.
		if e.Output != "PASS\n" && !strings.HasSuffix(e.Output, "[no test files]\n") {
			fmt.Fprint(r.out, e.Output)
		}
	case "fail":
		if !r.failed[e.Package] { // it did not build, or ended outside any test
			r.fail(e.Package)
		}
	}
}

func (r *report) testEvent(e event) {
	key := e.Package + " " + e.Test
	t := r.tests[key]
	if t == nil {
		t = &test{}
		r.tests[key] = t
	}
	switch e.Action {
	case "output":
		t.output = append(t.output, e.Output)
		return
	case "pass", "fail", "skip":
	default:
		return
	}
	delete(r.tests, key)
	if parent := r.parent(e); parent != nil {
		parent.children++
		if e.Action == "fail" {
			parent.failedChildren++
		}
	}
	r.end(e, t)
}

// end counts and prints a test that ended. One with subtests counts only if it
// failed by itself.
func (r *report) end(e event, t *test) {
	switch {
	case e.Action == "fail":
		r.failed[e.Package] = true
		if t.failedChildren == 0 {
			r.fail(e.Package + " " + e.Test)
		}
		r.print(t.output)
	case e.Action == "skip":
		r.skip(t.output)
	default:
		if t.children == 0 {
			r.npassed++
		}
		r.print(slices.DeleteFunc(t.output, isFrame))
	}
}

// isFrame reports whether a line says only that a test ran.
func isFrame(line string) bool {
	line = strings.TrimLeft(line, " ")
	return strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ")
}

func (r *report) parent(e event) *test {
	i := strings.LastIndexByte(e.Test, '/')
	for ; i >= 0; i = strings.LastIndexByte(e.Test[:i], '/') { // a name may hold slashes of its own
		if t := r.tests[e.Package+" "+e.Test[:i]]; t != nil {
			return t
		}
	}
	return nil
}

func (r *report) print(lines []string) {
	for _, line := range lines {
		if !strings.HasPrefix(line, "=== ") {
			fmt.Fprint(r.out, line)
		}
	}
}

func (r *report) fail(what string) {
	r.nfailed++
	r.problems = append(r.problems, what)
}

// where is what a test's log puts before each message.
var where = regexp.MustCompile(`^\s*\S+\.go:\d+: `)

// skip counts a test that was skipped under the reason that it gave.
func (r *report) skip(output []string) {
	var words []string
	for _, line := range slices.DeleteFunc(output, isFrame) {
		words = append(words, strings.TrimSpace(where.ReplaceAllString(line, "")))
	}
	reason := strings.Join(words, " ")
	if r.skipped[reason] == 0 {
		r.reasons = append(r.reasons, reason)
	}
	r.skipped[reason]++
	r.nskipped++
}

// finish prints the sums and reports whether all is well. A test that has begun
// and not ended was cut short by a panic or a kill; its output is the reason.
func (r *report) finish() bool {
	for key, t := range r.tests {
		if len(t.output) > 0 && t.children == 0 {
			fmt.Fprintf(r.out, "%s did not end:\n", key)
			r.print(t.output)
		}
	}
	for _, reason := range r.reasons {
		fmt.Fprintf(r.out, "SKIPPED %d: %s\n", r.skipped[reason], cmp.Or(reason, "no reason was given"))
	}
	for _, p := range r.problems {
		fmt.Fprintln(r.out, "FAILED", p)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.npassed, r.nfailed, r.nskipped)
	return r.nfailed == 0 && r.npassed > 0
}
