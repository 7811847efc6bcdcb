package testdb

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/cockroach-go/v2/testserver"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/localdb"
)

const (
	cockroachEnv       = "CARDEA_TEST_COCKROACH"
	cockroachBinaryEnv = "COCKROACH_BINARY"

	// cockroachVersion is what is downloaded where there is no binary.
	cockroachVersion = "v23.2.4"

	// probeTime bounds the wait for the server that has the download.
	probeTime = 3 * time.Second
)

// sharedCockroach starts the node that the tests of this process share.
var sharedCockroach = sync.OnceValues(func() (*localdb.Cockroach, error) { return startCockroach(1) })

// Cockroach returns the DSN of a new and empty database on CockroachDB, or skips
// the test.
func Cockroach(tb testing.TB) string {
	tb.Helper()
	dsn := os.Getenv(cockroachEnv)
	if dsn == "" || dsn == required {
		c, err := sharedCockroach()
		orSkip(tb, cockroachEnv, err)
		dsn = c.DSN(0)
	}
	return newDatabase(tb, dsn)
}

// A Cluster is a CockroachDB of several nodes for one test, which may kill them.
// All methods end the test if they cannot do what they say.
type Cluster struct {
	tb       testing.TB
	on       *localdb.Cockroach
	database string
}

// CockroachCluster starts n nodes with an empty database, or skips the test. The
// end of the test stops them.
func CockroachCluster(tb testing.TB, n int) *Cluster {
	tb.Helper()
	on, err := startCockroach(n)
	orSkip(tb, cockroachEnv, err)
	tb.Cleanup(func() {
		if err := on.Stop(); err != nil {
			tb.Error(err)
		}
	})
	const database = "cardea"
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	if err := localdb.CreateDatabase(ctx, on.DSN(0), database); err != nil {
		tb.Fatal(err)
	}
	return &Cluster{tb: tb, on: on, database: database}
}

// DSN names the database through node i, counted from 0.
func (c *Cluster) DSN(i int) string {
	c.tb.Helper()
	dsn, err := localdb.WithDatabase(c.on.DSN(i), c.database)
	if err != nil {
		c.tb.Fatal(err)
	}
	return dsn
}

// Kill ends node i with SIGKILL. Its data stay.
func (c *Cluster) Kill(i int) {
	c.tb.Helper()
	if err := c.on.Kill(context.Background(), i); err != nil {
		c.tb.Fatal(err)
	}
}

// Start starts the killed node i with its data.
func (c *Cluster) Start(i int) {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	if err := c.on.Start(ctx, i); err != nil {
		c.tb.Fatal(err)
	}
}

func startCockroach(n int) (*localdb.Cockroach, error) {
	binary, err := cockroachBinary()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	return localdb.StartCockroach(ctx, binary, n)
}

// cockroachBinary finds the program, or makes the one try of this process to
// download it.
var cockroachBinary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(cockroachBinaryEnv); path != "" {
		return filepath.Abs(path)
	}
	if path, err := exec.LookPath("cockroach"); err == nil {
		return path, nil
	}
	path, err := downloadCockroach()
	if err != nil {
		return "", errs.Wrap(errs.Unsupported, err, "CockroachDB is not on this machine and cannot be downloaded; set %s or %s",
			cockroachBinaryEnv, cockroachEnv)
	}
	return path, nil
})

// downloadCockroach keeps what it downloads in the folder for temporary files.
func downloadCockroach() (string, error) {
	name, err := testserver.GetDownloadFilename(cockroachVersion)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(os.TempDir(), name)); err != nil {
		if err := downloadIsThere(); err != nil {
			return "", err
		}
	}
	return testserver.DownloadBinary(&testserver.TestConfig{}, cockroachVersion, false)
}

// downloadIsThere asks before the download itself, which has no time limit.
func downloadIsThere() error {
	url, _, err := testserver.GetDownloadURL(cockroachVersion, false)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: probeTime}
	resp, err := client.Head(url)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errs.New(errs.Unavailable, "%s", resp.Status)
	}
	return nil
}
