package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/cardea-iam/cardea/bench"
)

// A Report is what a run found.
type Report struct {
	Date       string         `json:"date"`
	Command    string         `json:"command"`
	Machine    Machine        `json:"machine"`
	PostgreSQL PostgreSQL     `json:"postgresql"`
	Workload   Workload       `json:"workload"`
	Engines    []EngineReport `json:"engines"`
	Missing    []Missing      `json:"missing,omitempty"`
}

// A Machine is where the run took place. Client, servers and PostgreSQL share it.
type Machine struct {
	System     string `json:"system"`
	Processors int    `json:"processors"`
	Model      string `json:"model,omitempty"`
	Go         string `json:"go"`
	Note       string `json:"note,omitempty"`
}

// A PostgreSQL is the server that all engines had, one at a time.
type PostgreSQL struct {
	Version  string `json:"version"`
	Settings string `json:"settings"`
	Counting string `json:"counting"` // what the queries of a check are
}

// A Workload is what was loaded and asked.
type Workload struct {
	Name            string  `json:"name"`
	Tuples          int     `json:"tuples"`
	Seed            uint64  `json:"seed"`
	Granted         float64 `json:"granted"`
	Skew            float64 `json:"skew"`
	Concurrency     int     `json:"concurrency"`
	WarmUpSeconds   float64 `json:"warm_up_seconds"`
	WritesPerSecond int     `json:"writes_per_second_with_token"`
}

// An EngineReport is what one engine did.
type EngineReport struct {
	Name        string       `json:"name"`
	Version     string       `json:"version"`
	Settings    []string     `json:"settings"`
	Commands    []string     `json:"commands"`
	Load        LoadReport   `json:"load"`
	ResidentMiB int64        `json:"resident_mib"` // of the server, after all measurements
	Modes       []ModeReport `json:"modes"`
}

// A LoadReport is what it took to load the workload, with the API's own writes.
type LoadReport struct {
	Tuples         int     `json:"tuples"`
	Seconds        float64 `json:"seconds"`
	ServerMicros   float64 `json:"server_cpu_us_per_tuple"`
	DatabaseMicros float64 `json:"database_cpu_us_per_tuple"`
}

// A ModeReport is what checks cost in one mode. Processor time includes that of the
// writes beside them.
type ModeReport struct {
	Mode   mode   `json:"mode"`
	How    string `json:"how"`               // what the engine was asked for
	SameAs mode   `json:"same_as,omitempty"` // the mode of which this is the measurement
	bench.Report
	ServerMillis   float64 `json:"server_cpu_ms_per_check"`
	DatabaseMillis float64 `json:"database_cpu_ms_per_check"`
	Queries        float64 `json:"queries_per_check"`
	Writes         int64   `json:"writes"`
	OthersCores    float64 `json:"others_cores"` // processors that the rest of the machine took meanwhile

	// How many times Cardea's, in the same run and mode. 0: it was not measured.
	CPURatio float64 `json:"cpu_times_cardea,omitempty"`
	QPSRatio float64 `json:"qps_times_cardea,omitempty"`
}

func (m ModeReport) cpu() float64 { return m.ServerMillis + m.DatabaseMillis }

// A Missing is an engine that was not measured.
type Missing struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// compare fills in how many times Cardea's each number is.
func (r *Report) compare() {
	base := map[mode]ModeReport{}
	for _, e := range r.Engines {
		for _, m := range e.Modes {
			if e.Name == "cardea" {
				base[m.Mode] = m
			}
		}
	}
	for _, e := range r.Engines {
		for i := range e.Modes {
			m := &e.Modes[i]
			if b, ok := base[m.Mode]; ok && b.cpu() > 0 && b.QPS > 0 {
				m.CPURatio, m.QPSRatio = m.cpu()/b.cpu(), m.QPS/b.QPS
			}
		}
	}
}

// wrong says which engines failed the run, and by what.
func (r *Report) wrong() error {
	var bad []string
	for _, e := range r.Engines {
		for _, m := range e.Modes {
			if m.SameAs == "" && (m.Wrong > 0 || m.Errors > 0) {
				bad = append(bad, fmt.Sprintf("%s, %s: %d wrong answers (%s), %d errors (%s)", e.Name, m.Mode, m.Wrong, m.FirstWrong, m.Errors, m.FirstError))
			}
		}
	}
	if bad == nil {
		return nil
	}
	return fmt.Errorf("answers were not as the workload knows them:\n%s", strings.Join(bad, "\n"))
}

// print writes the report for people.
func (r *Report) print(to io.Writer) error {
	fmt.Fprintf(to, "\n%s, %d processors, %s; PostgreSQL %s (%s)\nqueries: %s\n", r.Machine.System, r.Machine.Processors, r.Machine.Note,
		r.PostgreSQL.Version, r.PostgreSQL.Settings, r.PostgreSQL.Counting)
	for _, e := range r.Engines {
		fmt.Fprintf(to, "\n%s %s: %d tuples loaded in %.0f s; %d MiB resident\n", e.Name, e.Version, e.Load.Tuples, e.Load.Seconds, e.ResidentMiB)
		for _, s := range e.Settings {
			fmt.Fprintf(to, "  %s\n", s)
		}
		for _, m := range e.Modes {
			same := ""
			if m.SameAs != "" {
				same = ", measured as " + string(m.SameAs)
			}
			fmt.Fprintf(to, "  %s: %s%s\n", m.Mode, m.How, same)
		}
	}
	fmt.Fprintln(to)
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "engine\tmode\tchecks/s\tp50 ms\tp99 ms\tserver CPU ms\tdatabase CPU ms\tqueries\tCPU × Cardea\tchecks/s × Cardea\tothers' cores\t")
	for _, e := range r.Engines {
		for _, m := range e.Modes {
			fmt.Fprintf(t, "%s\t%s\t%.0f\t%.2f\t%.2f\t%s\t%s\t%s\t%s\t%s\t%.1f\t\n", e.Name, m.Mode, m.QPS, float64(m.P50)/1000, float64(m.P99)/1000,
				short(m.ServerMillis), short(m.DatabaseMillis), short(m.Queries), short(m.CPURatio), short(m.QPSRatio), m.OthersCores)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, m := range r.Missing {
		fmt.Fprintf(to, "%s was not measured: %s\n", m.Name, strings.ReplaceAll(m.Why, "\n", "; "))
	}
	return nil
}

// short writes a number with three digits that count.
func short(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	case v > 0:
		return fmt.Sprintf("%.2g", v)
	default:
		return "0"
	}
}

// save writes the report as JSON.
func (r *Report) save(path string) error {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

func thisMachine(note string) Machine {
	return Machine{System: runtime.GOOS + "/" + runtime.GOARCH, Processors: runtime.NumCPU(), Model: processorModel(), Go: runtime.Version(), Note: note}
}

func processorModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// withoutPort replaces the port of an address by a name.
func withoutPort(arg string) string {
	if host, port, err := net.SplitHostPort(arg); err == nil && host == "127.0.0.1" && port != "" {
		return host + ":$PORT"
	}
	return arg
}
