package engine

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/cardea-iam/cardea/engine/graph"
	"github.com/cardea-iam/cardea/internal/errs"
)

// WriteCheckpoint writes the tuples at the current revision in a form that a later
// engine on the same store begins with, instead of reading the whole store:
// Options.Checkpoint. Questions and writes go on meanwhile.
//
// Refused: the engine is in bounded mode and has not all tuples.
func (e *Engine) WriteCheckpoint(to io.Writer) error {
	s := e.live.now.Load()
	if s.shelf != nil {
		return errs.New(errs.Refused, "the engine is in bounded mode: it has not all tuples in memory")
	}
	id := e.store.ID()
	head := binary.BigEndian.AppendUint32(id[:], uint32(len(s.revision)))
	if _, err := to.Write(append(head, s.revision...)); err != nil {
		return err
	}
	return s.snap.WriteCheckpoint(to)
}

// maxRevision bounds a revision that a damaged file announces, in bytes.
const maxRevision = 1 << 16

// readCheckpoint returns the state that a checkpoint holds.
func (e *Engine) readCheckpoint(ctx context.Context, from io.Reader) (*state, error) {
	var head [len(StoreID{}) + 4]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "the checkpoint cannot be read")
	}
	n := binary.BigEndian.Uint32(head[len(StoreID{}):])
	if StoreID(head[:len(StoreID{})]) != e.store.ID() || n > maxRevision {
		return nil, errs.New(errs.Invalid, "the checkpoint is of another store, or from before this one was restored")
	}
	rev := make([]byte, n)
	if _, err := io.ReadFull(from, rev); err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "the checkpoint cannot be read")
	}
	snap, err := graph.ReadCheckpoint(from)
	if err != nil {
		return nil, errs.Wrap(errs.Invalid, err, "the checkpoint cannot be read")
	}
	if !e.fits(snap.Bytes()) {
		return nil, errs.New(errs.Invalid, "the checkpoint takes more memory than there may be")
	}
	m, err := e.modelAt(ctx, Revision(rev))
	if err != nil {
		return nil, err
	}
	return e.newState(Revision(rev), snap.Build(), m), nil
}

// resume makes the engine begin with a checkpoint, and leads it to the store's
// head. Without one, or if it is of no use, nothing happens.
func (e *Engine) resume(ctx context.Context) error {
	if e.options.Checkpoint == nil {
		return nil
	}
	s, err := e.readCheckpoint(ctx, e.options.Checkpoint)
	if err != nil {
		return err
	}
	e.live.now.Store(s)
	if _, err = e.catchUp(ctx); err != nil {
		e.live.now.Store(nil)
	}
	return err
}
