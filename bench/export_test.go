package bench

import "context"

// Token logs somebody in.
func (i *Identity) Token(ctx context.Context) (string, error) {
	g, err := i.enter(ctx, i.somebody())
	return g.Token, err
}
