package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/store"
)

// Starts are how long an engine took, several times, until it could answer.
type Starts struct {
	Tuples  int64
	Seconds []float64
	CPU     []float64 // seconds of this process, 0 where the system does not tell
}

// start starts an engine and ends it again.
func (s *Starts) start(ctx context.Context, on engine.Store, o engine.Options) error {
	before, began := ownTime(), time.Now()
	e, err := engine.New(ctx, on, o)
	if err != nil {
		return err
	}
	s.Seconds = append(s.Seconds, time.Since(began).Seconds())
	s.CPU = append(s.CPU, ownTime()-before)
	s.Tuples = e.Stats().Tuples
	return errors.Join(e.Resumed(), e.Close())
}

// ownTime is the processor time of this process in seconds.
func ownTime() float64 {
	if self, err := procfs.Self(); err == nil {
		if s, err := self.Stat(); err == nil {
			return s.CPUTime()
		}
	}
	return 0
}

// StartFromCheckpoint starts from a file with the tuples of a workload.
func StartFromCheckpoint(ctx context.Context, w Workload, rounds int) (Starts, error) {
	folder, err := os.MkdirTemp("", "cardea-bench-")
	if err != nil {
		return Starts{}, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "checkpoint")
	if err := writeCheckpoint(ctx, w, path); err != nil {
		return Starts{}, err
	}
	var s Starts
	for range rounds {
		f, err := os.Open(path)
		if err != nil {
			return Starts{}, err
		}
		err = s.start(ctx, Fixed{Workload: w}, engine.Options{Poll: time.Hour, Checkpoint: f})
		if err := errors.Join(err, f.Close()); err != nil {
			return Starts{}, err
		}
	}
	return s, nil
}

func writeCheckpoint(ctx context.Context, w Workload, path string) error {
	e, err := engine.New(ctx, Fixed{Workload: w}, engine.Options{Poll: time.Hour})
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err == nil {
		err = errors.Join(e.WriteCheckpoint(f), f.Close())
	}
	return errors.Join(err, e.Close())
}

// StartFromStore fills a network of its own in the database of dsn with a workload, and
// starts from that.
func StartFromStore(ctx context.Context, dsn string, w Workload, rounds int) (s Starts, err error) {
	db, err := store.Open(ctx, dsn, store.Options{Migrate: true, ApplicationName: "cardea bench"})
	if err != nil {
		return Starts{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	on, err := db.Network(ctx, "bench-"+strings.ToLower(rand.Text()))
	if err != nil {
		return Starts{}, err
	}
	e, err := engine.New(ctx, on, engine.Options{})
	if err != nil {
		return Starts{}, err
	}
	if err := errors.Join(Fill(ctx, Local{Engine: e}, w, func(int) {}), e.Close()); err != nil {
		return Starts{}, err
	}
	for range rounds {
		if err := s.start(ctx, on, engine.Options{}); err != nil {
			return Starts{}, err
		}
	}
	return s, nil
}
