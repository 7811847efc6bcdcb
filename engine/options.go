package engine

import (
	"errors"
	"io"
	"time"

	"github.com/cardea-iam/cardea/opl"
)

// Options tune an Engine. The zero value is ready to use: a zero field means
// the default given at the field.
type Options struct {
	// Compat makes tuples stored on permissions count and lets every tuple of a
	// known namespace be written, as Keto does.
	Compat bool

	// OPL is how models from the store are read.
	OPL opl.Options

	// MaxWork limits the steps of one check, an expand or one item of a batch,
	// each of which looks at one object, or one relation of it. Beyond it the answer
	// is an error of kind Exhausted. Default 10,000,000, which takes some seconds.
	MaxWork int64

	// MaxExpand limits the nodes of one tree. A larger one is an error of kind
	// Exhausted. Default 100,000.
	MaxExpand int

	// ExpandRewrites makes Expand follow permissions, as Keto does with its
	// feature flag of that name.
	ExpandRewrites bool

	// MaxBatch limits the items of one BatchCheck. Default 10,000.
	MaxBatch int

	// Poll is how often, at least, the log is asked for what other nodes wrote when
	// nobody waits for it. While there is something new it is asked more often.
	// Default 1 s.
	Poll time.Duration

	// Checkpoint, if set, is what WriteCheckpoint wrote for the same store, to begin
	// with. If it is of no use, see Engine.Resumed, all tuples are read instead.
	Checkpoint io.Reader

	// Memory is how many bytes the tuples may take in memory. Beyond it the engine
	// goes over to bounded mode, in which it keeps what is asked for most and reads
	// the rest from the store when it is needed. 0: no limit.
	Memory int64

	// OnBounded, if set, is called once when the engine goes over to bounded mode,
	// also while New runs. It must not call the engine.
	OnBounded func()

	// LargeSet is how many members a set may have to be read as a whole in bounded
	// mode, where the question allows another way. Default 1,000.
	LargeSet int

	// KeepStates is how many past states stay in memory, at most, for questions at
	// an exact revision. They are fewer if they would take more than an eighth of
	// the memory that the tuples take, and more than 16 MiB. Default 256.
	KeepStates int

	renumberMin int64 // see there; for tests
}

// Validate reports every field that makes no sense, not only the first.
func (o Options) Validate() error {
	var bad []error
	for name, value := range map[string]int64{
		"MaxWork": o.MaxWork, "MaxExpand": int64(o.MaxExpand), "MaxBatch": int64(o.MaxBatch),
		"Poll": int64(o.Poll), "KeepStates": int64(o.KeepStates), "Memory": o.Memory, "LargeSet": int64(o.LargeSet),
	} {
		if value < 0 {
			bad = append(bad, errors.New("engine: "+name+" is negative"))
		}
	}
	return errors.Join(bad...)
}

func (o Options) withDefaults() Options {
	setDefault(&o.MaxWork, 10_000_000)
	setDefault(&o.MaxExpand, 100_000)
	setDefault(&o.MaxBatch, 10_000)
	setDefault(&o.Poll, time.Second)
	setDefault(&o.KeepStates, 256)
	setDefault(&o.LargeSet, 1000)
	setDefault(&o.renumberMin, renumberMin)
	return o
}

func setDefault[T int | int64 | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}
