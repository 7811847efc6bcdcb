package main

import (
	"context"
	"fmt"

	"github.com/cardea-iam/cardea/engine"
)

// A mode is how fresh an answer has to be.
type mode string

// The modes in the order in which they are measured.
const (
	minimizeLatency mode = "minimize_latency" // as fresh as it costs nothing
	withToken       mode = "with_token"       // shows the last write, by its token
	fullyConsistent mode = "fully_consistent" // shows every write acknowledged before
)

var modes = []mode{minimizeLatency, withToken, fullyConsistent}

// A freshness is what one check asks for. The token is that of the last write and
// set in withToken only.
type freshness struct {
	mode  mode
	token string
}

// A client speaks one engine's language. Its methods may be called from many
// goroutines at once, applyModel excepted.
type client interface {
	// applyModel makes the Drive model, in the engine's own language, the one in
	// force.
	applyModel(ctx context.Context) error
	// insert writes at most 1000 tuples. Tuples that are there already, and tuples
	// that come twice, change nothing. It returns the token of the write, "" if the
	// engine has none.
	insert(ctx context.Context, tuples []engine.Tuple) (string, error)
	// check answers one question.
	check(ctx context.Context, t engine.Tuple, at freshness) (bool, error)
}

// A program is an engine to compare: how it is got, set up and asked.
type program struct {
	name   string
	binary string // name of the executable
	module string // whose version the executable carries
	tools  bool   // whether tools/BINARY builds it

	// settings says what differs from the defaults, and why.
	settings []string
	// asks says how each mode is asked for. Modes that are asked for alike are
	// measured once.
	asks map[mode]string
	// start runs the engine on an empty database.
	start func(ctx context.Context, at site) (*instance, error)
}

// hasToken reports whether writes return tokens that a check can name.
func (p program) hasToken() bool { return p.asks[withToken] != p.asks[fullyConsistent] }

// A site is where an engine runs.
type site struct {
	binary string // path of the executable
	dsn    string // of an empty database
	folder string // for files, its own
}

// An instance is an engine that runs and serves.
type instance struct {
	client
	process  *process
	commands [][]string // that started it, for the report
	close    func() error
}

// programs lists all engines. Cardea comes first, so that there is something to
// divide by.
func programs() []program {
	return []program{cardea(), spicedb(), openfga(), openfgaWeighted(), keto()}
}

// byName returns the programs with the given names, in the order of programs.
func byName(names []string) ([]program, error) {
	wanted := map[string]bool{}
	for _, n := range names {
		wanted[n] = true
	}
	var list []program
	var known []string
	for _, p := range programs() {
		known = append(known, p.name)
		if wanted[p.name] {
			list = append(list, p)
			delete(wanted, p.name)
		}
	}
	for n := range wanted {
		return nil, fmt.Errorf("--peer names %q: expected some of %v", n, known)
	}
	return list, nil
}
