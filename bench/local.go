package bench

import (
	"context"

	"github.com/cardea-iam/cardea/engine"
)

// Local is an engine in this process: what a server costs on top of it is the
// price of the wire.
type Local struct {
	Engine *engine.Engine

	// At says how fresh the answer to the next check has to be. Nil: as fresh as
	// it costs nothing.
	At func() engine.Consistency
}

// ApplyModel implements Target.
func (l Local) ApplyModel(ctx context.Context, source string) error {
	_, _, err := l.Engine.ApplyModel(ctx, source, engine.ApplyModel{})
	return err
}

// Insert implements Target.
func (l Local) Insert(ctx context.Context, tuples []engine.Tuple) error {
	_, err := l.write(ctx, tuples...)
	return err
}

// write inserts tuples and returns a token that shows them.
func (l Local) write(ctx context.Context, tuples ...engine.Tuple) (engine.Token, error) {
	w := engine.Write{Updates: make([]engine.Update, len(tuples))}
	for i, t := range tuples {
		w.Updates[i] = engine.Update{Op: engine.Insert, Tuple: t}
	}
	done, err := l.Engine.Write(ctx, w)
	return done.Token, err
}

// Check implements Target.
func (l Local) Check(ctx context.Context, t engine.Tuple) (bool, error) {
	var at engine.Consistency
	if l.At != nil {
		at = l.At()
	}
	answer, err := l.Engine.Check(ctx, t, at)
	return answer.Allowed, err
}
