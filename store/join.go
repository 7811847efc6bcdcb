package store

import (
	"context"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/identity"
	"github.com/cardea-iam/cardea/store/people"
	"github.com/cardea-iam/cardea/store/script"
)

// People is what a network keeps of identities, beside the network's tuples.
type People struct {
	*people.Store
	run joiner
}

var _ identity.Store = (*People)(nil)

// A joiner writes tuples and rows together.
type joiner interface {
	script.Runner
	Join(ctx context.Context, w engine.Write, doing string, build func(*script.Script)) (engine.Written, error)
}

// Join does w on the network's tuples, and ops on its identities, in one transaction, or
// nothing. The revision shows both.
//
// Errors as for engine.Store's and identity.Store's Write. Invalid, too: w has a key.
func (p *People) Join(ctx context.Context, w engine.Write, ops ...identity.Op) (engine.Written, error) {
	return p.run.Join(ctx, w, people.Doing, func(sc *script.Script) { p.Add(sc, ops...) })
}
