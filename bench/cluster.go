package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/store"
)

// A Cluster is a number of nodes over one database: engines in this process, each
// with connections of its own, as servers would have them. Over SQLite, which
// takes one process, they share the open file.
type Cluster struct {
	Nodes []*engine.Engine

	databases []*store.DB
}

// StartCluster opens the database of dsn n times and starts an engine on each.
// They use a network of their own, so that what is in the database does not
// matter; nothing removes it. The schema is brought up to date.
func StartCluster(ctx context.Context, dsn string, n int, o engine.Options) (*Cluster, error) {
	c := &Cluster{}
	network := "bench-" + strings.ToLower(rand.Text())
	shared := strings.HasPrefix(dsn, "sqlite:") || strings.HasPrefix(dsn, "mem:")
	for i := range n {
		if i == 0 || !shared {
			db, err := store.Open(ctx, dsn, store.Options{Migrate: true, ApplicationName: "cardea bench"})
			if err != nil {
				return nil, errors.Join(err, c.Close())
			}
			c.databases = append(c.databases, db)
		}
		if err := c.startNode(ctx, network, o); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// startNode starts an engine on the database that was opened last.
func (c *Cluster) startNode(ctx context.Context, network string, o engine.Options) error {
	s, err := c.databases[len(c.databases)-1].Network(ctx, network)
	if err != nil {
		return err
	}
	e, err := engine.New(ctx, s, o)
	if err != nil {
		return err
	}
	c.Nodes = append(c.Nodes, e)
	return nil
}

// Close stops all nodes.
func (c *Cluster) Close() error {
	var bad []error
	for _, e := range c.Nodes {
		bad = append(bad, e.Close())
	}
	for _, db := range c.databases {
		bad = append(bad, db.Close())
	}
	return errors.Join(bad...)
}
