package pg

import (
	"context"
	"net"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cardea-iam/cardea/internal/errs"
)

const connectTimeout = 5 * time.Second

// keepAlive is how soon the system asks whether the peer of a silent connection, such
// as the one that listens, is still there.
const keepAlive = 15 * time.Second

func defaultConns() int { return max(16, 4*runtime.GOMAXPROCS(0)) }

// parse reads dsn. Schemes that only we know become postgres.
func parse(dsn string) (*pgx.ConnConfig, error) {
	scheme, rest, ok := strings.Cut(dsn, "://")
	switch {
	case !ok:
		return nil, errs.New(errs.Invalid, "dsn has no scheme: expected postgres:// or cockroach://")
	case scheme == "cockroach" || scheme == "cockroachdb":
		scheme = "postgres"
	case scheme != "postgres" && scheme != "postgresql":
		return nil, errs.New(errs.Invalid, "dsn has the scheme %.20q: expected postgres or cockroach", scheme)
	}
	dsn = scheme + "://" + rest
	if _, err := url.Parse(dsn); err != nil {
		return nil, errs.New(errs.Invalid, "dsn is not a URL: expected %s://USER:PASSWORD@HOST:PORT/DATABASE", scheme)
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil { // its text may hold the password
		return nil, errs.New(errs.Invalid, "dsn is malformed: expected %s://USER:PASSWORD@HOST:PORT/DATABASE and parameters of libpq", scheme)
	}
	return config, nil
}

// probe reads dsn, connects once and sees which server answers.
func probe(ctx context.Context, dsn string, o Options) (server, *pgx.ConnConfig, error) {
	config, err := parse(dsn)
	if err != nil {
		return nil, nil, err
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	config.DialFunc = (&net.Dialer{KeepAlive: keepAlive}).DialContext
	defaults(config, map[string]string{
		"application_name":  o.ApplicationName,
		"statement_timeout": strconv.FormatInt(o.StatementTimeout.Milliseconds(), 10),
	})
	ctx, cancel := context.WithTimeout(ctx, patience(o.StatementTimeout))
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, nil, classify(ctx, err, "connect to the database")
	}
	defer conn.Close(ctx)
	var version string
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil {
		return nil, nil, classify(ctx, err, "read the version of the server")
	}
	if strings.HasPrefix(version, "CockroachDB") {
		return &cockroach{}, config, nil
	}
	number, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), ".")
	if major, err := strconv.Atoi(number); err == nil && major < oldestPostgres {
		return nil, nil, errs.New(errs.Refused, "the server is PostgreSQL %d: expected %d or newer", major, oldestPostgres)
	}
	return &postgres{}, config, durable(ctx, conn, config)
}

// durable sees that a commit waits for the disk, whatever the server or the DSN has
// been told. Without that, what was acknowledged may be lost, and after a crash the
// server would give the ids of transactions that were seen to new ones.
func durable(ctx context.Context, conn *pgx.Conn, config *pgx.ConnConfig) error {
	var waits string
	if err := conn.QueryRow(ctx, "SHOW synchronous_commit").Scan(&waits); err != nil {
		return classify(ctx, err, "read the settings of the server")
	}
	if waits == "off" {
		config.RuntimeParams["synchronous_commit"] = "on"
	}
	return nil
}

// defaults sets parameters of the connection that the DSN does not set.
func defaults(config *pgx.ConnConfig, settings map[string]string) {
	for name, value := range settings {
		if _, given := config.RuntimeParams[name]; !given {
			config.RuntimeParams[name] = value
		}
	}
}

// connect makes the pool.
func connect(ctx context.Context, kind server, config *pgx.ConnConfig, o Options) (*pgxpool.Pool, error) {
	pool, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, errs.Wrap(errs.Internal, err, "the pool has no configuration")
	}
	pool.ConnConfig = config.Copy()
	if o.dial != nil {
		pool.ConnConfig.DialFunc = o.dial
	}
	defaults(pool.ConnConfig, kind.settings())
	pool.MaxConns = int32(min(o.MaxConns, 10_000))
	pool.MaxConnIdleTime = 5 * time.Minute
	// A ping would make the first question after a pause cost two round trips.
	// Looking at the socket costs nothing and sees most of what a ping sees.
	pool.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	pool.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) { return alive(conn.PgConn().Conn()), nil }
	p, err := pgxpool.NewWithConfig(ctx, pool)
	if err != nil {
		return nil, classify(ctx, err, "connect to the database")
	}
	return p, nil
}
