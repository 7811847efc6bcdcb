package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

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
	shared := embedded(dsn)
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

// embedded reports whether dsn is of a database in this process.
func embedded(dsn string) bool {
	return strings.HasPrefix(dsn, "sqlite:") || strings.HasPrefix(dsn, "mem:")
}

// DatabaseName says what the database of dsn is: sqlite, postgres or cockroach.
func DatabaseName(ctx context.Context, dsn string) (string, error) {
	if embedded(dsn) {
		return "sqlite", nil
	}
	c, err := pgx.Connect(ctx, serverDSN(dsn))
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	isCockroach, err := cockroach(ctx, c)
	if isCockroach {
		return "cockroach", err
	}
	return "postgres", err
}

// serverDSN is dsn with the scheme that pgx knows.
func serverDSN(dsn string) string {
	for _, scheme := range []string{"cockroach://", "cockroachdb://"} {
		if rest, ok := strings.CutPrefix(dsn, scheme); ok {
			return "postgres://" + rest
		}
	}
	return dsn
}

// cockroach reports whether a server is CockroachDB.
func cockroach(ctx context.Context, c interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}) (bool, error) {
	var version string
	err := c.QueryRow(ctx, "SELECT version()").Scan(&version)
	return strings.HasPrefix(version, "CockroachDB"), err
}
