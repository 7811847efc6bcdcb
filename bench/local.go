package bench

import (
	"context"

	"github.com/cardea-iam/cardea/engine"
)

// Local is an engine in this process: what a server costs on top of it is the
// price of the wire.
type Local struct{ Engine *engine.Engine }

// ApplyModel implements Target.
func (l Local) ApplyModel(ctx context.Context, source string) error {
	_, _, err := l.Engine.ApplyModel(ctx, source, engine.ApplyModel{})
	return err
}

// Insert implements Target.
func (l Local) Insert(ctx context.Context, tuples []engine.Tuple) error {
	ups := make([]engine.Update, len(tuples))
	for i, t := range tuples {
		ups[i] = engine.Update{Op: engine.Insert, Tuple: t}
	}
	_, err := l.Engine.Write(ctx, ups)
	return err
}

// Check implements Target.
func (l Local) Check(ctx context.Context, t engine.Tuple) (bool, error) {
	answer, err := l.Engine.Check(ctx, t, engine.Consistency{})
	return answer.Allowed, err
}
