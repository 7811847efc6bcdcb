package server

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/errs"
)

// Checkpoints are files, one for each network, from which a start reads what the
// database need not be asked for. They hold tuples, so only their owner may read
// them. Losing one costs nothing but time.

// checkpointFile returns the path of a network's checkpoint, "" for none.
func (c Config) checkpointFile(network string) string {
	if c.Memory.Checkpoint.Dir == "" {
		return ""
	}
	return filepath.Join(c.Memory.Checkpoint.Dir, network+".graph")
}

// openEngine loads what a network holds: from its checkpoint and the log since, or
// from the database.
func (s *Server) openEngine(ctx context.Context, network string, tuples engine.Store, o engine.Options) (*engine.Engine, error) {
	path := s.config.checkpointFile(network)
	if path == "" {
		return engine.New(ctx, tuples, o)
	}
	f, err := os.Open(path)
	switch {
	case err == nil:
		defer f.Close()
		o.Checkpoint = f
	case !errors.Is(err, fs.ErrNotExist):
		s.log.Warn("the checkpoint is passed over", "network", network, "file", path, "err", err)
	}
	e, err := engine.New(ctx, tuples, o)
	if err == nil && e.Resumed() != nil {
		s.log.Warn("the checkpoint is passed over", "network", network, "file", path, "err", e.Resumed())
	}
	return e, err
}

// checkpoint writes checkpoints now and then, and when ctx ends.
func (s *Server) checkpoint(ctx context.Context) {
	if s.config.Memory.Checkpoint.Dir == "" {
		return
	}
	tick := time.NewTicker(s.config.Memory.Checkpoint.Interval)
	defer tick.Stop()
	written := map[*network]engine.Token{}
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		}
		for _, n := range s.core.networks {
			s.checkpointOf(n, written)
		}
	}
}

func (s *Server) checkpointOf(n *network, written map[*network]engine.Token) {
	at := n.engine.Applied()
	if written[n] == at || n.engine.Stats().Bounded {
		return
	}
	path, start := s.config.checkpointFile(n.name), time.Now()
	size, err := writeAtomically(path, n.engine)
	if err != nil {
		s.log.Error("the checkpoint cannot be written", "network", n.name, "file", path, "err", err)
		return
	}
	written[n] = at
	s.log.Debug("checkpoint written", "network", n.name, "file", path, "bytes", size, "took", time.Since(start))
}

// writeAtomically writes a checkpoint beside the file, and then puts it in its
// place, so that there is a whole one at any time.
func writeAtomically(path string, e *engine.Engine) (size int64, err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	err = e.WriteCheckpoint(f)
	if err == nil {
		size, err = f.Seek(0, 1)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if errs.KindOf(err) == errs.Refused { // went over to bounded mode meanwhile
		_ = os.Remove(f.Name())
		return 0, nil
	}
	return size, err
}
