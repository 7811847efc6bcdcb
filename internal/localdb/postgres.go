package localdb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cardea-iam/cardea/internal/errs"
)

// startTime bounds the wait for a server that begins or ends.
const startTime = 60 * time.Second

// A Postgres is a private PostgreSQL server. Its methods may not be called at
// the same time, DSN excepted.
type Postgres struct {
	bin     string // folder of the binaries
	folder  string
	port    int
	as      *syscall.Credential
	process *process // nil while it does not run
}

// PostgresBinaries returns the folder that holds initdb and postgres: that of
// PATH, or else of the newest version where packages put them.
//
// Unsupported: this machine has none.
func PostgresBinaries() (string, error) {
	var folders []string
	if path, err := exec.LookPath("initdb"); err == nil {
		folders = append(folders, filepath.Dir(path))
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin",
		"/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"} {
		found, _ := filepath.Glob(pattern)
		slices.Reverse(found) // 9 would come before 10, but is too old anyway
		folders = append(folders, found...)
	}
	for _, folder := range folders {
		_, errInit := os.Stat(filepath.Join(folder, "initdb"))
		_, errServer := os.Stat(filepath.Join(folder, "postgres"))
		if errInit == nil && errServer == nil {
			return folder, nil
		}
	}
	return "", errs.New(errs.Unsupported, "PostgreSQL is not on this machine: initdb and postgres are neither on PATH nor where packages put them")
}

// StartPostgres makes and starts a server, which takes a few seconds. Stop ends
// it, and so does the end of this process.
//
// Unsupported: this machine has no PostgreSQL.
func StartPostgres(ctx context.Context) (*Postgres, error) {
	bin, err := PostgresBinaries()
	if err != nil {
		return nil, err
	}
	s := &Postgres{bin: bin}
	if s.folder, err = os.MkdirTemp("", "cardea-postgres-"); err != nil {
		return nil, err
	}
	if s.as, err = unprivileged(s.folder); err == nil {
		err = s.initialise(ctx)
	}
	for range 3 { // another process may take the free port first
		if err != nil {
			break
		}
		if s.port, err = freePort(); err != nil {
			break
		}
		if err = s.Start(ctx); err == nil {
			return s, nil
		}
		if errs.KindOf(err) == errs.Conflict {
			err = nil
		}
	}
	if err == nil {
		err = errs.New(errs.Unavailable, "no free port for PostgreSQL was found")
	}
	return nil, errors.Join(err, os.RemoveAll(s.folder))
}

// unprivileged says as whom to run a server, which refuses to run as root, and
// makes the folder theirs.
func unprivileged(folder string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(folder, int(uid), int(gid))
	}
	return nil, errs.New(errs.Unsupported, "PostgreSQL does not run as root, and there is neither a user postgres nor nobody")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func (s *Postgres) data() string { return filepath.Join(s.folder, "data") }
func (s *Postgres) log() string  { return filepath.Join(s.folder, "log") }

// initialise makes the data folder. The databases sort as people do, where the
// server can, so that a query that relies on the default order is found out.
func (s *Postgres) initialise(ctx context.Context) error {
	args := []string{"-D", s.data(), "-U", "cardea", "-A", "trust", "-E", "UTF8", "--no-sync"}
	var errICU, err error
	if errICU = s.initdb(ctx, append(args, "--locale=C", "--locale-provider=icu", "--icu-locale=en")); errICU == nil {
		return nil
	}
	if err = s.initdb(ctx, append(args, "--locale=C")); err != nil {
		return errors.Join(errICU, err)
	}
	return nil
}

func (s *Postgres) initdb(ctx context.Context, args []string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), args...)
	cmd.Dir = s.folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return errs.Wrap(errs.Internal, err, "initdb: %s", strings.TrimSpace(string(out)))
	}
	return nil
}

// Start starts a server that does not run, on the port that it had, and waits
// until it takes connections.
//
// Conflict: the port is taken.
func (s *Postgres) Start(ctx context.Context) error {
	if s.process.runs() {
		return errs.New(errs.Refused, "the server runs already")
	}
	// The guard of the run before is the parent that the kernel waits for: until it has
	// let go, the dead server has a number, and the new one takes it for alive.
	if s.process != nil {
		err := s.process.release()
		s.process = nil
		if err != nil {
			return err
		}
	}
	started, err := command{
		args: []string{filepath.Join(s.bin, "postgres"), "-D", s.data(), "-p", strconv.Itoa(s.port),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200",
			"-c", "max_prepared_transactions=20", "-c", "dynamic_shared_memory_type=mmap", "-c", "jit=off"},
		folder: s.folder, log: s.log(), signal: "QUIT", as: s.as,
	}.start()
	if err != nil {
		return err
	}
	s.process = started
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	err = started.until(ctx, func(ctx context.Context) (bool, error) { return answers(ctx, s.DSN()) })
	if err == nil {
		return nil
	}
	log, _ := os.ReadFile(s.log())
	kind := errs.Internal
	if strings.Contains(string(log), "Address already in use") {
		kind = errs.Conflict
	}
	return errors.Join(errs.Wrap(kind, err, "PostgreSQL does not start; its log says: %s", tail(string(log))), started.kill(context.WithoutCancel(ctx)))
}

func tail(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// DSN names a database of the server, the one in which others are made.
func (s *Postgres) DSN() string { return s.dsn("postgres") }

func (s *Postgres) dsn(database string) string {
	return fmt.Sprintf("postgres://cardea@127.0.0.1:%d/%s?sslmode=disable", s.port, database)
}

// Kill ends the server as a power failure does, without its notice. Its data
// stay for Start.
func (s *Postgres) Kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return s.process.kill(ctx)
}

// Pause stops the server and all its children where they are. Connections stay
// open and nothing answers, as on a machine that hangs.
func (s *Postgres) Pause() error { return s.process.signalAll(syscall.SIGSTOP) }

// Resume lets a paused server go on.
func (s *Postgres) Resume() error { return s.process.signalAll(syscall.SIGCONT) }

// Stop ends the server for good and removes its data.
func (s *Postgres) Stop() error {
	if s.process == nil {
		return os.RemoveAll(s.folder)
	}
	return s.process.stop()
}
