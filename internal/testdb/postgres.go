package testdb

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/localdb"
	"github.com/cardea-iam/cardea/internal/testapt"
)

const (
	postgresEnv = "CARDEA_TEST_POSTGRES"
	required    = "required"

	// startTime bounds the start of a server.
	startTime = 2 * time.Minute
)

// shared starts the server that the tests of this process share. It ends with
// the process.
var shared = sync.OnceValues(func() (*localdb.Postgres, error) { return startPostgres() })

// Postgres returns the DSN of a new and empty database on PostgreSQL, or skips
// the test.
func Postgres(tb testing.TB) string {
	tb.Helper()
	dsn := os.Getenv(postgresEnv)
	if dsn == "" || dsn == required {
		s, err := shared()
		orSkip(tb, postgresEnv, err)
		dsn = s.DSN()
	}
	return newDatabase(tb, dsn)
}

// A Server is a PostgreSQL of one test, which may kill it. All methods end the
// test if they cannot do what they say.
type Server struct {
	tb testing.TB
	on *localdb.Postgres
}

// NewServer starts a server for one test, or skips the test. The end of the test
// stops it.
func NewServer(tb testing.TB) *Server {
	tb.Helper()
	on, err := startPostgres()
	orSkip(tb, postgresEnv, err)
	tb.Cleanup(func() {
		if err := on.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return &Server{tb: tb, on: on}
}

// Database returns the DSN of a new and empty database on the server.
func (s *Server) Database() string {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	database, err := localdb.NewDatabase(ctx, s.on.DSN())
	s.must(err)
	return database
}

// Kill ends the server and all its children with SIGKILL. Its data stay.
func (s *Server) Kill() {
	s.tb.Helper()
	s.must(s.on.Kill(context.Background()))
}

// Start starts a killed server with its data, on the port that it had.
func (s *Server) Start() {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	s.must(s.on.Start(ctx))
}

// Restart kills the server and starts it.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	s.Start()
}

// Pause stops the server and all its children with SIGSTOP: connections stay
// open and nothing answers.
func (s *Server) Pause() {
	s.tb.Helper()
	s.must(s.on.Pause())
}

// Resume lets a paused server go on.
func (s *Server) Resume() {
	s.tb.Helper()
	s.must(s.on.Resume())
}

func (s *Server) must(err error) {
	s.tb.Helper()
	if err != nil {
		s.tb.Fatal(err)
	}
}

// newDatabase makes a database for one test.
func newDatabase(tb testing.TB, dsn string) string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	database, err := localdb.NewDatabase(ctx, dsn)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		defer cancel()
		if err := localdb.DropDatabase(ctx, dsn, database); err != nil {
			tb.Errorf("the database stays behind: %v", err)
		}
	})
	return database
}

// orSkip ends the test if err is not nil: it is skipped if the machine does not
// have the database, unless the environment says that it must.
func orSkip(tb testing.TB, env string, err error) {
	tb.Helper()
	switch {
	case err == nil:
	case errs.KindOf(err) == errs.Unsupported && os.Getenv(env) != required:
		tb.Skip(err)
	default:
		tb.Fatal(err)
	}
}

func startPostgres() (*localdb.Postgres, error) {
	if _, err := localdb.PostgresBinaries(); errs.KindOf(err) == errs.Unsupported {
		if err := installPostgres(); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	return localdb.StartPostgres(ctx)
}

// installPostgres is the one try of this process to install PostgreSQL.
var installPostgres = sync.OnceValue(func() error {
	return testapt.Install("PostgreSQL is not on this machine; install it, or set "+postgresEnv, func() bool {
		_, err := localdb.PostgresBinaries()
		return err == nil
	}, "postgresql")
})
