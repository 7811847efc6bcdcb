package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/store/script"
	"github.com/cardea-iam/cardea/store/sqlite"
)

// crashFile names the data file to the child of TestCrash, which is this test
// program again.
const crashFile = "CARDEA_TEST_CRASH_FILE"

const crashWriters = 6

func TestMain(m *testing.M) {
	if path := os.Getenv(crashFile); path != "" {
		err := crashChild(path, strings.Split(os.Getenv("CARDEA_TEST_CRASH_NEXT"), ","))
		fmt.Fprintln(os.Stderr, err) // it only ends by an error, or by the parent
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestCrash kills a process that writes under load, again and again, and opens
// the file after each. Every write that was acknowledged must be there, none
// may be there by half, and no revision may be given twice. (That a write also
// survives a power failure is the promise of synchronous=FULL, which no test in
// a process can show.)
func TestCrash(t *testing.T) {
	const rounds = 10
	path := file(t)
	r := rand.New(rand.NewPCG(rand.Uint64(), 0))
	written := make([]int, crashWriters) // how many writes of each writer are known to be there
	seen := map[string]bool{}
	for range rounds {
		acks := crashRound(t, path, written, 1+r.IntN(200))
		newest := engine.Revision("")
		db := open(t, path)
		s := network(t, db)
		for _, a := range acks {
			if seen[a.revision] {
				t.Fatalf("revision %s was given twice", a.revision)
			}
			seen[a.revision] = true
			written[a.writer] = max(written[a.writer], a.n)
			if later, err := s.Covers(engine.Revision(a.revision), newest); err != nil || later {
				newest = engine.Revision(a.revision)
			}
		}
		head, err := s.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := s.Covers(head, newest); err != nil || !ok {
			t.Fatalf("head %q does not cover %q, which was acknowledged; error %v", head, newest, err)
		}
		for w := range written {
			written[w] = crashState(t, s, head, w, written[w])
			crashKeys(t, s, head, w, written[w])
			crashRow(t, db, w, written[w])
		}
		crashLog(t, s, head)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	crashIntegrity(t, path)
	t.Logf("%d writes acknowledged in %d rounds", len(seen), rounds)
}

// An ack is what the child prints for each write that returned.
type ack struct {
	writer, n int
	revision  string
}

// crashRound starts the child, kills it after it has acknowledged enough, and
// returns all that it did acknowledge.
func crashRound(t *testing.T, path string, written []int, enough int) []ack {
	t.Helper()
	next := strings.Trim(strings.ReplaceAll(fmt.Sprint(written), " ", ","), "[]")
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashFile+"="+path, "CARDEA_TEST_CRASH_NEXT="+next)
	var stderr strings.Builder
	child.Stderr = &stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var acks []ack
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var a ack
		if _, err := fmt.Sscan(lines.Text(), &a.writer, &a.n, &a.revision); err != nil {
			break // cut off by the kill, so nobody has read it
		}
		acks = append(acks, a)
		if len(acks) == enough {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	child.Wait() // it was killed, and says so
	if len(acks) < enough {
		t.Fatalf("the child gave up after %d writes: %s", len(acks), stderr.String())
	}
	return acks
}

// crashChild has some goroutines write until the process is killed.
func crashChild(path string, written []string) error {
	db, err := sqlite.Open(context.Background(), path)
	if err != nil {
		return err
	}
	s, err := db.Network(context.Background(), "default")
	if err != nil {
		return err
	}
	rows, err := db.Runner(context.Background(), "default")
	if err != nil {
		return err
	}
	failed := make(chan error)
	var mu sync.Mutex
	for w, text := range written {
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		go func() {
			for {
				n++
				done, err := crashDo(s, rows, w, n)
				if err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Println(w, n, done.Revision)
				mu.Unlock()
			}
		}()
	}
	return <-failed
}

// crashUpdates is the n-th write of a writer: five new tuples, and the ones of
// the write before go, except after every third.
func crashUpdates(w, n int) []engine.Update {
	ups := inserts(crashTuples(w, n))
	if n%3 != 1 {
		for _, t := range crashTuples(w, n-1) {
			ups = append(ups, engine.Update{Op: engine.Delete, Tuple: t})
		}
	}
	return ups
}

// joins reports whether a writer writes a row with its tuples.
func joins(w int) bool { return w%2 == 1 }

// crashDo makes the n-th write of a writer. Half of them write a row beside it, in which
// n stands, and have no keys.
func crashDo(s *sqlite.Store, rows sqlite.Runner, w, n int) (engine.Written, error) {
	if !joins(w) {
		return s.Write(context.Background(), crashWrite(w, n))
	}
	return rows.Join(context.Background(), engine.Write{Updates: crashUpdates(w, n)}, "count", func(sc *script.Script) {
		sc.Do(`INSERT INTO identity_flow (network, id, version, expires, data) VALUES ($1, $2, $3, 0, '')
			ON CONFLICT (network, id) DO UPDATE SET version = excluded.version`, rows.Network(), fmt.Sprint("writer", w), n)
	})
}

// crashRow compares the row of a writer with its tuples, which are those of write n.
func crashRow(t *testing.T, db *sqlite.DB, w, n int) {
	t.Helper()
	if !joins(w) {
		return
	}
	rows, err := db.Runner(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	err = rows.Read(t.Context(), "read", func(sc *script.Script) {
		sc.Ask(func(scan script.Scan) error { return scan(&got) }, "SELECT version FROM identity_flow WHERE network = $1 AND id = $2",
			rows.Network(), fmt.Sprint("writer", w))
	})
	if err != nil || got != n {
		t.Fatalf("writer %d has the tuples of write %d and the row of write %d; error %v", w, n, got, err)
	}
}

// crashWrite gives the update a key, under which it can be repeated.
func crashWrite(w, n int) engine.Write {
	return engine.Write{Updates: crashUpdates(w, n), Key: fmt.Sprint(w, "/", n)}
}

func crashTuples(w, n int) []engine.Tuple {
	var out []engine.Tuple
	for i := range 5 {
		out = append(out, engine.Tuple{
			Object:   engine.Object{Namespace: fmt.Sprint("writer", w), ID: fmt.Sprint(n)},
			Relation: "view",
			Subject:  engine.SubjectID(fmt.Sprint(i)),
		})
	}
	return out
}

// crashState compares the tuples of a writer with those after its write n, or
// after n+1, which may have been on its way. It returns which one it was.
func crashState(t *testing.T, s *sqlite.Store, head engine.Revision, w, n int) int {
	t.Helper()
	namespace := fmt.Sprint("writer", w)
	got := map[engine.Tuple]bool{}
	for x, err := range s.Read(t.Context(), head, engine.Query{Namespace: &namespace}, engine.Page{}) {
		if err != nil {
			t.Fatal(err)
		}
		got[x] = true
	}
	want := map[engine.Tuple]bool{}
	for k := 1; k <= n+1; k++ {
		if k == n+1 && same(got, want) {
			return n
		}
		for _, u := range crashUpdates(w, k) {
			if u.Op == engine.Insert {
				want[u.Tuple] = true
			} else {
				delete(want, u.Tuple)
			}
		}
	}
	if !same(got, want) {
		t.Fatalf("writer %d has %d tuples, which is the state neither after write %d nor after the next", w, len(got), n)
	}
	return n + 1
}

// crashKeys repeats the newest write of a writer. What is known to be there must
// be known by its key.
func crashKeys(t *testing.T, s *sqlite.Store, head engine.Revision, w, n int) {
	t.Helper()
	if n == 0 || joins(w) {
		return
	}
	if _, err := s.Write(t.Context(), crashWrite(w, n)); err != nil {
		t.Fatal(err)
	}
	if now, err := s.Head(t.Context()); err != nil || now != head {
		t.Fatalf("repeating write %d of writer %d moves the head from %q to %q, error %v", n, w, head, now, err)
	}
}

func same(a, b map[engine.Tuple]bool) bool {
	for x := range a {
		if !b[x] {
			return false
		}
	}
	return len(a) == len(b)
}

// crashLog replays the log and compares it with the state.
func crashLog(t *testing.T, s *sqlite.Store, head engine.Revision) {
	t.Helper()
	replayed := map[engine.Tuple]bool{}
	for c, err := range s.Changes(t.Context(), "", head) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Op == engine.Insert {
			replayed[c.Tuple] = true
		} else {
			delete(replayed, c.Tuple)
		}
	}
	got := map[engine.Tuple]bool{}
	for x, err := range s.Read(t.Context(), head, engine.Query{}, engine.Page{}) {
		if err != nil {
			t.Fatal(err)
		}
		got[x] = true
	}
	if !same(got, replayed) {
		t.Fatalf("the log leads to %d tuples and the state has %d", len(replayed), len(got))
	}
}

func crashIntegrity(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Fatalf("integrity check: %s, error %v", verdict, err)
	}
}
