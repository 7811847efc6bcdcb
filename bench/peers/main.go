package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cardea-iam/cardea/bench"
)

// options is what the command line asks for.
type options struct {
	peers       []string
	tuples      int
	seed        uint64
	concurrency int
	duration    time.Duration // of each mode
	warmUp      time.Duration
	writes      int // a second, beside checks with a token
	mix         bench.Mix
	out         string
	save        string // folder for the ratios
	note        string
	folder      string // of built executables
	build       bool
	named       map[string]string // paths of executables
}

func parse(args []string, stderr io.Writer) (options, error) {
	o := options{named: map[string]string{}}
	flags := flag.NewFlagSet("peers", flag.ContinueOnError)
	flags.SetOutput(stderr)
	peers := flags.String("peer", strings.Join(names(), ","), "the engines, with commas between")
	flags.IntVar(&o.tuples, "tuples", 97_000, "about how many tuples the workload has")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the workload and of the questions")
	flags.IntVar(&o.concurrency, "concurrency", 16, "callers, each of which waits for its answer before it asks again")
	flags.DurationVar(&o.duration, "duration", 20*time.Second, "how long to ask in each mode")
	flags.DurationVar(&o.warmUp, "warm-up", 5*time.Second, "how long to ask before that without counting")
	flags.IntVar(&o.writes, "writes", 10, "tuples written a second beside checks with the token of the last write")
	flags.Float64Var(&o.mix.Skew, "skew", 0, "exponent of the Zipf law for documents and users, above 1; 0 is even")
	flags.Float64Var(&o.mix.Granted, "granted", 0.5, "share of the questions, 0 to 1, that are about somebody the document is shared with")
	flags.StringVar(&o.out, "out", "", "file for the report as JSON")
	flags.StringVar(&o.save, "save", "", "folder for the ratios to Cardea as a result of the bench, peers.json and peers.svg")
	flags.StringVar(&o.note, "note", "client, server and database share them", "what to say about the machine")
	flags.StringVar(&o.folder, "bin", "", "folder for built executables (default: cardea-peers in the user's cache)")
	flags.BoolVar(&o.build, "build", true, "build peers that are not in --bin")
	for _, p := range programs() {
		if flags.Lookup(p.binary) == nil {
			flags.Func(p.binary, "path of the executable of "+p.binary, func(path string) error {
				o.named[p.binary] = path
				return nil
			})
		}
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.peers = strings.Split(*peers, ",")
	return o, errors.Join(o.validate(), extra(flags.Args()))
}

func names() []string {
	var list []string
	for _, p := range programs() {
		list = append(list, p.name)
	}
	return list
}

func extra(args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%q is no flag", args)
}

func (o options) validate() error {
	var bad []error
	for _, rule := range []struct {
		ok   bool
		text string
	}{
		{o.tuples >= 100 && o.tuples <= 100_000_000, fmt.Sprintf("--tuples is %d: expected 100 to 100,000,000", o.tuples)},
		{o.concurrency >= 1 && o.concurrency <= 10_000, fmt.Sprintf("--concurrency is %d: expected 1 to 10,000", o.concurrency)},
		{o.duration > 0, fmt.Sprintf("--duration is %s: expected more than 0", o.duration)},
		{o.warmUp > 0, fmt.Sprintf("--warm-up is %s: expected more than 0", o.warmUp)},
		{o.writes >= 1 && o.writes <= 1000, fmt.Sprintf("--writes is %d: expected 1 to 1,000", o.writes)},
		{o.mix.Skew == 0 || o.mix.Skew > 1, fmt.Sprintf("--skew is %v: expected 0 or more than 1", o.mix.Skew)},
		{o.mix.Granted >= 0 && o.mix.Granted <= 1, fmt.Sprintf("--granted is %v: expected 0 to 1", o.mix.Granted)},
	} {
		if !rule.ok {
			bad = append(bad, errors.New(rule.text))
		}
	}
	_, err := byName(o.peers)
	return errors.Join(append(bad, err)...)
}

// command is how to get this run again.
func (o options) command() string {
	text := fmt.Sprintf("go run . --peer %s --tuples %d --seed %d --concurrency %d --duration %s --warm-up %s --writes %d --granted %v",
		strings.Join(o.peers, ","), o.tuples, o.seed, o.concurrency, o.duration, o.warmUp, o.writes, o.mix.Granted)
	if o.mix.Skew != 0 {
		text += fmt.Sprintf(" --skew %v", o.mix.Skew)
	}
	return text
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := peers(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// peers is main without the process.
func peers(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	find, err := o.binaries(ctx, stderr)
	if err != nil {
		return err
	}
	db, err := startDatabase(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	report, failed := startRun(o, db, find, stderr).all(ctx)
	report.compare()
	if err := report.print(stdout); err != nil {
		return err
	}
	if o.out != "" {
		if err := report.save(o.out); err != nil {
			return err
		}
	}
	if o.save != "" {
		if err := report.result().Save(o.save); err != nil {
			return err
		}
	}
	return errors.Join(failed, report.wrong())
}

func (o options) binaries(ctx context.Context, log io.Writer) (binaries, error) {
	root, err := sourceRoot(ctx)
	if err != nil {
		return binaries{}, err
	}
	if o.folder == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return binaries{}, err
		}
		o.folder = filepath.Join(cache, "cardea-peers")
	}
	folder, err := filepath.Abs(o.folder)
	return binaries{root: root, folder: folder, build: o.build, named: o.named, log: log}, err
}

// all measures all engines that are there. One that fails does not keep the others
// from being measured.
func (r *run) all(ctx context.Context) (*Report, error) {
	report := &Report{
		Date: time.Now().UTC().Format(time.DateOnly), Command: r.options.command(), Machine: thisMachine(r.options.note),
		PostgreSQL: PostgreSQL{Version: r.database.version, Settings: r.database.settingsText(), Counting: r.database.counting()},
		Workload: Workload{
			Name: "Drive", Tuples: r.options.tuples, Seed: r.options.seed, Granted: r.options.mix.Granted, Skew: r.options.mix.Skew,
			Concurrency: r.options.concurrency, WarmUpSeconds: r.options.warmUp.Seconds(), WritesPerSecond: r.options.writes,
		},
	}
	list, err := byName(r.options.peers)
	if err != nil {
		return report, err
	}
	var failed []error
	for _, p := range list {
		binary, err := r.find.find(ctx, p)
		if err != nil {
			report.Missing = append(report.Missing, Missing{p.name, err.Error()})
			continue
		}
		one, err := r.engine(ctx, p, binary)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", p.name, err))
			report.Missing = append(report.Missing, Missing{p.name, "it failed"})
			continue
		}
		report.Engines = append(report.Engines, one)
	}
	return report, errors.Join(failed...)
}
