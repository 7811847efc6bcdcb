package pg

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/cardea-iam/cardea/engine"
	"github.com/cardea-iam/cardea/internal/testdb"
)

// connectTo connects to the database beside the store.
func connectTo(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func exec(t testing.TB, conn *pgx.Conn, text string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// insertRow is what a write does to insert doc:ID#view@ann, by hand, so that the
// transaction can stay open.
const insertRow = `INSERT INTO tuple (network, namespace, object, relation, subject_namespace, subject_id, subject_relation, created, removed)
	VALUES ($1, 'doc', $2, 'view', '', 'ann', '', pg_current_xact_id(), '18446744073709551615')`

// TestTailBesideOpenTransactions follows the log while transactions stay open: one
// of another database, one that is prepared, one that will be rolled back, and one
// of a writer. The tail must neither miss what the writer commits in the end, nor
// read the same rows again and again because of them.
func TestTailBesideOpenTransactions(t *testing.T) {
	dsn := testdb.Postgres(t)
	db := openTest(t, dsn, Options{deaf: true})
	s := networkTest(t, db, "default")
	at := write(t, s, adding(tupleOf(t, "doc:0#view@ann"))).Revision
	now := map[engine.Tuple]bool{tupleOf(t, "doc:0#view@ann"): true}
	follow := func() []engine.Change {
		t.Helper()
		var changes []engine.Change
		at, changes = tail(t, s, at)
		for _, c := range changes {
			if now[c.Tuple] == (c.Op == engine.Insert) {
				t.Fatalf("change %v is void", c)
			}
			now[c.Tuple] = c.Op == engine.Insert
		}
		return changes
	}

	elsewhere := connectTo(t, testdb.Postgres(t))
	exec(t, elsewhere, "BEGIN")
	exec(t, elsewhere, "SELECT pg_current_xact_id()")
	prepared := connectTo(t, dsn)
	exec(t, prepared, "BEGIN")
	exec(t, prepared, insertRow, s.network, "prepared")
	exec(t, prepared, "PREPARE TRANSACTION 'tail'")
	undone := connectTo(t, dsn)
	exec(t, undone, "BEGIN")
	exec(t, undone, insertRow, s.network, "undone")
	long := connectTo(t, dsn)
	exec(t, long, "BEGIN")
	exec(t, long, insertRow, s.network, "long")
	exec(t, long, "UPDATE tuple SET removed = pg_current_xact_id() WHERE object = '0'")

	before := db.Stats().Rows
	for i := range 200 {
		write(t, s, adding(tupleOf(t, fmt.Sprintf("doc:x%d#view@ann", i))))
		if changes := follow(); len(changes) != 1 {
			t.Fatalf("after write %d: %v", i, changes)
		}
		if changes := follow(); len(changes) != 0 {
			t.Fatalf("again after write %d: %v", i, changes)
		}
	}
	if rows := db.Stats().Rows - before; rows != 200 {
		t.Errorf("%d rows read for 200 changes", rows)
	}
	exec(t, undone, "ROLLBACK")
	if changes := follow(); len(changes) != 0 {
		t.Fatalf("after the rollback: %v", changes)
	}
	exec(t, long, "COMMIT")
	if changes := follow(); len(changes) != 2 || changes[0].Op != engine.Delete {
		t.Fatalf("after the long transaction: %v", changes)
	}
	exec(t, prepared, "COMMIT PREPARED 'tail'")
	if changes := follow(); len(changes) != 1 {
		t.Fatalf("after the prepared transaction: %v", changes)
	}
	exec(t, elsewhere, "COMMIT")
	if changes := follow(); len(changes) != 0 {
		t.Fatalf("after the transaction in another database: %v", changes)
	}
	want := read(t, s, at, engine.Query{})
	for _, x := range want {
		if !now[x] {
			t.Errorf("the tail lacks %v", x)
		}
		delete(now, x)
	}
	for x, there := range now {
		if there {
			t.Errorf("the tail has %v too many", x)
		}
	}
}

// TestTailUnderTransactions has writers by hand whose transactions stay open for
// other writers' times, end in any order, and are rolled back now and then. Followers
// compare each tail with what the store shows.
func TestTailUnderTransactions(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dsn := testdb.Postgres(t)
	db := openTest(t, dsn, Options{deaf: true})
	s := networkTest(t, db, "default")
	done := make(chan struct{})
	var writers, followers sync.WaitGroup
	for w := range 4 {
		conn := connectTo(t, dsn)
		writers.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			for i := range 60 {
				if err := transaction(t.Context(), r, conn, s, w, i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		followers.Go(func() {
			if err := followUntil(t.Context(), s, done); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	close(done)
	followers.Wait()
}

// transaction inserts some rows of its own and removes some of them, one statement
// after the other.
func transaction(ctx context.Context, r *rand.Rand, conn *pgx.Conn, s *Store, writer, i int) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	for k := range 1 + r.IntN(6) {
		if _, err := tx.Exec(ctx, insertRow, s.network, fmt.Sprintf("%d-%d-%d", writer, i, k)); err != nil {
			return err
		}
		text := "UPDATE tuple SET removed = pg_current_xact_id() WHERE network = $1 AND object = $2 AND removed = '18446744073709551615'"
		if _, err := tx.Exec(ctx, text, s.network, fmt.Sprintf("%d-%d-%d", writer, r.IntN(i+1), k)); err != nil {
			return err
		}
	}
	if r.IntN(4) == 0 {
		return nil // rolled back
	}
	return tx.Commit(ctx)
}

// followUntil reads tails until one began after done.
func followUntil(ctx context.Context, s *Store, done <-chan struct{}) error {
	now, at := map[engine.Tuple]bool{}, engine.Revision("")
	for last := false; !last; {
		select {
		case <-done:
			last = true
		default:
		}
		next, err := s.Tail(ctx, at, func(c engine.Change) error {
			if now[c.Tuple] == (c.Op == engine.Insert) {
				return fmt.Errorf("from %s: change %v is void", at, c)
			}
			if c.Op == engine.Insert {
				now[c.Tuple] = true
			} else {
				delete(now, c.Tuple)
			}
			return nil
		})
		if err != nil {
			return err
		}
		at = next
		rows := 0
		for x, err := range s.Read(ctx, at, engine.Query{}, engine.Page{}) {
			if err != nil {
				return err
			}
			if rows++; !now[x] {
				return fmt.Errorf("at %s the store shows %v, and its tails do not", at, x)
			}
		}
		if rows != len(now) {
			return fmt.Errorf("at %s the store shows %d tuples, and its tails %d", at, rows, len(now))
		}
	}
	return nil
}
