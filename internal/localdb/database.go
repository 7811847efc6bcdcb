package localdb

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
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
	// The number of this process keeps those apart that share a server.
	name := fmt.Sprintf("cardea_test_%d_%d", os.Getpid(), databases.Add(1))
	database, err := WithDatabase(dsn, name)
	if err != nil {
		return "", err
	}
	return database, CreateDatabase(ctx, dsn, name)
}

// WithDatabase returns the DSN of a database on the server of dsn.
//
// Invalid: dsn is no URL.
func WithDatabase(dsn, name string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil || u.Host == "" {
		return "", errs.New(errs.Invalid, "the DSN of the database server is no URL such as postgres://USER@HOST/DATABASE")
	}
	u.Path = "/" + name
	return u.String(), nil
}

// CreateDatabase makes an empty database on the server of dsn.
func CreateDatabase(ctx context.Context, dsn, name string) error {
	return execute(ctx, dsn, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize())
}

// DropDatabase removes the database named by a DSN, also while others are
// connected to it. server is another DSN of the same server.
func DropDatabase(ctx context.Context, server, database string) error {
	u, err := url.Parse(database)
	if err != nil {
		return err
	}
	name := pgx.Identifier{strings.TrimPrefix(u.Path, "/")}.Sanitize()
	err = execute(ctx, server, "DROP DATABASE "+name+" WITH (FORCE)")
	if err != nil {
		err = execute(ctx, server, "DROP DATABASE "+name+" CASCADE") // as CockroachDB calls it
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
