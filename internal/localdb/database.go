package localdb

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/internal/errs"
)

var databases atomic.Int64

// NewDatabase makes an empty database on the server of dsn, PostgreSQL or
// CockroachDB, and returns its DSN.
//
// Invalid: dsn is no URL.
func NewDatabase(ctx context.Context, dsn string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" {
		return "", errs.New(errs.Invalid, "the DSN of the database server is no URL such as postgres://USER@HOST/DATABASE")
	}
	// The number of this process keeps those apart that share a server.
	u.Path = fmt.Sprintf("/cardea_test_%d_%d", os.Getpid(), databases.Add(1))
	return u.String(), execute(ctx, dsn, "CREATE DATABASE "+pgx.Identifier{u.Path[1:]}.Sanitize())
}

// DropDatabase removes a database that NewDatabase made on the server of dsn,
// also while others are connected to it.
func DropDatabase(ctx context.Context, dsn, database string) error {
	u, err := url.Parse(database)
	if err != nil {
		return err
	}
	name := pgx.Identifier{u.Path[1:]}.Sanitize()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	if _, err = c.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
		_, err = c.Exec(ctx, "DROP DATABASE "+name+" CASCADE") // as CockroachDB calls it
	}
	return err
}

func execute(ctx context.Context, dsn, statement string) error {
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, statement)
	return err
}
