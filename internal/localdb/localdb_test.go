package localdb_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/internal/errs"
	"github.com/cardea-iam/cardea/internal/localdb"
)

// patience bounds every wait. No test passes because of it.
const patience = 60 * time.Second

// startEnv makes the test binary start a server, say where it is, and wait for
// its own end.
const startEnv = "CARDEA_LOCALDB_START"

func TestMain(m *testing.M) {
	if os.Getenv(startEnv) == "" {
		os.Exit(m.Run())
	}
	if err := startAndWait(); err != nil {
		println(err.Error())
		os.Exit(1)
	}
}

// startAndWait starts a server, says where its data are, pauses it if it is
// told to, and waits for the end of this process.
func startAndWait() error {
	s, err := localdb.StartPostgres(context.Background())
	if err != nil {
		return err
	}
	folder, err := ask(context.Background(), s.DSN(), "SHOW data_directory")
	if err != nil {
		return err
	}
	if os.Getenv(startEnv) == "paused" {
		if err := s.Pause(); err != nil {
			return err
		}
	}
	fmt.Println(folder)
	fmt.Println(s.DSN())
	select {}
}

func start(t *testing.T) *localdb.Postgres {
	t.Helper()
	s, err := localdb.StartPostgres(t.Context())
	if errs.KindOf(err) == errs.Unsupported {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func ask(ctx context.Context, dsn, query string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	var answer string
	err = c.QueryRow(ctx, query).Scan(&answer)
	return answer, err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestKill: what was committed is there after a kill -9 and a start on the same
// port, and commits wait for the disk.
func TestKill(t *testing.T) {
	s := start(t)
	db, err := localdb.NewDatabase(t.Context(), s.DSN())
	must(t, err)
	if got, err := ask(t.Context(), db, "SHOW fsync"); got != "on" {
		t.Errorf("fsync is %q, %v", got, err)
	}
	c, err := pgx.Connect(t.Context(), db)
	must(t, err)
	defer c.Close(context.Background())
	_, err = c.Exec(t.Context(), "CREATE TABLE kept AS SELECT 'kept'::text AS word")
	must(t, err)
	must(t, s.Kill(t.Context()))
	if _, err := c.Exec(t.Context(), "SELECT 1"); err == nil {
		t.Error("a connection survived the kill")
	}
	must(t, s.Kill(t.Context()))
	if err := s.Pause(); errs.KindOf(err) != errs.Refused {
		t.Errorf("paused while it does not run: %v", err)
	}
	must(t, s.Start(t.Context()))
	if got, err := ask(t.Context(), db, "SELECT word FROM kept"); got != "kept" {
		t.Errorf("after the kill: %q, %v", got, err)
	}
	if err := s.Start(t.Context()); errs.KindOf(err) != errs.Refused {
		t.Errorf("the second start: %v", err)
	}
	must(t, localdb.DropDatabase(t.Context(), s.DSN(), db))
	if _, err := ask(t.Context(), db, "SELECT 'x'"); err == nil {
		t.Error("the database is still there")
	}
}

// TestPause: a paused server answers nobody, neither new connections nor old,
// and goes on afterwards where it was.
func TestPause(t *testing.T) {
	s := start(t)
	c, err := pgx.Connect(t.Context(), s.DSN())
	must(t, err)
	defer c.Close(context.Background())
	must(t, s.Pause())
	answer := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), "SELECT 1")
		answer <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if c, err := pgx.Connect(ctx, s.DSN()); err == nil {
		t.Error("a paused server took a connection")
		c.Close(context.Background())
	}
	select {
	case err := <-answer:
		t.Errorf("a paused server answered: %v", err)
	default:
	}
	must(t, s.Resume())
	select {
	case err := <-answer:
		must(t, err)
	case <-time.After(patience):
		t.Error("the resumed server does not answer")
	}
}

// TestNothingIsLeft: a process that is killed leaves neither a server nor a
// folder, even if the server is paused.
func TestNothingIsLeft(t *testing.T) {
	if _, err := localdb.PostgresBinaries(); err != nil {
		t.Skip(err)
	}
	for _, server := range []string{"running", "paused"} {
		t.Run(server, func(t *testing.T) {
			other := exec.Command(os.Args[0])
			other.Env = append(os.Environ(), startEnv+"="+server)
			other.Stderr = os.Stderr
			out, err := other.StdoutPipe()
			must(t, err)
			must(t, other.Start())
			lines := bufio.NewScanner(out)
			lines.Scan()
			folder := lines.Text()
			lines.Scan()
			dsn := lines.Text()
			if _, err := os.Stat(folder); err != nil || dsn == "" {
				t.Fatalf("the other process said %q and %q: %v", folder, dsn, err)
			}
			must(t, other.Process.Signal(syscall.SIGKILL))
			other.Wait()
			waitUntilGone(t, folder)
			if _, err := ask(t.Context(), dsn, "SELECT 'x'"); err == nil {
				t.Error("the server still runs")
			}
		})
	}
}

func waitUntilGone(t *testing.T, folder string) {
	t.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		if _, err := os.Stat(folder); os.IsNotExist(err) {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("%s is still there", folder)
		}
	}
}
